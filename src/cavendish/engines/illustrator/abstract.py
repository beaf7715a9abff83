"""What is drawn when a prompt names nothing known: a composition of form and colour in its mood, never a scene."""

import math

from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.palette import bright, mix, tone
from cavendish.engines.illustrator.picture import Picture, Plate
from cavendish.engines.illustrator.scene import Scene
from cavendish.engines.illustrator.shapes import circle, path, rect, stroke, words, wrapped
from cavendish.engines.illustrator.vocabulary import vocabulary

_PALETTES: dict[str, tuple[str, ...]] = {
    "calm": ("#f2efe6 #9fc3c1 #5f93a0 #e6c9a8 #34566b", "#eef2ec #b4cfa9 #6f9e8c #f0dcb4 #3c5f5a"),
    "warm": ("#fdf1dd #f4b563 #e2734c #c2455a #6b3a5b", "#fff0e2 #f7c59f #ef8a6b #d9576b #5a3050"),
    "sad": ("#dfe4ea #8fa3b8 #5c7391 #c2b8c4 #2e3d57", "#e4e2e8 #a59fb8 #6f6f96 #c9b8b0 #383a58"),
    "dark": ("#1c1c2e #3c2f5c #7a3f6e #c2566b #e8a25c", "#141e26 #1f4048 #2f6f6a #8fae5a #e0c45a"),
    "bold": ("#f7efe0 #e8432f #1f4f9c #f2b52a #1d1d28", "#f4f0ea #0f8f8a #ef5a3c #f7c940 #2a2350"),
    "": ("#f5ede0 #e3a13c #c8533f #2f6f78 #2a2f45", "#f0eee9 #d98aa0 #6a5aa8 #f2c661 #26334f"),
}
"""By mood; the first colour is the paper."""


def abstract(scene: Scene, lots: Chance, pixels: tuple[int, int]) -> Picture:
    """The composition for a prompt without a subject, with the prompt as a small caption."""
    unit = min(pixels) / 1000
    width, height = pixels[0] / unit, pixels[1] / unit
    colors = tuple(lots.pick(_PALETTES[scene.mood or ""]).split())
    if scene.colors:
        named = [str(vocabulary().value("colors", color)) for color in scene.colors[:4]]
        light = mix(named[0], "#fbf6ec", 0.86)
        colors = (light, *named, tone(named[0], "light"), tone(named[-1], "shade"), tone(named[0], "line"))[:6]
    forms = {"calm": _ribbons, "sad": _ribbons, "bold": _tiles, "dark": _orbits, "warm": _orbits}
    paint = forms.get(scene.mood or "") or lots.pick((_ribbons, _tiles, _orbits))
    body = rect(0, 0, width, height, colors[0]) + paint(width, height, colors, lots.branch("form"))
    return Picture(
        (Plate(body + _caption(scene.text, width, height, colors)),), width, height, scene.style, vignette=0.3
    )


def _ribbons(width: float, height: float, colors: tuple[str, ...], lots: Chance) -> str:
    """Broad interleaved bands that rise and fall diagonally, and one disc at rest."""
    parts = []
    disc = min(width, height) * 0.17
    at = (width * lots.between(0.62, 0.74), height * lots.between(0.24, 0.34))
    count = 11
    for band in range(count):
        if band == 4:
            parts.append(circle(at[0], at[1], disc, colors[min(3, len(colors) - 1)]))
        share = band / (count - 1)
        color = mix(colors[1 + band % (len(colors) - 1)], colors[0], 0.55 - 0.5 * share)
        base = height * (-0.1 + 1.15 * share)
        swing, phase = height * lots.between(0.1, 0.2), lots.between(0, 6.28)
        points = []
        for step in range(41):
            t = step / 40
            y = base + swing * math.sin(t * 4.2 + phase) + (t - 0.5) * -height * 0.32
            points.append(f"{width * (t * 1.1 - 0.05):.1f} {y:.1f}")
        thick = height * lots.between(0.05, 0.17)
        back = [f"{p.split()[0]} {float(p.split()[1]) + thick * (0.25 + i / 40):.1f}" for i, p in enumerate(points)]
        d = f"M{' L'.join(points)} L{' L'.join(reversed(back))}Z"
        parts.append(path(d, tone(color, "deep"), opacity=0.14, move=(0, 12)) + path(d, color, opacity=0.94))
    return "".join(parts)


