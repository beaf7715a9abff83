"""Heads cut out of photographs: hair and ears included, collar and background left behind.

The outline is the best closed line around the face: along each ray from its middle it should leave colours of this
head for colours of this background, lie on an edge of the picture, and be about where heads end. Found by dynamic
programming over the rays, as in Amini, Weymouth, Jain: Using Dynamic Programming for Solving Variational Problems in
Vision, 1990; its edge is then softened along the picture's own.
"""

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from cavendish.engines.illustrator.editing.cutout import (
    OUT,
    PERHAPS_IN,
    PERHAPS_OUT,
    cut,
    ellipse,
    face_seeds,
    followed,
    person,
    whole,
)
from cavendish.engines.illustrator.editing.faces import Face
from cavendish.engines.illustrator.editing.pixels import Mask, Pixels, mask_sized, small

_SIDE = 320
_RAYS = 180
_STEPS = 150
_STEP = 0.01
"""Of the face's width, along a ray."""

Floats = NDArray[np.float32]


class Place(msgspec.Struct, frozen=True):
    """The face in the pixels of the crop that is worked on."""

    x: float
    y: float
    w: float
    h: float
    chin: float


class Head(msgspec.Struct, frozen=True):
    """A head that was cut out: its mask at the pixels of the picture, and its bounds there."""

    mask: Mask
    left: int
    top: int
    right: int
    bottom: int


