"""Input images and a prompt to one edited picture: the order in which edits that combine are done."""

import io
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from cavendish.domain.text import Text
from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.editing import backdrop, drawn
from cavendish.engines.illustrator.editing.asked import Backdrop, Wish, asked
from cavendish.engines.illustrator.editing.bobblehead import bobblehead, topheavy
from cavendish.engines.illustrator.editing.canvas import fitted
from cavendish.engines.illustrator.editing.company import joined
from cavendish.engines.illustrator.editing.cutout import cleaned, subject
from cavendish.engines.illustrator.editing.faces import Face, faces
from cavendish.engines.illustrator.editing.frames import captioned, cells, collage, framed, inside
from cavendish.engines.illustrator.editing.heads import figure
from cavendish.engines.illustrator.editing.notes import Steps
from cavendish.engines.illustrator.editing.opened import UnreadableImage, opened
from cavendish.engines.illustrator.editing.paint import BRUSHES
from cavendish.engines.illustrator.editing.pixels import Mask, Pixels, laid, mask_sized, sized
from cavendish.engines.illustrator.editing.tone import toned
from cavendish.engines.illustrator.editing.weather import weathered
from cavendish.ports import EngineImage, ImageRequest

_SIDE, _HEAVY_SIDE = 3600, 2400
"""Pixels of the longer side up to which edits are done; those with cut out subjects need most. Larger is enlarged."""

_PEOPLE = 3
"""How many faces of a group count as the subject, with their bodies."""


def edit(request: ImageRequest) -> EngineImage | Text:
    """The edited picture at the request's exact pixels, or the sentence that says why an input image is unusable."""
    cv2.setNumThreads(1)  # the pool has one process for each core already
    wish = asked(request.prompt)
    lots = Chance(request.prompt, request.aspect_ratio, request.seed)
    steps = Steps()
    try:
        picture, alpha = _made(request, wish, lots, steps)
    except UnreadableImage as unreadable:
        return unreadable.text
    if wish.removal:
        steps.add("removal")
    return EngineImage(_encoded(picture, alpha, request.output_format), steps.note(chinese=wish.chinese))


def _made(request: ImageRequest, wish: Wish, lots: Chance, steps: Steps) -> tuple[Pixels, Mask | None]:
    """The finished picture, and its opacity when the background was taken away."""
    width, height = request.width, request.height
    place = inside(wish.frame, width, height) if wish.frame else None
    full = (place.width, place.height) if place else (width, height)
    room = _workroom(wish, full)
    swapped = wish.backdrop is not None and wish.backdrop.kind == "picture" and len(request.images) > 1
    alpha: Mask | None = None
    if len(request.images) > 1 and not swapped:
        picture = _together(request, wish, room, lots, steps)
    else:
        source, opaque = opened(request.images[0], 1, _side(wish, room))
        other = opened(request.images[1], 2, max(room))[0] if swapped else None
        picture, alpha = _one(source, opaque, wish, room, lots, steps, other)
    picture = sized(np.ascontiguousarray(picture), *full)
    alpha = None if alpha is None else mask_sized(alpha, *full)
    if alpha is not None and (wish.frame or request.output_format == "jpeg"):
        picture, alpha = laid(picture, np.full_like(picture, 255), alpha), None
    steps_removed = "remove on white" if alpha is None else "remove"
    if wish.backdrop and wish.backdrop.kind == "remove":
        steps.add(steps_removed)
    if wish.caption and wish.frame != "polaroid":
        picture = captioned(picture, wish.caption)
        if alpha is not None:  # the words need something to stand on
            alpha = np.maximum(alpha, (np.arange(len(alpha)) > len(alpha) * 0.78).astype(np.float32)[:, None])
    if wish.frame:
        color = next(iter(drawn.colors_in(wish.frame_words)), None)
        picture = framed(picture, wish.frame, color, wish.caption, width, height)
        steps.add(wish.frame)
    if wish.caption:
        steps.add("caption")
    return picture, alpha


def _workroom(wish: Wish, room: tuple[int, int]) -> tuple[int, int]:
    """The size at which edits are done: beyond it they would take seconds and memory for what is hardly seen."""
    heavy = wish.bobblehead or wish.backdrop is not None or any(brush.scope != "whole" for brush in wish.brushes)
    share = min(1.0, (_HEAVY_SIDE if heavy else _SIDE) / max(room))
    return max(1, round(room[0] * share)), max(1, round(room[1] * share))


