"""A person as a bobblehead: a large sharp head as it was, a small body as a cartoon, the room out of focus."""

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.editing.canvas import fitted
from cavendish.engines.illustrator.editing.cutout import cleaned, person
from cavendish.engines.illustrator.editing.faces import Face
from cavendish.engines.illustrator.editing.heads import Head, head
from cavendish.engines.illustrator.editing.paint import cartoon
from cavendish.engines.illustrator.editing.pixels import (
    Mask,
    Pixels,
    blurred,
    bytes_of,
    filled,
    laid,
    mask_sized,
    sized,
    small,
    soft,
)


class Plan(msgspec.Struct, frozen=True):
    """Where body and head come in the new picture: scales, and the point that the chin has in both."""

    body: float
    head: float
    chin_x: float
    chin_y: float
    neck_x: float
    neck_y: float
    tilt: float


def bobblehead(
    image: Pixels, face: Face, others: list[Face], width: int, height: int, lots: Chance
) -> tuple[Pixels, Mask]:
    """The person with `face` as a bobblehead, in a picture of `width` x `height`; and the mask of the figure in it."""
    whole = person(image, face, others)
    cut = head(image, face, whole)
    body = _body(whole, cut, face)
    plan = _plan(image.shape, body, cut, face, width, height, lots)
    canvas = _room(image, np.maximum(whole, cut.mask), plan, width, height)
    figure, there = _placed_body(image, body, face, plan, width, height)
    crown, hair = _placed_head(image, cut, face, plan, width, height)
    canvas = _shadowed(canvas, np.maximum(there, hair), 0.45, round(min(width, height) * 0.02))
    outline = _outline(there, max(1.0, min(width, height) / 420))
    canvas = laid(np.full_like(canvas, (38, 30, 40)), canvas, outline)
    figure = _shadowed(figure, hair, 0.6, round(min(width, height) * 0.028))
    canvas = laid(figure, canvas, there)
    return laid(crown, canvas, hair), np.maximum(np.maximum(there, hair), outline)


def _body(whole: Mask, cut: Head, face: Face) -> Mask:
    """The person without the head; the neck goes on up behind it."""
    rows, columns = np.ogrid[0 : whole.shape[0], 0 : whole.shape[1]]
    neck = np.abs(columns - face.middle) < 0.34 * face.width
    below = rows > face.chin - 0.3 * face.height
    return np.asarray(
        whole * np.where(neck & below, 1, (1 - cut.mask) * (rows > face.chin - 0.1 * face.height)), np.float32
    )


def _plan(shape: tuple[int, ...], body: Mask, cut: Head, face: Face, width: int, height: int, lots: Chance) -> Plan:
    solid = body[round(face.chin) :] > 0.5
    rows = np.flatnonzero(solid.any(axis=1))
    below = float(rows[-1]) + 1 if len(rows) else 0.2 * face.height
    cropped = face.chin + below > shape[0] * 0.97  # the picture ends before the person does
    tall, wide = face.chin - cut.top, cut.right - cut.left
    times = float(np.clip(0.62 * below / tall, 2.0, 3.2))
    room = height * (0.95 if cropped else 0.91)
    scale = min(room / (times * tall * 0.96 + below), 0.9 * width / (times * wide))
    base = height if cropped else height * 0.955
    chin_y = base - below * scale
    middle = (cut.left + cut.right) / 2
    aside = (middle / shape[1] - 0.5) * width * 0.3
    half = times * scale * wide / 2
    x = float(np.clip(width / 2 + aside, min(half, width / 2), max(width - half, width / 2)))
    return Plan(scale, times * scale, middle, face.chin, x, chin_y, lots.pick((-4.0, -3.0, 3.0, 4.0)))


