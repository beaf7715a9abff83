"""The sky: gradient, sun or moon, stars, clouds, distant ridges; and what falls from it."""

import math

from cavendish.engines.illustrator.art import Spot, drawing, placed
from cavendish.engines.illustrator.palette import mix, tone
from cavendish.engines.illustrator.scenery import Stage
from cavendish.engines.illustrator.shapes import circle, pen, stroke
from cavendish.engines.illustrator.vocabulary import vocabulary


def paint_sky(stage: Stage, *, ridges: bool = True) -> None:
    """Everything behind the ground, onto `stage.back`."""
    sky, width = stage.sky, stage.width
    edge = stage.horizon + 4
    defs, paint = stage.gradient((0, sky.top, 1), (0.55, sky.middle, 1), (1, sky.low, 1))
    stage.back.append(f'{defs}<rect width="{width:g}" height="{edge:.1f}" fill="{paint}"/>')
    stage.back.append(
        f'<rect y="{edge - 1:.1f}" width="{width:g}" height="{stage.height - edge + 1:.1f}" fill="{sky.low}"/>'
    )
    if sky.stars:
        _stars(stage)
    _orb(stage)
    _clouds(stage)
    if ridges:
        _ridges(stage)


def _stars(stage: Stage) -> None:
    lots = stage.lots.branch("stars")
    dots = []
    for _ in range(round(stage.sky.stars * stage.width / 1000)):
        x, y = lots.between(0, stage.width), stage.horizon * lots.between(0, 0.9) ** 1.2
        size = lots.pick((0.9, 1.2, 1.2, 1.7, 2.6))
        dots.append(circle(x, y, size, "#fdf8e6", opacity=lots.between(0.45, 1)))
    stage.back += dots


def _orb(stage: Stage) -> None:
    """The sun or the moon with its glow; larger when the prompt names it."""
    named = {actor.id: actor for actor in stage.scene.actors if actor.id in {"sun", "moon"}}
    orb = next(iter(named), stage.sky.orb)
    if not orb:
        return
    share_x, share_y = stage.sky.orb_at
    actor = named.get(orb)
    size = 200.0 * actor.scale if actor else (120.0 if orb == "moon" else 104.0)
    at_x = stage.width * (share_x if stage.lots.branch("orb").likely(0.6) else 1 - share_x)
    at_y = min(stage.horizon * share_y, stage.horizon - (0 if share_y > 0.8 else size * 0.7))
    stage.orb_at = at_x
    row = vocabulary().subjects[orb]
    pose = drawing(row.svg or orb).pose(None)
    colors = row.colors | ({role: _named(actor.color) for role in row.colors} if actor and actor.color else {})
    halo = next(iter(colors.values()))
    defs, paint = stage.gradient((0, halo, 0.75), (0.25, halo, 0.35), (1, halo, 0), radial=True)
    reach = size * (2.6 if orb == "sun" else 1.7)
    stage.back.append(f'{defs}<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="{reach:.1f}" fill="{paint}"/>')
    spot = Spot(at_x, at_y + size / 2, size)
    stage.back.append(placed(row.svg or orb, pose, colors, spot, stage.light, stage.mark()))


def _named(color: str) -> str:
    return str(vocabulary().value("colors", color))


def _clouds(stage: Stage) -> None:
    lots = stage.lots.branch("clouds")
    asked = next((actor for actor in stage.scene.actors if actor.id == "cloud"), None)
    count = max(stage.sky.clouds, 4 + asked.count if asked else 0)
    base = mix(mix("#ffffff", stage.sky.middle, 0.25), stage.sky.low, 0.3)
    if stage.sky.strength > 0.7:
        base = mix(base, stage.sky.middle, 0.72)
    elif stage.scene.weather in {"rain", "storm"}:
        base = mix(base, stage.sky.top, 0.55)
    if asked and asked.color:
        base = _named(asked.color)
    drawn = drawing("cloud")
    for index in range(round(count * max(1.0, stage.width / 1300))):
        depth = lots.between(0, 1)
        y = stage.horizon * (0.1 + 0.72 * depth)
        height = stage.horizon * (0.2 - 0.13 * depth) * lots.between(0.8, 1.25)
        if asked and index < asked.count:
            y, height = stage.horizon * lots.between(0.3, 0.5), stage.horizon * 0.32
        x = stage.width * (index + lots.between(0.1, 0.9)) / max(1, round(count * max(1.0, stage.width / 1300)))
        spot = Spot(x, y + height / 2, height, depth * 0.5, lots.likely(0.5))
        color = {"puff": mix(base, stage.sky.low, depth * 0.5)}
        pose = drawn.pose(lots.pick(tuple(drawn.poses)))
        stage.back.append(placed("cloud", pose, color, spot, stage.light, stage.mark()))