def _side(wish: Wish, room: tuple[int, int]) -> int:
    """How large to decode: as large as is seen, and larger where a part of it will be enlarged."""
    return min(_SIDE, round(max(room) * (1.25 if wish.bobblehead else 1.0)))


def _together(request: ImageRequest, wish: Wish, room: tuple[int, int], lots: Chance, steps: Steps) -> Pixels:
    """Every picture edited for itself, at the size of its place in the collage."""
    ratios = [min(3.0, max(1 / 3, image.width / image.height)) for image in request.images]
    places = cells(ratios, *room)
    done: list[Pixels] = []
    for number, (image, place) in enumerate(zip(request.images, places, strict=True), 1):
        size = (place.width, place.height)
        source, opaque = opened(image, number, 2 * max(size) if wish.bobblehead else max(size))
        if wish.bobblehead or (wish.backdrop and wish.backdrop.kind == "replace"):
            picture, alpha = _one(source, opaque, wish, size, lots.branch(str(number)), steps, None)
        else:  # its own ratio: the collage crops what little does not fit
            scale = max(size[0] / source.shape[1], size[1] / source.shape[0])
            own = (max(size[0], round(source.shape[1] * scale)), max(size[1], round(source.shape[0] * scale)))
            picture, alpha = _one(source, opaque, wish, own, lots.branch(str(number)), steps, None, quiet=True)
        done.append(picture if alpha is None else laid(picture, np.full_like(picture, 255), alpha))
    steps.add("collage", str(len(done)))
    return collage(done, places, *room, next(iter(drawn.colors_in(wish.frame_words)), "#ffffff"))


def _one(
    source: Pixels,
    opaque: Mask | None,
    wish: Wish,
    room: tuple[int, int],
    lots: Chance,
    steps: Steps,
    other: Pixels | None,
    *,
    quiet: bool = False,
) -> tuple[Pixels, Mask | None]:
    """One picture with everything that was asked for, but what goes around it; `quiet` for one of several."""
    if wish.mirrored:
        source = np.ascontiguousarray(source[:, ::-1])
        opaque = None if opaque is None else np.ascontiguousarray(opaque[:, ::-1])
        steps.add("mirror")
    parts = any(brush.scope != "whole" for brush in wish.brushes)
    guests = [guest for clause in wish.guests for guest in drawn.guests(clause)]
    known = faces(source) if wish.bobblehead or wish.backdrop or parts or guests else []
    mask: Mask | None = None
    if wish.bobblehead:
        picture, mask = _big_headed(source, known, room, lots, steps)
    else:
        picture, mask, known = _fitted(source, opaque, wish, known, room, steps, masked=bool(wish.backdrop) or parts,
                                       quiet=quiet)  # fmt: skip
    alpha: Mask | None = None
    if wish.backdrop and mask is not None:
        picture, alpha = _behind(picture, mask, wish.backdrop, other, lots, steps)
    if guests:
        picture, mask = joined(picture, mask, guests, known, lots.branch("guests"))
        alpha = None if alpha is None else mask
        steps.add("guest", _named(guests, chinese=False), _named(guests, chinese=True))
    elif wish.guests:
        steps.add("unknown guest")
    for name in wish.tones:
        picture = toned(picture, name)
        steps.add(name)
    for name in wish.weathers:
        picture = weathered(picture, name, lots.branch(name))
        steps.add(name)
    for brush in wish.brushes:
        painted = BRUSHES[brush.name](picture)
        if brush.scope != "whole" and mask is not None:
            painted = laid(picture, painted, mask if brush.scope == "background" else 1 - mask)
        picture = painted
        steps.styled(brush.name, brush.scope)
    if wish.empty and not quiet and not wish.removal:
        picture = BRUSHES["illustration"](picture)
        steps.add("unknown")
    return picture, alpha


def _big_headed(
    source: Pixels, known: list[Face], room: tuple[int, int], lots: Chance, steps: Steps
) -> tuple[Pixels, Mask]:
    if known:
        steps.add("bobblehead")
        if len(known) > 1:
            steps.add("bobblehead of one")
        return bobblehead(source, known[0], known[1:], *room, lots.branch("bobblehead"))
    steps.add("bobblehead without face")
    return topheavy(source, subject(source), *room)


