"""The few SVG elements that the painters write, with every text escaped."""

from xml.sax.saxutils import escape

SANS = "Noto Sans SC"
SERIF = "Noto Serif SC"


def _faint(opacity: float, kind: str = "fill") -> str:
    """Opacity as a property of the paint: `opacity` itself would make resvg draw each element on a layer of its own."""
    return "" if opacity >= 1 else f' {kind}-opacity="{opacity:.2f}"'


def rect(x: float, y: float, wide: float, tall: float, fill: str, *, round_: float = 0, opacity: float = 1) -> str:
    """A rectangle."""
    corner = f' rx="{round_:.1f}"' if round_ else ""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(0, wide):.1f}" height="{max(0, tall):.1f}"'
    return f'<rect {place}{corner} fill="{fill}"{_faint(opacity)}/>'


def ellipse(x: float, y: float, rx: float, ry: float, fill: str, *, opacity: float = 1, turn: float = 0) -> str:
    """An ellipse, turned by `turn` degrees around its middle."""
    turned = f' transform="rotate({turn:.0f} {x:.1f} {y:.1f})"' if turn else ""
    return f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{rx:.1f}" ry="{ry:.1f}" fill="{fill}"{_faint(opacity)}{turned}/>'


def circle(x: float, y: float, r: float, fill: str, *, opacity: float = 1) -> str:
    """A disc."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}" fill="{fill}"{_faint(opacity)}/>'


def pen(*parts: str | float) -> str:
    """Path commands and numbers as one `d`: pen("M", x, y, "h", 20, "Z")."""
    return " ".join(part if isinstance(part, str) else f"{part:.1f}" for part in parts)


def path(d: str, fill: str, *, opacity: float = 1, move: tuple[float, float] | None = None) -> str:
    """A filled path."""
    moved = f' transform="translate({move[0]:.1f} {move[1]:.1f})"' if move else ""
    return f'<path d="{d}" fill="{fill}"{_faint(opacity)}{moved}/>'


def stroke(d: str, color: str, wide: float, *, opacity: float = 1) -> str:
    """A drawn line with round ends."""
    line = f'fill="none" stroke="{color}" stroke-width="{wide:.1f}" stroke-linecap="round" stroke-linejoin="round"'
    return f'<path d="{d}" {line}{_faint(opacity, "stroke")}/>'


def words(
    x: float, y: float, text: str, size: float, color: str,
    *, family: str = SANS, bold: bool = False, anchor: str = "start", opacity: float = 1,
) -> str:  # fmt: skip
    """One line of type on the baseline y. The fonts have one weight: bold is a stroke of the same colour."""
    heavy = f' stroke="{color}" stroke-width="{size * 0.035:.2f}" stroke-linejoin="round"' if bold else ""
    heavy += _faint(opacity, "stroke") if bold else ""
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}" font-family="{family}" text-anchor="{anchor}"'
    return f'<text {place} fill="{color}"{heavy}{_faint(opacity)}>{escape(typeset(text))}</text>'


def typeset(text: str) -> str:
    """`text` without what cannot be set: control characters and what lies outside the fonts' plane."""
    return "".join(c for c in text if c.isprintable() and ord(c) < 0xFFF0 and not 0xD800 <= ord(c) < 0xF900)


def em(character: str) -> float:
    """About how wide a character is set, in ems."""
    if ord(character) >= 0x2E80:
        return 1.0
    if character in " .,:;'|il!":
        return 0.3
    return 0.62 if character.isupper() else 0.54


def wrapped(text: str, size: float, room: float, lines: int) -> list[str]:
    """`text` broken to at most `lines` lines of `room` units at `size`; Latin words stay whole where they can."""
    found: list[str] = []
    line, used = "", 0.0
    for piece in _pieces(typeset(text)):
        wide = sum(em(c) for c in piece) * size
        if line and used + wide > room and piece not in "，。、！？；：,.!?;:」》”’）)":
            found.append(line.rstrip())
            line, used = "", 0.0
            if len(found) == lines:
                found[-1] = found[-1][:-1] + "…"
                return found
            if piece == " ":
                continue
        line, used = line + piece, used + wide
    return [*found, line.rstrip()] if line.strip() else found


def _pieces(text: str) -> list[str]:
    """Single characters of Chinese; words and spaces of everything else, cut at 24 characters."""
    found: list[str] = []
    for character in text:
        plain = ord(character) < 0x2E80 and character != " "
        if plain and found and found[-1][-1] != " " and ord(found[-1][-1]) < 0x2E80 and len(found[-1]) < 24:
            found[-1] += character
        else:
            found.append(character)
    return found
