"""Prompt help: the parts that a prompt has, what it lacks, and the prompt with that added.

The advice is the guide's: name subject, style, light and details, say how it is framed, add words of quality. A
prompt's own words are never changed, only followed by others, and what stands in quotes counts for nothing. What is
added fits what is there: no lens for a painting, no sunlight at night, no decoration for an instruction to edit.
"""

import re
from collections.abc import Mapping

import msgspec

from cavendish.domain.inputs import MAX_PROMPT_CHARS
from cavendish.domain.prompt_reading import Kind, Reading, Span, Written, read_prompt
from cavendish.domain.prompt_rules import Part, PromptRules, Spoken
from cavendish.domain.text import Text

SUBJECT = "subject"
DETAIL = "detail"
_CLAUSES = re.compile(r"[,.;!?，。；！？\n]")
_EMPTY_EN = frozenset({"a", "an", "the", "of", "in", "on", "with", "at", "and", "is", "very", "by", "for", "some"})
_EDGE = " \t\r\n,.;:!?，。；：！？、-–—的"
_SENTENCE_ENDS = ".!?。！？…"
_PAUSES = ",;:，；：、"


class PartFound(msgspec.Struct, frozen=True):
    """One part, and the prompt's own words for it; none when it is missing or not needed."""

    part: Part
    words: tuple[str, ...]


class Advice(msgspec.Struct, frozen=True):
    """What prompt help says about a prompt. `improved` begins with the prompt as it was sent, trimmed."""

    language: Written
    kind: Kind
    parts: tuple[PartFound, ...]
    missing: tuple[Part, ...]
    added: tuple[str, ...]
    improved: str


def advise(rules: PromptRules, prompt: str, *, edits_only: bool = False) -> Advice:
    """Read `prompt` and improve it. A pure function; advising on what it improved adds nothing.

    Args:
        prompt: 1 to `MAX_PROMPT_CHARS` characters.
        edits_only: the prompt is for a model that only changes pictures.
    """
    prompt = prompt.strip()
    first = read_prompt(rules, prompt, edits_only=edits_only)
    parts = _parts(rules, first)
    missing = _missing(rules, first, parts)
    improved = prompt
    added: list[str] = []
    while (step := _next(rules, read_prompt(rules, improved, edits_only=edits_only), added)) is not None:
        phrase, improved = step
        added.append(phrase)
    return Advice(first.language, first.kind, parts, missing, tuple(added), improved)


def _parts(rules: PromptRules, reading: Reading) -> tuple[PartFound, ...]:
    if reading.kind == "edit":
        keep = _keeping(rules, reading)
        change = tuple(c for c in _clauses_with_content(reading) if c not in keep)
        own: Mapping[str, tuple[str, ...]] = {"change": change[:1], "keep": keep}
        named = [
            PartFound(part, reading.found(part.name)) for part in rules.parts if part.name not in (SUBJECT, DETAIL)
        ]
        return (*(PartFound(p, own[p.name]) for p in rules.edits.parts), *(n for n in named if n.words))
    return tuple(
        PartFound(part, _subject(reading) if part.name == SUBJECT else reading.found(part.name)) for part in rules.parts
    )


def _missing(rules: PromptRules, reading: Reading, parts: tuple[PartFound, ...]) -> tuple[Part, ...]:
    tags = reading.tags()
    return tuple(found.part for found in parts if not found.words and not tags.intersection(found.part.not_for))


def _next(rules: PromptRules, reading: Reading, added: list[str]) -> tuple[str, str] | None:
    """The next words to add, and the prompt with them; None when it is as good as we can make it."""
    if reading.language == "other" or reading.open_quote:
        return None  # what is added must be in the prompt's language, and must not end up inside its quotes
    if reading.kind == "edit":
        return _next_for_edit(rules, reading, added)
    for part in _missing(rules, reading, _parts(rules, reading)):
        phrase = _fitting(rules, reading, part)
        if phrase is not None and (joined := _joined(rules, reading, phrase, added)) is not None:
            return joined
    return None


def _next_for_edit(rules: PromptRules, reading: Reading, added: list[str]) -> tuple[str, str] | None:
    if _keeping(rules, reading):
        return None
    plain = reading.masked.translate(rules.simplify).lower()
    whole = any(w in plain for w in (*rules.edits.whole_en, *rules.edits.whole_zh))
    text: Text = rules.edits.keep_whole if whole else rules.edits.keep_local
    return _joined(rules, reading, text.say("zh" if reading.language == "zh" else "en"), added)


