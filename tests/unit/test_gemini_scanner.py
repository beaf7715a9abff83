"""The streaming reader: whatever the cuts, the same JSON and the same bytes; and a word for what is wrong."""

import json
from base64 import b64encode, urlsafe_b64encode
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cavendish.engines.gemini.scanner import MAX_STRING_BYTES, AnswerScanner, TooLarge, WrongBase64

WORDS = 'he said "data": "AAAA" \\ \\" 🐈 and left\\'


def scan(raw: bytes, cuts: list[int] | None = None, max_bytes: int = 10_000_000) -> AnswerScanner:
    scanner = AnswerScanner(max_bytes)
    places = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts or [])})
    for start, end in pairwise(places):
        scanner.feed(raw[start:end])
    return scanner


def document(*images: bytes, indent: int | None = None) -> bytes:
    parts: list[dict[str, Any]] = [{"text": WORDS}]
    parts += [{"inlineData": {"mimeType": "image/png", "data": b64encode(image).decode()}} for image in images]
    return json.dumps({"parts": [*parts, {"data": ""}, {"text": ""}]}, indent=indent).encode()


@settings(deadline=None)
@given(
    images=st.lists(st.binary(max_size=200), max_size=3),
    cuts=st.lists(st.integers(min_value=0), max_size=12),
    indent=st.sampled_from([None, 1]),
    escaped=st.booleans(),
)
def test_pictures_and_the_rest_are_the_same_wherever_the_answer_was_cut(
    images: list[bytes], cuts: list[int], indent: int | None, escaped: bool
) -> None:
    raw = document(*images, indent=indent)
    if escaped:
        raw = raw.replace(b"=", b"\\u003d").replace(b"/", b"\\/")
    scanner = scan(raw, cuts)
    rest = json.loads(scanner.rest)

    assert scanner.images == [*images, b""]
    assert rest["parts"][0]["text"] == WORDS
    assert [p["inlineData"]["data"] for p in rest["parts"][1:-2]] == [f"#{n}" for n in range(len(images))]


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_both_alphabets_are_read_with_and_without_padding(data: bytes) -> None:
    for text in (b64encode(data), urlsafe_b64encode(data), b64encode(data).rstrip(b"=")):
        assert scan(b'{"data" : "' + text + b'"}').images == [data]


@pytest.mark.parametrize(
    "text", [b"AA*A", b"A", b"AAAAA", b"AA==AAAA", b"====", b"AA\nA", b"\\n", b"AAA\\u0041", "é".encode(), b"AAA\\"]
)
@pytest.mark.parametrize("cut", [0, 10, 12, 13])
def test_what_is_not_base64_is_refused(text: bytes, cut: int) -> None:
    with pytest.raises(WrongBase64):
        scan(b'{"data":"' + text + b'","x":1}', [cut])


def test_an_answer_that_ends_in_the_middle_is_not_json() -> None:
    whole = document(b"x" * 90)
    scanner = scan(whole[:-60])

    with pytest.raises(json.JSONDecodeError):
        json.loads(scanner.rest)


def test_strings_that_nobody_needs_are_cut_and_stay_json() -> None:
    long = '🐈\\"\n' * MAX_STRING_BYTES
    raw = json.dumps({"signature": long, "text": WORDS}, ensure_ascii=False).encode()
    rest = json.loads(scan(raw, list(range(0, len(raw), 4099))).rest)

    assert len(rest["signature"].encode()) <= MAX_STRING_BYTES
    assert long.startswith(rest["signature"])
    assert rest["text"] == WORDS


def test_what_grows_without_end_is_stopped() -> None:
    with pytest.raises(TooLarge):
        scan(document(b"x" * 1001), max_bytes=1000)
    with pytest.raises(TooLarge):
        scan(b"[" + b"1," * 2_000_000)
    with pytest.raises(TooLarge):
        scan(b"[" + b'{"data":""},' * 100)
