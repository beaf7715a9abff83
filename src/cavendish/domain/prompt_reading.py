"""Reading a prompt: its language, its quotes, the words that prompt help knows, and whether it is an edit."""

import re
from bisect import bisect_right
from typing import Literal

import msgspec

from cavendish.domain.prompt_rules import PromptRules, Words, tokens_joined

_QUOTED = re.compile(
    r"“[^”]*”|「[^」]*」|『[^』]*』|《[^》]*》|«[^»]*»|`[^`]*`|‘[^’]*’(?!\w)"
    r"|(?<![\w'])'[^'\n]+'(?!\w)"
    r'|(?<!\d)"[^"]*"'
)
_OPENED = re.compile(r'[“「『《«]|(?<!\d)"')
_HIDDEN = "\ue000"
"""Stands for each character inside quotes: no letter, no space, in no word."""

_ENGLISH_WORD = re.compile(r"[a-z0-9é]+(?:'[a-z]+)?")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_LATIN = re.compile(r"[A-Za-zÀ-ɏ]")
_LETTER = re.compile(r"[^\W\d_\ue000]")
_CLAUSE_END = re.compile(r"[,.;:!?，。；：！？、\n]")
_FOLLOWING_WORDS = re.compile(r"(?:[ \-]+[a-z0-9é']+){0,3}[ \-]*")
"""How far an English negation reaches: the word that begins after at most three others."""
NEGATION_REACH_CHARS = 4

Kind = Literal["create", "edit"]
Written = Literal["en", "zh", "other"]


class Span(msgspec.Struct, frozen=True):
    """A word that is known: `text[start:end]`, and what it stands for. `negated`: the prompt says that it is not so."""

    start: int
    end: int
    words: tuple[Words, ...]
    negated: bool = False


class Reading(msgspec.Struct, frozen=True):
    """What a prompt says. `masked` is as long as `text`, with everything in quotes hidden."""

    text: str
    masked: str
    language: Written
    kind: Kind
    spans: tuple[Span, ...]
    open_quote: bool

    def tags(self) -> frozenset[str]:
        """What the known words stand for."""
        return frozenset(t for span in self.spans if not span.negated for w in span.words for t in w.tags)

    def barred(self) -> frozenset[str]:
        """What the prompt says that it must not look like."""
        negated = [w for span in self.spans if span.negated for w in span.words]
        return frozenset(tag for words in negated if "style" in words.parts for tag in words.tags)

    def found(self, part: str) -> tuple[str, ...]:
        """The prompt's own words for that part, in their order, each once."""
        found = [span for span in self.spans if any(part in w.parts for w in span.words)]
        return tuple(dict.fromkeys(self.text[span.start : span.end] for span in found))


def read_prompt(rules: PromptRules, text: str, *, edits_only: bool = False) -> Reading:
    """Find out what `text` says. Linear in its length.

    Args:
        edits_only: the model only edits, so this is an instruction whatever its words.
    """
    masked = _QUOTED.sub(lambda match: _HIDDEN * len(match[0]), text)
    plain = masked.translate(rules.simplify).lower().replace("’", "'")
    spans = _chinese(rules, plain)
    spans = sorted([*spans, *_english(rules, plain, spans)], key=lambda span: span.start)
    if negations := _negations(rules, plain):
        spans = [_negated(span, negations) for span in spans]
    kind: Kind = "edit" if edits_only or _is_edit(rules, plain) else "create"
    opened = _OPENED.search(masked) is not None
    return Reading(text, masked, _language(masked, text), kind, tuple(spans), opened)


def _language(masked: str, text: str) -> Written:
    for seen in (masked, text):  # what stands in quotes counts only when there is nothing else
        han, latin = len(_HAN.findall(seen)), len(_LATIN.findall(seen))
        other = len(_LETTER.findall(seen)) - han - latin
        if han + latin + other:
            if other > (han + latin) / 4:
                return "other"
            return "zh" if han * 3 >= latin else "en"  # a Chinese character says as much as half an English word
    return "other"


def _chinese(rules: PromptRules, plain: str) -> list[Span]:
    spans: list[Span] = []
    at = 0
    while at < len(plain):
        for length in range(min(rules.longest_chinese.get(plain[at], 0), len(plain) - at), 0, -1):
            words = rules.chinese.get(plain[at : at + length])
            if words is not None and _stands_alone(plain, at, at + length):
                spans.append(Span(at, at + length, words))
                at += length - 1
                break
        at += 1
    return spans


