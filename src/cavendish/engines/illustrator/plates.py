"""Plates: the places, skies, cards and compositions of `art/plates/*.svg`, filled in for one picture.

A plate is SVG with a few words more:

* `{…}` in an attribute or text is an expression over `W`, `H` (the picture), `Z` (the horizon), `scene`, `sky`, the
  facts of `Stage.facts`, the lots `u(low, high)`, `pick(…)`, `likely(share)`, and `foot`, `ridge`, `mix`, `tone`.
* `when="…"` keeps an element only where that is true; `depth="…"` (0-1) fades it and all in it into the distance.
* `<layer of="back|near|front|over">` is where its content goes; `<each n="…" x="…">` repeats it, each further
  attribute a name for the expressions inside; `<plate name="…" …>` includes another one; `air="sky"` lights it as it
  is outside;
  `<thing name= x= y= tall= depth= mirror= shadow= role:NAME=…>` is a subject of `art/subjects.toml`;
  `<words x= y= size= room= lines= …>` is type, broken to its room.
* Colours are those of drawings (see `art.py`), with the ground's `near`, `far`, `ridges` and the sky's `littop`,
  `litmid`, `litlow`, `lithaze` as roles; `role:near~littop25` has 25 % of the other in it, `lit#ffffff` stays as it is.
* The root's attributes say how subjects stand in it: see `Manner`.
"""

import functools
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from types import CodeType, MappingProxyType
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import msgspec

from cavendish.engines.illustrator.art import Spot, drawing, painted, placed, prefixed, svg_root
from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.palette import Light, mix, tone
from cavendish.engines.illustrator.stage import Stage
from cavendish.engines.illustrator.type import lines, words
from cavendish.engines.illustrator.vocabulary import vocabulary

Env = dict[str, Any]
_HOLE = re.compile(r"\{([^{}]+)\}")


class Manner(msgspec.Struct, frozen=True):
    """How subjects stand in a place: the attributes of its plate's root."""

    horizon: str = ""
    """Its y; by the composition when empty."""
    light: str = ""
    """`lamp` for the light of rooms, or colour, strength and haze; the sky's when empty."""
    stand: str = "foot(a)"
    """The y of one's feet at the distance `a`, 0-1."""
    share: float = 0.46
    """The height of the first subject in the picture's."""
    near: bool = False
    """Whether nothing in it is far away."""
    inside: bool = False
    """Whether no weather comes in."""
    soft: float = 0.0
    """How much softer its background is than its subjects, in shares of the shorter side."""
    wet: float = 0.0
    """How strongly it mirrors what stands on it, 0-1."""
    shows: str = ""
    """Subjects that the place itself already is; the first one brings the place with it."""


@functools.cache
def _plate(name: str) -> ET.Element:
    return svg_root(f"plates/{name}")


@functools.cache
def manner(name: str) -> Manner:
    """How subjects stand in the plate `name`."""
    known = {key: value for key, value in _plate(name).attrib.items() if key in Manner.__struct_fields__}
    return msgspec.convert(known, Manner, strict=False)


@functools.cache
def _code(expression: str) -> CodeType:
    return compile(expression.strip(), "<plate>", "eval")


def value(expression: str, env: Env) -> Any:
    """What an expression of one of our own plates gives; nothing of a prompt is ever evaluated."""
    return eval(_code(expression), env)  # noqa: S307 - see above


def _filled(text: str, env: Env) -> str:
    def one(found: re.Match[str]) -> str:
        result = value(found[1], env)
        return f"{result:.2f}" if isinstance(result, float) else str(result)

    return _HOLE.sub(one, text) if "{" in text else text


def environment(stage: Stage) -> Env:
    """What the expressions of a plate may use."""
    env: Env = {
        "W": stage.width, "H": stage.height, "Z": stage.horizon, "scene": stage.scene, "sky": stage.sky,
        "place": stage.place, "light": stage.light, "depth": 0.0, "foot": stage.foot, "mix": mix, "tone": tone,
        "min": min, "max": max, "round": round, "len": len, "int": int, "abs": abs, "sin": math.sin, "cos": math.cos,
        "range": range, "__builtins__": {}, "stage": stage, "colors": stage.roles, **stage.facts,
    }  # fmt: skip
    return _with_lots(env, stage.lots, stage.width)


def _with_lots(env: Env, lots: Chance, width: float) -> Env:
    return {**env, "lots": lots, "u": lots.between, "pick": lambda *items: lots.pick(items), "likely": lots.likely,
            "ridge": functools.partial(_ridge, lots, width)}  # fmt: skip


def _ridge(lots: Chance, width: float, base: float, tall: float, rough: float = 1.0, bottom: float = 0.0) -> str:
    """A skyline from edge to edge, about `tall` above y = `base`: the `d` of a path closed at `bottom` (or `base`)."""
    waves = [(lots.between(0.6, 1.2) * k, lots.between(0, 6.28), 1 / k) for k in (1.0, 2.1, 3.7 * rough, 7.3 * rough)]
    points = []
    for step in range(49):
        t = step / 48
        level = sum(share * math.sin(freq * t * 6.283 + phase) for freq, phase, share in waves) / 1.9
        points.append(f"{width * t:.1f} {base - tall * (0.55 + 0.45 * level):.1f}")
    return f"M{' L'.join(points)} V{bottom or base:.1f} H0Z"


