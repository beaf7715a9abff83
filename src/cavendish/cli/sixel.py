"""A picture as sixels, the graphics of DEC's VT340. Source: VT330/VT340 Programmer Reference Manual, chapter 14."""

from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

COLOURS = 64
_FROM_63 = bytes(min(63 + value, 255) for value in range(256))


def sixel(picture: "Picture") -> bytes:
    """The picture, reduced to 64 colours, as one DCS sequence. Meant for small ones: it takes a moment for each row.

    Args:
        picture: of mode RGB.
    """
    reduced = picture.quantize(COLOURS)
    width, height = reduced.size
    indices = reduced.tobytes()
    palette = reduced.getpalette() or []
    out = [f'\x1bP0;1q"1;1;{width};{height}'.encode()]
    for number in range(len(palette) // 3):
        red, green, blue = (round(part / 2.55) for part in palette[number * 3 : number * 3 + 3])
        out.append(b"#%d;2;%d;%d;%d" % (number, red, green, blue))
    rows = [indices[row * width : (row + 1) * width] for row in range(height)]
    out += [_band(rows[top : top + 6]) for top in range(0, height, 6)]
    out.append(b"\x1b\\")
    return b"".join(out)


def _band(rows: list[bytes]) -> bytes:
    """Six rows: one line for each colour in them, drawn over each other; a `$` goes back, the `-` down."""
    width = len(rows[0])
    lines = []
    for colour in sorted(set().union(*rows)):
        # A column's sixel is 63 plus one bit for each row that has the colour. All columns of a row are one long
        # integer, a byte each, so that a row is worked on at once.
        bits = 0
        for y, row in enumerate(rows):
            bits |= int.from_bytes(row.translate(_only(colour, 1 << y)), "big")
        sixels = bits.to_bytes(width, "big").translate(_FROM_63)
        lines.append(b"#%d" % colour + b"".join(_run(value, len(list(same))) for value, same in groupby(sixels)))
    return b"$".join(lines) + b"-"


def _only(colour: int, bit: int) -> bytes:
    """A table for `translate`: `bit` for the colour, 0 for all others."""
    return bytes(colour) + bytes([bit]) + bytes(255 - colour)


def _run(value: int, count: int) -> bytes:
    return bytes([value]) * count if count < 4 else b"!%d%c" % (count, value)
