"""Subjects as scenery: how far things stand, the shadow under them, and what a place has standing about."""

from cavendish.engines.illustrator.art import Spot, drawing, placed
from cavendish.engines.illustrator.palette import mix
from cavendish.engines.illustrator.scenery import LEAF_COLORS, Stage
from cavendish.engines.illustrator.shapes import ellipse
from cavendish.engines.illustrator.vocabulary import vocabulary


def foot(stage: Stage, depth: float) -> float:
    """The y at which something at `depth` (0 near, 1 horizon) stands."""
    return stage.horizon + (stage.height * 0.92 - stage.horizon) * float((1 - depth) ** 1.4)


def shadow(stage: Stage, x: float, y: float, width: float, depth: float = 0.0) -> str:
    """A soft contact shadow under something `width` wide."""
    dark = mix(stage.lit(stage.ground.near, depth), "#141428", 0.6)
    defs, paint = stage.gradient((0, dark, 0.6), (0.55, dark, 0.34), (1, dark, 0), radial=True)
    return defs + ellipse(x + width * 0.05, y, width * 0.58, max(3.0, width * 0.085), paint)


def prop(stage: Stage, name: str, spot: Spot, colors: dict[str, str] | None = None) -> None:
    """A subject as a piece of scenery, unless the prompt names it itself."""
    if name in {actor.id for actor in stage.scene.actors}:
        return
    row = vocabulary().subjects[name]
    pose = drawing(row.svg or name).pose(row.pose)
    stage.middle.append(placed(row.svg or name, pose, row.colors | (colors or {}), spot, stage.light, stage.mark()))


def decorate(stage: Stage, names: tuple[str, ...], *, grow: float = 1.0, each: int = 3) -> None:
    """The place's own subjects at the sides and in the distance, far ones first; never those the prompt names."""
    lots = stage.lots.branch("decor")
    rows = vocabulary().subjects
    spots: list[tuple[float, float, str]] = []
    for name in names:
        if name in {actor.id for actor in stage.scene.actors}:
            continue
        small = rows[name].size < 1.2
        count = each + 2 if small else each
        for number in range(count):
            depth = lots.between(0.12, 0.62) if small else lots.between(0.42, 0.9)
            side = (number + lots.between(0.1, 0.9)) / count
            if depth < 0.6 and not small:  # near things keep to the edges
                side = lots.pick((lots.between(-0.02, 0.14), lots.between(0.86, 1.02)))
            spots.append((depth, side * stage.width, name))
    leaves = LEAF_COLORS.get(stage.scene.season or ("winter" if stage.scene.weather == "snow" else ""))
    for depth, x, name in sorted(spots, reverse=True):
        row = rows[name]
        near = (foot(stage, depth) - stage.horizon) / (stage.height - stage.horizon)
        tall = min(stage.height, 900) * (0.05 + 0.22 * near) * float(row.size**0.42) * lots.between(0.8, 1.2) * grow
        spot = Spot(x, foot(stage, depth), tall, depth * 0.85, lots.likely(0.5))
        turned = leaves and "leaf" in row.colors and (name == "tree" or leaves is LEAF_COLORS["winter"])
        stage.middle.append(shadow(stage, x, spot.y, spot.width(drawing(row.svg or name).pose(None)) * 0.7, depth))
        prop(stage, name, spot, {"leaf": lots.pick(leaves)} if leaves and turned else None)
