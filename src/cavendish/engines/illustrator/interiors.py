"""Rooms, table tops, the view through a window; and the places without a horizon: under water, space, a studio."""

from cavendish.engines.illustrator.art import Spot, drawing, placed
from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.palette import Light, mix, tone
from cavendish.engines.illustrator.scenery import Stage
from cavendish.engines.illustrator.shapes import path
from cavendish.engines.illustrator.sky import paint_falling, ridge
from cavendish.engines.illustrator.vocabulary import vocabulary

WARM = Light("#fff0d8", 0.35, "#f0dcc4")
LAMPLIGHT = Light("#ffc98a", 0.5, "#b98a6a")


def indoors(stage: Stage) -> Light:
    """The light inside: daylight through glass, or lamps when it is dark outside."""
    return LAMPLIGHT if stage.scene.time in {"night", "dusk"} else WARM


def prop(
    stage: Stage, name: str, spot: Spot, light: Light, layer: list[str], colors: dict[str, str] | None = None
) -> None:
    """A subject as a piece of scenery."""
    row = vocabulary().subjects[name]
    drawn = drawing(row.svg or name)
    merged = row.colors | (colors or {})
    layer.append(placed(row.svg or name, drawn.pose(row.pose), merged, spot, light, stage.mark()))


def _wall(stage: Stage, bottom: float) -> None:
    color = stage.light.on(stage.ground.far)
    defs, paint = stage.gradient((0, color, 1), (1, tone(color, "shade"), 1), along="x")
    stage.back.append(f'{defs}<rect width="{stage.width:g}" height="{bottom + 2:.0f}" fill="{paint}"/>')


def _boards(stage: Stage, top: float, color: str, planks: int = 7) -> None:
    """A wooden surface from `top` to the lower edge, seen in perspective."""
    width, height = stage.width, stage.height
    defs, paint = stage.gradient((0, tone(color, "light"), 1), (0.4, color, 1), (1, tone(color, "deep"), 1))
    stage.middle.append(f'{defs}<rect y="{top:.0f}" width="{width:g}" height="{height - top:.0f}" fill="{paint}"/>')
    seams = "".join(
        f"M{width * (0.5 + (k - planks / 2) * 0.13):.0f} {top:.0f}L{width * (0.5 + (k - planks / 2) * 0.3):.0f} {height:.0f}"
        for k in range(planks + 1)
    )
    stage.middle.append(f'<path d="{seams}" stroke="{tone(color, "deep")}" stroke-width="3" opacity="0.55"/>')


def outdoors_behind_glass(stage: Stage, box: tuple[float, float, float, float]) -> str:
    """What is seen outside: soft layers of the weather's sky, hills and trees, fitted to `box`, as SVG."""
    x, y, width, height = box
    sky, lots = stage.sky, stage.lots.branch("outside")
    air = Light(sky.light, sky.strength, sky.haze)
    defs, paint = stage.gradient((0, sky.top, 1), (0.5, sky.middle, 1), (1, sky.low, 1))
    parts = [f'{defs}<rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" fill="{paint}"/>']
    if sky.orb and not stage.falls:
        glow, halo = stage.gradient((0, "#fff4d0", 0.9), (0.3, "#fff0c0", 0.5), (1, "#fff0c0", 0), radial=True)
        parts.append(
            f'{glow}<circle cx="{x + width * 0.74:.0f}" cy="{y + height * 0.22:.0f}" r="{width * 0.22:.0f}" fill="{halo}"/>'
        )
    for depth, level, color in ((0.75, 0.62, "#7f9ca8"), (0.45, 0.74, "#6d9470"), (0.15, 0.88, "#557f4c")):
        crest = ridge(stage, y + height * level + height * 0.12, height * 0.16, 0.6, f"outside{level}")
        parts.append(f'<path d="{crest.removesuffix("Z")} V{y + height:.0f} H0Z" fill="{air.on(color, depth)}"/>')
    for _ in range(9):
        depth = lots.between(0.1, 0.6)
        at, tall = x + width * lots.between(0, 1), height * (0.36 - 0.3 * depth) * lots.between(0.8, 1.3)
        row = vocabulary().subjects[lots.pick(("tree", "pine"))]
        name = "tree" if row.size < 7 else "pine"
        spot = Spot(at, y + height * (0.97 - 0.28 * depth), tall * 1.3, depth, lots.likely(0.5))
        parts.append(placed(name, drawing(name).pose(None), row.colors, spot, air, stage.mark()))
    if stage.scene.time in {"night", "dusk"} or stage.falls == "rain":
        for _ in range(16):  # lamps out of focus
            at, level = x + width * lots.between(0.03, 0.97), y + height * lots.between(0.5, 0.82)
            color = lots.pick(("#ffd98a", "#ffb870", "#fff0c4", "#ff9c7a"))
            parts.append(
                f'<circle cx="{at:.0f}" cy="{level:.0f}" r="{width * lots.between(0.008, 0.022):.0f}" fill="{color}" opacity="{lots.between(0.25, 0.6):.2f}"/>'
            )
    return "".join(parts)


