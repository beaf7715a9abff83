"""Format and size of an image from its first bytes, without a decoder."""

import struct
from typing import NamedTuple


class ImageHeader(NamedTuple):
    """What the bytes say: `png`, `jpeg` or `webp`; pixels as stored."""

    format: str
    width: int
    height: int

    @property
    def media_type(self) -> str:
        """The media type of the format."""
        return f"image/{self.format}"


def read_header(data: bytes) -> ImageHeader | None:
    """The header of PNG, JPEG or WebP bytes; None when they are none of these, or cut too short.

    Sources: RFC 2083 (PNG, 11.2.2 IHDR); ITU-T T.81 (JPEG, B.2.2 frame header); RFC 9649 (WebP, 2.5 to 2.7).
    """
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
            return ImageHeader("png", *struct.unpack(">II", data[16:24]))
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
    except (struct.error, IndexError):
        return None
    return None


def _jpeg(data: bytes) -> ImageHeader | None:
    at = 2
    while at < len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill bytes may stand before a marker
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return ImageHeader("jpeg", width, height)
        if marker == 0xDA:  # the picture begins, and no frame header came
            return None
        at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return None


def _webp(data: bytes) -> ImageHeader | None:
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return ImageHeader("webp", width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L":
        bits = struct.unpack("<I", data[21:25])[0]
        return ImageHeader("webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8X" and len(data) >= 30:
        return ImageHeader("webp", int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1)
    return None
