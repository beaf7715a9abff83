"""Prompt to scene: what is named, how many, in which colour, and how the things stand to each other."""

import itertools
import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

import msgspec

from cavendish.engines.illustrator.cutting import Token, cut
from cavendish.engines.illustrator.scene import Actor, Relation, RelationKind, Scene
from cavendish.engines.illustrator.vocabulary import Vocabulary

MAX_ACTORS = 8
MAX_COUNT = 12
_READ_CHARACTERS = 10_000
_QUOTED = re.compile(r"「([^」]{1,200})」|『([^』]{1,200})』|《([^》]{1,200})》|“([^”]{1,200})”|\"([^\"]{1,200})\"")
_SENTENCE_END = re.compile(r"[.;!?。；！？]")
_CLAUSE_END = re.compile(r"[,.;!?，。；！？、\n]")
_ZH_FILLER = re.compile(r"^[的着了在地]*$")
_ZH_POSTED = re.compile("[在坐站躺趴停蹲立睡]")
_EN_STOP = frozenset({"on", "in", "at", "with", "and", "under", "by", "of", "near", "while", "is", "are"})
_ANY = re.compile(r"\s*(?:(?:any|a|an|the|任何)\s*)*")
_OR = re.compile(r"\s*(?:,|，)?\s*(?:or|nor|and|/|、|或者?|和|与|及)\s*(?:(?:any|a|an|the|任何)\s*)*")
_AND = re.compile(r"\s*(?:and|-|和|与|/|、)\s*")
_TOGETHER = re.compile(r"\s*(?:and|和|与|跟|在)")
_SHORT = (  # what is read as if it were said in full
    (re.compile("(?<![打离公分])开(?=汽?车|[跑赛卡火货]车|公交车|出租车|拖拉机|直?升?飞?机|船|摩托)"), "开着"),
    (re.compile(r"\bplay(?:s|ing) (?=guitars?\b|pianos?\b|violins?\b|cellos?\b|drums?\b)"), "playing the "),
    (re.compile(r"\bviolinist\b"), "woman playing the violin"),
    (re.compile(r"\bpianist\b"), "man playing the piano"),
    (re.compile("小提琴手|小提琴家"), "女人拉着小提琴"),
    (re.compile("钢琴家|钢琴师"), "男人弹着钢琴"),
)
_WEARING = re.compile(r"\s*(?:(?:who|that|which|wearing|dressed|is|are|was|in|with)\b|穿|戴|是)")
_MODIFIERS = frozenset({"colors", "numbers", "sizes", "measures", "poses", "moods", "clothes"})
_DONE = frozenset({"riding", "holding", "wearing"})
_KINDS: Mapping[str, RelationKind] = MappingProxyType({kind: kind for kind in get_args(RelationKind)})


def read(prompt: str, words: Vocabulary) -> Scene:
    """What `prompt` asks for. Never raises: what is not understood is left out."""
    text = _normalised(prompt)
    quotes = tuple(next(part for part in found.groups() if part).strip() for found in _QUOTED.finditer(text))
    lower = text.lower()
    for short, full in _SHORT:
        lower = short.sub(full, lower)
    # Quoted words are set in type. They say what to draw only when nothing else does.
    unquoted = _QUOTED.sub(lambda found: " " * len(found[0]), lower)
    wanted, absent = _without(unquoted, cut(unquoted, words))
    if quotes and not any(token.group in {"subjects", "places"} for token in wanted):
        wanted = cut(lower, words)
    return _Sentence(lower, wanted, words).scene(
        Scene(
            absent=absent,
            quotes=tuple(quote for quote in quotes if quote)[:4],
            text=" ".join(text.split())[:300],
            chinese=sum("\u4e00" <= c <= "\u9fff" for c in text) * 4 > len(text),
        )
    )


def _normalised(prompt: str) -> str:
    text = unicodedata.normalize("NFKC", prompt[:_READ_CHARACTERS])
    return "".join(c if c.isprintable() else " " for c in text)


def _without(text: str, tokens: list[Token]) -> tuple[list[Token], frozenset[str]]:
    """The tokens that are wanted, and the subjects that are not: what a negation and a list after it name."""
    wanted: list[Token] = []
    absent: set[str] = set()
    link, reach = _ANY, -1  # what may lie between the unwanted before and the next, and where the list has come to
    for token in tokens:
        listed = reach >= 0 and token.group != "relations" and link.fullmatch(text, reach, token.start)
        if token.group == "negations":
            link, reach = _ANY, token.end
        elif listed:
            link, reach = _ANY if token.group in _MODIFIERS else _OR, token.end
            absent.update({token.id} if token.group == "subjects" else ())
        else:
            reach = -1
            wanted.append(token)
    return wanted, frozenset(absent - {token.id for token in wanted if token.group == "subjects"})


