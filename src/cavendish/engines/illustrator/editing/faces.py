"""Faces in a photograph, by the Haar cascades that come inside opencv: several must agree before one is believed."""

import functools
from collections.abc import Sequence
from pathlib import Path

import cv2
import msgspec
import numpy as np

from cavendish.engines.illustrator.editing.pixels import Pixels, small

_SIDE = 480
_FRONTAL = ("frontalface_alt2", "frontalface_default", "frontalface_alt")
_PROFILE = "profileface"
_CATS = ("frontalcatface_extended", "frontalcatface")
_EYES = ("eye", "eye_tree_eyeglasses")


class Face(msgspec.Struct, frozen=True):
    """A face, from the middle of the forehead to the mouth, in pixels of the picture that was looked at."""

    x: float
    y: float
    width: float
    height: float
    votes: int
    """How many of the cascades found it, an eye counting as one more."""
    cat: bool = False
    tilt: float = 0.0
    """Degrees by which the line of the eyes falls to the right."""

    @property
    def middle(self) -> float:
        """The x of the nose."""
        return self.x + self.width / 2

    @property
    def chin(self) -> float:
        """The y of the chin: the cascades' boxes of people end at the lower lip, those of cats at the chin."""
        return self.y + self.height * (1.0 if self.cat else 1.14)


def faces(image: Pixels) -> list[Face]:
    """The faces of people, most prominent (large, central, certain) first; else those of cats; else none."""
    less, scale = small(image, _SIDE)
    gray = np.asarray(cv2.equalizeHist(cv2.cvtColor(less, cv2.COLOR_RGB2GRAY)), np.uint8)
    found = _people(gray) or _cats(gray)
    height, width = gray.shape

    def prominence(face: Face) -> float:
        off = abs(face.middle / width - 0.5) + abs((face.y + face.height / 2) / height - 0.4)
        return float(face.width * (1.2 - off) * (1 + 0.15 * face.votes))

    ranked = sorted(found, key=prominence, reverse=True)
    return [Face(f.x / scale, f.y / scale, f.width / scale, f.height / scale, f.votes, f.cat, f.tilt) for f in ranked]


def _people(gray: Pixels) -> list[Face]:
    side = max(24, min(gray.shape) // 12)
    seen: list[tuple[float, float, float, float, str]] = []
    for name in _FRONTAL:
        for x, y, w, h in _cascade(name).detectMultiScale(gray, 1.12, 4, minSize=(side, side)):
            seen.append((float(x), float(y), float(w), float(h), name))
    groups = _grouped(seen)
    certain = [face for face in (_checked(gray, group) for group in groups) if face is not None]
    if certain:
        return certain
    sides: list[tuple[float, float, float, float, str]] = []
    for flip in (False, True):
        view = cv2.flip(gray, 1) if flip else gray
        for x, y, w, h in _cascade(_PROFILE).detectMultiScale(view, 1.12, 5, minSize=(side * 2, side * 2)):
            left = gray.shape[1] - x - w if flip else x
            sides.append((float(left), float(y), float(w), float(h), _PROFILE))
    return [_mean(group, len(group)) for group in _grouped(sides)]


def _checked(gray: Pixels, group: list[tuple[float, float, float, float, str]]) -> Face | None:
    """The face of boxes that agree: at least two cascades, or one and an eye."""
    face = _mean(group, len({name for *_, name in group}))
    eyes = _eyes(gray, face)
    votes = face.votes + min(1, len(eyes))
    if votes < 2:
        return None
    tilt = 0.0
    if len(eyes) == 2:
        (ax, ay), (bx, by) = sorted(eyes)
        tilt = float(np.degrees(np.arctan2(by - ay, max(1.0, bx - ax))))
    return msgspec.structs.replace(face, votes=votes, tilt=tilt if abs(tilt) < 25 else 0.0)


def _eyes(gray: Pixels, face: Face) -> list[tuple[float, float]]:
    """The middles of an eye in each half of the upper face, where one is found."""
    top, left = round(face.y + face.height * 0.18), round(face.x)
    part = gray[top : round(face.y + face.height * 0.6), left : round(face.x + face.width)]
    found: list[tuple[float, float]] = []
    size = max(6, round(face.width / 8))
    for half in (0, 1):
        middle = part.shape[1] // 2
        view = np.ascontiguousarray(part[:, middle * half : middle * (half + 1)])
        for name in _EYES:
            boxes = _cascade(name).detectMultiScale(view, 1.1, 3, minSize=(size, size))
            if len(boxes):
                x, y, w, h = max(boxes, key=lambda box: int(box[2]))
                found.append((left + middle * half + x + w / 2, top + y + h / 2))
                break
    return found


def _cats(gray: Pixels) -> list[Face]:
    side = max(24, min(gray.shape) // 6)
    seen = [
        (float(x), float(y), float(w), float(h), name)
        for name in _CATS
        for x, y, w, h in _cascade(name).detectMultiScale(gray, 1.12, 3, minSize=(side, side))
    ]
    return [msgspec.structs.replace(_mean(group, len(group)), cat=True) for group in _grouped(seen) if len(group) > 1]


def _grouped(
    boxes: Sequence[tuple[float, float, float, float, str]],
) -> list[list[tuple[float, float, float, float, str]]]:
    """Boxes that cover each other by more than a third, together."""
    groups: list[list[tuple[float, float, float, float, str]]] = []
    for box in sorted(boxes, key=lambda one: -one[2]):
        near = next((group for group in groups if _overlap(group[0], box) > 0.35), None)
        if near is None:
            groups.append([box])
        else:
            near.append(box)
    return groups


def _overlap(a: tuple[float, float, float, float, str], b: tuple[float, float, float, float, str]) -> float:
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    tall = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if wide <= 0 or tall <= 0:
        return 0.0
    return wide * tall / (a[2] * a[3] + b[2] * b[3] - wide * tall)


def _mean(group: Sequence[tuple[float, float, float, float, str]], votes: int) -> Face:
    x, y, width, height = (float(np.mean([box[part] for box in group])) for part in range(4))
    return Face(x, y, width, height, votes)


@functools.cache
def _cascade(name: str) -> cv2.CascadeClassifier:
    path = Path(cv2.__file__).parent / "data" / f"haarcascade_{name}.xml"
    return cv2.CascadeClassifier(str(path))
