"""Where the subjects of a scene stand: who is large, who is far, who sits on whom, who looks at whom."""

from types import MappingProxyType

import msgspec

from cavendish.engines.illustrator.art import Drawing, Pose, Spot, drawing
from cavendish.engines.illustrator.plates import Manner, environment, manner, value
from cavendish.engines.illustrator.scene import Actor, Relation, RelationKind
from cavendish.engines.illustrator.stage import Stage
from cavendish.engines.illustrator.vocabulary import Row, vocabulary

SKY_PAINTED = frozenset({"sun", "moon", "cloud"})
"""Subjects that the sky itself draws."""

_RESTING = frozenset({"stand", "sit", "sleep", "walk"})
_ANCHORS = MappingProxyType(
    {"on": "top", "in": "in", "under": "under", "riding": "seat", "holding": "hand", "wearing": "eyes"}
)
_SHARES = MappingProxyType({"closeup": 0.8, "panorama": 0.32, "low": 0.62, "top": 0.4})
_COLUMNS = MappingProxyType({1: (0.5,), 2: (0.34, 0.7), 3: (0.5, 0.19, 0.82)})
_MANY_COLUMNS = (0.42, 0.68, 0.18, 0.88, 0.3, 0.56, 0.08, 0.78)


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

    @property
    def wide(self) -> float:
        """Its width in units."""
        return self.spot.width(self.pose)


def arrange(stage: Stage) -> list[Placed]:
    """Every instance with its place, in the order to draw them."""
    return _Arrangement(stage).placed()