def _stands_alone(plain: str, start: int, end: int) -> bool:
    # Entries such as 3D or 8K分辨率 must not begin or end inside a Latin word.
    cuts_before = start > 0 and _latin(plain[start]) and _latin(plain[start - 1])
    cuts_after = end < len(plain) and _latin(plain[end - 1]) and _latin(plain[end])
    return not cuts_before and not cuts_after


def _latin(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _english(rules: PromptRules, plain: str, taken: list[Span]) -> list[Span]:
    closed = {at for span in taken for at in range(span.start, span.end)}
    tokens = [match for match in _ENGLISH_WORD.finditer(plain) if match.start() not in closed]
    spans: list[Span] = []
    at = 0
    while at < len(tokens):
        step = 1
        for length in range(min(_longest(rules, tokens[at][0]), len(tokens) - at), 0, -1):
            run = tokens[at : at + length]
            start, end = run[0].start(), run[-1].end()
            if length > 1 and not _one_phrase(plain[start:end]):
                continue
            words = _known(rules, " ".join(match[0] for match in run))
            if words is not None:
                spans.append(Span(start, end, words))
                step = length
                break
        at += step
    return spans


def _one_phrase(between: str) -> bool:
    return re.search(r"[^a-z0-9é'\- /]", between) is None


def _longest(rules: PromptRules, token: str) -> int:
    return max(rules.longest_english.get(form, 0) for form in _singulars(token))


def _singulars(word: str) -> tuple[str, str, str]:
    return word, word.removesuffix("s"), word.removesuffix("es")


def _known(rules: PromptRules, joined: str) -> tuple[Words, ...] | None:
    return next((rules.english[form] for form in _singulars(joined) if form in rules.english), None)


def _negations(rules: PromptRules, plain: str) -> list[tuple[int, int]]:
    """(where a negation begins, up to where a word must begin to be negated by it), in order."""
    reaches: list[tuple[int, int]] = []
    for match in rules.negation.finditer(plain):
        if match["zh"] is not None:
            clause = _CLAUSE_END.split(plain[match.end() : match.end() + NEGATION_REACH_CHARS], maxsplit=1)[0]
            reaches.append((match.start(), match.end() + len(clause)))
        elif match["en"] is not None:
            following = _FOLLOWING_WORDS.match(plain, match.end())
            assert following is not None
            reaches.append((match.start(), following.end()))
    return reaches


def _negated(span: Span, negations: list[tuple[int, int]]) -> Span:
    at = bisect_right(negations, (span.start, -1)) - 1
    if at < 0 or span.start > negations[at][1]:
        return span
    return Span(negations[at][0], span.end, span.words, negated=True)


def _is_edit(rules: PromptRules, plain: str) -> bool:
    return _is_edit_en(rules, plain) or _is_edit_zh(rules, plain)


def _is_edit_en(rules: PromptRules, plain: str) -> bool:
    edits = rules.edits
    words = f" {tokens_joined(plain)} "
    if any(f" {reference} " in words for reference in edits.references_en):
        return True
    opening = words.strip()
    while polite := next((p for p in edits.polite_en if opening.startswith(p + " ")), None):
        opening = opening[len(polite) + 1 :]
    if any(opening.startswith(verb + " ") or opening == verb for verb in edits.verbs_en):
        return True
    first, _, rest = opening.partition(" ")
    return first in edits.verbs_with_object_en and rest.partition(" ")[0] in edits.objects_en


def _is_edit_zh(rules: PromptRules, plain: str) -> bool:
    edits = rules.edits
    if any(reference in plain for reference in edits.references_zh):
        return True
    opening = plain.strip()
    while polite := next((p for p in edits.polite_zh if opening.startswith(p)), None):
        opening = opening[len(polite) :].lstrip("，, ")
    verb = next((v for v in edits.verbs_zh if opening.startswith(v)), None)
    # 模糊的背影 and 放大镜 begin with such a verb and are things to be seen.
    if verb is not None and not opening.startswith((f"{verb}的", *edits.not_verbs_zh)):
        return True
    # 将军骑马 begins like an instruction and is none: the frame needs its verb in the same clause.
    frame = next((f for f in edits.frames_zh if opening.startswith(f)), None)
    if frame is None:
        return False
    clause = _CLAUSE_END.split(opening[len(frame) :])[0]
    return any(verb in clause for verb in edits.framed_verbs_zh)
