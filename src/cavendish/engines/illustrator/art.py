"""Subject drawings: hand-made SVG files whose colours are roles, cut into poses, painted for one place in a scene.

A file says on its root, or on each top-level `<g data-pose="…">`, where its picture lies (`data-box="x y w h"`, by
default the viewBox), at which y it stands (`data-ground`, by default the box's lower edge) and where other things
may be joined (`data-anchors="top:120,40 hand:60,90"`).
Colours are `#rrggbb`, which the scene's light changes, or `role:NAME` / `role:NAME/TONE`, which the subject's
colours fill in first; `role:NAME~OTHER25` has 25 % of another role in it. Roles that begin with `lit`, and
`lit#rrggbb`, shine by themselves: no light or haze changes them.
"""

import functools
import re
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from importlib.resources import files
from typing import TypeVar

import msgspec

from cavendish.engines.illustrator.palette import Light, mix

_SVG = "{http://www.w3.org/2000/svg}"
_COLOR = re.compile(r"(lit)?#[0-9a-fA-F]{6}\b|role:([a-z0-9]+)(?:/([a-z]+))?(?:~([a-z]+)(\d\d))?")
_IDS = re.compile(r'(\bid="|url\(#|href="#)')
_PLAIN = Light()
DEFAULT_POSE = "default"
T = TypeVar("T")


def table(name: str, kind: type[T]) -> T:
    """The rows of `art/<name>.toml`. Raises msgspec.ValidationError: which file, which row, and what is wrong in it."""
    try:
        return msgspec.convert(tomllib.loads(_source(f"{name}.toml")), kind)
    except msgspec.ValidationError as wrong:
        raise msgspec.ValidationError(f"art/{name}.toml: {wrong}") from wrong


def svg_root(name: str) -> ET.Element:
    """The root of `art/<name>.svg` with plain tag names, and with opacity where resvg draws it fastest."""
    root = ET.fromstring(_source(f"{name}.svg"))  # noqa: S314 - our own file, shipped with the package
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        filled, stroked = element.get("fill", "none") != "none", element.get("stroke", "none") != "none"
        if "opacity" in element.attrib and filled != stroked and not len(element):  # of one paint: needs no layer
            element.set("fill-opacity" if filled else "stroke-opacity", element.attrib.pop("opacity"))
    return root


def _source(name: str) -> str:
    return (files(__package__) / "art" / name).read_text("utf-8")


class Pose(msgspec.Struct, frozen=True):
    """One drawing of a subject, in its own units."""

    body: str
    x: float
    y: float
    width: float
    height: float
    ground: float
    anchors: dict[str, tuple[float, float]]

    @property
    def tall(self) -> float:
        """From the top of the picture to where it stands."""
        return self.ground - self.y


class Drawing(msgspec.Struct, frozen=True):
    """A subject's file: its poses by name (the first is the usual one) and the definitions they share."""

    poses: dict[str, Pose]
    defs: str

    def pose(self, name: str | None) -> Pose:
        """The pose `name`, or the usual one."""
        return self.poses.get(name or "") or next(iter(self.poses.values()))


@functools.cache
def drawing(svg: str) -> Drawing:
    """The drawing in `art/subjects/<svg>.svg`, parsed once per process."""
    root = svg_root(f"subjects/{svg}")
    poses = {
        group.attrib["data-pose"]: _pose(group, root, ET.tostring(group, "unicode"))
        for group in root.iterfind("g")
        if "data-pose" in group.attrib
    }
    if not poses:
        body = "".join(ET.tostring(child, "unicode") for child in root if child.tag != "defs")
        poses = {DEFAULT_POSE: _pose(root, root, body)}
    return Drawing(poses, "".join(ET.tostring(child, "unicode") for child in root.iterfind("defs")))


def _pose(element: ET.Element, root: ET.Element, body: str) -> Pose:
    x, y, width, height = map(float, (element.get("data-box") or root.attrib["viewBox"]).split())
    ground = float(element.get("data-ground") or root.get("data-ground") or y + height)
    joints = (part.split(":") for part in (element.get("data-anchors") or root.get("data-anchors") or "").split())
    points = ((name, place.split(",")) for name, place in joints)
    anchors = {name: (float(left), float(top)) for name, (left, top) in points}
    return Pose(re.sub(r"\s*\n\s*", "", body), x, y, width, height, ground, anchors)


def painted(markup: str, colors: Mapping[str, str], light: Light = _PLAIN, depth: float = 0.0) -> str:
    """`markup` with every role and colour replaced by what it looks like in `light` at `depth` (0 near, 1 far)."""

    def one(found: re.Match[str]) -> str:
        shining, role, shade, other, share = found.groups()
        if role is None:
            return found[0][3:] if shining else light.on(found[0], depth)
        color = colors.get(role, "#b0a8a0")
        toned = light.toned(color, shade) if shade else color
        lit = toned if role.startswith("lit") else light.on(toned, depth)
        return mix(lit, colors[other], int(share) / 100) if other else lit

    return _COLOR.sub(one, markup) if "#" in markup or "role:" in markup else markup


def prefixed(markup: str, prefix: str) -> str:
    """`markup` with ids of its own, so that many of it may stand in one picture."""
    return _IDS.sub(rf"\g<1>{prefix}-", markup)


def placed(
    svg: str, pose: Pose, colors: Mapping[str, str], spot: "Spot", light: Light, prefix: str, ink: str = ""
) -> str:
    """One instance of a drawing as a `<g>`: standing at `spot`, in `light`, with ids that begin with `prefix`.

    With `ink` it is a silhouette in that colour.
    """
    scale = spot.height / pose.tall
    middle = pose.x + pose.width / 2
    mirror = -scale if spot.mirrored else scale
    turn = f" rotate({spot.turn:.2f})" if spot.turn else ""
    inner = prefixed(drawing(svg).defs + pose.body, prefix)
    shown = _COLOR.sub(ink, inner) if ink else painted(inner, colors, light, spot.depth)
    return (
        f'<g transform="translate({spot.x:.2f} {spot.y:.2f}){turn} scale({mirror:.5f} {scale:.5f}) '
        f'translate({-middle:.2f} {-pose.ground:.2f})">{shown}</g>'
    )


class Spot(msgspec.Struct, frozen=True):
    """Where a subject stands: the middle of its foot, its height, how far away (0-1), and which way it looks."""

    x: float
    y: float
    height: float
    depth: float = 0.0
    mirrored: bool = False
    turn: float = 0.0

    def anchor(self, pose: Pose, name: str) -> tuple[float, float]:
        """Where the pose's anchor is in the scene; the middle of its upper edge when it has none of that name."""
        scale = self.height / pose.tall
        left, top = pose.anchors.get(name) or (pose.x + pose.width / 2, pose.y + pose.tall * 0.06)
        side = (left - pose.x - pose.width / 2) * scale
        return self.x + (-side if self.mirrored else side), self.y + (top - pose.ground) * scale

    def width(self, pose: Pose) -> float:
        """How wide the pose is here."""
        return pose.width * self.height / pose.tall