def _drops(stage: Stage, box: tuple[float, float, float, float]) -> str:
    """Rain on the pane: beads and the tracks they leave."""
    x, y, width, height = box
    lots, parts = stage.lots.branch("drops"), []
    for _ in range(round(width * height / 4200)):
        cx, cy, r = x + width * lots.between(0, 1), y + height * lots.between(0, 1), lots.between(1.6, 5.2)
        parts.append(
            f'<ellipse cx="{cx:.0f}" cy="{cy:.0f}" rx="{r:.1f}" ry="{r * 1.25:.1f}" fill="#dfeaf2" opacity="0.42"/>'
            f'<circle cx="{cx - r * 0.3:.1f}" cy="{cy - r * 0.4:.1f}" r="{r * 0.35:.1f}" fill="#ffffff" opacity="0.85"/>'
        )
    tracks = []
    for _ in range(round(width / 42)):
        cx, cy, long = (
            x + width * lots.between(0, 1),
            y + height * lots.between(0, 0.6),
            height * lots.between(0.1, 0.32),
        )
        tracks.append(f"M{cx:.0f} {cy:.0f}q{lots.between(-7, 7):.0f} {long * 0.5:.0f} 0 {long:.0f}")
        parts.append(f'<ellipse cx="{cx:.0f}" cy="{cy + long:.0f}" rx="5" ry="8" fill="#eef5fa" opacity="0.7"/>')
    return (
        f'<path d="{"".join(tracks)}" stroke="#eef5fa" stroke-width="3.4" stroke-linecap="round" fill="none" opacity="0.36"/>'
        + "".join(parts)
    )


def _window(
    stage: Stage, box: tuple[float, float, float, float], bars: tuple[int, int], frame: str, thick: float
) -> None:
    """A window: the view into `stage.back`, wet glass and frame into `stage.middle`."""
    x, y, width, height = box
    name = stage.mark()
    clip = f'<clipPath id="{name}"><rect x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}"/></clipPath>'
    view = outdoors_behind_glass(stage, box) + paint_falling(stage, box)
    stage.back.append(f'{clip}<g clip-path="url(#{name})">{view}</g>')
    if stage.falls == "rain":
        stage.middle.append(_drops(stage, box))
    light, dark = tone(frame, "light"), tone(frame, "shade")
    stage.middle.append(
        f'<path d="M{x + width * 0.1:.0f} {y:.0f}h{width * 0.12:.0f}l{-width * 0.2:.0f} {height * 0.5:.0f}v{-height * 0.3:.0f}Z" fill="#ffffff" opacity="0.14"/>'
    )
    columns, lines = bars
    slats = [(x + width * k / columns - thick / 3, y, thick / 1.5, height) for k in range(1, columns)]
    slats += [(x, y + height * k / lines * 0.84 - thick / 3, width, thick / 1.5) for k in range(1, lines)]
    edges = [
        (x - thick, y - thick, width + 2 * thick, thick), (x - thick, y, thick, height), (x + width, y, thick, height),
    ]  # fmt: skip
    for left, top, wide, tall in slats + edges:
        stage.middle.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{tall:.1f}" fill="{frame}"/>'
            + (
                f'<rect x="{left + wide * 0.72:.1f}" y="{top:.1f}" width="{wide * 0.28:.1f}" height="{tall:.1f}" fill="{dark}"/>'
                if tall > wide
                else f'<rect x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{tall * 0.3:.1f}" fill="{light}"/>'
            )
        )


