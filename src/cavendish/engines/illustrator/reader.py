"""Prompt to scene: what is named, how many, in which colour, and how the things stand to each other.

The text is cut by longest match over the vocabulary, which works for Chinese and English alike. `cut` is the
only place that knows how a text falls into words, so a segmenter can take its place without touching the rest.
"""

import itertools
import re
import unicodedata

import msgspec

from cavendish.engines.illustrator.scene import Actor, Relation, RelationKind, Scene
from cavendish.engines.illustrator.vocabulary import Vocabulary

MAX_ACTORS = 8
MAX_COUNT = 12
_READ_CHARACTERS = 10_000
_QUOTED = re.compile(r"「([^」]{1,200})」|『([^』]{1,200})』|《([^》]{1,200})》|“([^”]{1,200})”|\"([^\"]{1,200})\"")
_CLAUSE_END = re.compile(r"[,.;!?，。；！？、\n]")
_ZH_FILLER = re.compile(r"^[的着了在地]*$")
_ZH_POSTED = re.compile("[在坐站躺趴停蹲立睡]")
_EN_STOP = frozenset({"on", "in", "at", "with", "and", "under", "by", "of", "near", "while", "is", "are"})
_RELATIONS: dict[str, RelationKind] = {
    "on": "on", "in": "in", "under": "under", "beside": "beside",
    "front": "front", "behind": "behind", "riding": "riding", "holding": "holding",
}  # fmt: skip


class Token(msgspec.Struct, frozen=True):
    """A known word at `start`:`end` of the normalised text."""

    start: int
    end: int
    group: str
    id: str


def read(prompt: str, words: Vocabulary) -> Scene:
    """What `prompt` asks for. Never raises: what is not understood is left out."""
    text = _normalised(prompt)
    quotes = tuple(next(part for part in found.groups() if part).strip() for found in _QUOTED.finditer(text))
    tokens = cut(text.lower(), words)
    actors, places_of = _actors(text.lower(), tokens, words)
    relations = _relations(text.lower(), tokens, places_of)

    def first(group: str) -> str | None:
        return next((token.id for token in tokens if token.group == group), None)

    bound = {token.start for token in tokens if token.group == "colors"} - _loose_colors(text.lower(), tokens)
    return Scene(
        actors=tuple(actors),
        relations=tuple(relations),
        place=_place(tokens),
        time=first("times"),
        weather=_weather(tokens),
        season=first("seasons"),
        mood=first("moods"),
        composition=first("compositions"),
        style=first("styles"),
        layout=first("layouts"),
        colors=tuple(t.id for t in tokens if t.group == "colors" and t.start not in bound),
        quotes=tuple(quote for quote in quotes if quote)[:4],
        text=" ".join(text.split())[:300],
        shallow=first("effects") == "shallow",
        chinese=sum("\u4e00" <= c <= "\u9fff" for c in text) * 4 > len(text),
    )


def cut(text: str, words: Vocabulary) -> list[Token]:
    """The known words of a lower-case `text`, longest first at every place, never overlapping."""
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        found = words.longest_at(text, at)
        if found is None:
            at += 1
            continue
        name, entry = found
        if entry.group != "ignored" and not _stray(text, at, name, entry.group):
            tokens.append(Token(at, at + len(name), entry.group, entry.id))
        at += len(name)
    return tokens


def _stray(text: str, at: int, name: str, group: str) -> bool:
    """Single Chinese characters mean little alone: colours, sizes and numbers count only before something known."""
    return group in {"colors", "numbers"} and len(name) == 1 and name.isalpha() and at + 1 >= len(text)


def _normalised(prompt: str) -> str:
    text = unicodedata.normalize("NFKC", prompt[:_READ_CHARACTERS])
    return "".join(c if c.isprintable() else " " for c in text)


def _place(tokens: list[Token]) -> str | None:
    found = [token.id for token in tokens if token.group == "places"]
    return "window" if "window" in found else found[0] if found else None


def _weather(tokens: list[Token]) -> str | None:
    found = [token.id for token in tokens if token.group == "weathers"]
    return next((word for word in found if word != "clear"), found[0] if found else None)


def _between(text: str, left: Token, right: Token) -> str:
    return text[left.end : right.start]


def _modifies(text: str, left: Token, right: Token) -> bool:
    """Whether `left` stands right before `right`, with at most a filler or one unknown word between."""
    gap = _between(text, left, right).strip()
    if _CLAUSE_END.search(gap):
        return False
    if gap.isascii():
        parts = gap.split()
        return len(parts) <= 1 and not _EN_STOP.intersection(parts)
    return len(gap) <= 2 or bool(_ZH_FILLER.match(gap))


