"""Type: lines of text as SVG, with everything escaped, in the two fonts that come with the install."""

import re
from types import MappingProxyType
from xml.sax.saxutils import escape

_FAMILIES = MappingProxyType({"sans": "Noto Sans SC", "serif": "Noto Serif SC"})
_PIECE = re.compile(" |[\u2e80-\uffff]|[^ \u2e80-\uffff]{1,24}")
"""A space, a single character of Chinese, or a word of anything else, cut at 24 characters."""
_CLOSING = "，。、！？；：,.!?;:」》”’）)"


def words(
    x: float, y: float, text: str, size: float, color: str,
    *, family: str = "sans", bold: bool = False, anchor: str = "start", opacity: float = 1, halo: str = "",
) -> str:  # fmt: skip
    """One line on the baseline y. The fonts have one weight: bold is a stroke of it, `halo` one behind."""
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}" font-family="{_FAMILIES[family]}" text-anchor="{anchor}"'
    line = f'<text {place} fill="{color}" fill-opacity="{opacity:.2f}"'
    shown = f">{escape(typeset(text))}</text>"
    edge = f' stroke-linejoin="round" stroke="{halo}" stroke-opacity="0.4" stroke-width="{size * 0.13:.1f}"'
    heavy = f' stroke="{color}" stroke-opacity="{opacity:.2f}" stroke-width="{size * 0.035:.2f}"' if bold else ""
    return (line + edge + shown if halo else "") + line + heavy + shown


def typeset(text: str) -> str:
    """`text` without what cannot be set: control characters and what lies outside the fonts' plane."""
    return "".join(c for c in text if c.isprintable() and ord(c) < 0xFFF0 and not 0xD800 <= ord(c) < 0xF900)


def breadth(text: str) -> float:
    """About how wide `text` is set, in ems."""
    return sum(1.0 if ord(c) >= 0x2E80 or c == "·" else 0.3 if c in " .,:;'|iIl!" else 0.88 if c in "mwMW@%"
               else 0.69 if c.isupper() else 0.54 for c in text)  # fmt: skip


def lines(text: str, size: float, room: float, most: int) -> list[str]:
    """`text` broken to at most `most` lines of `room` units at `size`; Latin words stay whole where they can."""
    found: list[str] = []
    line, used = "", 0.0
    for piece in _PIECE.findall(typeset(text)):
        wide = breadth(piece) * size
        if line and used + wide > room and piece not in _CLOSING:
            found.append(line.rstrip())
            line, used = "", 0.0
            if len(found) == most:
                found[-1] = found[-1][:-1] + "…"
                return found
            if piece == " ":
                continue
        line, used = line + piece, used + wide
    return [*found, line.rstrip()] if line.strip() else found