def _curtain(stage: Stage, x: float, wide: float, color: str, *, left: bool) -> None:
    """A gathered curtain hanging at one side of a window."""
    height = stage.height
    defs, paint = stage.gradient(
        *((k / 8, tone(color, "light") if k % 2 else tone(color, "shade"), 1) for k in range(9)), along="x"
    )
    inner = x + wide if left else x
    outer = x if left else x + wide
    bow = (inner - outer) * 0.42
    shape = (
        f"M{outer:.0f} -10H{inner:.0f}C{inner:.0f} {height * 0.3:.0f} {outer + bow:.0f} {height * 0.46:.0f} {outer + bow * 0.9:.0f} "
        f"{height * 0.58:.0f}C{outer + bow * 1.5:.0f} {height * 0.72:.0f} {outer + bow * 1.4:.0f} {height * 0.9:.0f} {outer + bow * 1.5:.0f} {height + 10:.0f}H{outer:.0f}Z"
    )
    tie = f"M{outer:.0f} {height * 0.565:.0f}Q{outer + bow * 0.5:.0f} {height * 0.59:.0f} {outer + bow:.0f} {height * 0.57:.0f}v18Q{outer + bow * 0.5:.0f} {height * 0.615:.0f} {outer:.0f} {height * 0.59:.0f}Z"
    stage.front.append(
        f'{defs}<path d="{shape}" fill="{paint}"/><path d="{tie}" fill="{tone(color, "line")}" opacity="0.8"/>'
    )


def paint_window(stage: Stage) -> None:
    """A window seat: the weather outside, a warm sill inside, curtains, a plant, a cup."""
    inside = indoors(stage)
    stage.light = inside
    width, height = stage.width, stage.height
    sill = height * 0.8
    stage.horizon = sill
    _wall(stage, height)
    margin = min(width * 0.1, 130.0)
    box = (margin, height * 0.05, width - 2 * margin, sill - height * 0.05)
    frame = inside.on("#fbf6ec")
    _window(stage, box, (3 if width > 1500 else 2, 2), frame, 26)
    wood = inside.on(stage.ground.near)
    defs, paint = stage.gradient((0, tone(wood, "glow"), 1), (0.25, tone(wood, "light"), 1), (1, wood, 1))
    glow, shine = stage.gradient((0, stage.sky.low, 0.55), (1, stage.sky.low, 0))
    deep = height * 0.115
    grain = "".join(
        f"M0 {sill + deep * k:.0f}C{width * 0.3:.0f} {sill + deep * k + 6:.0f} {width * 0.6:.0f} {sill + deep * k - 7:.0f} {width:g} {sill + deep * k + 3:.0f}"
        for k in (0.3, 0.52, 0.8)
    )
    stage.middle.append(
        f'{defs}<rect y="{sill:.0f}" width="{width:g}" height="{deep:.0f}" fill="{paint}"/>'
        f'<path d="{grain}" stroke="{tone(wood, "shade")}" stroke-width="2.5" fill="none" opacity="0.5"/>'
        f'{glow}<rect y="{sill:.0f}" width="{width:g}" height="{deep * 0.6:.0f}" fill="{shine}"/>'
        f'<rect y="{sill + deep:.0f}" width="{width:g}" height="26" fill="{tone(wood, "shade")}"/>'
        f'<rect y="{sill + deep + 26:.0f}" width="{width:g}" height="{height:.0f}" fill="{tone(inside.on(stage.ground.far), "shade")}"/>'
        f'<rect y="{sill + deep + 26:.0f}" width="{width:g}" height="16" fill="{tone(wood, "line")}" opacity="0.25"/>'
    )
    taken = {actor.id for actor in stage.scene.actors}
    base = sill + deep * 0.5
    if "pottedplant" not in taken:
        prop(
            stage,
            "pottedplant",
            Spot(width * 0.2 if width < 1300 else width * 0.16, base, height * 0.24),
            inside,
            stage.middle,
        )
    if "cup" not in taken:
        prop(stage, "cup", Spot(width * 0.82, base + 14, height * 0.105), inside, stage.middle, {"glaze": "#5f8fa6"})
    cloth = inside.on("#e3a983" if stage.scene.time != "night" else "#b98a7a")
    _curtain(stage, -20, width * 0.2, cloth, left=True)
    _curtain(stage, width * 0.8 + 20, width * 0.2, cloth, left=False)


