"""Format and size from the first bytes of an image, read without a decoder.

Decoders allocate by what a header claims, some as soon as they are created. So the claim is read and judged here,
before any decoder sees the bytes.
"""

import msgspec

from cavendish.images.limits import check_pixels, damaged, unknown_format
from cavendish.ports import ImageFormat

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_START_OF_SCAN = 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0-SOF15; the three are other kinds of segment
_MAX_PARTS = 50_000
"""More chunks, segments or stray bytes than any honest file of 30 MB has; decoders walk through them one by one."""
_BARE = frozenset({0x01, *range(0xD0, 0xDA)})  # markers without a length: TEM, RSTn, SOI, EOI


class Header(msgspec.Struct, frozen=True):
    """What the bytes claim: pixels as stored, before any orientation."""

    format: ImageFormat
    width: int
    height: int


def read_header(data: bytes) -> Header:
    """The format and size that `data` claims.

    Raises:
        BadImage: not PNG, JPEG or WebP; cut off within the header; no pixels, or too many.
    """
    size: tuple[int, int] | None
    kind: ImageFormat
    if data.startswith(_PNG):
        kind, size = "png", _png_size(data)
    elif data.startswith(_JPEG):
        kind, size = "jpeg", _jpeg_size(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind, size = "webp", _webp_size(data)
    else:
        raise unknown_format()
    if size is None:
        raise damaged()
    check_pixels(*size)
    return Header(kind, *size)


def _png_size(data: bytes) -> tuple[int, int] | None:
    if data[12:16] != b"IHDR":
        return None
    at = len(_PNG)
    for _ in range(_MAX_PARTS):
        if data[at + 4 : at + 8] == b"IEND":
            return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        if at >= len(data):
            return None
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """The size in the last frame header before the first scan, as decoders take it."""
    size, at, junk = None, 2, 0
    for _ in range(_MAX_PARTS):
        found = data.find(b"\xff", at, at + _MAX_PARTS)
        junk += found - at
        at = found
        if at < 0 or at + 4 > len(data) or junk > _MAX_PARTS:
            return None
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker == 0x00 or marker in _BARE:
            at += 2
        elif marker == _START_OF_SCAN:
            return size
        else:
            if marker in _FRAMES and at + 9 <= len(data):
                size = int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    chunk = data[12:16]
    if len(data) < 30:
        return None
    if chunk == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    if chunk == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None
