"""Outdoor grounds: land, shore, water, street. Each painter draws onto the stage's layers."""

from cavendish.engines.illustrator.art import Spot, drawing, placed
from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.palette import mix, tone
from cavendish.engines.illustrator.scenery import LEAF_COLORS, Stage
from cavendish.engines.illustrator.shapes import path, stroke
from cavendish.engines.illustrator.sky import paint_sky, ridge
from cavendish.engines.illustrator.vocabulary import vocabulary


def foot(stage: Stage, depth: float) -> float:
    """The y at which something at `depth` (0 near, 1 horizon) stands."""
    return stage.horizon + (stage.height * 0.92 - stage.horizon) * (1 - depth) ** 1.4


def shadow(stage: Stage, x: float, y: float, width: float, depth: float = 0.0) -> str:
    """A soft contact shadow under something `width` wide."""
    dark = mix(stage.lit(stage.ground.near, depth), "#141428", 0.6)
    defs, paint = stage.gradient((0, dark, 0.6), (0.55, dark, 0.34), (1, dark, 0), radial=True)
    return (
        f'{defs}<ellipse cx="{x + width * 0.05:.1f}" cy="{y:.1f}" rx="{width * 0.58:.1f}" '
        f'ry="{max(3.0, width * 0.085):.1f}" fill="{paint}"/>'
    )


def decorate(stage: Stage, names: tuple[str, ...], *, grow: float = 1.0, each: int = 3) -> None:
    """The place's own subjects at the sides and in the distance, far ones first; never those the prompt names."""
    lots = stage.lots.branch("decor")
    rows = vocabulary().subjects
    taken = {actor.id for actor in stage.scene.actors}
    spots: list[tuple[float, float, str]] = []
    for name in names:
        if name in taken and name != "tree":
            continue
        small = rows[name].size < 1.2
        for number in range(each + 2 if small else each):
            depth = lots.between(0.12, 0.62) if small else lots.between(0.42, 0.9)
            side = (number + lots.between(0.1, 0.9)) / (each + 2 if small else each)
            if depth < 0.6 and not small:  # near things keep to the edges
                side = lots.pick((lots.between(-0.02, 0.14), lots.between(0.86, 1.02)))
            spots.append((depth, side * stage.width, name))
    for depth, x, name in sorted(spots, reverse=True):
        row = rows[name]
        drawn = drawing(row.svg or name)
        pose = drawn.pose(None)
        near = (foot(stage, depth) - stage.horizon) / (stage.height - stage.horizon)
        height = min(stage.height, 900) * (0.14 + 0.62 * near) * (row.size**0.42) * 0.36 * lots.between(0.8, 1.2) * grow
        spot = Spot(x, foot(stage, depth), height, depth * 0.85, lots.likely(0.5))
        colors = dict(row.colors)
        leaves = LEAF_COLORS.get(stage.scene.season or ("winter" if stage.scene.weather == "snow" else ""))
        if leaves and "leaf" in colors and (name == "tree" or (name == "pine" and leaves is LEAF_COLORS["winter"])):
            colors["leaf"] = lots.pick(leaves)
        stage.middle.append(shadow(stage, x, spot.y, spot.width(pose) * 0.7, depth))
        stage.middle.append(placed(row.svg or name, pose, colors, spot, stage.light, stage.mark()))


def paint_land(stage: Stage) -> None:
    """Rolling ground with tufts or ripples: meadow, forest, desert, snow."""
    paint_sky(stage)
    ground, height, width = stage.ground, stage.height, stage.width
    near, far = stage.lit(ground.near), stage.lit(ground.far, 0.35)
    for index, (level, rise) in enumerate(((0.0, 0.05), (0.16, 0.09), (0.46, 0.12))):
        base = stage.horizon + (height - stage.horizon) * level
        top, bottom = mix(far, near, level), mix(far, near, min(1.0, level + 0.5))
        defs, paint = stage.gradient((0, tone(top, "light"), 1), (0.35, top, 1), (1, bottom, 1))
        body = ridge(stage, base + height * rise, height * rise, 0.5, f"land{index}").removesuffix("Z")
        stage.middle.append(f'{defs}<path d="{body} V{height:g} H0Z" fill="{paint}"/>')
    if stage.place == "desert":
        _ripples(stage)
    elif stage.place != "snowfield" and stage.scene.weather != "snow" and stage.scene.season != "winter":
        _tufts(stage)
    else:
        _drifts(stage)
    decorate(stage, ground.decor, each=5 if stage.place == "forest" else 3, grow=1.5 if stage.place == "forest" else 1)


