"""What the reader found in a prompt: plain, frozen values that the composer draws from."""

from typing import Literal

import msgspec

RelationKind = Literal[
    "on", "in", "under", "beside", "front", "behind", "riding", "holding", "wearing", "watching", "with"
]


class Actor(msgspec.Struct, frozen=True):
    """One mentioned subject: which, how many, and how it was described."""

    id: str
    count: int = 1
    color: str | None = None
    scale: float = 1.0
    pose: str | None = None
    said: bool = False
    """Whether the number was said: `one horse`, and an English singular."""


class Relation(msgspec.Struct, frozen=True):
    """Actor `first` stands in `kind` to actor `second` (indices into `Scene.actors`)."""

    kind: RelationKind
    first: int
    second: int


class Scene(msgspec.Struct, frozen=True):
    """A prompt, read. Every word that was not understood is simply absent."""

    actors: tuple[Actor, ...] = ()
    relations: tuple[Relation, ...] = ()
    absent: frozenset[str] = frozenset()
    """Subjects that the prompt does not want."""
    place: str | None = None
    time: str | None = None
    weather: str | None = None
    season: str | None = None
    mood: str | None = None
    composition: str | None = None
    style: str | None = None
    layout: str | None = None
    colors: tuple[str, ...] = ()
    """Colours that describe no subject."""
    quotes: tuple[str, ...] = ()
    text: str = ""
    """The beginning of the prompt, for captions."""
    shallow: bool = False
    chinese: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing was named that could be drawn as a scene."""
        return not (self.actors or self.place or self.time or self.weather or self.season)

    @property
    def named(self) -> frozenset[str]:
        """Every subject that is spoken of, wanted or not: a place adds none of these by itself."""
        return self.absent.union(actor.id for actor in self.actors)
