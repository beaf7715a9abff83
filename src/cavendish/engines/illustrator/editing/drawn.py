"""What the illustrator draws into a photograph: a subject on clear ground, or a whole scene as its background.

The only module of the editing that knows how drawings are made.
"""

import io
import re

import msgspec
import numpy as np
import resvg_py
from PIL import Image

from cavendish.engines.illustrator.art import Spot, drawing, placed
from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.composer import compose
from cavendish.engines.illustrator.editing.pixels import Mask, Pixels
from cavendish.engines.illustrator.palette import Light
from cavendish.engines.illustrator.reader import read
from cavendish.engines.illustrator.render import render
from cavendish.engines.illustrator.scene import Actor
from cavendish.engines.illustrator.vocabulary import Row, vocabulary

_PLAIN_PLACES = frozenset({None, "stage", "studio"})
_BACKGROUND = re.compile(r"\b(background|backdrop|bg)\b|背景")
_ON_THE_MOON = re.compile(r"\b(on|onto|to) (the )?moon\b|月球|月亮上|月面")


class Guest(msgspec.Struct, frozen=True):
    """A subject that comes into a photograph."""

    id: str
    count: int
    color: str | None
    pose: str | None
    scale: float
    row: Row


def guests(words: str) -> list[Guest]:
    """The subjects that `words` name and that there are drawings of."""
    rows = vocabulary().subjects
    return [_guest(actor, rows[actor.id]) for actor in read(words, vocabulary()).actors]


def _guest(actor: Actor, row: Row) -> Guest:
    return Guest(actor.id, min(6, actor.count), actor.color, actor.pose or row.pose, actor.scale, row)


def cut_out(guest: Guest, height: int, tint: str, *, mirrored: bool) -> tuple[Pixels, Mask]:
    """The guest `height` pixels tall, in light of the colour `tint`; and where it is. It stands on the lower edge."""
    svg = guest.row.svg or guest.id
    pose = drawing(svg).pose(guest.pose)
    colors = guest.row.colored(vocabulary().colored(guest.color)) if guest.color else guest.row.colors
    width = max(1, round(pose.width * height / pose.tall))
    spot = Spot(width / 2, height, height, mirrored=mirrored)
    body = placed(svg, pose, colors, spot, Light(color=tint, strength=0.55), "guest")
    source = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">{body}</svg>'
    )
    picture = Image.open(io.BytesIO(resvg_py.svg_to_bytes(svg_string=source, skip_system_fonts=True))).convert("RGBA")
    both = np.asarray(picture)
    return np.ascontiguousarray(both[..., :3]), (both[..., 3] / np.float32(255)).astype(np.float32)


def colors_in(words: str) -> list[str]:
    """The colours that `words` name, as `#rrggbb`, in their order."""
    found: dict[int, tuple[int, str]] = {}
    for color, word in vocabulary().words["colors"].items():
        names = [rf"\b{re.escape(name)}\b" for name in word.en] + [re.escape(n) for n in word.zh if len(n) > 1]
        names += [rf"{re.escape(n)}(?=色|底|背|边|框|渐|到|白|相|画)" for n in word.zh if len(n) == 1]
        for match in re.finditer("|".join(names), words):
            if match.end() - match.start() > found.get(match.start(), (0, ""))[0]:
                found[match.start()] = (match.end() - match.start(), vocabulary().colored(color))
    return list(dict.fromkeys(color for _, (_, color) in sorted(found.items())))


def scene(words: str, width: int, height: int, lots: Chance) -> Pixels | None:
    """The scene that `words` name, drawn at `width` x `height`; None when they name none."""
    plain = _BACKGROUND.sub(" ", words)
    found = read(plain, vocabulary())
    if _ON_THE_MOON.search(plain):  # somebody who is only in the photograph is there
        found = msgspec.structs.replace(found, place="space")
    if found.empty or (found.place in _PLAIN_PLACES and not (found.actors or found.time or found.weather)):
        return None
    units = 1000 / min(width, height)
    less = min(1.0, 1400 / max(width, height))  # a background is soft: it needs no more
    pixels = (max(16, round(width * less)), max(16, round(height * less)))
    made = render(compose(found, lots, width * units, height * units), pixels)
    return np.asarray(Image.open(io.BytesIO(made)).convert("RGB"))
