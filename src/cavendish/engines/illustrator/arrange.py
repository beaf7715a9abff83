"""Where the subjects of a scene stand: who is large, who is far, who sits on whom."""

import msgspec

from cavendish.engines.illustrator.art import Pose, Spot, drawing
from cavendish.engines.illustrator.chance import Chance
from cavendish.engines.illustrator.props import foot
from cavendish.engines.illustrator.scene import Actor, Relation
from cavendish.engines.illustrator.scenery import Stage
from cavendish.engines.illustrator.vocabulary import Row, vocabulary

SKY_PAINTED = frozenset({"sun", "moon", "cloud"})
"""Subjects that the sky itself draws."""

_PAINTED_BY: dict[str, tuple[str, ...]] = {"window": ("window",), "table": ("table",)}
"""Subjects that a place already is."""

_NEAR_PLACES = frozenset({"window", "room", "table", "stage"})
"""Places without distance: nothing fades in them."""

_RESTING = frozenset({"stand", "sit", "sleep", "walk"})
_ANCHORS = {"on": "top", "in": "in", "under": "under", "riding": "seat", "holding": "hand"}
_SHARES = {"closeup": 0.8, "panorama": 0.24, "low": 0.62, "top": 0.4}
_SHARE_AT = {"table": 0.48, "window": 0.5, "stage": 0.62}


class Placed(msgspec.Struct):
    """One instance of an actor, ready to be drawn; those with a smaller `order` come first."""

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
    rows, actors = vocabulary().subjects, stage.scene.actors
    painted = SKY_PAINTED.union(_PAINTED_BY.get(stage.place, ()))
    hosted = _hosted(stage, painted)
    free = [index for index, actor in enumerate(actors) if index not in hosted and actor.id not in painted]
    standing = [index for index in free if rows[actors[index].id].kind not in {"sky", "far"}]
    columns = _columns(stage, len(standing))
    hero = _hero_height(stage, [actors[index] for index in standing], hosting=bool(hosted))
    found: dict[int, list[Placed]] = {}
    for index in free:
        kind = rows[actors[index].id].kind
        if kind == "far":
            found[index] = _on_horizon(stage, actors[index])
        elif kind == "sky":
            found[index] = _aloft(stage, actors[index])
        else:
            number = standing.index(index)
            found[index] = _standing(stage, actors[index], actors[standing[0]], hero, columns[number], number)
    for index, (relation, host) in hosted.items():
        found[index] = _joined(stage, actors[index], relation, found[host][0])
    return sorted((one for group in found.values() for one in group), key=lambda one: one.order)


def _hosted(stage: Stage, painted: frozenset[str]) -> dict[int, tuple[Relation, int]]:
    """For each actor that is on, in, under or held by another: the relation and the other's index."""
    found: dict[int, tuple[Relation, int]] = {}
    for relation in stage.scene.relations:
        guest, host = relation.first, relation.second
        if relation.kind == "holding":
            guest, host = host, guest
        names = {stage.scene.actors[guest].id, stage.scene.actors[host].id}
        if relation.kind in _ANCHORS and guest not in found and host not in found and not names & painted:
            found[guest] = (relation, host)
    return {guest: pair for guest, pair in found.items() if pair[1] not in found}


def _weight(actor: Actor, row: Row) -> float:
    """How tall it looks beside others: the world's sizes, drawn closer together so that small things are seen."""
    return float(row.size**0.5) * actor.scale


def _hero_height(stage: Stage, actors: list[Actor], *, hosting: bool) -> float:
    """The height of the first-named standing subject, in units."""
    if not actors:
        return stage.height * 0.4
    share = _SHARES.get(stage.scene.composition or "") or _SHARE_AT.get(stage.place) or 0.46
    if share == 0.46 and len(actors) == 1 and actors[0].count == 1 and not hosting:
        share = 0.52
    if hosting and share == 0.46:
        share = 0.6
    if len(actors) > 2:
        share *= 0.86
    if vocabulary().subjects[actors[0].id].size > 3:
        share = max(share, 0.5)
    return min(stage.height * share, stage.width * 0.85) * min(1.5, max(0.7, actors[0].scale))


def _columns(stage: Stage, count: int) -> list[float]:
    """The x of each standing group; the first is the hero."""
    if count <= 1:
        central = stage.scene.composition in {"centered", "closeup", "low", "top"} or stage.place in _NEAR_PLACES
        if central or stage.width < stage.height * 1.15:
            return [stage.width * 0.5]
        return [stage.width * (0.38 if stage.lots.branch("thirds").likely(0.5) else 0.62)]
    shares = {2: (0.34, 0.7), 3: (0.5, 0.19, 0.82)}.get(count, (0.42, 0.68, 0.18, 0.88, 0.3, 0.56, 0.08, 0.78))
    return [stage.width * share for share in shares]


