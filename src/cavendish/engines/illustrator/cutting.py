"""A prompt cut into known words: longest names first, and in Chinese only where words really begin and end.

Where a Chinese word ends is said by jieba's dictionary (`rjieba`, without its guesses at unknown words): 火车 holds no
车, 花生 no 花. A word that the dictionary has but the vocabulary has not is taken apart only when nothing unknown
remains (红苹果), or when its last character names what it is (槐树 is a tree; `heads` in `art/words.toml`).
"""

import functools
import itertools
import re

import msgspec
import rjieba

from cavendish.engines.illustrator.vocabulary import Entry, Vocabulary

_CHINESE = re.compile("[\u4e00-\u9fff]+")
_NUMBER = re.compile(r"(?<![\w.:])\d{1,6}(?![\w.:%]|\s*[x×]\s*\d)(?![kKdD])", re.ASCII)
_LONGEST_WORD = 8


class Token(msgspec.Struct, frozen=True):
    """A known word at `start`:`end` of the normalised text."""

    start: int
    end: int
    group: str
    id: str


@functools.cache
def _segmenter() -> rjieba.Jieba:
    return rjieba.Jieba()


def cut(text: str, words: Vocabulary) -> list[Token]:
    """The known words of a lower-case `text` in order, never overlapping."""
    chinese = {run.start() + start: run.start() + end
               for run in _CHINESE.finditer(text)
               for _, start, end in _segmenter().tokenize(run[0], hmm=False)}  # fmt: skip
    inside = {place for start, end in chinese.items() for place in range(start + 1, end)}
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        found = next(((end, entry) for end, entry in words.names_at(text, at) if end not in inside), None)
        number = _NUMBER.match(text, at) if found is None else None
        if found is not None:
            tokens.append(Token(at, found[0], found[1].group, found[1].id))
            at = found[0]
        elif number is not None:
            tokens.append(Token(at, number.end(), "numbers", number[0]))
            at = number.end()
        else:
            end = chinese.get(at, at + 1)
            if end - at > 1:
                tokens += _taken_apart(text, at, end, words)
            at = end
    return [_sized(text, token, after, words) for token, after in itertools.zip_longest(tokens, tokens[1:])
            if token.group not in {"ignored", "quality"}]  # fmt: skip


def _sized(text: str, token: Token, after: Token | None, words: Vocabulary) -> Token:
    """A subject whose name is a size as well is a size before another subject: a baby elephant."""
    if token.group != "subjects" or after is None or after.group != "subjects" or text[token.end : after.start].strip():
        return token
    name = text[token.start : token.end]
    size = next((word for word, row in words.words["sizes"].items() if name in row.en), None)
    return Token(token.start, token.end, "sizes", size) if size else token


def _taken_apart(text: str, start: int, end: int, words: Vocabulary) -> list[Token]:
    """The known parts of one unknown Chinese word, or nothing."""
    whole = _tiling(text, start, end, words) if end - start <= _LONGEST_WORD else None
    if whole:
        return whole
    where = next(words.names_at(text, end - 1), None)  # 槐树下: a tree, and where from it
    if where and where[1].group == "relations" and end - start > 2:
        found = _taken_apart(text, start, end - 1, words)
        return [*found, Token(end - 1, end, "relations", where[1].id)] if found else []
    for at in range(start + 1, end):
        for stop, entry in words.names_at(text, at):
            if stop == end and entry.group == "subjects" and (end - at > 1 or text[at:end] in words.heads):
                return [Token(at, end, entry.group, entry.id)]
    return []


def _tiling(text: str, start: int, end: int, words: Vocabulary, before: Entry | None = None) -> list[Token] | None:
    """Known names from `start` to `end` without a gap, modifiers before what they modify; None when there are none."""
    if start == end:
        return []
    for stop, entry in words.names_at(text, start):
        # A noun within a word is followed by nothing but where something is or what it does: 桌上, 龙飞.
        if stop > end or (before and before.group == "subjects" and entry.group not in {"relations", "poses"}):
            continue
        rest = _tiling(text, stop, end, words, entry)
        if rest is not None:
            return [Token(start, stop, entry.group, entry.id), *rest]
    return None
