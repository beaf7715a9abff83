"""Where the subjects of a scene stand: who is large, who is far, who sits on whom."""

import msgspec

from cavendish.engines.illustrator.art import Pose, Spot, drawing
from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.grounds import foot
from cavendish.engines.illustrator.scene import Actor, Relation
from cavendish.engines.illustrator.scenery import Stage
from cavendish.engines.illustrator.vocabulary import Row, vocabulary

SKY_PAINTED = frozenset({"sun", "moon", "cloud"})
"""Subjects that the sky itself draws."""

_PAINTED_BY: dict[str, tuple[str, ...]] = {"window": ("window",), "table": ("table",)}
"""Subjects that a place already is."""

_BARE_PLACES = frozenset({"window", "room", "table", "stage"})
_ANCHOR_OF = {"on": "top", "in": "in", "under": "under", "riding": "seat", "holding": "hand"}


class Placed(msgspec.Struct):
    """One instance of an actor, ready to be drawn."""

    actor: Actor
    row: Row
    pose: Pose
    spot: Spot
    order: float
    grounded: bool = True

    @property
    def svg(self) -> str:
        """The file that it is drawn from."""
        return self.row.svg or self.actor.id


def arrange(stage: Stage) -> list[Placed]:
    """Every instance with its place, in the order to draw them."""
    rows = vocabulary().subjects
    actors = stage.scene.actors
    hosted = _hosts(stage)
    free = [
        index
        for index, actor in enumerate(actors)
        if index not in hosted and actor.id not in SKY_PAINTED and actor.id not in _PAINTED_BY.get(stage.place, ())
    ]
    standing = [index for index in free if rows[actors[index].id].kind not in {"sky", "far"}]
    placed: dict[int, list[Placed]] = {}
    for index in free:
        if rows[actors[index].id].kind == "far":
            placed[index] = _far(stage, actors[index])
        elif rows[actors[index].id].kind == "sky":
            placed[index] = _aloft(stage, actors[index])
    columns = _columns(stage, len(standing))
    hero = _hero_height(stage, [actors[index] for index in standing], bool(hosted))
    for number, index in enumerate(standing):
        placed[index] = _row_of(stage, actors[index], hero, columns[number], number, len(standing))
    for index, (relation, host) in hosted.items():
        if placed.get(host):
            placed[index] = _joined(stage, actors[index], relation, placed[host][0])
        else:
            placed[index] = _row_of(stage, actors[index], hero, stage.width * 0.5, 0, 1)
    return sorted((one for group in placed.values() for one in group), key=lambda one: one.order)


def _hosts(stage: Stage) -> dict[int, tuple[Relation, int]]:
    """For each actor that is on, in, under or held by another: the relation and the other's index."""
    found: dict[int, tuple[Relation, int]] = {}
    for relation in stage.scene.relations:
        guest, host = relation.first, relation.second
        if relation.kind == "holding":
            guest, host = host, guest
        elif relation.kind not in _ANCHOR_OF:
            continue
        if stage.scene.actors[host].id in SKY_PAINTED and stage.scene.actors[host].id != "moon":
            continue
        if stage.scene.actors[host].id in _PAINTED_BY.get(stage.place, ()):
            continue
        if guest not in found and host not in found and stage.scene.actors[host].id not in SKY_PAINTED:
            found[guest] = (relation, host)
    return found


def _weight(actor: Actor, row: Row) -> float:
    """How tall it looks beside others: the world's sizes, drawn closer together so that small things are seen."""
    return float((row.size**0.5) * actor.scale)


def _hero_height(stage: Stage, actors: list[Actor], hosting: bool) -> float:
    if not actors:
        return stage.height * 0.4
    rows = vocabulary().subjects
    share = {"closeup": 0.8, "panorama": 0.24, "low": 0.62, "top": 0.4}.get(stage.scene.composition or "", 0.46)
    if stage.place in {"table", "window", "stage"} and share < 0.6:
        share = {"table": 0.42, "window": 0.5, "stage": 0.62}[stage.place]
    if len(actors) == 1 and actors[0].count == 1 and not hosting and share == 0.46:
        share = 0.52
    if len(actors) > 2:
        share *= 0.86
    if rows[actors[0].id].size > 3 and share < 0.6:
        share = max(share, 0.5)
    return min(stage.height * share, stage.width * 0.85)