def _standing(stage: Stage, actor: Actor, first: Actor, hero: float, x: float, number: int) -> list[Placed]:
    """All instances of one standing, floating or flying actor around x."""
    rows = vocabulary().subjects
    row, lots = rows[actor.id], stage.lots.branch(f"{actor.id}{number}")
    pose = drawing(row.svg or actor.id).pose(_pose_name(stage, actor, row))
    groups = sum(rows[a.id].kind not in {"sky", "far"} for a in stage.scene.actors)
    height = hero * min(1.5, max(0.2, _weight(actor, row) / _weight(first, rows[first.id])))
    height *= _lower(row, actor, pose)
    big = row.size > 3
    depth = (0.52 if number else 0.3) if big else 0.16 * (number % 3)
    if number and big:
        height = max(height * 0.62, hero * 0.75)
    person_inside = stage.place == "window" and row.size > 0.9 and row.kind == "ground"
    limit = 0.86 if stage.scene.composition == "closeup" else 0.66
    height = stage.height * 1.1 if person_inside else min(height, stage.height * limit)
    # In one line as many as fit; the lines behind stand farther away.
    room = stage.width * (0.9 if groups == 1 else 0.54 if groups == 2 else 0.4)
    per_line = min(actor.count, 4 if actor.count > 5 else 5)
    wide = pose.width * height / pose.tall
    step = min(wide * 0.92, room / per_line)
    height *= min(1.0, 0.9 if actor.count > 1 else room / wide, step / (wide * 0.78))
    wide = pose.width * height / pose.tall
    step = min(step, (stage.width * 0.96 - wide) / max(1, per_line - 1))
    middle = stage.width / 2 if actor.count > 1 and groups == 1 else x
    middle = min(max(middle, wide * 0.52), max(stage.width - wide * 0.52, stage.width / 2))
    found = []
    for one in range(actor.count):
        line, column = divmod(one, per_line)
        loose = actor.count > 1
        away = min(0.85, depth + 0.17 * line + (lots.between(0, 0.07) if loose else 0))
        at = middle + (column - (min(per_line, actor.count - line * per_line) - 1) / 2) * step
        at += lots.between(-0.08, 0.08) * step if loose else 0
        tall = height * (1 - 0.3 * line * per_line / actor.count) * (lots.between(0.9, 1.05) if loose else 1)
        y, grounded = (stage.height * 1.3, False) if person_inside else _base(stage, row, actor, away, tall, lots)
        inward = at <= stage.width * 0.5 if groups > 1 or loose else lots.likely(0.5)  # drawings look to the left
        mirrored = inward and row.kind not in {"furniture", "small"}
        fade = 0.0 if stage.place in _NEAR_PLACES else min(0.5, away * 0.5)
        found.append(Placed(actor, row, pose, Spot(at, y, tall, fade, mirrored), y, grounded))
    return found


def _lower(row: Row, actor: Actor, pose: Pose) -> float:
    """How tall this pose is beside the usual one: who lies down is not drawn as tall as who stands."""
    usual = drawing(row.svg or actor.id).pose(row.pose)
    return min(1.1, max(0.4, pose.tall / usual.tall))


def _base(stage: Stage, row: Row, actor: Actor, away: float, tall: float, lots: Chance) -> tuple[float, bool]:
    """The y at which it stands, and whether it casts a shadow there."""
    height, place = stage.height, stage.place
    if row.kind == "air" and actor.pose not in _RESTING and place not in _NEAR_PLACES:
        return max(tall * 1.12, height * lots.between(0.3, 0.5)), False
    if place == "underwater":
        return height * (0.5 + lots.between(-0.2, 0.2)) + tall * 0.4, False
    fixed = {"window": 0.872, "table": 0.84 - 0.5 * away, "stage": 0.84 - 0.2 * away, "space": 0.86 - 0.1 * away}
    if place in fixed:
        return height * fixed[place], True
    if stage.ground.painter == "water":
        if row.kind == "water" or place != "lake":
            return foot(stage, min(0.75, away + (0.42 if place == "lake" else 0.3))), False
        # On a lake, whoever does not swim keeps to a bank.
        return (stage.horizon + 14 if row.size > 2.5 else height * (0.95 - 0.08 * away)), True
    if stage.ground.painter == "street" and row.size > 3:
        return stage.horizon + (height - stage.horizon) * 0.3, True
    return foot(stage, away), True