class _Sentence:
    """The known words of one prompt, and the questions that a scene asks of them."""

    def __init__(self, text: str, tokens: list[Token], words: Vocabulary) -> None:
        self.text, self.tokens, self.words = text, tokens, words
        self.described = {
            index: self._modifiers(index)
            for index, token in enumerate(tokens)
            if token.group == "subjects" and not self._is_kin(index)
        }

    def scene(self, begun: Scene) -> Scene:
        """`begun` with everything that the words say."""
        actors, actor_of = self._actors()
        bound = {token.start for found in self.described.values() for token in found}
        places, weathers = self._all("places"), self._all("weathers")
        first = {field: next(iter(self._all(f"{field}s")), None)
                 for field in ("time", "season", "mood", "composition", "style", "layout")}  # fmt: skip
        return msgspec.structs.replace(
            begun,
            actors=tuple(actors),
            relations=tuple(self._relations(actor_of)),
            place="window" if "window" in places else next(iter(places), None),
            weather=next((word for word in weathers if word != "clear"), next(iter(weathers), None)),
            **first,
            colors=tuple(
                t.id for t in self.tokens if t.group == "colors" and t.end - t.start > 1 and t.start not in bound
            ),
            shallow=bool(self._all("effects")),
        )

    def _all(self, group: str) -> list[str]:
        return [token.id for token in self.tokens if token.group == group]

    def _is_kin(self, index: int) -> bool:
        """Whether a family is one of what was named right before: a bear family, 企鹅家庭."""
        of, family = self.tokens[max(0, index - 1)], self.tokens[index]
        return (
            family.id == "family" != of.id and of.group == "subjects" and not self.text[of.end : family.start].strip()
        )

    def _near(self, left: Token, right: Token) -> bool:
        """Whether `left` stands right before `right`, with at most a filler or one unknown word between."""
        gap = self.text[left.end : right.start].strip()
        if left.group == right.group == "colors" and _AND.fullmatch(gap):
            return True
        if _CLAUSE_END.search(gap):
            return False
        if gap.isascii():
            parts = gap.split()
            return len(parts) <= 1 and not _EN_STOP.intersection(parts)
        return len(gap) <= 2 or bool(_ZH_FILLER.match(gap))

    def _modifiers(self, index: int) -> list[Token]:
        """What describes the subject at `index`, nearest first: before it, or after it (in a red dress, 是黑色的)."""
        found: list[Token] = []
        right = self.tokens[index]
        before = self.tokens[:index]
        if before and before[-1].group == "subjects" and self.text.startswith("的", before[-1].end):
            done = next((at for at in range(index - 1, -1, -1) if self.tokens[at].id in _DONE), None)
            if done is not None and self._doing(index - 1):
                before, right = before[:done], self.tokens[done]  # 三个戴墨镜的女孩 are three girls
        for left in reversed(before):
            if left.group not in _MODIFIERS or not self._near(left, right):
                break
            found.append(left)
            right = left
        follow = self.tokens[index + 1 :]
        if follow and (follow[0].id == "wearing" or self.text.startswith(("with", "in "), follow[0].start)):
            follow = follow[1:]  # a girl with a blue dress, a man in black
        after = list(itertools.takewhile(lambda word: word.group in {"colors", "clothes"}, follow))
        last = max((at for at, word in enumerate(after, 1) if word.group == "clothes"), default=1)
        after = after[:last]  # and a red balloon: that is another's
        later = next((token for token in self.tokens[index + 1 :] if token.group == "subjects"), None)
        worn = (
            any(word.group == "clothes" for word in after)
            or later is None
            or (after and not self._near(after[-1], later))
        )
        if after and worn and _WEARING.match(self.text, self.tokens[index].end):
            found += after
        return found

    def _actors(self) -> tuple[list[Actor], dict[int, int]]:
        """The actors in order of mention, and for each subject token (by its index) which actor it became."""
        actors: list[Actor] = []
        actor_of: dict[int, int] = {}
        for index in self.described:
            actor = self._actor(index)
            same = next((at for at, one in enumerate(actors) if _may_be(one, actor)), None)
            if same is not None:  # said again: the same one, perhaps better described
                actors[same] = _merged(actors[same], actor)
            elif len(actors) < MAX_ACTORS:
                same = len(actors)
                actors.append(actor)
            if same is not None:
                actor_of[index] = same
        return actors, actor_of

    def _actor(self, index: int) -> Actor:
        token, count, color, scale, last = self.tokens[index], 0, None, 1.0, ""
        for word in self.described[index]:
            value = self.words.value(word.group, word.id) if word.group in {"numbers", "sizes"} else None
            if word.group == "numbers" and isinstance(value, int):
                count = min(MAX_COUNT, count + value)  # 十五 is ten and five
            elif word.group == "sizes" and isinstance(value, float) and scale == 1.0:
                scale = value
            elif word.group == "colors" and (color is None or last == "colors"):
                color = word.id  # a red and white lighthouse is red; 戴红帽子的橘猫 is orange
            last = word.group
        name = self.text[token.start : token.end]
        if color is None:  # 白马 is in the vocabulary as 马 is
            same = self.words.subjects[token.id].zh
            parts = self.words.names_at(name, 0)
            color = next((entry.id for end, entry in parts if entry.group == "colors" and name[end:] in same), None)
        if index + 1 < len(self.tokens) and self._is_kin(index + 1):
            count = max(3, count)
        plural = count == 0 and _is_plural(name, self.words.subjects[token.id].en)
        said = count > 0 or (name.isascii() and not plural)
        return Actor(token.id, 3 if plural else max(1, count), color, scale, self._pose(index), said)

    def _pose(self, index: int) -> str | None:
        """The first pose word after the subject and before the next one, else one right before it."""
        last = self.tokens[index]
        for token in self.tokens[index + 1 :]:
            if token.group == "subjects":
                if not _TOGETHER.match(self.text, last.end):
                    break
                last = token  # a dog and a cat sleeping: both do
            if token.group == "poses" and not _SENTENCE_END.search(self.text, self.tokens[index].end, token.start):
                return token.id
        return next((word.id for word in self.described[index] if word.group == "poses"), None)

    def _doing(self, index: int) -> RelationKind | None:
        """What is said to be done with the subject at `index`: 骑 in 骑白马, 拿着 in 拿着红色的伞."""
        at = index - 1
        while at >= 0 and self.tokens[at].group in _MODIFIERS:
            at -= 1
        return _KINDS[self.tokens[at].id] if at >= 0 and self.tokens[at].id in _DONE else None

    def _relations(self, actor_of: dict[int, int]) -> list[Relation]:
        """How each subject stands to the next one: `A on B`, `A在B上`, `B上的A`."""
        found: list[Relation] = []
        owner: dict[int, int] = {}
        for left, right in itertools.pairwise(actor_of):
            first, second = actor_of[left], actor_of[right]
            first = owner.get(first, first)  # a girl with a book on a bench: it is she who sits there
            start, end = self.tokens[left].end, self.tokens[right].start
            if first == second or _SENTENCE_END.search(self.text, start, end):
                continue
            between = [token for token in self.tokens[left + 1 : right] if token.group in {"relations", "poses"}]
            dressed = any(token.group == "clothes" for token in self.tokens[left + 1 : right])
            places = [t for t in between if t.group == "relations" and not (dressed and t.id == "wearing")]
            middle = next((token for token in places if not self.text[token.start].isascii()), None)
            middle = middle or next(reversed(places), None)
            gaze = any(token.group == "poses" and token.id == "watch" for token in between)
            before = self._doing(left)
            after = self.tokens[right + 1] if right + 1 < len(self.tokens) else None
            closes = after is not None and after.group == "relations" and not self.text[after.start].isascii()
            if after is not None and closes and after.start == self.tokens[right].end and (
                _ZH_POSTED.search(self.text, start, end)
            ):  # fmt: skip
                found.append(Relation(_KINDS[after.id], first, second))
            elif before and self.text.startswith("的", start) and not places:
                found.append(Relation(before, second, first))  # 骑马的女人: the second rides the first
            elif (done := self._doing(right)) and places and not (dressed and done == "wearing"):
                found.append(Relation(done, first, second))  # 坐在椅子上读书
            elif gaze and (middle is None or middle.id == "on"):
                found.append(Relation("watching", first, second))
            elif middle is None:
                continue
            elif self.text[middle.start].isascii() or middle.id in _DONE:
                found.append(Relation(_KINDS[middle.id], first, second))
            elif not self.text[start : middle.start].strip():  # 桌上的苹果: the second is on the first
                found.append(Relation(_KINDS[middle.id], second, first))
            two = found[-2:]
            if len(two) == 2 and two[0].kind in {"on", "in", "under"} and two[1].kind in {*_DONE, "watching"} and (
                two[0].second == two[1].first and two[0].first != two[1].second
            ):  # fmt: skip
                found[-1] = msgspec.structs.replace(two[1], first=two[0].first)  # 人在长椅上看书: it is not the bench
            owner.update({one.second: one.first for one in found[-1:] if one.kind in {"holding", "wearing"}})
        return found


def _may_be(one: Actor, other: Actor) -> bool:
    """Whether both may be the same one: a black cat and a white cat are two."""
    return one.id == other.id and (None in (one.color, other.color) or one.color == other.color)


def _merged(one: Actor, other: Actor) -> Actor:
    return Actor(
        one.id, max(one.count, other.count), one.color or other.color,
        other.scale if one.scale == 1.0 else one.scale, one.pose or other.pose, one.said or other.said,
    )  # fmt: skip


_IRREGULAR = frozenset({"people", "men", "women", "children", "cacti"})


def _is_plural(name: str, names: tuple[str, ...]) -> bool:
    """Whether an English name is the plural of another of the same subject."""
    return name in _IRREGULAR or any(
        name != other and name in {other + "s", other + "es", other[:-1] + "ies", other[:-1] + "ves"} for other in names
    )