def head(image: Pixels, face: Face, body: Mask) -> Head:
    """Where the head with `face` is, cut along the line of the jaw; at the pixels of `image`.

    `body` is a rough mask of the whole person, any size.
    """
    left = max(0, round(face.middle - 1.4 * face.width))
    right = min(image.shape[1], round(face.middle + 1.4 * face.width))
    top = max(0, round(face.y - 1.0 * face.height))
    bottom = min(image.shape[0], round(face.chin + 0.6 * face.height))
    crop = np.ascontiguousarray(image[top:bottom, left:right])
    less, scale = small(crop, _SIDE)
    at = Place(
        (face.middle - left) * scale, (face.y - top) * scale, face.width * scale, face.height * scale,
        (face.chin - top) * scale,
    )  # fmt: skip
    lab = np.asarray(cv2.cvtColor(less, cv2.COLOR_RGB2LAB), np.uint8)
    at = _centred(lab, at)
    share = body.shape[1] / image.shape[1]
    part = body[round(top * share) : max(1, round(bottom * share)), round(left * share) : max(1, round(right * share))]
    inside = 0.4 * (2 * mask_sized(np.ascontiguousarray(part), less.shape[1], less.shape[0]) - 1)
    sure = 1.0
    if _walled(inside, at):
        inside[: round(at.y + 0.5 * at.h)], sure = 0, 0.15
    rough = _inside(_outline(lab, _odds(lab, at, None) + inside, at, sure), at, lab.shape[:2])
    odds = _odds(lab, at, rough)
    rough = _inside(_outline(lab, odds + inside, at, sure), at, lab.shape[:2])
    rough = _carved(less, rough, inside > -0.1, odds, at)
    rough = _shaven(rough, at)
    full = np.zeros(image.shape[:2], np.float32)
    full[top:bottom, left:right] = followed(crop, rough)
    rows, columns = np.flatnonzero(full.max(axis=1) > 0.5), np.flatnonzero(full.max(axis=0) > 0.5)
    return Head(full, int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def figure(image: Pixels, face: Face) -> Mask:
    """Where the person with `face` is, the head cut out as carefully as `head` does."""
    whole_ = person(image, face, [])
    cut_ = head(image, face, whole_)
    rows = np.arange(image.shape[0], dtype=np.float32)[:, None]
    below = np.clip((rows - (face.y + 0.5 * face.height)) / (0.2 * face.height), 0, 1).astype(np.float32)
    return np.asarray(np.maximum(cut_.mask, whole_ * below), np.float32)


def _centred(lab: Pixels, at: Place) -> Place:
    """The place with its middle amid the skin: a face that is turned looks out of its box."""
    cheeks = np.zeros(lab.shape[:2], np.uint8)
    ellipse(cheeks, at.x, at.y + 0.6 * at.h, 0.25 * at.w, 0.3 * at.h, 1)
    skin = _histogram(lab, cheeks > 0)[_bins(lab)]
    top, bottom = max(0, round(at.y + 0.25 * at.h)), round(at.y + 0.85 * at.h)
    left, right = max(0, round(at.x - 0.8 * at.w)), round(at.x + 0.8 * at.w)
    columns = (skin[top:bottom, left:right] > 0.002).sum(axis=0)
    total = int(columns.sum())
    if total < 20:
        return at
    shares = np.cumsum(columns) / total
    low, high = int(np.searchsorted(shares, 0.06)), int(np.searchsorted(shares, 0.94))
    shift = float(np.clip(0.6 * (left + (low + high) / 2 - at.x), -0.12 * at.w, 0.12 * at.w))
    return msgspec.structs.replace(at, x=at.x + shift)


def _outline(lab: Pixels, odds: Floats, at: Place, sure: float) -> Floats:
    """The radius of the head along each ray, in steps; rays go clockwise from straight down.

    `sure` is at most how far the colours are trusted, 0-1.
    """
    angles = np.arange(_RAYS, dtype=np.float32) * (2 * np.pi / _RAYS)
    across, down = -np.sin(angles), np.cos(angles)
    radii = np.arange(_STEPS, dtype=np.float32) * (_STEP * at.w)
    xs = (at.x + across[:, None] * radii).astype(np.float32)
    ys = (at.y + 0.5 * at.h + down[:, None] * radii).astype(np.float32)
    region = cv2.remap(odds, xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=-1)
    colors = cv2.remap(lab.astype(np.float32), xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    colors = cv2.GaussianBlur(colors, (0, 0), 1.6, sigmaY=0.8)
    edge = np.linalg.norm(np.roll(colors, -2, axis=1) - np.roll(colors, 2, axis=1), axis=-1)
    edge = np.clip(edge / (np.percentile(edge, 96) + 1e-3), 0, 1)
    usual = _usual(across, down, at)
    off = np.arange(_STEPS, dtype=np.float32)[None] * _STEP - usual[:, None]
    trust = min(sure, _trust(lab, odds, at))
    jaw = np.clip((down - 0.25) / 0.3, 0, 1)[:, None]  # the neck is skin too: here shape tells more than colour
    give = np.where(off > 0, 0.34, np.where(down[:, None] < -0.3, 0.065, 0.15)) * (1 - 0.62 * jaw)
    give = np.where(off > 0, give * (0.3 + 0.7 * trust), give)  # where colours say nothing, heads are as heads are
    region = region * (0.25 + 0.75 * trust) - 0.15 * (off > 0)  # what nothing is known of is no head
    score = 6.0 * np.cumsum(region, axis=1) * _STEP * (1 - 0.6 * jaw) + 0.8 * edge - 0.6 * (off / give) ** 2
    return _best(score.astype(np.float32))


def _usual(across: Floats, down: Floats, at: Place) -> Floats:
    """Where heads end along each ray, in widths of the face: an egg, wider at the crown, chin below."""
    tall = at.h / at.w
    below, above = (at.chin - at.y) / at.w - 0.5 * tall, 0.76 * tall
    wide = np.where(down > 0, 0.49, 0.51)
    long = np.where(down > 0, below, above)
    return np.asarray(1 / np.sqrt((across / wide) ** 2 + (down / long) ** 2), np.float32)


def _best(score: Floats) -> Floats:
    """The radius per ray that scores best together, neighbours at most three steps apart."""
    reach = 4
    rounds = np.concatenate([score, score[: _RAYS // 2]])
    total = rounds[0].copy()
    came = np.zeros(rounds.shape, np.int16)
    for ray in range(1, len(rounds)):
        padded = np.pad(total, reach, constant_values=-1e9)
        options = np.stack([padded[k : k + _STEPS] - 0.04 * abs(k - reach) for k in range(2 * reach + 1)])
        choice = options.argmax(axis=0)
        came[ray] = choice - reach
        total = options[choice, np.arange(_STEPS)] + rounds[ray]
    path = np.zeros(len(rounds), np.float32)
    step = int(total.argmax())
    for ray in range(len(rounds) - 1, -1, -1):
        path[ray] = step
        step = int(np.clip(step + came[ray][step], 0, _STEPS - 1))
    half = _RAYS // 2
    return np.concatenate([path[_RAYS : _RAYS + half // 2], path[half // 2 : _RAYS]])


def _inside(path: Floats, at: Place, shape: tuple[int, ...]) -> Mask:
    angles = np.arange(_RAYS) * (2 * np.pi / _RAYS)
    jaw = np.clip((np.cos(angles) - 0.4) / 0.3, 0, 1)
    line = (_even(path, 3) * (1 - jaw) + _even(path, 13) * jaw) * _STEP * at.w
    points = np.stack([at.x - np.sin(angles) * line, at.y + 0.5 * at.h + np.cos(angles) * line], axis=-1)
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return (mask / np.float32(255)).astype(np.float32)


def _even(path: Floats, width: int) -> Floats:
    """The running mean around the circle."""
    around = np.concatenate([path[-width:], path, path[:width]])
    return np.convolve(around, np.ones(width) / width, "same")[width:-width].astype(np.float32)


def _odds(lab: Pixels, at: Place, known: Mask | None) -> Floats:
    """For each pixel, how much more its colour is of this head (positive) than of its surroundings, -1 to 1.

    `known` is a first outline to learn from; long hair may hang where it ends, so surroundings are those above.
    """
    own, ring = np.zeros(lab.shape[:2], np.uint8), _around(lab, at)
    ellipse(own, at.x, at.y + 0.5 * at.h, 0.4 * at.w, 0.55 * at.h, 1)
    ellipse(own, at.x, at.y + 0.15 * at.h, 0.32 * at.w, 0.35 * at.h, 1)
    if known is not None:
        near = np.zeros(lab.shape[:2], np.uint8)
        ellipse(near, at.x, at.y + 0.3 * at.h, 0.5 * at.w, 0.75 * at.h, 1)
        own[(known > 0.5) & (near > 0)] = 1
    head_, around = _histogram(lab, own > 0), _histogram(lab, ring > 0)
    least = 2e-3
    table = np.clip(np.log((head_ + least) / (around + least)) / 2.5, -1, 1).astype(np.float32)
    like = cv2.GaussianBlur(_like(lab, own > 0), (0, 0), max(0.5, at.w / 80))
    return np.asarray(0.55 * table[_bins(lab)] + 0.55 * (2 * np.clip(like * 1.4, 0, 1) - 1), np.float32)


def _around(lab: Pixels, at: Place) -> NDArray[np.uint8]:
    """1 where the surroundings are for certain: beside and above the head, beyond any hair."""
    ring = np.ones(lab.shape[:2], np.uint8)
    ellipse(ring, at.x, at.y + 0.35 * at.h, 0.8 * at.w, 0.98 * at.h, 0)
    ring[max(1, round(at.y + 0.55 * at.h)) :] = 0
    return ring


def _walled(inside: Floats, at: Place) -> bool:
    """Whether the mask of the person goes on upwards, as wide as the face: then it holds the wall behind."""
    rows = slice(0, max(1, round(at.y - 0.36 * at.h)))
    columns = slice(max(0, round(at.x - 0.4 * at.w)), round(at.x + 0.4 * at.w))
    return bool((inside[rows, columns] > 0).mean() > 0.6)


def _trust(lab: Pixels, odds: Floats, at: Place) -> float:
    """How far colour tells this head from its surroundings: 1 well, 0 not at all (hair of the wall's colour)."""
    ring = _around(lab, at) > 0
    return float(np.clip((0.25 - odds[ring].mean()) / 0.35, 0, 1)) if ring.any() else 1.0


def _carved(image: Pixels, rough: Mask, body: NDArray[np.bool_], odds: Floats, at: Place) -> Mask:
    """The mask without pieces of background that GrabCut recognises by what is beyond the outline."""
    end = min(image.shape[0], max(8, round(at.chin - 0.2 * at.h)))
    inside = rough > 0.5
    size = max(3, round(at.w * 0.1)) | 1
    near = cv2.dilate(inside.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    seeds = np.where(inside, np.uint8(PERHAPS_IN), np.where(near > 0, np.uint8(PERHAPS_OUT), np.uint8(OUT)))
    far = np.zeros(rough.shape, np.uint8)
    ellipse(far, at.x, at.y + 0.38 * at.h, 0.47 * at.w, 0.7 * at.h, 1)
    near_eyes = np.arange(len(rough))[:, None] < at.y + 0.55 * at.h
    hair = (cv2.GaussianBlur(odds, (0, 0), max(0.5, at.w / 40)) > 0.35) & (body | near_eyes)
    seeds[inside & (far == 0) & ~hair] = PERHAPS_OUT
    face_seeds(seeds, at.x, at.y, at.w, at.h)
    kept = rough.copy()
    kept[:end] *= cut(np.ascontiguousarray(image[:end]), np.ascontiguousarray(seeds[:end]), 2)
    kept = whole(kept, (round(at.x), round(at.y + 0.5 * at.h)))
    # A crown that is gone was hair of the background's colour: rather too much there than a bald head.
    middle = slice(max(0, round(at.x - 0.22 * at.w)), round(at.x + 0.22 * at.w))
    tops = [int(np.argmax(mask[:, middle].max(axis=1) > 0.5)) for mask in (rough, kept)]
    if tops[1] - tops[0] > 0.08 * at.h:
        crown = np.zeros(rough.shape, np.uint8)
        ellipse(crown, at.x, at.y + 0.3 * at.h, 0.6 * at.w, 0.75 * at.h, 1)
        crown[round(at.y + 0.5 * at.h) :] = 0
        kept = np.maximum(kept, rough * crown * body)
    return np.asarray(kept if kept.sum() > 0.66 * rough.sum() else rough, np.float32)


def _shaven(rough: Mask, at: Place) -> Mask:
    """The mask of short hair without the collar and the background that are left beside the jaw."""
    ears = rough[max(0, round(at.y + 0.45 * at.h)) : round(at.y + 0.6 * at.h)] > 0.5
    if not ears.any() or float(np.median(ears.sum(axis=1))) > 1.2 * at.w:  # long hair hangs there
        return rough
    rows, columns = np.mgrid[0 : rough.shape[0], 0 : rough.shape[1]].astype(np.float32)
    begin = at.y + 0.74 * at.h
    down = np.maximum(0, rows - begin) / (at.chin + 0.03 * at.h - begin)
    jaw = (np.abs(columns - at.x) / (0.44 * at.w)) ** 2.3 + down**2.3 < 1
    return np.asarray(rough * ((rows < begin) | jaw), np.float32)


def _like(lab: Pixels, where: NDArray[np.bool_]) -> Mask:
    """1 where the colour is one of the few main ones of `where`, falling to 0 at about twice 9 steps of Lab."""
    weights = np.array([0.6, 1, 1], np.float32)  # light and shade vary more on a head than colour does
    colors = lab.astype(np.float32) * weights
    sample = colors[where]
    few = np.ascontiguousarray(sample[:: max(1, len(sample) // 2000)])
    count = min(8, len(few))
    cv2.setRNGSeed(7)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 12, 0.5)
    _, labels, centers = cv2.kmeans(few, count, np.empty(0, np.int32), stop, 2, cv2.KMEANS_PP_CENTERS)
    shares = np.bincount(labels.ravel(), minlength=count) / len(few)
    best = np.full(lab.shape[:2], 1e9, np.float32)
    for center, share in zip(centers, shares, strict=True):
        if share > 0.03:
            best = np.minimum(best, np.square(colors - center).sum(axis=-1))
    return np.asarray(np.exp(-best / (2 * 9.0**2)), np.float32)


_BINS = (10, 20, 20)


def _bins(lab: Pixels) -> tuple[NDArray[np.intp], ...]:
    """Which bin of colour each pixel is in; most colours lie near the middle of a and b."""
    light = (lab[..., 0].astype(np.intp) * _BINS[0]) >> 8
    a = np.clip((lab[..., 1].astype(np.intp) - 68) * _BINS[1] // 120, 0, _BINS[1] - 1)
    b = np.clip((lab[..., 2].astype(np.intp) - 68) * _BINS[2] // 120, 0, _BINS[2] - 1)
    return light, a, b


def _histogram(lab: Pixels, where: NDArray[np.bool_]) -> Floats:
    """The share of each colour, neighbours lent a little."""
    flat = np.ravel_multi_index(_bins(lab[where][None]), _BINS).ravel()
    counts: Floats = np.bincount(flat, minlength=int(np.prod(_BINS))).reshape(_BINS).astype(np.float32)
    for axis in range(3):
        counts = np.asarray((np.roll(counts, 1, axis) + 2 * counts + np.roll(counts, -1, axis)) / 4, np.float32)
    return np.asarray(counts / max(1.0, float(counts.sum())), np.float32)