def _on_horizon(stage: Stage, actor: Actor) -> list[Placed]:
    row = vocabulary().subjects[actor.id]
    pose = drawing(row.svg or actor.id).pose(row.pose)
    lots, count = stage.lots.branch("far" + actor.id), min(5, actor.count)
    found = []
    for one in range(count):
        tall = min(stage.horizon * 0.8, stage.width * 0.5) * lots.between(0.85, 1.05) * (0.68 if one else 1)
        x = stage.width * ((one + 0.5) / count + lots.between(-0.1, 0.1))
        spot = Spot(
            x, stage.horizon + 14, min(tall * actor.scale, stage.horizon * 0.9), 0.22 + 0.12 * one, bool(one % 2)
        )
        found.append(Placed(actor, row, pose, spot, -100.0 - one, grounded=False))
    return found


def _aloft(stage: Stage, actor: Actor) -> list[Placed]:
    row = vocabulary().subjects[actor.id]
    pose = drawing(row.svg or actor.id).pose(row.pose)
    lots, alone = stage.lots.branch("sky" + actor.id), len(stage.scene.actors) == 1
    others = [a.id for a in stage.scene.actors if a.id not in SKY_PAINTED and vocabulary().subjects[a.id].kind == "sky"]
    number, total = others.index(actor.id), len(others)
    found = []
    for one in range(actor.count):
        share = 0.17 if not alone or actor.count > 1 else 0.46 if row.size > 3 else 0.3
        tall = stage.height * share * actor.scale * lots.between(0.85, 1.1)
        place = (number + (one + 0.5) / actor.count) / total  # each has its part of the sky
        x = stage.width * (place + (lots.between(-0.04, 0.04) if actor.count > 1 else 0))
        if not alone and actor.count == total == 1:
            x = stage.width * lots.pick((0.2, 0.8))
        y = stage.horizon * (0.5 if alone else 0.34) + tall / 2 + lots.between(-0.06, 0.06) * stage.height
        found.append(Placed(actor, row, pose, Spot(x, max(y, tall * 1.1), tall), -50.0, grounded=False))
    return found


def _pose_name(stage: Stage, actor: Actor, row: Row) -> str | None:
    if stage.place == "window" and actor.pose in {None, "sit", "watch"}:
        return "watch"
    if actor.pose is None and row.kind == "air" and stage.place in _NEAR_PLACES:
        return "stand"
    return actor.pose or row.pose


def _joined(stage: Stage, actor: Actor, relation: Relation, host: Placed) -> list[Placed]:
    """Instances that sit on, in, under or in the hand of `host`."""
    row = vocabulary().subjects[actor.id]
    drawn, name, anchor = drawing(row.svg or actor.id), _pose_name(stage, actor, row), _ANCHORS[relation.kind]
    if relation.kind != "under" and actor.pose is None:
        name = "stand" if row.kind == "air" else "sit" if "sit" in drawn.poses else name
    pose = drawn.pose(name)
    if relation.kind == "on" and "seat" in host.pose.anchors and (name == "sit" or "top" not in host.pose.anchors):
        anchor = "seat"
    x, y = host.spot.anchor(host.pose, anchor)
    if relation.kind == "under":
        x, y = (x if "under" in host.pose.anchors else host.spot.x), host.spot.y + stage.height * 0.015
    ratio = max(0.42 if host.row.size > 2 else 0.26, _weight(actor, row) / _weight(host.actor, host.row))
    tall = host.spot.height * min(1.0, ratio) * _lower(row, actor, pose) * (0.86 if relation.kind == "in" else 1.0)
    tall = min(tall, max(y - stage.height * 0.03, stage.height * 0.12))
    if relation.kind == "holding" and "grip" in pose.anchors:
        y += tall * (pose.ground - pose.anchors["grip"][1]) / pose.tall
    if anchor == "seat" and "hip" in pose.anchors:
        y += tall * (pose.ground - pose.anchors["hip"][1]) / pose.tall
    behind = relation.kind == "in" or "grip" in pose.anchors  # an umbrella is held behind the head
    wide, order = pose.width * tall / pose.tall, host.order + (-0.01 if behind else 0.01)
    found = []
    for one in range(actor.count):
        spot = Spot(x + (one - (actor.count - 1) / 2) * wide * 0.86, y, tall, host.spot.depth, host.spot.mirrored)
        found.append(Placed(actor, row, pose, spot, order, grounded=relation.kind == "under"))
    return found
