"""What prompt help knows, as checked values: parts, words, additions, edits. Read from `prompts.toml`."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from cavendish.domain.errors import Misconfigured
from cavendish.domain.text import Text

Spoken = Literal["en", "zh"]
"""The languages that prompts are improved in."""

_TOKEN = re.compile(r"[a-z0-9é]+(?:'[a-z]+)?")


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a prompt. `not_for`: tags with which it is not missed."""

    name: str
    title: Text
    advice: Text
    not_for: tuple[str, ...] = ()


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words that say something about `parts`, and the tags that they stand for."""

    parts: tuple[str, ...]
    tags: tuple[str, ...]
    en: tuple[str, ...]
    zh: tuple[str, ...]


class Addition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may be added for a missing part, when all `when` tags and none of `unless` are in the prompt."""

    part: str
    en: str
    zh: str
    when: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()

    def say(self, language: Spoken) -> str:
        """The words in `language`."""
        return self.zh if language == "zh" else self.en


class EditRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an instruction to change a picture is told from a description. See the file for what each list is."""

    polite_en: tuple[str, ...]
    verbs_en: tuple[str, ...]
    verbs_with_object_en: tuple[str, ...]
    objects_en: tuple[str, ...]
    references_en: tuple[str, ...]
    polite_zh: tuple[str, ...]
    verbs_zh: tuple[str, ...]
    not_verbs_zh: tuple[str, ...]
    frames_zh: tuple[str, ...]
    framed_verbs_zh: tuple[str, ...]
    references_zh: tuple[str, ...]
    keep_en: tuple[str, ...]
    keep_zh: tuple[str, ...]
    whole_en: tuple[str, ...]
    whole_zh: tuple[str, ...]
    keep_local: Text
    keep_whole: Text
    parts: tuple[Part, ...]


class Negations(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words that turn what follows into its absence; `not_zh` only look so."""

    en: tuple[str, ...]
    zh: tuple[str, ...]
    not_zh: tuple[str, ...]


class Traditional(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pairs of characters, traditional then simplified."""

    pairs: str


class RulesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    parts: tuple[Part, ...]
    words: tuple[Words, ...]
    additions: tuple[Addition, ...]
    edits: EditRules
    negations: Negations
    traditional: Traditional


class PromptRules:
    """The rules, ready to be looked up.

    Attributes:
        negation: matches `not_zh` in no group, and negations in the group of their language.
        english: words by their tokens joined by spaces.
        chinese: words in lower case and simplified characters.
        longest_english: by first token, the tokens of the longest entry that begins so.
        longest_chinese: by first character, the characters of the longest entry that begins so.
    """

    def __init__(self, file: RulesFile) -> None:
        self.parts = file.parts
        self.additions = file.additions
        self.edits = file.edits
        self.negation = _negation(file.negations)
        pairs = file.traditional.pairs
        self.simplify: Mapping[int, str] = {ord(a): b for a, b in zip(pairs[::2], pairs[1::2], strict=True)}
        self._traditional: dict[int, str] = {}
        for old, new in zip(pairs[::2], pairs[1::2], strict=True):
            self._traditional.setdefault(ord(new), old)
        every = [(word, words) for words in file.words for word in (*words.en, *words.zh)]
        # Chinese prompts say 8K and 3D too: what has no Chinese character is looked up as English, wherever it stands.
        self.english: Mapping[str, tuple[Words, ...]] = _index(
            (tokens_joined(word), words) for word, words in every if _is_english(word)
        )
        self.chinese: Mapping[str, tuple[Words, ...]] = _index(
            (word.lower(), words) for word, words in every if not _is_english(word)
        )
        self.longest_english = _longest((word.partition(" ")[0], word.count(" ") + 1) for word in self.english)
        self.longest_chinese = _longest((word[0], len(word)) for word in self.chinese)

    def traditional_share(self, text: str) -> tuple[int, int]:
        """How many characters of `text` are written only so in traditional, and only so in simplified Chinese."""
        return sum(ord(c) in self.simplify for c in text), sum(ord(c) in self._traditional for c in text)

    def in_traditional(self, text: str) -> str:
        """One of our own phrases in traditional characters."""
        return text.translate(self._traditional)


def tokens_joined(text: str) -> str:
    """English words in lower case, hyphens and other signs left out: `Close-up` is `close up`."""
    return " ".join(_TOKEN.findall(text.lower().replace("’", "'")))


def _is_english(word: str) -> bool:
    return word.replace("é", "e").isascii()


def _index(pairs: Iterator[tuple[str, Words]]) -> dict[str, tuple[Words, ...]]:
    index: dict[str, tuple[Words, ...]] = {}
    for word, words in pairs:
        known = index.get(word, ())
        index[word] = known if words in known else (*known, words)
    return index


def _negation(words: Negations) -> re.Pattern[str]:
    harmless, chinese, english = (
        "|".join(map(re.escape, sorted(listed, key=len, reverse=True))) for listed in (words.not_zh, words.zh, words.en)
    )
    return re.compile(rf"(?:{harmless})|(?P<zh>{chinese})|\b(?P<en>{english})\b")


def _longest(lengths: Iterator[tuple[str, int]]) -> Mapping[str, int]:
    longest: dict[str, int] = {}
    for first, length in lengths:
        longest[first] = max(length, longest.get(first, 0))
    return longest


def build_rules(raw: Mapping[str, Any]) -> PromptRules:
    """Checked rules from decoded TOML.

    Raises:
        Misconfigured: a value is missing, unknown, of the wrong type, or names a part or tag that does not exist.
    """
    try:
        file = msgspec.convert(raw, RulesFile)
    except msgspec.ValidationError as error:
        raise Misconfigured(Text(en=f"prompt rules: {error}", zh=f"提示词规则：{error}")) from error
    names = {part.name for part in file.parts}
    tags = {tag for words in file.words for tag in words.tags}
    named = {part for words in file.words for part in words.parts} | {a.part for a in file.additions}
    wanted = {t for a in file.additions for t in (*a.when, *a.unless)} | {t for p in file.parts for t in p.not_for}
    for unknown in (*sorted(named - names), *sorted(wanted - tags)):
        raise Misconfigured(Text(en=f"prompt rules: nothing defines {unknown}", zh=f"提示词规则：没有定义 {unknown}"))
    return PromptRules(file)
