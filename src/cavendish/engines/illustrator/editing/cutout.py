"""Subjects cut out of photographs: GrabCut on few pixels, then a soft edge that follows the picture.

Rother, Kolmogorov, Blake: GrabCut, 2004; He, Sun, Tang: Guided Image Filtering, 2010.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from cavendish.engines.illustrator.editing.faces import Face
from cavendish.engines.illustrator.editing.pixels import Mask, Pixels, mask_sized, small, soft

OUT, IN, PERHAPS_OUT, PERHAPS_IN = cv2.GC_BGD, cv2.GC_FGD, cv2.GC_PR_BGD, cv2.GC_PR_FGD
_SIDE = 256

Seeds = NDArray[np.uint8]


def person(image: Pixels, face: Face, others: list[Face]) -> Mask:
    """Where the person with `face` is, head and body, at the pixels of `image`, with soft edges."""
    less, scale = small(image, _SIDE)
    seeds = np.full(less.shape[:2], PERHAPS_OUT, np.uint8)
    x, w, h = face.middle * scale, face.width * scale, face.height * scale
    y, chin = face.y * scale, face.chin * scale
    height, width = less.shape[:2]
    for other in others:  # somebody else's head and chest are not this person's
        ellipse(
            seeds,
            other.middle * scale,
            other.y * scale + other.height * scale * 0.5,
            other.width * scale * 0.7,
            other.height * scale * 0.9,
            OUT,
        )
    seeds[: max(0, round(y - 0.75 * h))] = OUT
    if x - 2.6 * w > 0:
        seeds[:, : round(x - 2.6 * w)] = OUT
    if x + 2.6 * w < width:
        seeds[:, round(x + 2.6 * w) :] = OUT
    # beside the head, above the shoulders
    rows = slice(0, max(0, round(chin)))
    seeds[rows, : max(0, round(x - 1.25 * w))] = OUT
    seeds[rows, max(0, round(x + 1.25 * w)) :] = OUT
    shoulders = chin + 0.42 * h
    torso = np.array(
        [[x - 0.35 * w, chin - 0.1 * h], [x + 0.35 * w, chin - 0.1 * h], [x + 1.35 * w, shoulders + 0.15 * h],
         [x + 1.6 * w, height], [x - 1.6 * w, height], [x - 1.35 * w, shoulders + 0.15 * h]]
    )  # fmt: skip
    cv2.fillPoly(seeds, [np.round(torso).astype(np.int32)], PERHAPS_IN)
    ellipse(seeds, x, y + 0.42 * h, 0.62 * w, 0.92 * h, PERHAPS_IN)
    face_seeds(seeds, x, y, w, h)
    core = np.array(
        [[x - 0.2 * w, chin - 0.1 * h], [x + 0.2 * w, chin - 0.1 * h], [x + 0.75 * w, shoulders + 0.4 * h],
         [x + 0.8 * w, chin + 2.2 * h], [x - 0.8 * w, chin + 2.2 * h], [x - 0.75 * w, shoulders + 0.4 * h]]
    )  # fmt: skip
    cv2.fillPoly(seeds, [np.round(core).astype(np.int32)], IN)
    mask = whole(cut(less, seeds, 3), (round(x), round(y + 0.5 * h)))
    return followed(image, mask)


def subject(image: Pixels) -> Mask:
    """Where the subject of a picture without a face is: what stands out from its edges, near the middle."""
    less, _ = small(image, _SIDE)
    height, width = less.shape[:2]
    stands_out = _salience(less)
    seeds = np.full((height, width), PERHAPS_OUT, np.uint8)
    high = float(np.quantile(stands_out, 0.72))
    seeds[stands_out > high] = PERHAPS_IN
    seeds[stands_out > float(np.quantile(stands_out, 0.93))] = IN
    rim = max(2, round(min(height, width) * 0.025))
    seeds[:rim] = OUT
    for column in (seeds[:, :rim], seeds[:, -rim:]):
        column[:] = OUT
    mask = whole(cut(less, seeds, 4), None)
    if not 0.015 < mask.mean() < 0.92:  # nothing was told apart: an ellipse in the middle is the honest guess
        guess = np.zeros((height, width), np.uint8)
        ellipse(guess, width / 2, height * 0.52, width * 0.34, height * 0.42, 1)
        mask = guess.astype(np.float32)
    return followed(image, mask)


def _salience(image: Pixels) -> Mask:
    """How much each pixel differs in colour from what is at the picture's edges, weighed towards the middle."""
    lab = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), (0, 0), 2).astype(np.float32)
    height, width = lab.shape[:2]
    rim = max(2, min(height, width) // 16)
    edges = np.concatenate([lab[:rim].reshape(-1, 3), lab[:, :rim].reshape(-1, 3), lab[:, -rim:].reshape(-1, 3)])
    cv2.setRNGSeed(7)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 10, 1.0)
    few = np.ascontiguousarray(edges[:: max(1, len(edges) // 1500)])
    _, _, centers = cv2.kmeans(few, min(5, len(few)), np.empty(0, np.int32), stop, 1, cv2.KMEANS_PP_CENTERS)
    far = np.full((height, width), 1e9, np.float32)
    for center in centers:
        far = np.minimum(far, np.sqrt(np.square(lab - center).sum(axis=-1)))
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    off = ((columns / width - 0.5) / 0.36) ** 2 + ((rows / height - 0.54) / 0.4) ** 2
    return np.asarray(
        cv2.GaussianBlur(far, (0, 0), max(1.0, width / 60)) * np.exp(-0.5 * off) + 1e-3 * np.exp(-off), np.float32
    )


def face_seeds(seeds: Seeds, x: float, y: float, w: float, h: float) -> None:
    """What is head for certain: the face, and the crown above it."""
    ellipse(seeds, x, y + 0.55 * h, 0.4 * w, 0.56 * h, IN)
    ellipse(seeds, x, y + 0.22 * h, 0.32 * w, 0.34 * h, IN)


def ellipse(seeds: Seeds, x: float, y: float, wide: float, tall: float, value: int) -> None:
    cv2.ellipse(seeds, (round(x), round(y)), (max(1, round(wide)), max(1, round(tall))), 0, 0, 360, value, -1)


def cut(image: Pixels, seeds: Seeds, rounds: int) -> Mask:
    """GrabCut from `seeds`; repeatable."""
    cv2.setRNGSeed(7)
    if not (np.isin(seeds, (IN, PERHAPS_IN)).any() and np.isin(seeds, (OUT, PERHAPS_OUT)).any()):
        return np.isin(seeds, (IN, PERHAPS_IN)).astype(np.float32)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    view = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    cv2.grabCut(view, seeds, (0, 0, 1, 1), background, foreground, rounds, cv2.GC_INIT_WITH_MASK)
    return np.isin(seeds, (IN, PERHAPS_IN)).astype(np.float32)


def whole(mask: Mask, at: tuple[int, int] | None) -> Mask:
    """The piece at the point `at` (the largest when None) without holes, its outline a little smoothed."""
    solid = (mask > 0.5).astype(np.uint8)
    size = max(3, round(max(mask.shape) / 90)) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    opened = cv2.morphologyEx(solid, cv2.MORPH_OPEN, kernel)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(opened, cv2.MORPH_CLOSE, kernel))
    if count < 2:
        return mask
    inside = at is not None and 0 <= at[1] < mask.shape[0] and 0 <= at[0] < mask.shape[1]
    label = int(labels[at[1], at[0]]) if at is not None and inside else 0
    if label == 0:
        label = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    piece = (labels == label).astype(np.uint8)
    contours, _ = cv2.findContours(piece, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(piece, contours, -1, 1, -1)
    return np.asarray(piece.astype(np.float32), np.float32)


def followed(image: Pixels, mask: Mask) -> Mask:
    """The mask at the pixels of `image`, its edge drawn to the edges that the picture has there."""
    height, width = image.shape[:2]
    guide, _ = small(image, 720)
    coarse = mask_sized(mask, guide.shape[1], guide.shape[0])
    radius = max(2, round(max(guide.shape[:2]) / 110))
    fine = guided(guide, soft(coarse, radius / 3), radius, 2e-4)
    fine = np.clip((fine - 0.12) / 0.76, 0, 1).astype(np.float32)
    return mask_sized(fine, width, height)


def guided(image: Pixels, mask: Mask, radius: int, epsilon: float) -> Mask:
    """The mask as a local linear function of the colours of `image` (same size)."""
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(values: NDArray[np.floating]) -> NDArray[np.float32]:
        return np.asarray(cv2.blur(values, size), np.float32)

    color = (image / np.float32(255)).astype(np.float32)
    middle, target = mean(color), mean(mask)
    cross = mean(color * mask[..., None]) - middle * target[..., None]
    # The covariance of the three channels at each pixel, and its inverse by cofactors.
    red, green, blue = (color[..., i] for i in range(3))
    mr, mg, mb = (middle[..., i] for i in range(3))
    rr, gg, bb = (
        mean(red * red) - mr * mr + epsilon,
        mean(green * green) - mg * mg + epsilon,
        mean(blue * blue) - mb * mb + epsilon,
    )
    rg, rb, gb = mean(red * green) - mr * mg, mean(red * blue) - mr * mb, mean(green * blue) - mg * mb
    irr, irg, irb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    igg, igb, ibb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    scale = 1 / np.maximum(rr * irr + rg * irg + rb * irb, 1e-12)
    cr, cg, cb = (cross[..., i] for i in range(3))
    ar = (irr * cr + irg * cg + irb * cb) * scale
    ag = (irg * cr + igg * cg + igb * cb) * scale
    ab = (irb * cr + igb * cg + ibb * cb) * scale
    rest = target - ar * mr - ag * mg - ab * mb
    fine = mean(ar) * red + mean(ag) * green + mean(ab) * blue + mean(rest)
    return np.asarray(np.clip(fine, 0, 1), np.float32)


def cleaned(image: Pixels, mask: Mask, reach: float) -> Pixels:
    """`image` with the colours of the solid inside drawn out to its soft edge, so that no old background shows."""
    solid = (mask > 0.94).astype(np.float32)
    sigma = max(1.0, reach)
    weight = soft(solid, sigma)
    share = (1 - mask) * np.clip(weight * 20, 0, 1)
    weight = np.maximum(weight, 1e-3)
    out = np.empty_like(image)
    for channel in range(3):  # one after the other: together they would take hundreds of megabytes of a large picture
        own = image[..., channel].astype(np.float32)
        near = soft(own * solid, sigma) / weight
        out[..., channel] = np.clip(own + (near - own) * share, 0, 255)
    return out