_LAMPS = MappingProxyType({True: Light("#ffc98a", 0.5, "#b98a6a"), False: Light("#fff0d8", 0.35, "#f0dcc4")})


def paint(stage: Stage, name: str, /, **extra: Any) -> None:
    """Append the plate `name` to the stage's layers, in its own light and with its own horizon when it has them."""
    own, env = manner(name), environment(stage)
    if own.horizon:
        stage.horizon = float(value(own.horizon, env))
    if own.light == "lamp":
        stage.light = msgspec.structs.replace(_LAMPS[stage.scene.time in {"night", "dusk"}], flat=stage.light.flat)
    elif own.light:
        color, strength, haze = _filled(own.light, env).split()
        stage.light = Light(color, float(strength), haze, stage.light.flat)
    _include(stage, name, {**environment(stage), **extra}, stage.layers["middle"])


def shown(stage: Stage, name: str, /, **extra: Any) -> str:
    """The plate `name` as SVG, in the stage's own light."""
    out: list[str] = []
    _include(stage, name, {**environment(stage), **extra}, out)
    return "".join(out)


def _include(stage: Stage, name: str, env: Env, out: list[str]) -> None:
    mark = stage.mark()
    scope = _with_lots(env, env["lots"].branch(name), env["W"])
    for child in _plate(name):
        inner: list[str] = []
        if "when" not in child.attrib or child.tag != "layer" or value(child.attrib["when"], scope):
            for part in child if child.tag == "layer" else (child,):
                _draw(stage, part, scope, inner)
        stage.layers.get(child.get("of", ""), out).append(prefixed("".join(inner), mark))


def _draw(stage: Stage, element: ET.Element, env: Env, out: list[str]) -> None:
    attributes = dict(element.attrib)
    if "when" in attributes and not value(attributes.pop("when"), env):
        return
    if attributes.pop("air", ""):
        env = {**env, "light": stage.sky_light}
    if "depth" in attributes and element.tag != "each":
        env = {**env, "depth": float(value(attributes.pop("depth"), env))}
    special = _SPECIAL.get(element.tag)
    if special is not None:
        special(stage, element, attributes, env, out)
        return
    written = "".join(
        f" {key}={quoteattr(painted(_filled(text, env), env['colors'], env['light'], env['depth']))}"
        for key, text in attributes.items()
    )
    out.append(f"<{element.tag}{written}>")
    if element.text and element.text.strip():
        out.append(escape(_filled(element.text.strip(), env)))
    for child in element:
        _draw(stage, child, env, out)
    out.append(f"</{element.tag}>")


def _each(stage: Stage, element: ET.Element, attributes: dict[str, str], env: Env, out: list[str]) -> None:
    count = value(attributes.pop("n"), env)
    scope = _with_lots(env, env["lots"].branch(f"{env.get('i', '')}{''.join(attributes.values())}"), env["W"])
    for number, item in enumerate(range(round(count)) if isinstance(count, int | float) else count):
        inner = {**scope, "i": number, "it": item}
        for name, text in attributes.items():
            inner[name] = value(text, inner)
        for child in element:
            _draw(stage, child, inner, out)


def _thing(stage: Stage, _: ET.Element, attributes: dict[str, str], env: Env, out: list[str]) -> None:
    name = _filled(attributes["name"], env)
    if name in stage.scene.named and not attributes.get("own"):
        return
    row = vocabulary().subjects[name]
    art = row.svg or name
    pose = drawing(art).pose(_filled(attributes["pose"], env) if "pose" in attributes else row.pose)
    x, y, tall = (float(value(attributes[key], env)) for key in ("x", "y", "tall"))
    spot = Spot(x, y, tall, env["depth"], bool(value(attributes.get("mirror", "0"), env)))
    colors = row.colors | stage.worn(name)
    colors |= {key[5:]: _filled(text, env) for key, text in attributes.items() if key.startswith("role-")}
    if attributes.get("shadow"):
        out.append(shown(stage, "shadow", x=x, y=y, wide=spot.width(pose) * 0.7, depth=env["depth"]))
    out.append(placed(art, pose, colors, spot, env["light"], stage.mark()))


def _words(_: Stage, element: ET.Element, attributes: dict[str, str], env: Env, out: list[str]) -> None:
    def number(key: str, usual: float = 0.0) -> float:
        return float(value(attributes[key], env)) if key in attributes else usual

    x, y, size = number("x"), number("y"), number("size")
    color = painted(_filled(attributes["fill"], env), env["colors"])
    text = str(value(attributes["text"], env)) if "text" in attributes else _filled(element.text or "", env)
    for at, line in enumerate(lines(text, size, number("room", 1e6), round(number("lines", 1)))):
        out.append(words(
            x, y + at * size * number("step", 1.28), line, size, color,
            family=attributes.get("family", "sans"), bold="bold" in attributes, opacity=number("opacity", 1.0),
            anchor=attributes.get("anchor", "start"), halo=_filled(attributes.get("halo", ""), env),
        ))  # fmt: skip


def _included(stage: Stage, _: ET.Element, attributes: dict[str, str], env: Env, out: list[str]) -> None:
    name = attributes.pop("name")
    inner = {**env, **{key: value(text, env) for key, text in attributes.items()}}
    _include(stage, name, inner, out)


_Special = Callable[[Stage, ET.Element, dict[str, str], Env, list[str]], None]
_SPECIAL: Mapping[str, _Special] = MappingProxyType(
    {"each": _each, "thing": _thing, "words": _words, "plate": _included}
)