class _Arrangement:
    """One scene's subjects, from the free-standing ones to those that are joined to them."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.actors = stage, stage.scene.actors
        self.manner: Manner = manner(stage.ground.plate)
        self.env = environment(stage)
        self.rows = [vocabulary().subjects[actor.id] for actor in self.actors]
        painted = SKY_PAINTED.union(self.manner.shows.split())
        self.hosted: dict[int, tuple[RelationKind, int]] = {}  # whose arms are asked for while it is found out
        self.hosted = self._hosted(painted)
        self._handed()
        ridden = {host: self.actors[at].count for at, (kind, host) in self.hosted.items() if kind == "riding"}
        self.actors = tuple(  # two boys on bicycles: two bicycles; but a horse carries both
            msgspec.structs.replace(one, count=1) if not one.said and ("under", at) in self.hosted.values()
            else one if self.rows[at].size > (1.4 if one.said and ridden.get(at) == 2 else 2.2)
            else msgspec.structs.replace(one, count=ridden.get(at, one.count))
            for at, one in enumerate(self.actors)
        )  # fmt: skip
        free = [at for at, actor in enumerate(self.actors) if at not in self.hosted and actor.id not in painted]
        self.far = [at for at in free if self.rows[at].kind == "far"]
        self.aloft = [at for at in free if self.rows[at].kind == "sky"]
        self.standing = [at for at in free if self.rows[at].kind not in {"sky", "far"}]

    def placed(self) -> list[Placed]:
        """Everyone, in the order to draw them."""
        found: dict[int, list[Placed]] = {}
        hero, columns = self._hero_height(), self._columns()
        for at in self.far:
            found[at] = self._on_horizon(at)
        for at in self.aloft:
            found[at] = self._in_the_sky(at)
        for number, at in enumerate(self.standing):
            found[at] = self._standing(at, number, hero, columns[number % len(columns)])
        waiting = dict(self.hosted)
        while ready := [at for at, (_, host) in waiting.items() if host in found]:
            for at in ready:
                kind, host = waiting.pop(at)
                # Of many who hold or ride something each has one.
                hosts = found[host] if kind in {"holding", "wearing", "riding"} else found[host][:1]
                count = self.actors[at].count if len(hosts) == 1 else 1
                found[at] = [one for each in hosts for one in self._joined(at, kind, each, count)]
        for relation in self.stage.scene.relations:
            if found.get(relation.first) and found.get(relation.second):
                _related(self.stage, relation, found[relation.first], found[relation.second])
        return sorted((one for group in found.values() for one in group), key=lambda one: one.order)

    def _hosted(self, painted: frozenset[str]) -> dict[int, tuple[RelationKind, int]]:
        """For each actor that is on, in, under, held or worn by another: how, and the other's index."""
        found: dict[int, tuple[RelationKind, int]] = {}
        for relation in self.stage.scene.relations:
            kind, guest, host = relation.kind, relation.first, relation.second
            joints, hands = self._anchors(host), self._anchors(guest)
            if kind in {"holding", "in", "with"} and "ear" in joints and self.rows[host].kind == "small":
                kind = "wearing"  # a cat with a crown, a man in sunglasses
            elif kind == "watching" and "read" in joints and "hand" in hands:
                kind = "holding"  # 看书
            elif kind == "holding" and "seat" in joints and self.rows[host].kind == "furniture":
                kind = "riding"  # who plays the piano sits at it
            elif kind == "on" and self.rows[host].kind == "ground" and "ride" in self._drawing(guest).poses:
                kind = "riding" if "seat" in joints or self.rows[host].size < 0.3 else kind
            if kind in {"holding", "wearing"}:
                guest, host = host, guest
            own, other = self.rows[guest], self.rows[host]
            bulky = own.kind == "ground" and "held" not in self._drawing(guest).poses
            large = kind == "holding" and own.size > other.size * (0.75 if bulky else 1.4)  # nobody holds a snowman
            shut = kind == "in" and other.size > 2.2 and not joints.keys() & {"in", "seat", "window"}
            fits = not {self.actors[guest].id, self.actors[host].id} & painted and not large and not shut
            circle = found.get(host, (None, None))[1] == guest
            if kind in _ANCHORS and guest not in found and fits and "far" not in {own.kind, other.kind} and not circle:
                found[guest] = (kind, host)
        return found

    def _handed(self) -> None:
        """Small things that would stand on the floor of a room are given to those who have a hand free."""
        if not self.manner.inside or "table" in self.manner.shows or self.stage.place == "stage":
            return
        busy = self.hosted.values()
        free = [at for at in range(len(self.rows)) if "hand" in self._anchors(at) and ("holding", at) not in busy]
        joined = {at for pair in self.hosted.items() for at in (pair[0], pair[1][1])}
        loose = [at for at, row in enumerate(self.rows) if row.kind == "small" and row.size < 0.6 and at not in joined]
        self.hosted |= {thing: ("holding", who) for thing, who in zip(loose, free, strict=False)}

    def _anchors(self, at: int) -> dict[str, tuple[float, float]]:
        return self._drawing(at).pose(self._pose_name(at)).anchors

    def _drawing(self, at: int) -> Drawing:
        return drawing(self.rows[at].svg or self.actors[at].id)

    def _weight(self, at: int) -> float:
        """How tall it looks beside others: the world's sizes, drawn closer together so that small things are seen."""
        return float(self.rows[at].size ** 0.5) * self.actors[at].scale

    def _hero_height(self) -> float:
        """The height of the first-named standing subject, in units."""
        stage, hosting = self.stage, bool(self.hosted)
        if not self.standing:
            return stage.height * 0.4
        first = self.actors[self.standing[0]]
        share = _SHARES.get(stage.scene.composition or "") or self.manner.share
        if share == 0.46:
            share = 0.6 if hosting else 0.52 if len(self.standing) == 1 and first.count == 1 else share
        if len(self.standing) > 2:
            share *= 0.86
        share *= 0.75 if self._sheltered(self.standing[0]) else 1
        if self.rows[self.standing[0]].size > 3:
            share = max(share, 0.46 if stage.scene.composition == "panorama" else 0.5)
        return min(stage.height * share, stage.width * 0.85) * min(1.5, max(0.7, first.scale))

    def _columns(self) -> tuple[float, ...]:
        """The x of each standing group; the first is the hero."""
        stage, count = self.stage, len(self.standing)
        composition = stage.scene.composition
        central = composition in {"centered", "closeup", "low", "top"} or self.manner.near
        if composition == "thirds" or (count == 1 and not central and stage.width >= stage.height * 1.15):
            first = 1 / 3 if stage.lots.branch("thirds").likely(0.5) else 2 / 3
            return (stage.width * first, stage.width * (1 - first), stage.width * 0.5)[: max(1, count)]
        return tuple(stage.width * share for share in _COLUMNS.get(count, _MANY_COLUMNS))

    def _standing(self, at: int, number: int, hero: float, x: float) -> list[Placed]:
        """All instances of one standing, floating or flying actor around x."""
        stage, actor, row = self.stage, self.actors[at], self.rows[at]
        lots, groups = stage.lots.branch(f"{actor.id}{number}"), len(self.standing)
        pose = self._posed(at)
        height = hero * min(1.5, max(0.2, self._weight(at) / self._weight(self.standing[0]))) * self._lower(at, pose)
        big = row.size > 3
        depth = (0.52 if number else 0.3) if big else 0.16 * (number % 3)
        depth = min(depth, 0.36) if row.closed else depth  # what rolls keeps to the road
        depth += 0.18 if stage.scene.composition == "panorama" and not big else 0
        if number and big:
            height = max(height * 0.62, hero * 0.75)
        person_inside = stage.place == "window" and row.size > 0.9 and row.kind == "ground"
        bust = stage.scene.composition == "closeup" and groups == actor.count == 1 and not person_inside
        bust &= "hand" in pose.anchors and pose.tall > pose.width * 1.5 and row.size > 0.9
        limit = 0.86 if stage.scene.composition == "closeup" else 0.66
        height = stage.height * 1.1 if person_inside else min(height, stage.height * limit)
        height = min(stage.height, stage.width) * (1.6 if row.size > 1.4 else 1.2) if bust else height
        kinds = {"on", "riding"} if "seat" in pose.anchors else {"riding"}
        ridden = [guest for guest, (kind, host) in self.hosted.items() if host == at and kind in kinds]
        if ridden and not row.closed:  # room for the rider above
            height = min(height, stage.height * 0.92 / (0.75 + min(5, self.rows[ridden[0]].size / row.size)))
        # In one line as many as fit; the lines behind stand farther away.
        room = stage.width * (0.9 if groups == 1 else 0.54 if groups == 2 else 0.4)
        per_line = min(actor.count, 4 if actor.count > 5 else 5)
        wide = pose.width * height / pose.tall
        step = min(wide * 0.92, room / per_line)
        height *= min(1.0, 0.9 if actor.count > 1 else room / wide, step / (wide * 0.78)) if not bust else 1.0
        wide = pose.width * height / pose.tall
        wide *= 2 if self._sheltered(at) else 1
        step = min(step, (stage.width * 0.96 - wide) / max(1, per_line - 1))
        middle = stage.width / 2 if actor.count > 1 and groups == 1 else x
        middle = min(max(middle, wide * 0.52), max(stage.width - wide * 0.52, stage.width / 2))
        found = []
        for one in range(actor.count):
            line, column = divmod(one, per_line)
            loose = actor.count > 1
            away = min(0.85, depth + 0.17 * line + (lots.between(0, 0.07) if loose else 0))
            here = middle + (column - (min(per_line, actor.count - line * per_line) - 1) / 2) * step
            here += lots.between(-0.08, 0.08) * step if loose else 0
            tall = height * (1 - 0.3 * line * per_line / actor.count) * (lots.between(0.9, 1.05) if loose else 1)
            y, grounded = (stage.height * 1.3, False) if person_inside else self._base(at, away, tall, f"{number}{one}")
            y, grounded = (max(stage.height * 1.05, stage.height * 0.14 + tall), False) if bust else (y, grounded)
            inward = here <= stage.width * 0.5 if groups > 1 or loose else lots.likely(0.5)  # drawings look to the left
            mirrored = inward and row.kind not in {"furniture", "small"}
            fade = 0.0 if self.manner.near else min(0.5, away * 0.5)
            found.append(Placed(actor, row, pose, Spot(here, y, tall, fade, mirrored), y, grounded))
        return found

    def _posed(self, at: int) -> Pose:
        """The pose of one that stands free: with a back to sit on when it is ridden."""
        drawn, name = self._drawing(at), self._pose_name(at)
        ridden = any(pair == ("riding", at) for pair in self.hosted.values())
        backs = [pose for pose in drawn.poses.values() if "seat" in pose.anchors] if ridden else []
        pose = drawn.pose(name)
        return pose if not backs or pose in backs else backs[0]

    def _sheltered(self, at: int) -> bool:
        """Whether it holds something wide by its grip: an umbrella."""
        return any(pair == ("holding", at) and "grip" in self._anchors(one) for one, pair in self.hosted.items())

    def _lower(self, at: int, pose: Pose) -> float:
        """How tall this pose is beside the usual one: who lies down is not drawn as tall as who stands."""
        usual = self._drawing(at).pose(self.rows[at].pose)
        return min(1.1, max(0.4, pose.tall / usual.tall))

    def _base(self, at: int, away: float, tall: float, name: str) -> tuple[float, bool]:
        """The y at which it stands, and whether it casts a shadow there."""
        stage, row, actor = self.stage, self.rows[at], self.actors[at]
        lots = stage.lots.branch(f"base{at}{name}")
        flies = actor.pose == "fly" and row.kind in {"ground", "small", "under"}
        if (flies or (row.kind == "air" and actor.pose not in _RESTING)) and not self.manner.near:
            return max(tall * 1.12, stage.height * lots.between(0.3, 0.5)), False
        floats, swims = row.kind == "water", row.kind in {"under", "water"}
        env = {
            **self.env,
            "a": away,
            "tall": tall,
            "size": row.size,
            "floats": floats,
            "swims": swims,
            "rolls": row.closed,
            "u": lots.between,
        }
        y = float(value(self.manner.stand, env))
        wet = floats or (self.manner.wet > 0 and stage.place != "lake") or (stage.place == "underwater" and swims)
        return y, not wet

    def _on_horizon(self, at: int) -> list[Placed]:
        stage, actor, row = self.stage, self.actors[at], self.rows[at]
        pose = drawing(row.svg or actor.id).pose(row.pose)
        lots, count = stage.lots.branch("far" + actor.id), min(5, actor.count)
        found = []
        for one in range(count):
            tall = min(stage.horizon * 0.8, stage.width * (0.5 if self.standing else 0.8)) * lots.between(0.85, 1.05)
            tall *= 0.68 if one else 1
            x = stage.width * ((one + 0.5) / count + lots.between(-0.1, 0.1))
            tall = min(tall * actor.scale, stage.horizon * 0.9)
            spot = Spot(x, stage.horizon + 14, tall, 0.22 + 0.12 * one, bool(one % 2))
            found.append(Placed(actor, row, pose, spot, -100.0 - one, grounded=False))
        return found

    def _in_the_sky(self, at: int) -> list[Placed]:
        stage, actor, row = self.stage, self.actors[at], self.rows[at]
        pose = drawing(row.svg or actor.id).pose(row.pose)
        lots, alone = stage.lots.branch("sky" + actor.id), not self.standing and len(self.aloft) == 1
        number, total = self.aloft.index(at), len(self.aloft)
        found = []
        for one in range(actor.count):
            share = 0.17 if not alone or actor.count > 1 else 0.3 if row.size <= 3 or self.far else 0.46
            tall = stage.height * share * actor.scale * lots.between(0.85, 1.1)
            place = (number + (one + 0.5) / actor.count) / total  # each has its part of the sky
            x = stage.width * (place + (lots.between(-0.04, 0.04) if actor.count > 1 else 0))
            if not alone and actor.count == total == 1:
                x = stage.width * lots.pick((0.2, 0.8))
            below = 0.2 if stage.scene.layout == "poster" else 0.0  # a poster's title stands above
            y = stage.horizon * ((0.5 if alone else 0.34) + below) + tall / 2 + lots.between(-0.06, 0.06) * stage.height
            found.append(Placed(actor, row, pose, Spot(x, max(y, tall * 1.1), tall), -50.0, grounded=False))
        return found

    def _gesture(self, at: int) -> str:
        """What the arms do: hold a book before the chest, or raise an umbrella."""
        held = next((guest for guest, pair in self.hosted.items() if pair == ("holding", at)), None)
        if held is None:
            return ""
        row, drawn = self.rows[held], self._drawing(held)
        fits = "held" in drawn.poses or (row.size < 0.6 and row.kind in {"small", "ground"})
        return "raise" if "grip" in drawn.pose(None).anchors else "hold" if fits else ""

    def _pose_name(self, at: int) -> str | None:
        actor, row = self.actors[at], self.rows[at]
        if actor.pose not in {"sit", "sleep"} and (gesture := self._gesture(at)) in self._drawing(at).poses:
            return gesture
        if self.stage.place == "window" and actor.pose in {None, "sit", "watch"}:
            return "watch"
        if actor.pose is None and row.kind == "air" and self.manner.near:
            return "stand"
        return actor.pose or row.pose

    def _joined(self, at: int, kind: RelationKind, host: Placed, count: int) -> list[Placed]:
        """Instances that sit on, in or under `host`, or are held or worn by it; none where none would be seen."""
        stage, actor, row, joints = self.stage, self.actors[at], self.rows[at], host.pose.anchors
        drawn, name, anchor = self._drawing(at), self._pose_name(at), _ANCHORS[kind]
        if host.row.closed and kind in {"in", "riding"}:
            return []
        if kind == "riding" and "ride" in drawn.poses and "seat" in joints:
            name = "ride"
        elif kind == "holding" and "held" in drawn.poses:
            name = "held"
        elif kind != "under" and actor.pose is None and (kind != "riding" or "seat" in joints):
            name = "stand" if row.kind == "air" else "sit" if "sit" in drawn.poses else name
        pose = drawn.pose(name)
        if kind == "in" and "seat" in joints:
            kind = "on"  # in a boat: seen from outside
        if kind == "on" and "seat" in joints and (name == "sit" or "top" not in joints or "in" in joints):
            anchor = "seat"
        if kind == "riding" and "seat" not in joints:
            anchor = "top"
        if kind == "wearing":
            return _worn(actor, row, pose, host)
        x, y = host.spot.anchor(host.pose, anchor)
        if anchor == "seat" and host.row.kind == "furniture" and row.size > 1 and "sit" not in drawn.poses:
            y = host.spot.y + 6  # who cannot sit stands before it
        if kind == "under":
            x, y = (x if "under" in joints else host.spot.x), host.spot.y + stage.height * 0.015
        real = row.size * actor.scale / (host.row.size * host.actor.scale)
        ratio = max(0.42 if host.row.size > 2 else 0.26, real**0.5)
        if kind == "holding":
            ratio = min(max(0.14, real), 1.4 if "grip" in pose.anchors else 0.45)
        elif anchor == "seat":  # what is ridden without a seat is stood on
            ratio = max(0.42, real, ratio if kind == "on" else 0)
        ratio = min(5 if kind == "riding" else 1.8 if anchor in {"seat", "hand"} else 1.0, ratio)
        tall = host.spot.height * ratio * self._lower(at, pose) * (0.86 if kind == "in" else 1.0)
        tall = min(tall, max(y - stage.height * 0.03, stage.height * 0.12))
        before = {"hand", "eyes"} <= joints.keys() and abs(joints["hand"][0] - joints["eyes"][0]) < 9
        if before and kind == "holding" and name != "held":
            tall = min(tall, (y - host.spot.anchor(host.pose, "eyes")[1]) * 0.8)  # the face stays free
        within = kind in {"in", "riding"} and "window" in joints
        if within:  # only the head is seen
            pose = drawn.pose("sit")
            tall = host.spot.height * min(0.6, max(0.55, real * 0.72))
            x, y = host.spot.anchor(host.pose, "window")
            y += tall
        joint = "grip" if kind == "holding" else "hip" if anchor == "seat" and not within else ""
        if joint in pose.anchors:
            y += tall * (pose.ground - pose.anchors[joint][1]) / pose.tall
        behind = kind == "in" or within or (joint == "grip" and joint in pose.anchors)  # an umbrella: behind the head
        if kind == "in" and not within:
            if {"in", "top"} <= joints.keys():  # seen over the rim, asleep or awake
                y = min(
                    y, host.spot.anchor(host.pose, "top")[1] + tall * (0.4 if self._lower(at, pose) > 0.8 else 0.12)
                )
            tall *= min(1.0, host.wide * 0.9 / (pose.width * tall / pose.tall * (0.14 + 0.86 * count)))
        wide, order = pose.width * tall / pose.tall, host.order + (-0.01 if behind else 0.01)
        found = []
        for one in range(count):
            spot = Spot(x + (one - (count - 1) / 2) * wide * 0.86, y, tall, host.spot.depth, host.spot.mirrored)
            found.append(Placed(actor, row, pose, spot, order, grounded=kind == "under"))
        return found