def _fitted(
    source: Pixels,
    opaque: Mask | None,
    wish: Wish,
    known: list[Face],
    room: tuple[int, int],
    steps: Steps,
    *,
    masked: bool,
    quiet: bool,
) -> tuple[Pixels, Mask | None, list[Face]]:
    """The picture in the asked size, its subject's mask when that is needed, and the faces where they are now."""
    new_background = wish.backdrop is not None and wish.backdrop.kind in {"remove", "replace", "picture"}
    result = fitted(source, *room, low=new_background)
    left, top, right, bottom = result.box
    scale = (
        (right - left) / source.shape[1] if result.grown else max(room[0] / source.shape[1], room[1] / source.shape[0])
    )
    across = left if result.grown else (room[0] - source.shape[1] * scale) / 2
    down = top if result.grown else (room[1] - source.shape[0] * scale) / 2
    moved = [
        Face(f.x * scale + across, f.y * scale + down, f.width * scale, f.height * scale, f.votes, f.cat, f.tilt)
        for f in known
    ]
    if result.grown and not new_background and not quiet:
        steps.add("grown")
    elif wish.extended and wish.empty is False and not result.grown:
        steps.add("fitted")
    mask: Mask | None = None
    if masked:
        mask = np.zeros((room[1], room[0]), np.float32)
        if opaque is not None:  # cut out before it came here
            part = cv2.resize(opaque, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
        else:
            inner = np.ascontiguousarray(result.image[top:bottom, left:right])
            part = _subject(inner, [_shifted(face, -left, -top) for face in moved])
        mask[top:bottom, left:right] = part
    return result.image, mask, moved


def _shifted(face: Face, across: float, down: float) -> Face:
    return Face(face.x + across, face.y + down, face.width, face.height, face.votes, face.cat, face.tilt)


def _subject(image: Pixels, known: Sequence[Face]) -> Mask:
    """The people with faces, as many as are about as large as the first; what stands out when there are none."""
    people = [face for face in known[:_PEOPLE] if face.width > 0.5 * known[0].width and not face.cat]
    if not people:
        return subject(image)
    mask = figure(image, people[0])
    for face in people[1:]:
        mask = np.maximum(mask, figure(image, face))
    return mask


def _behind(
    picture: Pixels, mask: Mask, wanted: Backdrop, other: Pixels | None, lots: Chance, steps: Steps
) -> tuple[Pixels, Mask | None]:
    height, width = picture.shape[:2]
    if wanted.kind == "blur":
        steps.add("blur")
        return backdrop.defocused(picture, mask), None
    if wanted.kind == "remove":
        return cleaned(picture, mask, max(width, height) * 0.006), mask
    if other is not None:
        steps.add("replace picture")
        return backdrop.replaced(picture, mask, backdrop.other(other, width, height)), None
    behind, kind = backdrop.named(wanted.words, width, height, lots.branch("backdrop"))
    steps.add(f"replace {kind}")
    return backdrop.replaced(picture, mask, behind), None


def _named(guests: Sequence[drawn.Guest], *, chinese: bool) -> str:
    names = [(guest.row.zh if chinese else guest.row.en)[0] for guest in guests]
    counted = [
        name if guest.count == 1 else f"{name} × {guest.count}" for name, guest in zip(names, guests, strict=True)
    ]
    return ("、" if chinese else ", ").join(counted)


def _encoded(picture: Pixels, alpha: Mask | None, output_format: str) -> bytes:
    """JPEG where that is wanted, for it is made faster; else PNG, the larger the less packed."""
    out = io.BytesIO()
    if alpha is not None:
        both = np.dstack([picture, (alpha * 255 + 0.5).astype(np.uint8)])
        Image.fromarray(both).save(out, "PNG", compress_level=3)
    elif output_format == "jpeg":
        Image.fromarray(picture).save(out, "JPEG", quality=93, subsampling=0)
    else:
        large = picture.shape[0] * picture.shape[1] > 3_000_000
        Image.fromarray(picture).save(out, "PNG", compress_level=1 if large else 4)
    return out.getvalue()
