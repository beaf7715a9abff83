"""Reads the upstream's JSON as it arrives: images are decoded while they come, and only the small rest is kept as text.

A 4k picture is 20 MB of base64. Kept as body, as text, as JSON string and as bytes it would be held four times and
decoded in one go that stops the event loop. Here each arriving chunk is decoded at once; the picture is held once.

What is found: strings behind a key `data`. In the rest, `"#0"`, `"#1"`, … stand for them. Other strings are cut at
MAX_STRING_BYTES (signatures of thoughts are long, and of no use here).
"""

import re
from io import BytesIO

import msgspec

MAX_REST_BYTES = 2 * 1024 * 1024
MAX_STRING_BYTES = 64 * 1024
MAX_IMAGES = 64
ROOM_BYTES = 33 * 1024 * 1024
_KEY = re.compile(rb'"data"[ \t\r\n]*:[ \t\r\n]*\Z')
_KEY_ROOM = 64
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_ESCAPES = (
    (b"\\/", b"/"),
    (b"\\u003d", b"="),
    (b"\\u003D", b"="),
    (b"\\u002b", b"+"),
    (b"\\u002B", b"+"),
    (b"\\u002f", b"/"),
)
_LONGEST_ESCAPE = 6
_DECODER = msgspec.json.Decoder(bytes)


class WrongBase64(ValueError):
    """A `data` string is not base64."""


class TooLarge(ValueError):
    """More bytes than any answer has."""


class Base64Sink:
    """Decodes base64 that arrives in pieces cut anywhere, with or without padding, either alphabet."""

    def __init__(self) -> None:
        self._left = b""
        self._ended = False
        # Room that is there when it is written to, and not before: growing a buffer of megabytes would copy it again
        # and again, and a list of pieces leaves the heap full of holes. Above 32 MiB glibc always maps memory of its
        # own, which is given back at once; what was not used is cut off without a copy.
        self._out = BytesIO(bytes(ROOM_BYTES))
        self.size = 0

    def feed(self, characters: bytes) -> None:
        """Decode what came. Raises WrongBase64."""
        text = self._left + characters
        if b"\\" in text:
            text, self._left = _unescaped(text)
        else:
            self._left = b""
        whole = len(text) // 4 * 4
        text, self._left = text[:whole], text[whole:] + self._left
        if text:
            self._decode(text)

    def end(self) -> bytes:
        """The whole. Raises WrongBase64."""
        if self._left:
            if b"\\" in self._left or len(self._left) == 1:
                raise WrongBase64("cut off")
            self._decode(self._left + b"=" * (4 - len(self._left)))
            self._left = b""
        self._out.truncate(self.size)
        return self._out.getvalue()

    def _decode(self, text: bytes) -> None:
        if self._ended:
            raise WrongBase64("goes on behind its padding")
        if b"-" in text or b"_" in text:
            text = text.translate(_URL_SAFE)
        try:
            piece = _DECODER.decode(b'"' + text + b'"')
        except msgspec.DecodeError as error:
            raise WrongBase64(str(error)) from None
        self._ended = text.endswith(b"=")
        self.size += len(piece)
        self._out.write(piece)


def _unescaped(text: bytes) -> tuple[bytes, bytes]:
    """`text` without JSON's escapes, and an escape at its end that is not whole yet. Raises WrongBase64."""
    last = text.rfind(b"\\")
    tail = b""
    if last >= len(text) - _LONGEST_ESCAPE + 1 and not any(text[last:].startswith(e) for e, _ in _ESCAPES):
        text, tail = text[:last], text[last:]
    for escape, character in _ESCAPES:
        text = text.replace(escape, character)
    if b"\\" in text:
        raise WrongBase64("an escape that base64 has no use for")
    return text, tail


class AnswerScanner:
    """One answer. Feed it chunks, then ask for `rest` and `images`.

    Args:
        max_bytes: of all images together.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._rest = bytearray()
        self._string = False  # inside a string
        self._kept = 0  # bytes of that string in the rest
        self._escape = False  # the chunk before ended with a backslash that escapes what comes
        self._sink: Base64Sink | None = None
        self._decoded = 0
        self.images: list[bytes] = []
        """What the `data` strings held."""

    @property
    def rest(self) -> bytes:
        """The JSON without the images."""
        return bytes(self._rest)

    def feed(self, chunk: bytes) -> None:
        """Take what arrived. Raises WrongBase64, TooLarge."""
        at = 0
        while at < len(chunk):
            if self._string:
                at = self._inside(chunk, at)
            else:
                quote = chunk.find(b'"', at)
                end = len(chunk) if quote < 0 else quote
                self._keep(chunk[at:end])
                at = end
                if quote >= 0:
                    self._open()
                    at += 1

    def _open(self) -> None:
        self._string, self._kept, self._escape = True, 0, False
        if _KEY.search(bytes(self._rest[-_KEY_ROOM:])):
            if len(self.images) >= MAX_IMAGES:
                raise TooLarge(f"more than {MAX_IMAGES} images")
            self._sink = Base64Sink()
        else:
            self._keep(b'"')

    def _inside(self, chunk: bytes, at: int) -> int:
        """Take the string up to its end or the chunk's; where to go on."""
        quote = self._end_of_string(chunk, at)
        end = len(chunk) if quote < 0 else quote
        if self._sink is not None:
            self._sink.feed(chunk[at:end])
            if self._decoded + self._sink.size > self._max_bytes:
                raise TooLarge(f"more than {self._max_bytes} bytes of images")
        else:
            room = MAX_STRING_BYTES - self._kept
            if room > 0:
                piece = chunk[at : min(end, at + room)]
                if at + room < end:
                    piece = _without_half_escape(piece)
                    room = 0
                self._keep(piece)
                self._kept = MAX_STRING_BYTES if room == 0 else self._kept + len(piece)
        if quote < 0:
            return end
        self._close()
        return quote + 1

    def _close(self) -> None:
        self._string = False
        if self._sink is None:
            self._keep(b'"')
            return
        self.images.append(self._sink.end())
        self._decoded += self._sink.size
        self._keep(b'"#%d"' % (len(self.images) - 1))
        self._sink = None

    def _end_of_string(self, chunk: bytes, at: int) -> int:
        """Where the string's closing quote stands in `chunk`, or -1."""
        start = at
        if self._escape:
            start, self._escape = at + 1, False
        while True:
            quote = chunk.find(b'"', start)
            end = len(chunk) if quote < 0 else quote
            slashes = 0
            while end - slashes > start and chunk[end - slashes - 1] == 0x5C:
                slashes += 1
            if quote < 0:
                self._escape = slashes % 2 == 1
                return -1
            if slashes % 2 == 0:
                return quote
            start = quote + 1

    def _keep(self, piece: bytes) -> None:
        self._rest += piece
        if len(self._rest) > MAX_REST_BYTES:
            raise TooLarge(f"more than {MAX_REST_BYTES} bytes beside the images")


def _without_half_escape(piece: bytes) -> bytes:
    """`piece` without an escape or a character of several bytes that was cut at its end."""
    slash = piece.rfind(b"\\", max(0, len(piece) - _LONGEST_ESCAPE))
    if slash >= 0:
        before = slash
        while before > 0 and piece[before - 1] == 0x5C:
            before -= 1
        piece = piece[:before]
    return piece.decode("utf-8", "ignore").encode()