def _tufts(stage: Stage) -> None:
    lots = stage.lots.branch("tufts")
    blades: dict[int, list[str]] = {0: [], 1: [], 2: []}
    dots: list[str] = []
    for _ in range(round(90 * stage.width / 1000)):
        depth = lots.between(0, 0.8)
        x, y, size = lots.between(0, stage.width), foot(stage, depth) + stage.height * 0.06, 30 * (1.1 - depth)
        shape = (
            f"M{x:.0f} {y:.0f}q{-size * 0.3:.0f} {-size * 0.5:.0f} {-size * 0.55:.0f} {-size * 0.8:.0f}q{size * 0.4:.0f} "
            f"{size * 0.2:.0f} {size * 0.5:.0f} {size * 0.5:.0f}q0 {-size * 0.6:.0f} {size * 0.15:.0f} {-size:.0f}"
            f"q{size * 0.15:.0f} {size * 0.5:.0f} {size * 0.12:.0f} {size * 0.55:.0f}q{size * 0.2:.0f} {-size * 0.4:.0f} "
            f"{size * 0.5:.0f} {-size * 0.55:.0f}q{-size * 0.1:.0f} {size * 0.4:.0f} {-size * 0.3:.0f} {size * 0.8:.0f}Z"
        )
        blades[lots.whole(0, 2)].append(shape)
        if stage.place == "meadow" and lots.likely(0.35):
            color = stage.lit(lots.pick(("#fff4d8", "#f7c8d8", "#ffd95a", "#ffffff")), depth * 0.5)
            dots.append(f'<circle cx="{x + size:.0f}" cy="{y - size * 0.3:.0f}" r="{size * 0.14:.1f}" fill="{color}"/>')
    near = stage.lit(stage.ground.near)
    for shade, shapes in enumerate(blades.values()):
        color = (tone(near, "shade"), tone(near, "deep"), tone(near, "light"))[shade]
        stage.middle.append(f'<path d="{"".join(shapes)}" fill="{color}" opacity="0.75"/>')
    stage.middle.append("".join(dots))


def _ripples(stage: Stage) -> None:
    lots = stage.lots.branch("ripples")
    lines = []
    for _ in range(26):
        depth = lots.between(0, 0.85)
        x, y, long = lots.between(-100, stage.width), foot(stage, depth) + stage.height * 0.05, 260 * (1.1 - depth)
        lines.append(f"M{x:.0f} {y:.0f}q{long * 0.25:.0f} {-9 * (1 - depth):.1f} {long * 0.5:.0f} 0t{long * 0.5:.0f} 0")
    color = tone(stage.lit(stage.ground.near), "shade")
    stage.middle.append(f'<path d="{"".join(lines)}" fill="none" stroke="{color}" stroke-width="3" opacity="0.6"/>')


def _drifts(stage: Stage) -> None:
    lots = stage.lots.branch("drifts")
    for _ in range(9):
        depth = lots.between(0, 0.7)
        x, y, long = lots.between(0, stage.width), foot(stage, depth) + stage.height * 0.05, 330 * (1.1 - depth)
        color = mix(stage.lit("#c9d9ec"), stage.lit(stage.ground.near), 0.4)
        stage.middle.append(
            f'<ellipse cx="{x:.0f}" cy="{y:.0f}" rx="{long:.0f}" ry="{long * 0.05:.0f}" fill="{color}" opacity="0.55"/>'
        )


def water(stage: Stage, top: float, bottom: float) -> None:
    """A sheet of water between two heights, with wavelets and the light's path on it."""
    near = mix(stage.lit(stage.ground.near), stage.sky.top, 0.25)
    far = mix(stage.lit(stage.ground.far), stage.sky.low, 0.6)
    defs, paint = stage.gradient((0, far, 1), (0.3, mix(far, near, 0.55), 1), (1, near, 1))
    stage.middle.append(
        f'{defs}<rect y="{top:.1f}" width="{stage.width:g}" height="{bottom - top + 2:.1f}" fill="{paint}"/>'
    )
    lots = stage.lots.branch("waves")
    light: list[str] = []
    dark: list[str] = []
    for _ in range(round(95 * stage.width / 1000)):
        depth = lots.between(0.02, 1)
        y, x = top + (bottom - top) * depth**1.5, lots.between(-60, stage.width)
        long = (30 + 130 * depth) * lots.between(0.6, 1.2)
        wave = f"M{x:.0f} {y:.1f}q{long / 4:.1f} {-2 - 9 * depth:.1f} {long / 2:.1f} 0t{long / 2:.1f} 0"
        (light if lots.likely(0.55) else dark).append(wave)
    crest = mix(near, "#ffffff", 0.5) if stage.sky.strength < 0.7 else mix(near, stage.sky.low, 0.6)
    for shapes, color in ((dark, tone(near, "deep")), (light, crest)):
        stage.middle.append(
            f'<path d="{"".join(shapes)}" fill="none" stroke="{color}" stroke-width="3.2" stroke-linecap="round" '
            f'opacity="0.5"/>'
        )


