"""The words that the illustrator knows, read once from `art/*.toml`: data, not code."""

import functools
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from cavendish.engines.illustrator.art import table

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
            if text.startswith(name, start) and _whole_word(text, start, start + len(name), name):
                yield start + len(name), entry


@functools.cache
def vocabulary() -> Vocabulary:
    """The vocabulary, loaded once per process. Raises msgspec.ValidationError when a row is malformed."""
    rows, words = table("subjects", dict[str, Row]), table("words", dict[str, dict[str, Word]])
    heads = words.pop("heads")["heads"]
    index: dict[str, dict[str, Entry]] = {}
    for name, entry in [*_subject_names(rows), *_word_names(words)]:
        index.setdefault(name[0], {}).setdefault(name, entry)
    names = {first: tuple(sorted(found.items(), key=lambda item: -len(item[0]))) for first, found in index.items()}
    return Vocabulary(
        subjects=MappingProxyType(rows),
        words=MappingProxyType({group: MappingProxyType(found) for group, found in words.items()}),
        names=MappingProxyType(names),
        heads=frozenset(heads.zh),
    )


def _subject_names(rows: Mapping[str, Row]) -> Iterator[tuple[str, Entry]]:
    for subject_id, row in rows.items():
        for name in (*row.en, *row.zh):
            yield name.lower(), Entry("subjects", subject_id)


def _word_names(words: Mapping[str, Mapping[str, Word]]) -> Iterator[tuple[str, Entry]]:
    for group, found in words.items():
        for word_id, word in found.items():
            for name in (*word.en, *word.zh):
                yield name.lower(), Entry(group, word_id)


def _latin(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _whole_word(text: str, start: int, end: int, name: str) -> bool:
    before = start > 0 and _latin(text[start - 1]) and _latin(name[0])
    after = end < len(text) and _latin(text[end]) and _latin(name[-1])
    return not (before or after)