def _columns(stage: Stage, count: int) -> list[float]:
    """The x of each standing group; the first is the hero."""
    width = stage.width
    if count <= 1:
        central = stage.scene.composition in {"centered", "closeup", "low", "top"} or stage.place in _BARE_PLACES
        if central or width < stage.height * 1.15:
            return [width * 0.5]
        return [width * (0.38 if stage.lots.branch("thirds").likely(0.5) else 0.62)]
    if count == 2:
        return [width * 0.34, width * 0.7]
    if count == 3:
        return [width * 0.5, width * 0.19, width * 0.82]
    shares = (0.42, 0.68, 0.18, 0.88, 0.3, 0.56, 0.08, 0.78)
    return [width * share for share in shares[:count]]


def _row_of(stage: Stage, actor: Actor, hero: float, x: float, number: int, groups: int) -> list[Placed]:
    """All instances of one standing, floating or flying actor around x."""
    rows = vocabulary().subjects
    row = rows[actor.id]
    lots = stage.lots.branch(f"{actor.id}{number}")
    drawn = drawing(row.svg or actor.id)
    pose = drawn.pose(_pose_name(stage, actor, row))
    first = next(a for a in stage.scene.actors if rows[a.id].kind not in {"sky", "far"} and a.id not in SKY_PAINTED)
    ratio = _weight(actor, row) / _weight(first, rows[first.id])
    height = hero * min(1.5, max(0.2, ratio)) * (actor.scale if actor is first else 1.0)
    big = row.size > 3
    depth = 0.0 if number == 0 and not big else 0.3 if big and number == 0 else 0.52 if big else 0.16 * (number % 3)
    if number and big:
        height = max(height * 0.62, hero * 0.75)
    height = min(height, stage.height * (0.86 if stage.scene.composition == "closeup" else 0.66), _room_above(stage))
    room = stage.width * (0.9 if groups == 1 else 0.62 if groups == 2 else 0.4)
    wide = pose.width * height / pose.tall
    per_line = min(actor.count, 4 if actor.count > 5 else 5)
    step = min(wide * 0.92, room / max(1, per_line))
    if actor.count > 1:
        height *= min(1.0, step / (wide * 0.78), 0.9)
    elif wide > room:
        height *= room / wide
    wide = pose.width * height / pose.tall
    if actor.count > 1 and groups == 1:
        x = stage.width / 2
    step = min(step, (stage.width * 0.96 - wide) / max(1, per_line - 1))
    middle = min(max(x, wide * 0.52), stage.width - wide * 0.52) if wide < stage.width else stage.width / 2
    found = []
    for one in range(actor.count):
        line, column = divmod(one, per_line)
        in_line = min(per_line, actor.count - line * per_line)
        away = min(0.85, depth + 0.17 * line + (lots.between(0, 0.07) if actor.count > 1 else 0))
        shift = (column - (in_line - 1) / 2) * step * (1 if not line else 0.9)
        at = middle + shift + (lots.between(-0.08, 0.08) * step if actor.count > 1 else 0)
        tall = (
            height
            * (1 - 0.3 * line / max(1, actor.count / per_line))
            * (lots.between(0.9, 1.05) if actor.count > 1 else 1)
        )
        y, grounded = _base(stage, row, actor, away, tall, lots)
        facing = at > stage.width * 0.5 if groups > 1 or actor.count > 1 else lots.likely(0.5)
        mirrored = (
            row.kind not in {"furniture", "small"}
            and pose.anchors.get("mirror") is None
            and _faces(facing, actor, lots)
        )
        spot = Spot(at, y, tall, min(0.5, away * 0.5) if stage.place not in _BARE_PLACES else 0.0, mirrored)
        found.append(Placed(actor, row, pose, spot, y, grounded))
    return found


def _faces(facing: bool, actor: Actor, lots: object) -> bool:
    """Drawings look to the left; those on the left half are turned to look into the picture."""
    return not facing


def _room_above(stage: Stage) -> float:
    return stage.height * 0.9


def _base(stage: Stage, row: Row, actor: Actor, away: float, tall: float, lots: Chance) -> tuple[float, bool]:
    """The y at which it stands, and whether it casts a shadow there."""
    height = stage.height
    if row.kind == "air" and actor.pose not in {"stand", "sit", "sleep", "walk"} and stage.place not in _BARE_PLACES:
        return max(tall * 1.12, height * lots.between(0.3, 0.5)), False
    if stage.place == "underwater":
        return height * (0.5 + lots.between(-0.2, 0.2)) + tall * 0.4, False
    if stage.place == "window":
        return height * 0.872, True
    if stage.place == "table":
        return height * (0.84 - 0.5 * away), True
    if stage.place == "stage":
        return height * (0.84 - 0.2 * away), True
    if stage.place == "space":
        return height * (0.86 - 0.1 * away), row.kind != "air"
    if stage.ground.painter == "water":
        if row.kind == "water":
            return foot(stage, min(0.75, away + (0.42 if stage.place == "lake" else 0.3))), False
        if stage.place == "lake":  # whoever does not swim keeps to a bank
            return (stage.horizon + 14 if row.size > 2.5 else height * (0.95 - 0.08 * away)), True
        return foot(stage, min(0.7, away + 0.3)), False
    if stage.ground.painter == "street" and row.size > 3:
        return stage.horizon + (height - stage.horizon) * 0.3, True
    return foot(stage, away), True