def _tiles(width: float, height: float, colors: tuple[str, ...], lots: Chance) -> str:
    """A grid of quarter and half discs, bars and dots, with quiet squares between."""
    side = min(width, height) / 5
    columns, rows = round(width / side), round(height / side)
    w, h = width / columns, height / rows
    parts = []
    for row in range(rows):
        for column in range(columns):
            x, y = column * w, row * h
            ground, ink = lots.pick(colors), lots.pick(colors)
            while ink == ground:
                ink = lots.pick(colors)
            parts.append(rect(x, y, w + 0.5, h + 0.5, ground))
            corner = lots.whole(0, 3)
            cx, cy = x + (corner % 2) * w, y + (corner // 2) * h
            form = lots.whole(0, 5)
            sx, sy = (1 if corner % 2 == 0 else -1), (1 if corner < 2 else -1)
            if form <= 1:
                parts.append(
                    path(f"M{cx} {cy}h{sx * w}A{w} {h} 0 0 {1 if sx * sy > 0 else 0} {cx} {cy + sy * h}Z", ink)
                )
            elif form == 2:
                parts.append(circle(x + w / 2, y + h / 2, min(w, h) * 0.34, ink))
                parts.append(circle(x + w / 2, y + h / 2, min(w, h) * 0.16, ground))
            elif form == 3:
                parts.append(path(f"M{x} {y}H{x + w}A{w / 2} {h / 2} 0 0 1 {x} {y}Z", ink))
                parts.append(path(f"M{x} {y + h / 2}H{x + w}A{w / 2} {h / 2} 0 0 1 {x} {y + h / 2}Z", ink))
            elif form == 4:
                parts.extend(rect(x, y + h * k / 5, w, h / 10, ink) for k in range(5))
    return "".join(parts)


def _orbits(width: float, height: float, colors: tuple[str, ...], lots: Chance) -> str:
    """Rings around a luminous centre off the middle, with bodies on their paths."""
    cx, cy = width * lots.pick((0.36, 0.64)), height * lots.pick((0.4, 0.56))
    reach = math.hypot(max(cx, width - cx), max(cy, height - cy))
    parts = []
    for ring in range(9, 0, -1):
        r = reach * (ring / 9) ** 1.15
        color = mix(colors[0], colors[1 + ring % (len(colors) - 1)], 0.16 + 0.5 * (1 - ring / 9))
        parts.append(circle(cx, cy, r, color))
        turn, span = lots.between(0, 6.28), lots.between(0.7, 2.6)
        a, b = (
            (cx + r * math.cos(turn), cy + r * math.sin(turn)),
            (cx + r * math.cos(turn + span), cy + r * math.sin(turn + span)),
        )
        ink = colors[1 + (ring + 1) % (len(colors) - 1)]
        parts.append(
            stroke(f"M{a[0]:.1f} {a[1]:.1f}A{r:.1f} {r:.1f} 0 0 1 {b[0]:.1f} {b[1]:.1f}", ink, 5 + 12 * (ring % 3))
        )
        parts.append(circle(b[0], b[1], 16 + 9 * (ring % 4), colors[1 + (ring + 2) % (len(colors) - 1)]))
    heart = colors[3 % len(colors)]
    parts.append(circle(cx, cy, reach * 0.085, tone(heart, "light")) + circle(cx, cy, reach * 0.06, heart))
    return "".join(parts)


def _caption(text: str, width: float, height: float, colors: tuple[str, ...]) -> str:
    """The prompt in small type on a quiet strip at the lower edge."""
    lines = wrapped(text, 24, width * 0.8, 2)
    if not lines:
        return ""
    paper = colors[0]
    ink = "#23232e" if bright(paper) > 0.6 else "#f6f1e6"
    tall = 30 + 36 * len(lines)
    parts = [rect(0, height - tall, width, tall, paper, opacity=0.9)]
    parts.extend(
        words(width / 2, height - tall + 42 + 36 * k, line, 24, ink, anchor="middle") for k, line in enumerate(lines)
    )
    return "".join(parts)