def paint_room(stage: Stage) -> None:
    """A living room: wall, window, lamp, picture, floor and rug."""
    inside = indoors(stage)
    stage.light = inside
    width, height = stage.width, stage.height
    floor = height * 0.66
    stage.horizon = height * 0.6
    _wall(stage, floor)
    named = {actor.id for actor in stage.scene.actors}
    box = (width * 0.1, height * 0.1, width * 0.32, height * 0.36)
    _window(stage, box, (2, 2), inside.on("#fbf6ec"), 16)
    stage.middle.append(
        f'<rect x="{box[0] - 34:.0f}" y="{box[1] + box[3]:.0f}" width="{box[2] + 68:.0f}" height="20" fill="{inside.on("#efe4d0")}"/>'
        f'<rect x="{box[0] - 26:.0f}" y="{box[1] + box[3] + 20:.0f}" width="{box[2] + 52:.0f}" height="8" fill="{tone(inside.on(stage.ground.far), "deep")}" opacity="0.5"/>'
    )
    _boards(stage, floor, inside.on(stage.ground.near))
    stage.middle.append(f'<rect y="{floor - 22:.0f}" width="{width:g}" height="22" fill="{inside.on("#fbf6ec")}"/>')
    px, py, pw, ph = width * 0.56, height * 0.16, min(170.0, width * 0.17), min(210.0, height * 0.22)
    stage.middle.append(
        f'<rect x="{px:.0f}" y="{py:.0f}" width="{pw:.0f}" height="{ph:.0f}" fill="{inside.on("#8a5a36")}"/>'
        f'<rect x="{px + 12:.0f}" y="{py + 12:.0f}" width="{pw - 24:.0f}" height="{ph - 24:.0f}" fill="{inside.on("#f7f0e2")}"/>'
        f'<circle cx="{px + pw * 0.62:.0f}" cy="{py + ph * 0.38:.0f}" r="{pw * 0.13:.0f}" fill="{inside.on("#e8794f")}"/>'
        f'<path d="M{px + 16:.0f} {py + ph * 0.8:.0f}L{px + pw * 0.4:.0f} {py + ph * 0.46:.0f}L{px + pw * 0.62:.0f} {py + ph * 0.7:.0f}'
        f'L{px + pw * 0.76:.0f} {py + ph * 0.58:.0f}L{px + pw - 16:.0f} {py + ph * 0.8:.0f}Z" fill="{inside.on("#4b7f8f")}"/>'
    )
    rug = inside.on("#c96f5a")
    stage.middle.append(
        f'<ellipse cx="{width / 2:.0f}" cy="{height * 0.87:.0f}" rx="{width * 0.4:.0f}" ry="{height * 0.085:.0f}" fill="{rug}"/>'
        f'<ellipse cx="{width / 2:.0f}" cy="{height * 0.87:.0f}" rx="{width * 0.35:.0f}" ry="{height * 0.068:.0f}" fill="none" stroke="{inside.on("#f6e3c4")}" stroke-width="7"/>'
    )
    if "lamp" not in named:
        prop(stage, "lamp", Spot(width * 0.88, floor + 30, height * 0.42), inside, stage.middle)
    if "pottedplant" not in named:
        prop(stage, "pottedplant", Spot(width * 0.06 + 30, floor + 26, height * 0.26), inside, stage.middle)


