"""Pictures that are set rather than staged: a social post, and quoted words over a scene."""

import functools
import tomllib
from importlib.resources import files

import msgspec

from cavendish.engines.illustrator.art import Spot, drawing, placed
from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.palette import Light, mix, tone
from cavendish.engines.illustrator.picture import Picture, Plate
from cavendish.engines.illustrator.scene import Actor, Scene
from cavendish.engines.illustrator.shapes import SERIF, circle, em, path, rect, stroke, words, wrapped
from cavendish.engines.illustrator.vocabulary import vocabulary


class Author(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who posts."""

    en: str
    zh: str
    handle: str


class Post(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said about a topic."""

    words: tuple[str, ...]
    zh: tuple[str, ...]
    en: tuple[str, ...]
    date_zh: str
    date_en: str
    signs: tuple[str, ...]


class Posts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of `art/posts.toml`."""

    authors: dict[str, Author]
    posts: tuple[Post, ...]


@functools.cache
def known_posts() -> Posts:
    """The rows, loaded once per process."""
    return msgspec.convert(tomllib.loads((files(__package__) / "art" / "posts.toml").read_text("utf-8")), Posts)


_LAMP = (
    '<radialGradient id="lamp"><stop offset="0" stop-color="#ffdf9a" stop-opacity="0.5"/>'
    '<stop offset="1" stop-color="#ffdf9a" stop-opacity="0"/></radialGradient>'
)


def social_post(scene: Scene, lots: Chance, pixels: tuple[int, int]) -> Picture:
    """A post as it looks on a screen: portrait, name, words, date and counts, before a background of its topic."""
    unit = min(pixels) / 1000
    width, height = pixels[0] / unit, pixels[1] / unit
    posts = known_posts()
    post = next((row for row in posts.posts if any(word in scene.text.lower() for word in row.words)), None)
    actor = scene.actors[0] if scene.actors else Actor("bird")
    wide = min(width * 0.86, 900.0)
    parts, tall = _card(scene, actor, post, wide, lots)
    scale = min(1.0, height * 0.9 / tall)
    left, top = (width - wide * scale) / 2, (height - tall * scale) / 2
    shade = rect(left - 8, top + 14, wide * scale + 16, tall * scale + 16, "#05081a", round_=34, opacity=0.75)
    card = f'<g transform="translate({left:.1f} {top:.1f}) scale({scale:.4f})">{parts}</g>'
    return Picture(
        (
            Plate(_backdrop(post, lots.branch("backdrop"), width, height), 0.5, 0.0012),
            Plate(shade, 0.125, 0.03),
            Plate(card),
        ),
        width, height, style=scene.style if scene.style not in {"photo", "render3d"} else None, vignette=0.0,
    )  # fmt: skip


def _backdrop(post: Post | None, lots: Chance, width: float, height: float) -> str:
    """A dark slate with a warm lamp on it; the topic's formulas stand on it as in chalk."""
    slate = (
        '<linearGradient id="bg" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="#27414c"/>'
        '<stop offset="0.55" stop-color="#1b2d3e"/><stop offset="1" stop-color="#141c30"/></linearGradient>'
    )
    parts = [
        slate,
        _LAMP,
        rect(0, 0, width, height, "url(#bg)"),
        circle(width * 0.14, height * 0.04, 620, "url(#lamp)"),
    ]
    signs = post.signs if post else ("#", "@", "“", "”", "♡", "…", "#", "@")
    rows = max(5, round(height / 105))
    for row in range(rows):
        for column in range(3):
            sign = signs[(row * 3 + column * 2) % len(signs)]
            x = width * (column + lots.between(0.1, 0.6)) / 3
            y = height * (row + 0.7) / rows + lots.between(-16, 16)
            line = words(x, y, sign, lots.between(24, 46), "#eef4ee", family=SERIF, opacity=lots.between(0.16, 0.42))
            parts.append(f'<g transform="rotate({lots.between(-9, 9):.1f} {x:.0f} {y:.0f})">{line}</g>')
    return "".join(parts)


def _card(scene: Scene, actor: Actor, post: Post | None, wide: float, lots: Chance) -> tuple[str, float]:
    """The card at the origin, and how tall it became."""
    author = known_posts().authors.get(actor.id)
    row = vocabulary().subjects[actor.id]
    if author is None:
        name = row.zh[0] if scene.chinese else row.en[0].title()
        author = Author(en=name, zh=name, handle="@" + row.en[0].title().replace(" ", ""))
    pad, head = 48.0, 120.0
    ink, soft = "#0f1419", "#5b6b78"
    name, handle = (author.zh if scene.chinese else author.en), author.handle
    body = [_avatar(actor, pad + head / 2, pad + head / 2, head / 2)]
    text_x = pad + head + 28
    body.append(words(text_x, pad + 52, name, 42, ink, bold=True))
    badge_x = text_x + sum(42 * (1.0 if ord(c) > 0x2E80 or c == "·" else em(c)) for c in name) + 30
    if badge_x < wide - pad - 20:
        body.append(_badge(badge_x, pad + 37))
    body.append(words(text_x, pad + 98, handle, 32, soft))
    y = pad + head + 54
    board = post is not None and "portrait" in drawing(row.svg or actor.id).poses
    lines = scene.quotes or ((post.zh if scene.chinese else post.en) if post else (scene.text,))
    for number, line in enumerate(lines):
        formula = len(line) < 12 and "=" in line
        size = 84.0 if formula else 40.0
        if formula and board:
            continue
        for piece in wrapped(line, size, wide - 2 * pad, 7):
            y += size * (0.42 if formula else 0.1)
            body.append(words(pad, y, piece, size, ink, family=SERIF if formula else "Noto Sans SC", bold=formula))
            y += size * (1.0 if formula else 1.28)
        y += 12 if number + 1 < len(lines) else 0
    if board and post is not None:
        body.append(_board(actor, post, pad, y, wide - 2 * pad, 330.0, lots.branch("board")))
        y += 330 + 50
    date = (post.date_zh if scene.chinese else post.date_en) if post else ("刚刚" if scene.chinese else "just now")
    y += 6
    body.append(words(pad, y, date, 28, soft))
    y += 34
    body.append(rect(pad, y, wide - 2 * pad, 2, "#e3e9ee"))
    y += 62
    body.append(_counts(pad, y, wide - 2 * pad, soft, lots, scene.chinese))
    tall = y + 46
    return rect(0, 0, wide, tall, "#ffffff", round_=34) + "".join(body), tall


def _avatar(actor: Actor, x: float, y: float, r: float) -> str:
    row = vocabulary().subjects[actor.id]
    drawn = drawing(row.svg or actor.id)
    pose = drawn.poses.get("portrait") or drawn.pose(row.pose)
    ground = mix(next(iter(row.colors.values())), "#9fc4d0", 0.75)
    tall = r * 2.02 if "portrait" in drawn.poses else r * 1.7 * min(1.0, pose.tall / pose.width)
    if pose.tall > pose.width * 2:  # a standing figure: its head and shoulders
        tall = r * 4.4
    foot = y + r if "portrait" in drawn.poses else y - r * 0.8 + tall if pose.tall > pose.width * 2 else y + tall / 2
    figure = placed(row.svg or actor.id, pose, row.colors, Spot(x, foot, tall), Light(), "av")
    return (
        f'<clipPath id="face"><circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}"/></clipPath>'
        + circle(x, y, r + 4, tone(ground, "shade"))
        + circle(x, y, r, ground)
        + f'<g clip-path="url(#face)">{figure}</g>'
    )


def _board(actor: Actor, post: Post, x: float, y: float, wide: float, tall: float, lots: Chance) -> str:
    """The post's picture: its author before a blackboard with the topic's formulas in chalk."""
    row = vocabulary().subjects[actor.id]
    drawn = drawing(row.svg or actor.id)
    parts = [rect(x, y, wide, tall, "url(#slate)"), circle(x + wide * 0.2, y, wide * 0.5, "url(#lamp)", opacity=0.6)]
    for number, sign in enumerate(post.signs):
        if not 0 < number < 7:
            continue
        column, line = (number - 1) % 2, (number - 1) // 2
        at_x, at_y = x + wide * (0.47 + 0.3 * column), y + tall * (0.6 + 0.145 * line) + lots.between(-3, 3)
        parts.append(words(at_x, at_y, sign, 24, "#eef4ee", family=SERIF, opacity=0.66))
    parts.append(words(x + wide * 0.46, y + tall * 0.36, post.signs[0], 96, "#fdfcf4", family=SERIF, bold=True))
    parts.append(stroke(f"M{x + wide * 0.47:.0f} {y + tall * 0.45:.0f}q150 -12 330 4", "#f4d98a", 5, opacity=0.8))
    figure = placed(
        row.svg or actor.id, drawn.poses["portrait"], row.colors,
        Spot(x + wide * 0.23, y + tall + 14, tall * 1.02), Light("#fff0d8", 0.2), "bd",
    )  # fmt: skip
    return (
        f'<clipPath id="photo"><rect x="{x}" y="{y}" width="{wide}" height="{tall}" rx="22"/></clipPath>'
        '<linearGradient id="slate" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="#35534a"/>'
        '<stop offset="1" stop-color="#1d332f"/></linearGradient>'
        + _LAMP
        + f'<g clip-path="url(#photo)">{"".join(parts)}{figure}</g>'
    )


def _badge(x: float, y: float) -> str:
    petals = "".join(
        f'<circle cx="{x}" cy="{y - 13}" r="7.5" fill="#2f9be8" transform="rotate({turn} {x} {y})"/>'
        for turn in range(0, 360, 45)
    )
    return petals + circle(x, y, 15, "#2f9be8") + stroke(f"M{x - 8} {y}l6 7l10 -13", "#ffffff", 4.4)


def _counts(x: float, y: float, room: float, color: str, lots: Chance, chinese: bool) -> str:
    """Reply, repost, like, share: own small signs with numbers that grow to the right."""
    signs = (
        "M-13 -4C-13 -13 13 -13 13 -4C13 5 2 8 -4 14L-4 6C-10 5 -13 1 -13 -4Z",
        "M-14 -3V-9H8L2 -15M8 -9L2 -3M14 3V9H-8L-2 15M-8 9L-2 3",
        "M0 13C-24 -3 -10 -18 0 -7C10 -18 24 -3 0 13Z",
        "M0 6V-14M-7 -7L0 -14L7 -7M-13 2V13H13V2",
    )
    numbers = (lots.whole(1100, 9900), lots.whole(12000, 98000), lots.whole(310000, 990000), 0)
    parts = []
    for number, (sign, count) in enumerate(zip(signs, numbers, strict=True)):
        at = x + 18 + room * number / 4.3
        ink = "#e0245e" if number == 2 else color
        drawn = stroke(sign, ink, 3.6)
        if number == 2:
            drawn = path(sign, ink)
        parts.append(f'<g transform="translate({at:.1f} {y - 10:.1f})">{drawn}</g>')
        if count:
            label = f"{count / 10000:.1f}万" if chinese and count >= 10_000 else f"{count / 1000:.1f}K"
            parts.append(words(at + 28, y, label, 28, ink))
    return "".join(parts)


def lettering(quotes: tuple[str, ...], width: float, height: float, *, large: bool) -> str:
    """Quoted words set over the upper part of a picture: the first as a title, the others below it."""
    parts, y = [], height * 0.1
    for number, quote in enumerate(quotes[:3]):
        room = width * 0.84
        size = min(150.0 if large else 84.0, room / max(4.0, sum(1.0 if ord(c) > 0x2E80 else 0.55 for c in quote)))
        size = max(size, 46.0) * (1.0 if number == 0 else 0.5)
        for line in wrapped(quote, size, room * 1.02, 3):
            y += size
            parts.append(
                f'<g stroke="#1a1a26" stroke-opacity="0.42" stroke-width="{size * 0.13:.1f}" stroke-linejoin="round">'
                + words(width / 2, y, line, size, "#1a1a26", family=SERIF, anchor="middle", opacity=0.35)
                + "</g>"
                + words(width / 2, y, line, size, "#fffaf0", family=SERIF, bold=True, anchor="middle")
            )
            y += size * 0.22
    return "".join(parts)
