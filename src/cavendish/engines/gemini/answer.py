"""What the upstream's JSON says: a picture and what it used, or an event for the table in `outcomes`."""

import re
from collections.abc import Sequence

import msgspec

from cavendish.domain.text import Text, shortened
from cavendish.domain.usage import UpstreamTokens
from cavendish.engines.gemini import outcomes
from cavendish.engines.gemini.outcomes import Verdict

_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_MODEL_WORDS_CHARS = 160


class _Data(msgspec.Struct, rename="camel"):
    data: str = ""


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    inline_data: _Data | None = None


class _Content(msgspec.Struct, rename="camel"):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class _Count(msgspec.Struct, rename="camel"):
    modality: str | None = None
    token_count: int | None = None


class _Used(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    prompt_tokens_details: list[_Count] | None = None
    cache_tokens_details: list[_Count] | None = None
    candidates_tokens_details: list[_Count] | None = None


class _Answer(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Used | None = None


class Picture(msgspec.Struct, frozen=True):
    """A picture came."""

    data: bytes


class NotJson(ValueError):
    """The rest of the answer is not what the upstream's format says."""


class Reading(msgspec.Struct, frozen=True):
    """One whole answer: how it ended, and what it used (also when it ended badly)."""

    ended: Picture | Verdict
    used: UpstreamTokens | None = None


def read_answer(rest: bytes, images: Sequence[bytes], upstream: str) -> Reading:
    """An answer with status 200.

    Args:
        rest: its JSON, `"#n"` standing for `images[n]`.
        upstream: the model that answered.

    Raises:
        NotJson: cut off, or not of this form.
    """
    try:
        answer = msgspec.json.decode(rest, type=_Answer, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotJson(str(error)) from None
    return Reading(_ended(answer, images), _tokens(answer.usage_metadata, upstream, drew=bool(images)))


def _ended(answer: _Answer, images: Sequence[bytes]) -> Picture | Verdict:
    if answer.prompt_feedback is not None and answer.prompt_feedback.block_reason:
        return outcomes.of_block(answer.prompt_feedback.block_reason)
    strangers = 0
    words: list[str] = []
    reasons: list[str] = []
    for candidate in answer.candidates or ():
        reason = candidate.finish_reason or "FINISH_REASON_UNSPECIFIED"
        reasons.append(reason)
        refused = outcomes.of_finish(reason).code == "content_rejected"
        for part in (candidate.content and candidate.content.parts) or ():
            if part.thought:  # a draft on the way to the picture
                continue
            if part.inline_data is not None and not refused:
                data = _image(part.inline_data.data, images)
                if data is not None and _is_picture(data):
                    return Picture(data)
                strangers += 1
            elif part.text:
                words.append(part.text)
    if not reasons:
        return outcomes.FAULTS["no_candidate"]
    verdicts = [outcomes.of_finish(reason) for reason in reasons]
    for verdict in verdicts:
        if verdict.code == "content_rejected":
            return verdict
    if strangers:
        return outcomes.FAULTS["not_an_image"]
    return _in_words(verdicts[0], " ".join(" ".join(words).split()))


def _in_words(verdict: Verdict, words: str) -> Verdict:
    """`verdict` with what the model said instead of drawing, which is often the best hint that there is."""
    if not words or verdict.code != "no_image":
        return verdict
    said = shortened(words, _MODEL_WORDS_CHARS)
    text = Text(en=f"{verdict.text.en}. It said: {said}", zh=f"{verdict.text.zh}。模型的回复：{said}")
    return msgspec.structs.replace(verdict, text=text)


def _image(mark: str, images: Sequence[bytes]) -> bytes | None:
    number = mark.removeprefix("#")
    return images[int(number)] if mark.startswith("#") and number.isdecimal() and int(number) < len(images) else None


def _is_picture(data: bytes) -> bool:
    """By what the bytes are, not by what they were announced as."""
    return data.startswith(_MAGIC) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def _tokens(used: _Used | None, upstream: str, *, drew: bool) -> UpstreamTokens | None:
    """Tokens by modality. What the details do not name is text; cached input is taken off where it was counted.

    Without any details, an answer that brought images counts as image: nearly all of it is, and text is ten times
    cheaper.
    """
    if used is None:
        return None
    image_in = _of_images(used.prompt_tokens_details)
    text_in = (used.prompt_token_count or 0) - image_in
    cached = used.cached_content_token_count or 0
    cached_images = min(_of_images(used.cache_tokens_details), image_in, cached)
    text_out = used.candidates_token_count or 0
    image_out = text_out if drew and not used.candidates_tokens_details else _of_images(used.candidates_tokens_details)
    text_out -= image_out
    return UpstreamTokens(
        upstream,
        text_in=max(0, text_in - (cached - cached_images)),
        image_in=max(0, image_in - cached_images),
        cached_in=max(0, cached),
        text_out=max(0, text_out),
        image_out=max(0, image_out),
        thought_out=max(0, used.thoughts_token_count or 0),
    )


def _of_images(counts: list[_Count] | None) -> int:
    return sum(count.token_count or 0 for count in counts or () if count.modality == "IMAGE")


class _Detail(msgspec.Struct, rename="camel"):
    type: str = msgspec.field(default="", name="@type")
    reason: str | None = None
    retry_delay: str | None = None
    violations: list[dict[str, object]] | None = None


class _Error(msgspec.Struct):
    message: str = ""
    status: str = ""
    details: list[_Detail] | None = None


class _Envelope(msgspec.Struct):
    error: _Error


class Refusal(msgspec.Struct, frozen=True):
    """An answer that is an error. `retry_seconds`: what the upstream asked us to wait; `said`: for the log alone."""

    verdict: Verdict
    status: int
    word: str = ""
    said: str = ""
    retry_seconds: float | None = None
    daily: bool = False
    """The quota that is used up is one of the day: waiting some seconds will not help."""


_SECONDS = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)s")
_BAD_KEY_REASONS = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED", "CONSUMER_INVALID"})
_ANY_KEY = re.compile(r"AIza[\w-]{10,}|(?<=api_key:)[\w-]+|(?<=[?&]key=)[\w-]+")
_ABOUT_IMAGES = re.compile(r"\bimages?\b", re.IGNORECASE)
_ABOUT_OUR_FIELDS = re.compile(
    r"unknown name|aspect|imageconfig|image_config|image_size|imagesize|modalit|model", re.IGNORECASE
)


def read_refusal(
    status: int, body: bytes, retry_after: str | None = None, *, with_images: bool = False, secret: str = ""
) -> Refusal:
    """An answer whose status is not 200; its body may be anything.

    Args:
        retry_after: the header.
        with_images: whether the request held input images, of which a 400 may speak.
        secret: the key that was sent: some refusals repeat it, and nothing that we write may.
    """
    error = _error(body)
    details = error.details or []
    verdict = outcomes.of_status(status)
    reasons = {detail.reason for detail in details}
    if status == 400 and (reasons & _BAD_KEY_REASONS or "API key" in error.message):
        verdict = outcomes.KEY_REFUSED  # a wrong key of AI Studio is answered with 400
    elif status == 400 and with_images and _blames_images(error.message):
        verdict = outcomes.BAD_INPUT
    waits = [float(m[1]) for d in details if d.retry_delay and (m := _SECONDS.fullmatch(d.retry_delay))]
    if retry_after is not None and retry_after.strip().isdecimal():
        waits.append(float(retry_after.strip()[:6]))
    daily = any("perday" in str(v.get("quotaId", "")).lower() for d in details for v in d.violations or ())
    message = error.message.replace(secret, "…") if secret else error.message
    said = shortened(_ANY_KEY.sub("…", message), 200)
    return Refusal(verdict, status, error.status[:60], said, max(waits, default=None), daily)


def _blames_images(message: str) -> bool:
    return bool(_ABOUT_IMAGES.search(message)) and not _ABOUT_OUR_FIELDS.search(message)


def _error(body: bytes) -> _Error:
    """The error of the envelope, which some gateways wrap into a list; an empty one when it is something else."""
    for kind in (_Envelope, list[_Envelope]):
        try:
            found = msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        envelope = found[0] if isinstance(found, list) and found else found
        if isinstance(envelope, _Envelope):
            return envelope.error
    return _Error()