def _glitter(stage: Stage, top: float, bottom: float) -> None:
    """The light's path on the water under a sun or moon."""
    if stage.orb_at is None:
        return
    lots = stage.lots.branch("glitter")
    color = mix(stage.sky.low, "#fffbe6", 0.55)
    dashes = []
    for _ in range(70):
        depth = lots.between(0, 1)
        y = top + 4 + (bottom - top) * depth**1.3
        spread = 26 + 130 * depth
        x, long = stage.orb_at + lots.between(-spread, spread), (14 + 70 * depth) * lots.between(0.5, 1.2)
        dashes.append(f"M{x - long / 2:.0f} {y:.0f}h{long:.0f}")
    stage.middle.append(stroke("".join(dashes), color, 4, opacity=0.62))


def paint_water(stage: Stage) -> None:
    """Open water to the horizon; a lake has banks on both sides of it."""
    paint_sky(stage, ridges=stage.place == "lake")
    water(stage, stage.horizon, stage.height)
    _glitter(stage, stage.horizon, stage.height * 0.95)
    if stage.place == "lake":
        bank = stage.lit("#6f9c5a", 0.45)
        stage.middle.append(
            f'<path d="{ridge(stage, stage.horizon + 12, 34, 0.6, "bank")}" fill="{bank}"/>'
        )  # fmt: skip
        _far_trees(stage)
        _near_bank(stage)


def _far_trees(stage: Stage) -> None:
    lots, rows = stage.lots.branch("bank"), vocabulary().subjects
    for number in range(round(stage.width / 60)):
        name = lots.pick(("pine", "pine", "tree"))
        x = (number + lots.between(0, 1)) * 60
        if 0.36 < x / stage.width < 0.64 and lots.likely(0.7):
            continue
        spot = Spot(x, stage.horizon + 12, lots.between(46, 100), 0.55, lots.likely(0.5))
        pose = drawing(name).pose(None)
        stage.middle.append(placed(name, pose, rows[name].colors, spot, stage.light, stage.mark()))


def _near_bank(stage: Stage) -> None:
    """A grassy edge in front, for whatever does not swim."""
    top = stage.height * 0.84
    grass = stage.lit("#6aa04c")
    crest = ridge(stage, top + 60, 60, 0.5, "nearbank").removesuffix("Z") + f" V{stage.height:.0f} H0Z"
    defs, paint = stage.gradient((0, tone(grass, "light"), 1), (1, tone(grass, "shade"), 1))
    stage.middle.append(path(crest, tone(grass, "deep"), opacity=0.5, move=(0, -9)) + defs + path(crest, paint))
    lots = stage.lots.branch("reeds")
    blades = "".join(
        f"M{(x := lots.between(0, stage.width)):.0f} {top + 50:.0f}q{lots.between(-14, 14):.0f} -40 {lots.between(-20, 20):.0f} {lots.between(-90, -50):.0f}"
        for _ in range(round(stage.width / 30))
    )
    stage.middle.append(stroke(blades, tone(grass, "shade"), 5, opacity=0.8))


def paint_shore(stage: Stage) -> None:
    """Sand in front, surf, sea behind."""
    paint_sky(stage, ridges=False)
    height, width = stage.height, stage.width
    land = stage.ground
    stage.ground = type(land)(painter="water", near="#2f9cba", far="#8fd4dc", ridges=land.ridges)
    edge = stage.horizon + (height - stage.horizon) * 0.4
    water(stage, stage.horizon, edge + 30)
    stage.ground = land
    near, far = stage.lit(land.near), stage.lit(land.far)
    surf = (
        f"M0 {edge:.0f}C{width * 0.2:.0f} {edge - 26:.0f} {width * 0.35:.0f} {edge + 30:.0f} {width * 0.55:.0f} "
        f"{edge + 6:.0f}S{width * 0.85:.0f} {edge - 20:.0f} {width:.0f} {edge + 14:.0f}V{height:.0f}H0Z"
    )
    defs, paint = stage.gradient((0, mix(far, near, 0.5), 1), (0.12, far, 1), (1, near, 1))
    stage.middle.append(
        f'<path d="{surf}" fill="{stage.lit("#ffffff")}" transform="translate(0 -16)" opacity="0.9"/>'
        f'<path d="{surf}" fill="{tone(near, "shade")}" transform="translate(0 -3)"/>{defs}<path d="{surf}" fill="{paint}" '
        f'transform="translate(0 12)"/>'
    )
    lots = stage.lots.branch("sand")
    for _ in range(40):
        x, y = lots.between(0, width), edge + 50 + (height - edge) * lots.between(0, 1)
        stage.middle.append(
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{lots.between(1.5, 4):.1f}" fill="{tone(near, "shade")}" opacity="0.6"/>'
        )
    decorate(stage, land.decor, each=2, grow=1.9)


