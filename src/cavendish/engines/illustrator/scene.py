"""What the reader found in a prompt: plain, frozen values that the composer draws from."""

from typing import Literal

import msgspec

RelationKind = Literal["on", "in", "under", "beside", "front", "behind", "riding", "holding"]


class Actor(msgspec.Struct, frozen=True):
    """One mentioned subject: which, how many, and how it was described."""

    id: str
    count: int = 1
    color: str | None = None
    scale: float = 1.0
    pose: str | None = None


class Relation(msgspec.Struct, frozen=True):
    """Actor `first` stands in `kind` to actor `second` (indices into `Scene.actors`)."""

    kind: RelationKind
    first: int
    second: int


class Scene(msgspec.Struct, frozen=True):
    """A prompt, read. Every word that was not understood is simply absent."""

    actors: tuple[Actor, ...] = ()
    relations: tuple[Relation, ...] = ()
    place: str | None = None
    time: str | None = None
    weather: str | None = None
    season: str | None = None
    mood: str | None = None
    composition: str | None = None
    style: str | None = None
    layout: str | None = None
    colors: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()
    text: str = ""
    """The beginning of the prompt, for captions."""
    shallow: bool = False
    chinese: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing was named that could be drawn as a scene."""
        return not (self.actors or self.place or self.time or self.weather or self.season)