_MODIFIERS = frozenset({"colors", "numbers", "sizes", "measures", "poses", "moods"})


def _described(text: str, tokens: list[Token], index: int) -> list[Token]:
    """The modifiers that belong to the subject at `index`, nearest first."""
    found: list[Token] = []
    right = tokens[index]
    for left in reversed(tokens[:index]):
        if left.group not in _MODIFIERS or not _modifies(text, left, right):
            break
        found.append(left)
        right = left
    return found


def _loose_colors(text: str, tokens: list[Token]) -> set[int]:
    described: set[int] = set()
    for index, token in enumerate(tokens):
        if token.group == "subjects":
            described.update(found.start for found in _described(text, tokens, index))
    return {t.start for t in tokens if t.group == "colors" and t.end - t.start > 1} - described


def _actors(text: str, tokens: list[Token], words: Vocabulary) -> tuple[list[Actor], dict[int, int]]:
    """The actors in order of mention, and for each subject token (by its index) which actor it became."""
    actors: list[Actor] = []
    places_of: dict[int, int] = {}
    known: dict[str, int] = {}
    for index, token in enumerate(tokens):
        if token.group != "subjects":
            continue
        if len(actors) == MAX_ACTORS and token.id not in known:
            break
        count, color, scale = 1, None, 1.0
        for left in _described(text, tokens, index):
            value = words.value(left.group, left.id) if left.group in {"numbers", "sizes"} else None
            if left.group == "numbers" and isinstance(value, int) and count == 1:
                count = min(MAX_COUNT, value)
            elif left.group == "sizes" and isinstance(value, float) and scale == 1.0:
                scale = value
            elif left.group == "colors" and color is None:
                color = left.id
        plural = count == 1 and _is_plural(text[token.start : token.end], words.subjects[token.id].en)
        actor = Actor(token.id, 3 if plural else count, color, scale, _pose(text, tokens, index) or None)
        if token.id in known:  # said again: the same one, perhaps better described
            actors[known[token.id]] = _merged(actors[known[token.id]], actor)
        else:
            known[token.id] = len(actors)
            actors.append(actor)
        places_of[index] = known[token.id]
    return actors, places_of


def _merged(one: Actor, other: Actor) -> Actor:
    return Actor(
        one.id, max(one.count, other.count), one.color or other.color,
        other.scale if one.scale == 1.0 else one.scale, one.pose or other.pose,
    )  # fmt: skip


_IRREGULAR = frozenset({"people", "men", "women", "children", "cacti"})


def _is_plural(name: str, names: tuple[str, ...]) -> bool:
    """Whether an English name is the plural of another of the same subject."""
    return name in _IRREGULAR or any(
        name != other and name in {other + "s", other + "es", other[:-1] + "ies"} for other in names
    )


def _pose(text: str, tokens: list[Token], index: int) -> str:
    """The first pose word after the subject and before the next one, else one right before it."""
    for token in tokens[index + 1 :]:
        if token.group == "subjects":
            break
        if token.group == "poses" and not re.search(r"[。.;；]", text[tokens[index].end : token.start]):
            return token.id
    return next((left.id for left in _described(text, tokens, index) if left.group == "poses"), "")


def _relations(text: str, tokens: list[Token], places_of: dict[int, int]) -> list[Relation]:
    """How each subject stands to the next one: `A on B`, `A在B上`, `B上的A`."""
    found: list[Relation] = []
    order = sorted(places_of)
    for left, right in itertools.pairwise(order):
        first, second = places_of[left], places_of[right]
        gap = _between(text, tokens[left], tokens[right])
        if first == second or re.search(r"[。.;；!！?？]", gap):
            continue
        middle = next((t for t in tokens[left + 1 : right] if t.group == "relations"), None)
        after = tokens[right + 1] if right + 1 < len(tokens) else None
        closes = after is not None and after.group == "relations" and not text[after.start].isascii()
        if after is not None and closes and after.start == tokens[right].end and _ZH_POSTED.search(gap):
            found.append(Relation(_RELATIONS[after.id], first, second))
        elif middle is None:
            continue
        elif text[middle.start].isascii() or middle.id in {"riding", "holding"}:
            found.append(Relation(_RELATIONS[middle.id], first, second))
        elif not _between(text, tokens[left], middle).strip():  # 桌上的苹果: the second is on the first
            found.append(Relation(_RELATIONS[middle.id], second, first))
    return found