def paint_street(stage: Stage) -> None:
    """A row of fronts behind a pavement and a road."""
    paint_sky(stage)
    lots = stage.lots.branch("street")
    height, width, base = stage.height, stage.width, stage.horizon + (stage.height - stage.horizon) * 0.22
    for row, (depth, low, high) in enumerate(((0.7, 0.3, 0.62), (0.25, 0.2, 0.42))):
        x = lots.between(-90, 0)
        while x < width:
            wide, tall = lots.between(90, 170), stage.horizon * lots.between(low, high) + (base - stage.horizon)
            _front(stage, x, base - tall, wide, tall, depth, lots.branch(f"{row}{x:.0f}"))
            x += wide + lots.between(0, 10)
    walk, road = stage.lit("#c9c4bc"), stage.lit(stage.ground.near)
    curb = base + (height - base) * 0.22
    defs, paint = stage.gradient((0, tone(road, "light"), 1), (1, tone(road, "shade"), 1))
    stage.middle.append(
        f'<rect y="{base:.0f}" width="{width:g}" height="{curb - base:.0f}" fill="{walk}"/>'
        f'<rect y="{curb:.0f}" width="{width:g}" height="14" fill="{tone(walk, "deep")}"/>'
        f'{defs}<rect y="{curb + 14:.0f}" width="{width:g}" height="{height - curb:.0f}" fill="{paint}"/>'
    )
    y = curb + (height - curb) * 0.62
    stripes = "".join(f"M{x:.0f} {y:.0f}h110l14 18h-116Z" for x in range(-40, round(width), 240))
    stage.middle.append(f'<path d="{stripes}" fill="{stage.lit("#f6edd2")}" opacity="0.85"/>')
    lamp = vocabulary().subjects["streetlamp"]
    for share in (0.08, 0.92):
        spot = Spot(width * share, curb - 4, (curb - stage.horizon * 0.42), mirrored=share > 0.5)
        stage.middle.append(
            placed("streetlamp", drawing("streetlamp").pose(None), lamp.colors, spot, stage.light, stage.mark())
        )


def _front(stage: Stage, x: float, y: float, wide: float, tall: float, depth: float, lots: Chance) -> None:
    wall = lots.pick(("#d9a58a", "#cfc0ad", "#a9b8c4", "#e0c493", "#b98f86", "#9fb0a2", "#d6d0c6"))
    color = stage.lit(wall, depth)
    dark = stage.sky.strength > 0.55
    stage.middle.append(
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{wide:.0f}" height="{tall:.0f}" fill="{color}"/>'
        f'<rect x="{x + wide * 0.78:.0f}" y="{y:.0f}" width="{wide * 0.22:.0f}" height="{tall:.0f}" fill="{tone(color, "shade")}"/>'
        f'<rect x="{x - 4:.0f}" y="{y - 8:.0f}" width="{wide + 8:.0f}" height="12" fill="{tone(color, "deep")}"/>'
    )
    lit, dull = [], []
    columns = max(2, round(wide / 42))
    for line in range(max(1, int(tall // 58) - 1)):
        for column in range(columns):
            left, top = x + wide * (column + 0.28) / columns, y + 24 + line * 58
            box = f"M{left:.0f} {top:.0f}h{wide * 0.44 / columns:.0f}v34h{-wide * 0.44 / columns:.0f}Z"
            (lit if lots.likely(0.55 if dark else 0.12) else dull).append(box)
    glow = "#ffd98a" if dark else stage.lit("#fff0c4", depth)
    pane = stage.lit("#46587a" if dark else "#8fb4c8", depth)
    stage.middle.append(f'<path d="{"".join(dull)}" fill="{pane}"/><path d="{"".join(lit)}" fill="{glow}"/>')
