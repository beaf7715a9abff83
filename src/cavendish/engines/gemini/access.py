"""Ways into the upstream: API keys by Google project, and Vertex by project and location; how each is addressed."""

import re

import msgspec

from cavendish.domain.engine_reports import key_hint
from cavendish.domain.errors import Misconfigured
from cavendish.domain.text import Text

KEYS_VARIABLE = "CAVENDISH_GEMINI_KEYS"
AI_STUDIO_URL = "https://generativelanguage.googleapis.com"
MULTI_REGIONS = frozenset({"us", "eu"})

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_KEY = re.compile(r"[A-Za-z0-9._~+/=-]{8,512}")
_VERTEX_NAME = re.compile(r"[a-z0-9][a-z0-9.:-]{0,62}")


class ApiKey(msgspec.Struct, frozen=True):
    """A key of AI Studio. `number`: its place among the keys of its project, from 1. Never shown whole."""

    project: str
    number: int
    secret: str
    base_url: str = AI_STUDIO_URL

    @property
    def name(self) -> str:
        """What a log line may call it."""
        return f"{self.project} #{self.number} ({key_hint(self.secret)})"

    @property
    def hint(self) -> str:
        """What a report may call it."""
        return key_hint(self.secret)

    @property
    def place(self) -> str:
        """Where its models live: one that is gone or ill here may be well elsewhere."""
        return "AI Studio"

    def url(self, model: str) -> str:
        """Where `model` makes pictures."""
        return f"{self.base_url}/v1beta/models/{model}:generateContent"

    def __repr__(self) -> str:
        return f"ApiKey({self.name})"


class Vertex(msgspec.Struct, frozen=True):
    """A Google Cloud project and location, with the machine's application default credentials."""

    project: str
    location: str
    base_url: str | None = None

    @property
    def name(self) -> str:
        """What a log line may call it."""
        return f"Vertex {self.project} in {self.location}"

    @property
    def hint(self) -> str:
        """What a report may call it."""
        return "application default credentials"

    @property
    def place(self) -> str:
        """Where its models live; a location has its own choice of them."""
        return f"Vertex {self.location}"

    def url(self, model: str) -> str:
        """Where `model` makes pictures."""
        return (
            f"{self.base_url or self._host()}/v1beta1/projects/{self.project}/locations/{self.location}"
            f"/publishers/google/models/{model}:generateContent"
        )

    def _host(self) -> str:
        if self.location == "global":
            return "https://aiplatform.googleapis.com"
        if self.location in MULTI_REGIONS:
            return f"https://aiplatform.{self.location}.rep.googleapis.com"
        return f"https://{self.location}-aiplatform.googleapis.com"


Access = ApiKey | Vertex


def read_keys(value: str, base_url: str | None = None) -> tuple[ApiKey, ...]:
    """The keys of `project-a:KEY1,project-a:KEY2,project-b:KEY3`; a key without a label is a project of its own.

    Raises:
        Misconfigured: naming the entry by its number and the rule, never the key.
    """
    keys: list[ApiKey] = []
    counts: dict[str, int] = {}
    entries = [entry.strip() for entry in value.replace("\n", ",").split(",")]
    for place, entry in enumerate(entries, 1):
        if not entry:
            continue
        label, colon, secret = entry.rpartition(":")
        label, secret = label.strip(), secret.strip()
        if not colon:
            label = f"project-{place}"
        if not _LABEL.fullmatch(label):
            raise _wrong(
                place,
                "the project's label takes letters, digits, dot, dash and underscore, at most 63",
                "项目标签只能包含字母、数字、点、连字符和下划线，最多 63 个字符",
            )
        if not _KEY.fullmatch(secret):
            raise _wrong(
                place,
                "the key after the colon is empty, too short or holds a character that no key has",
                "冒号后的密钥为空、过短，或含有密钥中不会出现的字符",
            )
        if any(key.secret == secret for key in keys):
            raise _wrong(place, "this key is already in the list", "该密钥在列表中已出现过")
        counts[label] = counts.get(label, 0) + 1
        keys.append(ApiKey(label, counts[label], secret, (base_url or AI_STUDIO_URL).rstrip("/")))
    if not keys:
        raise _wrong(1, "there is no key", "没有密钥")
    return tuple(keys)


def read_vertex(project: str, location: str, base_url: str | None = None) -> Vertex:
    """Vertex by project and location.

    Raises:
        Misconfigured: a name that no project or location can have.
    """
    for variable, value in (("PROJECT", project), ("LOCATION", location)):
        if not _VERTEX_NAME.fullmatch(value):
            name = f"CAVENDISH_GEMINI_VERTEX_{variable}"
            raise Misconfigured(
                Text(
                    en=f"{name}: expected lower-case letters, digits and dashes, as in the Google Cloud console",
                    zh=f"{name}：应为小写字母、数字和连字符，与 Google Cloud 控制台中显示的一致",
                )
            )
    return Vertex(project, location, base_url.rstrip("/") if base_url else None)


def _wrong(place: int, en: str, zh: str) -> Misconfigured:
    form = "project:KEY,project:KEY"
    return Misconfigured(
        Text(
            en=f"{KEYS_VARIABLE}: entry {place}: {en}; expected {form}",
            zh=f"{KEYS_VARIABLE}：第 {place} 项：{zh}；应为 {form}",
        )
    )
