"""Pictures that are set rather than staged: a social post, words over a scene, and a composition without a subject."""

import functools
from typing import Literal

import msgspec

from cavendish.engines.illustrator.art import drawing, table
from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.composer import pictured
from cavendish.engines.illustrator.palette import bright, mix, tone
from cavendish.engines.illustrator.plates import paint
from cavendish.engines.illustrator.render import Picture
from cavendish.engines.illustrator.scene import Actor, Scene
from cavendish.engines.illustrator.stage import stage_for
from cavendish.engines.illustrator.type import breadth, lines
from cavendish.engines.illustrator.vocabulary import vocabulary

Language = Literal["en", "zh"]


class Author(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who posts."""

    name: dict[Language, str]
    handle: str


class Post(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said about a topic."""

    words: tuple[str, ...]
    date: dict[Language, str]
    signs: tuple[str, ...]
    said: dict[Language, tuple[str, ...]] | None = None
    """The prompt itself when absent."""


class Cards(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of `art/cards.toml`."""

    authors: dict[str, Author]
    posts: tuple[Post, ...]
    palettes: dict[str, tuple[tuple[str, ...], ...]]
    """By mood; the first colour is the paper."""
    forms: dict[str, tuple[str, ...]]
    """By mood: the plates of compositions that suit it."""


@functools.cache
def known_cards() -> Cards:
    """The rows, loaded once per process."""
    return table("cards", Cards)


def social_post(scene: Scene, lots: Chance, width: float, height: float) -> Picture:
    """A post as it looks on a screen: portrait, name, words, date and counts, before a background of its topic."""
    known = known_cards()
    language: Language = "zh" if scene.chinese else "en"
    post = next(row for row in known.posts if any(word in scene.text.lower() for word in row.words))
    actor = scene.actors[0] if scene.actors else Actor("bird")
    row = vocabulary().subjects[actor.id]
    drawn, english = drawing(row.svg or actor.id), row.en[0].title()
    usual = Author({"en": english, "zh": row.zh[0]}, "@" + english.replace(" ", ""))
    author = known.authors.get(actor.id, usual)
    name, portrait = author.name[language], "portrait" in drawn.poses
    board = portrait and post.said is not None
    wide = min(width * 0.86, 900.0)
    said: list[tuple[float, str, float, bool]] = []
    y = 222.0
    for text in scene.quotes or (post.said[language] if post.said else (scene.text,)):
        formula = len(text) < 12 and "=" in text
        if formula and board:
            continue
        size = 84.0 if formula else 40.0
        for line in lines(text, size, wide - 96, 7):
            y += size * (0.42 if formula else 0.1)
            said.append((y, line, size, formula))
            y += size * (1.0 if formula else 1.28)
        y += 12
    picture = y - 12
    y = picture + (386 if board else 6)
    tall = y + 142
    scale = min(1.0, height * 0.9 / tall)
    numbers = (lots.whole(1100, 9900), lots.whole(12000, 98000), lots.whole(310000, 990000))
    stage = stage_for(scene, "stage", lots, width, height)
    paint(
        stage, "post",
        who=actor.id, pose="portrait" if portrait else row.pose or next(iter(drawn.poses)),
        standing=not portrait and drawn.pose(row.pose).tall > drawn.pose(row.pose).width * 1.4,
        ground=mix(next(iter(row.colors.values())), "#9fc4d0", 0.75), name=name, handle=author.handle,
        badge=196 + breadth(name) * 42 + 30, said=said, board=board, picture=picture, wide=wide, tall=tall, k=scale,
        left=(width - wide * scale) / 2, top=(height - tall * scale) / 2, date_y=y,
        signs=post.signs, date=post.date[language],
        counts=[f"{n / 10000:.1f}万" if scene.chinese and n >= 10_000 else f"{n / 1000:.1f}K" for n in numbers],
    )  # fmt: skip
    style = None if scene.style in {"photo", "render3d", "illustration"} else scene.style
    return msgspec.structs.replace(pictured(stage, 0.0012), style=style, lively=1.0, vignette=0.0)


def abstract(scene: Scene, lots: Chance, width: float, height: float) -> Picture:
    """The composition for a prompt without a subject: form and colour in its mood, with the prompt as a caption."""
    known = known_cards()
    mood = scene.mood or ("bold" if scene.style in {"neon", "flat"} else "")
    colors = lots.pick(known.palettes[mood])
    if scene.colors:
        named = [vocabulary().colored(color) for color in scene.colors[:4]]
        paper = mix(named[0], "#fbf6ec", 0.86)
        colors = (paper, *named, tone(named[0], "light"), tone(named[-1], "shade"), tone(named[0], "line"))[:6]
    stage = stage_for(scene, "stage", lots, width, height)
    caption = lines(scene.text, 24, width * 0.8, 2)
    dark = "#23232e" if bright(colors[0]) > 0.6 else "#f6f1e6"
    paint(stage, lots.pick(known.forms[mood]), c=colors, n=len(colors))
    if not scene.quotes:  # those are set as a title
        paint(stage, "caption", c=colors, text=caption, dark=dark)
    return msgspec.structs.replace(pictured(stage, 0.0), lively=1.0, vignette=0.3)


def titled(picture: Picture, scene: Scene, lots: Chance) -> Picture:
    """`picture` with the quoted words set on it, as a title or as a poster."""
    if not (scene.quotes or scene.layout == "poster"):
        return picture
    stage = stage_for(scene, "stage", lots, picture.width, picture.height)
    poster, room = scene.layout == "poster", picture.width * 0.84
    said: list[tuple[float, str, float]] = []
    y = picture.height * (0.06 if poster else 0.08)
    for number, quote in enumerate(scene.quotes[:3]):
        most = (190.0 if poster else 84.0) if number == 0 else 52.0
        size = max(min(most, room / max(2.0, breadth(quote))), 46.0 if number == 0 else 34.0)
        if number == 1 and poster:
            y = picture.height * 0.86
        for line in lines(quote, size, room * 1.02, 3):
            y += size
            said.append((y, line, size))
            y += size * 0.2
    paint(stage, "title", said=said, poster=poster)
    return msgspec.structs.replace(picture, layers=(*picture.layers, *pictured(stage, 0.0).layers[1:]))
