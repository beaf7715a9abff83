"""The words that the illustrator knows, read once from `art/*.toml`: data, not code."""

import functools
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from cavendish.engines.illustrator.art import table
from cavendish.engines.illustrator.palette import mix

Kind = Literal["ground", "small", "furniture", "water", "under", "air", "sky", "far"]
"""Where a subject belongs.

ground      stands on the ground, outdoors or in
small       a thing for a table top or a hand; alone it makes a still life
furniture   stands on a floor; alone it makes a room
water       floats, and brings water with it
under       lives under water
air         flies, when nothing says that it sits
sky         far above: sun, moon, stars, clouds
far         stands on the horizon: mountains, a skyline
"""


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One subject: its drawing, its names, how tall it is in the world, and what it usually wears."""

    kind: Kind
    size: float
    """Height in metres."""
    en: tuple[str, ...]
    zh: tuple[str, ...]
    colors: dict[str, str] = {}
    paint: tuple[str, ...] = ()
    """The colour roles that a colour word changes; the first of `colors` when empty."""
    svg: str | None = None
    place: str | None = None
    """Where it is seen when the prompt names no place."""
    time: str | None = None
    weather: str | None = None
    pose: str | None = None
    closed: bool = False
    """Whether nobody inside is seen: a bus."""

    def colored(self, color: str) -> dict[str, str]:
        """Its colours, with `color` (`#rrggbb`) on the roles that a colour word changes: pure on the first of them."""
        first, *others = self.paint or tuple(self.colors)[:1]
        return {**self.colors, first: color, **{role: mix(color, self.colors[role], 0.25) for role in others}}


class Word(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One known word that is no subject, with what it stands for."""

    en: tuple[str, ...] = ()
    zh: tuple[str, ...] = ()
    value: str | float | int | None = None


class Entry(msgspec.Struct, frozen=True):
    """What a name leads to: the group (`subjects`, `colors`, `times`, …) and the id in it."""

    group: str
    id: str


class Vocabulary(msgspec.Struct, frozen=True):
    """Everything that can be recognised in a prompt."""

    subjects: Mapping[str, Row]
    words: Mapping[str, Mapping[str, Word]]
    names: Mapping[str, tuple[tuple[str, Entry], ...]]
    """Lower-case names by their first character, longest first."""
    heads: frozenset[str]
    """Chinese characters that name what a longer word is when they end it."""

    def value(self, group: str, word_id: str) -> str | float | int | None:
        """What a word stands for, e.g. the `#rrggbb` of a colour; a number in digits stands for itself."""
        row = self.words[group].get(word_id)
        return row.value if row else int(word_id)

    def colored(self, color: str) -> str:
        """The `#rrggbb` of a colour word."""
        return str(self.words["colors"][color].value)

    def names_at(self, text: str, start: int) -> Iterator[tuple[int, Entry]]:
        """Where known names that begin at `start` of `text` end, longest first; Latin names match whole words."""
        for name, entry in self.names.get(text[start], ()):
            end = start + len(name)
            if text.startswith(name, start) and not (_in_a_word(text, start) or _in_a_word(text, end)):
                yield end, entry


@functools.cache
def vocabulary() -> Vocabulary:
    """The vocabulary, loaded once per process. Raises msgspec.ValidationError when a row is malformed."""
    rows, words = table("subjects", dict[str, Row]), table("words", dict[str, dict[str, Word]])
    heads = words.pop("heads")["heads"]
    index: dict[str, dict[str, Entry]] = {}
    groups: dict[str, Mapping[str, Row | Word]] = {"subjects": rows, **words}
    for group, known in groups.items():
        for entry_id, row in known.items():
            for name in map(str.lower, (*row.en, *row.zh)):
                index.setdefault(name[0], {}).setdefault(name, Entry(group, entry_id))
    names = {first: tuple(sorted(found.items(), key=lambda item: -len(item[0]))) for first, found in index.items()}
    return Vocabulary(
        subjects=MappingProxyType(rows),
        words=MappingProxyType({group: MappingProxyType(found) for group, found in words.items()}),
        names=MappingProxyType(names),
        heads=frozenset(heads.zh),
    )


def _in_a_word(text: str, at: int) -> bool:
    """Whether there are Latin letters or digits on both sides of `at`."""
    return 0 < at < len(text) and all(c.isascii() and c.isalnum() for c in text[at - 1 : at + 1])