def ridge(stage: Stage, base: float, height: float, rough: float, name: str) -> str:
    """A skyline from edge to edge: the `d` of a closed path standing at y = `base`, about `height` tall."""
    lots = stage.lots.branch(name)
    waves = [(lots.between(0.6, 1.2) * k, lots.between(0, 6.28), 1 / k) for k in (1.0, 2.1, 3.7 * rough, 7.3 * rough)]
    steps = 48
    points = []
    for step in range(steps + 1):
        t = step / steps
        level = sum(share * math.sin(freq * t * 6.283 + phase) for freq, phase, share in waves) / 1.9
        points.append(f"{stage.width * t:.1f} {base - height * (0.55 + 0.45 * level):.1f}")
    return f"M0 {base:.1f} L{' L'.join(points)} L{stage.width:.1f} {base:.1f}Z"


def _ridges(stage: Stage) -> None:
    far = stage.scene.composition == "panorama" or stage.place == "mountains"
    for index, (height, depth) in enumerate(((0.2, 0.85), (0.13, 0.62), (0.07, 0.4))[0 if far else 1 :]):
        color = stage.lit(stage.ground.ridges, depth)
        defs, paint = stage.gradient((0, color, 1), (1, mix(color, stage.sky.haze, 0.55), 1))
        shape = ridge(stage, stage.horizon + 26, stage.horizon * height, 1.0, f"ridge{index}")
        stage.back.append(f'{defs}<path d="{shape}" fill="{paint}"/>')


def paint_falling(stage: Stage, bounds: tuple[float, float, float, float] | None = None) -> str:
    """Rain or snow over `bounds` (x, y, width, height; the whole picture when absent), as SVG."""
    x0, y0, width, height = bounds or (0.0, 0.0, stage.width, stage.height)
    lots = stage.lots.branch("falling")
    parts: dict[float, list[str]] = {}
    area = width * height / 1_000_000
    if stage.falls == "rain":
        for _ in range(round(170 * area)):
            x, y = x0 + lots.between(0, width), y0 + lots.between(-0.05, 1) * height
            near = lots.pick((0.35, 0.6, 1.0))
            parts.setdefault(near, []).append(pen("M", x, y, "l", -9 * near, 58 * near))
        color = tone(stage.sky.low, "light")
        return "".join(
            stroke("".join(drops), color, 1.1 + 1.5 * near, opacity=0.25 + 0.3 * near)
            for near, drops in sorted(parts.items())
        )
    if stage.falls == "snow":
        flakes = []
        for _ in range(round(150 * area)):
            near = lots.between(0, 1) ** 2.2
            x, y = x0 + lots.between(0, width), y0 + lots.between(0, height)
            flakes.append(circle(x, y, 1.8 + 7 * near, "#ffffff", opacity=0.9 - 0.4 * near))
        return "".join(flakes)
    return ""


def paint_lightning(stage: Stage) -> None:
    """One bolt from the clouds to the horizon."""
    lots = stage.lots.branch("bolt")
    x, y = stage.width * lots.between(0.2, 0.8), stage.horizon * 0.12
    points = [f"{x:.0f} {y:.0f}"]
    while y < stage.horizon * 0.96:
        x, y = x + lots.between(-60, 60), y + stage.horizon * lots.between(0.07, 0.14)
        points.append(f"{x:.0f} {min(y, stage.horizon):.0f}")
    for color, wide, alpha in (("#b9c8ff", 22, 0.18), ("#dfe6ff", 10, 0.4), ("#ffffff", 4, 1)):
        stage.back.append(stroke("M" + " L".join(points), color, wide, opacity=alpha))
