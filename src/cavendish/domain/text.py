"""Sentences for people, in both languages, side by side where they are written."""

from typing import Literal

import msgspec

Language = Literal["en", "zh"]


class Text(msgspec.Struct, frozen=True):
    """One sentence in English and in Chinese. Neither is a translation that may lag behind the other."""

    en: str
    zh: str

    def say(self, language: Language) -> str:
        """The sentence in `language`."""
        return self.zh if language == "zh" else self.en

    def __str__(self) -> str:
        return self.en


def storable(text: str, limit: int) -> str:
    """`text` as PostgreSQL takes it: no NUL, no lone surrogates, at most `limit` characters."""
    return text[:limit].replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


def shortened(value: object, limit: int = 60) -> str:
    """`value`, as JSON would write it, for a message: printable, at most about `limit` characters."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    cut = text[:limit]
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cut)
    return f'"{printable}{"…" if len(text) > limit else ""}"' if isinstance(value, str) else printable