def _fitting(rules: PromptRules, reading: Reading, part: Part) -> str | None:
    language: Spoken = "zh" if reading.language == "zh" else "en"
    tags, barred = reading.tags(), reading.barred()
    for addition in rules.additions:
        if addition.part != part.name or not tags.issuperset(addition.when) or tags.intersection(addition.unless):
            continue
        phrase = addition.say(language)
        stands_for = read_prompt(rules, phrase).tags()
        if not stands_for.intersection(barred):
            return phrase
    return None


def _joined(rules: PromptRules, reading: Reading, phrase: str, added: list[str]) -> tuple[str, str] | None:
    """The phrase as it is written here, and the prompt followed by it; None when that is too long."""
    text = reading.text
    chinese = reading.language == "zh"
    if chinese:
        old, new = rules.traditional_share(reading.masked)
        phrase = rules.in_traditional(phrase) if old > new else phrase
    last = text[-1]
    if last in _SENTENCE_ENDS and not added:
        # The prompt is made of sentences: what follows is one more, and ends as they do.
        ending = "。" if chinese else "."
        joined = text + phrase + ending if chinese else f"{text} {phrase[0].upper()}{phrase[1:]}{ending}"
    elif last in _SENTENCE_ENDS:
        comma = "，" if chinese else ", "
        joined = text[:-1] + comma + phrase + last
    else:
        comma = "" if last in _PAUSES else "，" if chinese else ","
        joined = f"{text}{comma}{'' if chinese else ' '}{phrase}"
    return (phrase, joined) if len(joined) <= MAX_PROMPT_CHARS else None


def _keeping(rules: PromptRules, reading: Reading) -> tuple[str, ...]:
    """The clauses that say what must stay as it is."""
    return tuple(
        clause
        for clause in _clauses_with_content(reading)
        if any(_says(word, clause) for word in rules.edits.keep_en)
        or any(word in clause.translate(rules.simplify) for word in rules.edits.keep_zh)
    )


def _says(word: str, clause: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", clause.lower().replace("’", "'")) is not None


def _clauses_with_content(reading: Reading) -> tuple[str, ...]:
    return tuple(text for start, end in _clauses(reading.masked) if (text := reading.text[start:end].strip(_EDGE)))


def _clauses(masked: str) -> list[tuple[int, int]]:
    ends = [match.start() for match in _CLAUSES.finditer(masked)]
    return list(zip([0, *(end + 1 for end in ends)], [*ends, len(masked)], strict=True))


def _subject(reading: Reading) -> tuple[str, ...]:
    """The first clause that says more than the other parts do, without their words at its ends."""
    # A word of detail (a place, a colour) belongs to the thing that it describes; the other parts' words do not.
    other = [span for span in reading.spans if any(set(w.parts) - {"detail"} for w in span.words)]
    for start, end in _clauses(reading.masked):
        inside = [span for span in other if start <= span.start and span.end <= end]
        left, right = _without_ends(reading.masked, start, end, inside)
        if left < right and _has_content(reading, left, right, inside):
            return (reading.text[left:right],)
    return ()


def _without_ends(masked: str, start: int, end: int, inside: list[Span]) -> tuple[int, int]:
    changed = True
    while changed and start < end:
        before = (start, end)
        while start < end and masked[start] in _EDGE:
            start += 1
        while start < end and masked[end - 1] in _EDGE:
            end -= 1
        for span in inside:
            lead = masked[start : span.start].strip().lower() if start <= span.start < end else "-"
            if lead in ("", "a", "an", "the", "一张", "一幅", "of", "of a", "of an", "of the", "in"):
                start = span.end
            if span.end == end and span.start >= start:
                end = span.start
        lead_word = re.match(r"\s*(of|in|with|featuring|showing)\s+", masked[start:end], re.IGNORECASE)
        if lead_word is not None and any(span.end == start for span in inside):
            start += lead_word.end()
        tail = re.search(r"\s(in|with|and|at|of|a|an|the)\s*$", masked[start:end], re.IGNORECASE)
        if tail is not None and any(masked[start + tail.end() : span.start].strip() == "" for span in inside):
            end = start + tail.start()
        changed = before != (start, end)
    return start, end


def _has_content(reading: Reading, start: int, end: int, inside: list[Span]) -> bool:
    rest = list(reading.masked[start:end])
    for span in reading.spans:
        known = any(w.parts and set(w.parts) != {"detail"} for w in span.words) or any(
            w.parts == ("detail",) and not w.tags for w in span.words
        )
        if known and start <= span.start and span.end <= end:
            rest[span.start - start : span.end - start] = " " * (span.end - span.start)
    left = "".join(rest)
    hidden = "\ue000" in left
    words = [word for word in re.findall(r"[^\W\d_]+", left) if word.lower() not in _EMPTY_EN]
    return hidden or any(word.strip("的一个张幅是和与在了") for word in words)