def paint_table(stage: Stage) -> None:
    """A still life's table before a wall with soft window light."""
    inside = indoors(stage)
    stage.light = inside
    width, height = stage.width, stage.height
    edge = height * (0.6 if stage.scene.composition != "top" else 0.2)
    stage.horizon = edge
    _wall(stage, edge)
    glow, halo = stage.gradient((0, "#fff6dc", 0.85), (1, "#fff6dc", 0), radial=True)
    shade = tone(inside.on(stage.ground.far), "deep")
    stage.back.append(
        f'{glow}<ellipse cx="{width * 0.22:.0f}" cy="{height * 0.2:.0f}" rx="{width * 0.5:.0f}" ry="{height * 0.45:.0f}" fill="{halo}"/>'
        f'<g fill="#fffbe8" opacity="0.4"><path d="M{width * 0.5:.0f} {height * 0.06:.0f}l150 30v150l-150 -30ZM{width * 0.5 + 172:.0f} {height * 0.06 + 34:.0f}l150 30v150l-150 -30Z'
        f'M{width * 0.5:.0f} {height * 0.06 + 176:.0f}l150 30v150l-150 -30ZM{width * 0.5 + 172:.0f} {height * 0.06 + 210:.0f}l150 30v150l-150 -30Z"/></g>'
        f'<rect y="{edge - 60:.0f}" width="{width:g}" height="64" fill="{shade}" opacity="0.18"/>'
    )
    _boards(stage, edge, inside.on(stage.ground.near), planks=5)
    stage.middle.append(
        f'<rect y="{edge:.0f}" width="{width:g}" height="7" fill="{tone(inside.on(stage.ground.near), "glow")}"/>'
    )


def paint_underwater(stage: Stage) -> None:
    """Blue depth with light shafts, bubbles, weed and a sandy bed."""
    width, height, lots = stage.width, stage.height, stage.lots.branch("deep")
    night = stage.scene.time == "night"
    stage.light = Light("#bfeaf2" if not night else "#6f9ccc", 0.3, "#3f9fc0" if not night else "#1f4f80")
    stage.horizon = height * 0.62
    top, mid, low = ("#7fe0e6", "#2795bd", "#124f82") if not night else ("#2f6fa0", "#15487c", "#0a2450")
    defs, paint = stage.gradient((0, top, 1), (0.45, mid, 1), (1, low, 1))
    shaft, ray = stage.gradient((0, "#ffffff", 0.4), (1, "#ffffff", 0))
    stage.back.append(f'{defs}<rect width="{width:g}" height="{height:g}" fill="{paint}"/>{shaft}')
    for k in range(5):
        x, wide = width * (0.08 + 0.2 * k) + lots.between(-40, 40), lots.between(30, 90)
        stage.back.append(
            f'<path d="M{x:.0f} -5h{wide:.0f}l{wide * 1.6:.0f} {height * 0.72:.0f}h{-wide * 2:.0f}Z" fill="{ray}" opacity="0.6"/>'
        )
    for k, (level, depth) in enumerate(((0.8, 0.7), (0.86, 0.35), (0.93, 0.0))):
        crest = ridge(stage, height * level + 40, height * 0.09, 0.7, f"bed{k}").removesuffix("Z")
        stage.middle.append(f'<path d="{crest} V{height:g} H0Z" fill="{stage.lit(stage.ground.near, depth)}"/>')
        for _ in range(4):
            side = lots.pick((lots.between(-0.02, 0.26), lots.between(0.74, 1.02)))
            color = stage.lit(lots.pick(("#3f9c5a", "#2f8c78", "#c9556f", "#d97a44")), depth)
            at = (width * side, height * (level + 0.05))
            stage.middle.append(_weed(at, height * lots.between(0.14, 0.3) * (1.1 - depth), color, lots))
    for _ in range(26):
        x, y, r = width * lots.between(0, 1), height * lots.between(0.04, 0.8), lots.between(3, 13)
        stage.front.append(
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{r:.1f}" fill="#dff6fa" fill-opacity="0.22" stroke="#eefcff" stroke-width="2" opacity="0.7"/>'
            f'<circle cx="{x - r * 0.35:.1f}" cy="{y - r * 0.35:.1f}" r="{r * 0.22:.1f}" fill="#ffffff" opacity="0.9"/>'
        )


def _weed(foot: tuple[float, float], tall: float, color: str, lots: Chance) -> str:
    """A tuft of ribbon weed, each leaf widest in the middle and swaying to one side."""
    parts = []
    for leaf in range(5):
        x, long = foot[0] + (leaf - 2) * tall * 0.09, tall * lots.between(0.6, 1.0)
        lean, wide = long * lots.between(-0.2, 0.2) + (leaf - 2) * long * 0.08, tall * 0.05
        d = (
            f"M{x - wide * 0.5:.0f} {foot[1]:.0f}C{x - wide * 2 + lean:.0f} {foot[1] - long * 0.35:.0f} {x + wide + lean * 0.2:.0f} "
            f"{foot[1] - long * 0.65:.0f} {x + lean:.0f} {foot[1] - long:.0f}C{x + wide * 3 + lean * 0.2:.0f} {foot[1] - long * 0.6:.0f} "
            f"{x + wide + lean:.0f} {foot[1] - long * 0.35:.0f} {x + wide * 0.6:.0f} {foot[1]:.0f}Z"
        )
        parts.append(path(d, color if leaf % 2 else tone(color, "shade")))
    return "".join(parts)


