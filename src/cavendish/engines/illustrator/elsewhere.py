"""Places without a horizon: under water, in space, in a studio."""

from cavendish.engines.illustrator.art import Spot
from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.palette import Light, mix, tone
from cavendish.engines.illustrator.props import prop
from cavendish.engines.illustrator.scenery import Stage
from cavendish.engines.illustrator.shapes import circle, ellipse, path, pen, rect
from cavendish.engines.illustrator.sky import ridge
from cavendish.engines.illustrator.vocabulary import vocabulary


def paint_underwater(stage: Stage) -> None:
    """Blue depth with light shafts, bubbles, weed and a sandy bed."""
    width, height, lots = stage.width, stage.height, stage.lots.branch("deep")
    night = stage.scene.time == "night"
    stage.light = Light("#6f9ccc", 0.3, "#1f4f80") if night else Light("#bfeaf2", 0.3, "#3f9fc0")
    stage.horizon = height * 0.62
    top, mid, low = ("#2f6fa0", "#15487c", "#0a2450") if night else ("#7fe0e6", "#2795bd", "#124f82")
    defs, paint = stage.gradient((0, top, 1), (0.45, mid, 1), (1, low, 1))
    shaft, ray = stage.gradient((0, "#ffffff", 0.4), (1, "#ffffff", 0))
    stage.back += [defs, rect(0, 0, width, height, paint), shaft]
    for k in range(5):
        x, wide = width * (0.08 + 0.2 * k) + lots.between(-40, 40), lots.between(30, 90)
        beam = pen("M", x, -5, "h", wide, "l", wide * 1.6, height * 0.72, "h", -wide * 2, "Z")
        stage.back.append(path(beam, ray, opacity=0.6))
    for k, (level, depth) in enumerate(((0.8, 0.7), (0.86, 0.35), (0.93, 0.0))):
        crest = ridge(stage, height * level + 40, height * 0.09, 0.7, f"bed{k}").removesuffix("Z")
        stage.middle.append(path(crest + pen("V", height, "H 0 Z"), stage.lit(stage.ground.near, depth)))
        for _ in range(4):
            side = lots.pick((lots.between(-0.02, 0.26), lots.between(0.74, 1.02)))
            color = stage.lit(lots.pick(("#3f9c5a", "#2f8c78", "#c9556f", "#d97a44")), depth)
            at = (width * side, height * (level + 0.05))
            stage.middle.append(_weed(at, height * lots.between(0.14, 0.3) * (1.1 - depth), color, lots))
    for _ in range(26):
        x, y, r = width * lots.between(0, 1), height * lots.between(0.04, 0.8), lots.between(3, 13)
        stage.front.append(circle(x, y, r, "#eefcff", opacity=0.4) + circle(x, y, r * 0.84, mid, opacity=0.4))
        stage.front.append(circle(x - r * 0.35, y - r * 0.35, r * 0.22, "#ffffff", opacity=0.9))


def _weed(foot: tuple[float, float], tall: float, color: str, lots: Chance) -> str:
    """A tuft of ribbon weed, each leaf widest in the middle and swaying to one side."""
    parts = []
    for leaf in range(5):
        x, y, long = foot[0] + (leaf - 2) * tall * 0.09, foot[1], tall * lots.between(0.6, 1.0)
        lean, w = long * lots.between(-0.2, 0.2) + (leaf - 2) * long * 0.08, tall * 0.05
        ribbon = pen(
            "M", x - w * 0.5, y, "C", x - w * 2 + lean, y - long * 0.35, x + w + lean * 0.2, y - long * 0.65,
            x + lean, y - long, "C", x + w * 3 + lean * 0.2, y - long * 0.6, x + w + lean, y - long * 0.35,
            x + w * 0.6, y, "Z",
        )  # fmt: skip
        parts.append(path(ribbon, color if leaf % 2 else tone(color, "shade")))
    return "".join(parts)


def paint_space(stage: Stage) -> None:
    """Stars, a nebula, a ringed planet; the grey rim of a moon to stand on."""
    width, height, lots = stage.width, stage.height, stage.lots.branch("space")
    stage.light, stage.horizon = Light("#e6e2ff", 0.15, "#1a1440"), height * 0.7
    defs, paint = stage.gradient((0, "#0a0a24", 1), (0.6, "#1c1748", 1), (1, "#33215e", 1))
    stage.back += [defs, rect(0, 0, width, height, paint)]
    for color in ("#7a4fd0", "#2f7fc4", "#d0508f"):
        cloud, fog = stage.gradient((0, color, 0.5), (0.5, color, 0.18), (1, color, 0), radial=True)
        x, y = width * lots.between(0.1, 0.9), height * lots.between(0.1, 0.6)
        rx, ry, turn = lots.between(260, 460), lots.between(150, 260), lots.between(-40, 40)
        stage.back.append(cloud + ellipse(x, y, rx, ry, fog, turn=turn))
    for _ in range(round(200 * width / 1000)):
        x, y, r = lots.between(0, width), lots.between(0, height), lots.pick((1.0, 1.3, 1.8, 3.0))
        stage.middle.append(circle(x, y, r, "#fffaf0", opacity=lots.between(0.4, 1)))
    prop(stage, "planet", Spot(width * lots.pick((0.16, 0.84)), height * 0.36, 190))
    rim = stage.lit(stage.ground.near)
    soil, ground = stage.gradient((0, tone(rim, "light"), 1), (1, tone(rim, "deep"), 1))
    stage.middle.append(soil + ellipse(width / 2, height * 1.32, width * 0.95, height * 0.55, ground))
    for _ in range(9):
        x, y, r = width * lots.between(0.05, 0.95), height * lots.between(0.86, 0.98), lots.between(16, 60)
        stage.middle.append(ellipse(x, y, r, r * 0.28, tone(rim, "deep")))
        stage.middle.append(ellipse(x, y + r * 0.05, r * 0.92, r * 0.22, tone(rim, "shade")))


def paint_studio(stage: Stage) -> None:
    """A plain seamless backdrop in the prompt's colour."""
    width, height, named = stage.width, stage.height, stage.scene.colors
    color = mix(str(vocabulary().value("colors", named[0])), "#ffffff", 0.35) if named else stage.ground.far
    if stage.scene.time in {"night", "dusk"}:
        color = mix(color, "#2a3354", 0.6)
    stage.light, stage.horizon = Light(), height * 0.7
    glow, halo = stage.gradient((0, tone(color, "glow"), 1), (0.6, color, 1), (1, tone(color, "shade"), 1), radial=True)
    stage.back += [glow, rect(-width * 0.25, -height * 0.35, width * 1.5, height * 1.6, halo)]