def _far(stage: Stage, actor: Actor) -> list[Placed]:
    row = vocabulary().subjects[actor.id]
    pose = drawing(row.svg or actor.id).pose(None)
    lots = stage.lots.branch("far" + actor.id)
    count = max(1, min(5, actor.count))
    found = []
    for one in range(count):
        tall = (
            min(stage.horizon * 0.8, stage.width * 0.5)
            * actor.scale
            * lots.between(0.85, 1.05)
            * (1 if one == 0 else 0.68)
        )
        tall = min(tall, stage.horizon * 0.9)
        x = stage.width * (0.5 if count == 1 else (one + 0.5 + lots.between(-0.1, 0.1)) / count)
        x += stage.width * (lots.between(-0.14, 0.14) if count == 1 else 0)
        y = stage.horizon + 14
        found.append(
            Placed(actor, row, pose, Spot(x, y, tall, 0.22 + 0.12 * one, lots.likely(0.5)), -100.0 - one, False)
        )
    return found


def _aloft(stage: Stage, actor: Actor) -> list[Placed]:
    row = vocabulary().subjects[actor.id]
    pose = drawing(row.svg or actor.id).pose(None)
    lots = stage.lots.branch("sky" + actor.id)
    alone = len(stage.scene.actors) == 1
    found = []
    for one in range(actor.count):
        tall = stage.height * (0.3 if alone and actor.count == 1 else 0.17) * actor.scale * lots.between(0.85, 1.1)
        x = stage.width * ((one + 0.5) / actor.count + (lots.between(-0.04, 0.04) if actor.count > 1 else 0))
        y = stage.horizon * (0.42 if alone else 0.34) + tall / 2 + lots.between(-0.08, 0.08) * stage.height
        found.append(Placed(actor, row, pose, Spot(x, max(y, tall * 1.1), tall), -50.0, False))
    return found


def _pose_name(stage: Stage, actor: Actor, row: Row) -> str | None:
    if stage.place == "window" and actor.pose in {None, "sit", "watch"}:
        return "watch"
    if actor.pose is None and row.kind == "air" and stage.place in _BARE_PLACES:
        return "stand"
    return actor.pose or row.pose


def _joined(stage: Stage, actor: Actor, relation: Relation, host: Placed) -> list[Placed]:
    """Instances that sit on, in, under or in the hand of `host`."""
    row = vocabulary().subjects[actor.id]
    drawn = drawing(row.svg or actor.id)
    name = _pose_name(stage, actor, row)
    if name is None and relation.kind in {"on", "riding"} and row.kind == "air":
        name = "stand"
    if relation.kind == "riding" or (relation.kind in {"in", "on"} and name is None and "sit" in drawn.poses):
        name = "sit"
    pose = drawn.pose(name)
    anchor = _ANCHOR_OF[relation.kind]
    if relation.kind == "on" and "top" not in host.pose.anchors and "seat" in host.pose.anchors:
        anchor = "seat"
    if relation.kind == "on" and actor.pose == "sit" and "seat" in host.pose.anchors and row.kind == "ground":
        anchor = "seat"
    x, y = host.spot.anchor(host.pose, anchor)
    ratio = _weight(actor, row) / _weight(host.actor, host.row)
    tall = host.spot.height * min(1.0, max(0.34 if host.row.size > 2 else 0.24, ratio)) * (0.86 if relation.kind == "in" else 1.0)
    if relation.kind == "under":
        y = host.spot.y + stage.height * 0.015
        x = host.spot.x if "under" not in host.pose.anchors else x
    tall = min(tall, max(y - stage.height * 0.03, stage.height * 0.12))
    wide = pose.width * tall / pose.tall
    found = []
    for one in range(actor.count):
        at = x + (one - (actor.count - 1) / 2) * wide * 0.86
        order = host.order + (-0.01 if relation.kind in {"in"} else 0.01)
        spot = Spot(at, y, tall, host.spot.depth, host.spot.mirrored)
        found.append(Placed(actor, row, pose, spot, order, relation.kind == "under"))
    return found