def paint_space(stage: Stage) -> None:
    """Stars, a nebula, a ringed planet; the grey rim of a moon to stand on."""
    width, height, lots = stage.width, stage.height, stage.lots.branch("space")
    stage.light, stage.horizon = Light("#e6e2ff", 0.15, "#1a1440"), height * 0.7
    defs, paint = stage.gradient((0, "#0a0a24", 1), (0.6, "#1c1748", 1), (1, "#33215e", 1))
    stage.back.append(f'{defs}<rect width="{width:g}" height="{height:g}" fill="{paint}"/>')
    for color in ("#7a4fd0", "#2f7fc4", "#d0508f"):
        cloud, fog = stage.gradient((0, color, 0.5), (0.5, color, 0.18), (1, color, 0), radial=True)
        x, y = width * lots.between(0.1, 0.9), height * lots.between(0.1, 0.6)
        stage.back.append(
            f'{cloud}<ellipse cx="{x:.0f}" cy="{y:.0f}" rx="{lots.between(260, 460):.0f}" ry="{lots.between(150, 260):.0f}" fill="{fog}" transform="rotate({lots.between(-40, 40):.0f} {x:.0f} {y:.0f})"/>'
        )
    dots = "".join(
        f'<circle cx="{lots.between(0, width):.0f}" cy="{lots.between(0, height):.0f}" r="{lots.pick((1.0, 1.3, 1.8, 3.0))}" opacity="{lots.between(0.4, 1):.2f}"/>'
        for _ in range(round(200 * width / 1000))
    )
    stage.middle.append(f'<g fill="#fffaf0">{dots}</g>')
    if "planet" not in {actor.id for actor in stage.scene.actors}:
        prop(stage, "planet", Spot(width * lots.pick((0.16, 0.84)), height * 0.36, 190), stage.light, stage.middle)
    rim = stage.lit(stage.ground.near)
    soil, ground = stage.gradient((0, tone(rim, "light"), 1), (1, tone(rim, "deep"), 1))
    stage.middle.append(
        f'{soil}<ellipse cx="{width / 2:.0f}" cy="{height * 1.32:.0f}" rx="{width * 0.95:.0f}" ry="{height * 0.55:.0f}" fill="{ground}"/>'
    )
    for _ in range(9):
        x, y, r = width * lots.between(0.05, 0.95), height * lots.between(0.86, 0.98), lots.between(16, 60)
        stage.middle.append(
            f'<ellipse cx="{x:.0f}" cy="{y:.0f}" rx="{r:.0f}" ry="{r * 0.28:.0f}" fill="{tone(rim, "shade")}"/>'
            f'<path d="M{x - r:.0f} {y:.0f}a{r:.0f} {r * 0.28:.0f} 0 0 1 {2 * r:.0f} 0a{r:.0f} {r * 0.2:.0f} 0 0 0 {-2 * r:.0f} 0Z" fill="{tone(rim, "deep")}"/>'
        )


def paint_studio(stage: Stage) -> None:
    """A plain seamless backdrop in the prompt's colour."""
    width, height = stage.width, stage.height
    color = str(vocabulary().value("colors", stage.scene.colors[0])) if stage.scene.colors else stage.ground.far
    color = mix(color, "#ffffff", 0.35) if stage.scene.colors else color
    stage.light, stage.horizon = Light(), height * 0.7
    glow, halo = stage.gradient((0, tone(color, "glow"), 1), (0.6, color, 1), (1, tone(color, "shade"), 1), radial=True)
    stage.back.append(
        f'{glow}<rect x="{-width * 0.25:.0f}" y="{-height * 0.35:.0f}" width="{width * 1.5:.0f}" height="{height * 1.6:.0f}" fill="{halo}"/>'
    )