def _room(image: Pixels, figure: Mask, plan: Plan, width: int, height: int) -> Pixels:
    """What is behind: the picture without the person, out of focus, filling the new frame without distortion."""
    less, _ = small(image, 480)
    hole = mask_sized(figure, less.shape[1], less.shape[0])
    size = max(3, round(max(hole.shape) * 0.03)) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    hole = soft(np.asarray(cv2.dilate((hole > 0.1).astype(np.float32), kernel), np.float32), 1.5)
    back = blurred(filled(less, np.clip(hole * 1.3, 0, 1).astype(np.float32)), max(less.shape[:2]) * 0.011)
    scale = max(width / back.shape[1], height / back.shape[0])
    wide, tall = max(width, round(back.shape[1] * scale)), max(height, round(back.shape[0] * scale))
    left = int(np.clip(plan.chin_x / image.shape[1] * wide - plan.neck_x, 0, wide - width))
    top = int(np.clip((tall - height) * 0.4, 0, tall - height))
    big = cv2.resize(back, (wide, tall), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(big[top : top + height, left : left + width])


def _placed_body(image: Pixels, body: Mask, face: Face, plan: Plan, width: int, height: int) -> tuple[Pixels, Mask]:
    top = max(0, round(face.chin - 0.35 * face.height))
    part, mask = image[top:], body[top:]
    mask = mask * _bust(mask, face, face.chin - top)
    drawn = cartoon(cleaned(np.ascontiguousarray(part), mask, face.width * 0.03))
    matrix = np.array(
        [[plan.body, 0, plan.neck_x - plan.body * plan.chin_x],
         [0, plan.body, plan.neck_y - plan.body * (plan.chin_y - top)]]
    )  # fmt: skip
    return _moved(drawn, mask, matrix, plan.body, width, height)


def _bust(mask: Mask, face: Face, chin: float) -> Mask:
    """1 inside a bust with round shoulders, for a body that the edge of the picture cut off at a side."""
    height, width = mask.shape
    rows, columns = np.ogrid[0:height, 0:width]
    shape = np.ones(mask.shape, np.float32)
    for side, column in ((-1, 0), (1, width - 1)):
        touching = np.flatnonzero(mask[:, column] > 0.5)
        if len(touching) < 0.03 * height:
            continue
        reach = abs(column - face.middle)
        first = min(float(touching[0]), chin + 0.7 * face.height)
        tall = max(1.0, height - first)
        # An arm: a quarter of an ellipse from the shoulder down to the lower edge.
        across = np.clip((columns - face.middle) * side / reach, 0, 2)
        down = np.clip((height - rows) / (tall * 1.25), 0, 2)
        curve = (across**2.4 + (down * 0.8) ** 2.4) < 0.93
        shape = np.where((columns - face.middle) * side > 0, np.minimum(shape, curve), shape).astype(np.float32)
    return soft(shape, max(0.8, face.width / 90)) if not shape.all() else shape


def _placed_head(image: Pixels, cut: Head, face: Face, plan: Plan, width: int, height: int) -> tuple[Pixels, Mask]:
    pad = round(face.width * 0.12)
    left, top = max(0, cut.left - pad), max(0, cut.top - pad)
    right, bottom = cut.right + pad, cut.bottom + pad
    mask = np.ascontiguousarray(cut.mask[top:bottom, left:right])
    part = cleaned(np.ascontiguousarray(image[top:bottom, left:right]), mask, face.width * 0.025)
    if plan.head > 1.15:  # enlarged: what that softens is sharpened again
        edge = cv2.GaussianBlur(part, (0, 0), 1.0)
        part = np.asarray(cv2.addWeighted(part, 1.5, edge, -0.5, 0), np.uint8)
    turn = np.asarray(
        cv2.getRotationMatrix2D((plan.chin_x - left, plan.chin_y - top), plan.tilt, plan.head), np.float64
    )
    overlap = 0.05 * face.height * plan.head
    turn[0, 2] += plan.neck_x - (plan.chin_x - left)
    turn[1, 2] += plan.neck_y + overlap - (plan.chin_y - top)
    return _moved(part, mask, turn, plan.head, width, height)


def _moved(
    layer: Pixels, mask: Mask, matrix: NDArray[np.float64], scale: float,
    width: int, height: int,
) -> tuple[Pixels, Mask]:  # fmt: skip
    """A layer and its mask in the new picture. Made smaller first where that is a lot, against jagged edges."""
    if scale < 0.7:
        wide, tall = max(1, round(layer.shape[1] * scale)), max(1, round(layer.shape[0] * scale))
        back = np.array([[layer.shape[1] / wide, 0, 0], [0, layer.shape[0] / tall, 0], [0, 0, 1]])
        layer, mask = sized(layer, wide, tall), mask_sized(np.ascontiguousarray(mask), wide, tall)
        matrix = matrix @ back
    size = (width, height)
    color = cv2.warpAffine(layer, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    there = cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(color, np.uint8), np.clip(there, 0, 1).astype(np.float32)


def _outline(mask: Mask, width: float) -> Mask:
    """The mask grown by `width` pixels, softly."""
    return np.clip(soft(mask, width * 0.9) * 4, 0, 1).astype(np.float32)


def _shadowed(image: Pixels, mask: Mask, depth: float, fall: int) -> Pixels:
    """`image` darkened where the mask's soft shadow falls, `fall` pixels below it."""
    moved = np.zeros_like(mask)
    moved[fall:] = mask[: len(mask) - fall] if fall else mask
    shade = 1 - depth * soft(moved, max(1.0, fall * 0.7))
    out = np.empty_like(image)
    for top in range(0, len(image), 256):
        rows = slice(top, top + 256)
        out[rows] = bytes_of(image[rows] * shade[rows, :, None])
    return out


def topheavy(image: Pixels, whole: Mask, width: int, height: int) -> tuple[Pixels, Mask]:
    """Without a face: the subject as a cartoon, its upper part swollen and as it was; and its mask.

    One smooth enlargement instead of a cut, since nobody knows where this subject's head ends.
    """
    fit = fitted(image, width, height)
    left, top, right, bottom = fit.box
    mask = np.zeros((height, width), np.float32)
    mask[top:bottom, left:right] = mask_sized(whole, right - left, bottom - top)
    rows, columns = np.flatnonzero(mask.max(axis=1) > 0.5), np.flatnonzero(mask.max(axis=0) > 0.5)
    if not len(rows):
        rows, columns = np.arange(height), np.arange(width)
    tall, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    upper = np.flatnonzero(mask[rows[0] : rows[0] + max(1, tall // 3)].max(axis=0) > 0.5)
    x, y = float(upper.mean() if len(upper) else columns.mean()), rows[0] + 0.3 * tall
    radius = 0.9 * max(0.6 * tall, 0.55 * wide)
    down, across = np.mgrid[0:height, 0:width].astype(np.float32)
    far = np.sqrt((across - x) ** 2 + (down - y) ** 2) / radius
    pull = 1 - 0.52 * np.clip(1 - far * far, 0, 1) ** 1.4
    xs, ys = (x + (across - x) * pull).astype(np.float32), (y + (down - y) * pull).astype(np.float32)
    drawn = laid(cartoon(fit.image), fit.image, mask)
    near = np.clip((0.85 - far) * 4, 0, 1).astype(np.float32)  # the swollen part keeps its likeness
    source = laid(fit.image, drawn, near)
    swollen = cv2.remap(source, xs, ys, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    figure = cv2.remap(mask, xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(swollen, np.uint8), np.asarray(figure, np.float32)