def _worn(actor: Actor, row: Row, pose: Pose, host: Placed) -> list[Placed]:
    """What is put on a head: its brow or eyes on those of `host`, as wide as the head; nothing without a head."""
    joint = "brow" if "brow" in pose.anchors else "eyes"
    if not {joint, "ear"} <= pose.anchors.keys() or not {joint, "ear", "eyes"} <= host.pose.anchors.keys():
        return []
    x, y = host.spot.anchor(host.pose, joint)
    head = abs(host.spot.anchor(host.pose, "ear")[0] - host.spot.anchor(host.pose, "eyes")[0])
    scale = head / (pose.anchors["ear"][0] - pose.anchors[joint][0])
    y += scale * (pose.ground - pose.anchors[joint][1])
    spot = Spot(x, y, scale * pose.tall, host.spot.depth, host.spot.mirrored)
    return [Placed(actor, row, pose, spot, host.order + 0.005, grounded=False)]


def _related(stage: Stage, relation: Relation, first: list[Placed], second: list[Placed]) -> None:
    """Whoever looks at another faces it; whoever is before or behind another overlaps it, nearer or farther."""
    other = second[0]
    for number, one in enumerate(first):
        spot = one.spot
        if relation.kind == "watching":
            one.spot = msgspec.structs.replace(spot, mirrored=other.spot.x > spot.x)
        elif relation.kind in {"front", "behind"} and other.row.kind not in {"sky", "far"} and one.grounded:
            side = (1 if spot.x >= other.spot.x else -1) * (number + 0.5) / len(first)
            x = other.spot.x + side * (other.wide * 0.36 + one.wide * 0.1)
            drop = stage.height * 0.045 * (1 if relation.kind == "front" else -1)
            y = min(stage.height * 0.97, max(spot.y, other.spot.y) + drop) if drop > 0 else other.spot.y + drop
            x = min(max(x, one.wide * 0.5), max(stage.width - one.wide * 0.5, stage.width / 2))
            turned = spot.mirrored if one.row.kind in {"furniture", "small"} else x < stage.width / 2
            one.spot = msgspec.structs.replace(spot, x=x, y=y, mirrored=turned)
            one.order = y if drop > 0 else other.order - 0.02
