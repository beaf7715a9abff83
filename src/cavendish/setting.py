"""One setting: its variable, what a value must look like, and how it is read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from cavendish.domain.errors import Misconfigured
from cavendish.domain.text import Text, shortened

PREFIX = "CAVENDISH_"


@dataclass(frozen=True)
class Setting:
    """One row of the table. `bounds`: what a value must look like, for people; `default` None means absent.

    `form`: what a text must look like, where there is more to say than that; whoever reads it checks it.
    """

    name: str
    kind: Literal["text", "url", "path", "int", "float", "flag", "choice"]
    default: str | None
    help: Text
    choices: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    secret: bool = False
    form: Text | None = None

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name

    @property
    def bounds(self) -> Text:
        """What a value must look like, for people."""
        match self.kind:
            case "int" | "float":
                kind = Text(
                    en="whole number" if self.kind == "int" else "number", zh="整数" if self.kind == "int" else "数字"
                )
                return Text(
                    en=f"{kind.en}, {self.low:g} to {self.high:g}", zh=f"{kind.zh}，{self.low:g} 到 {self.high:g}"
                )
            case "flag":
                return Text(en="0 or 1", zh="0 或 1")
            case "choice":
                return Text(en=" or ".join(self.choices), zh=" 或 ".join(self.choices))
            case "url":
                listed = ", ".join(f"{scheme}://…" for scheme in self.schemes)
                return Text(en=f"URL: {listed}", zh=f"URL：{listed}")
            case "path":
                return Text(en="path", zh="路径")
            case "text":
                return self.form or Text(en="text", zh="文本")

    def parse(self, value: str) -> object:
        """The typed value.

        Raises:
            Misconfigured: one line that names the variable, the rule and the value (unless it is a secret).
        """
        try:
            parsed: object = value
            match self.kind:
                case "int":
                    parsed = int(value)
                case "float":
                    parsed = float(value)
                case "flag":
                    parsed = {"0": False, "1": True}[value]
                case "path":
                    parsed = Path(value).expanduser()
                case "choice" if value not in self.choices:
                    raise ValueError(value)
                case "url" if urlsplit(value).scheme not in self.schemes:
                    raise ValueError(value)
                case _:
                    pass
            if (
                isinstance(parsed, int | float)
                and self.kind in ("int", "float")
                and not self.low <= parsed <= self.high
            ):
                raise ValueError(value)
        except (ValueError, KeyError):
            shown = "" if self.secret else shortened(value)
            raise Misconfigured(
                Text(
                    en=f"{self.variable}: expected {self.bounds.en}; got {shown or 'something else'}",
                    zh=f"{self.variable}：应为 {self.bounds.zh}；收到 {shown or '其他内容'}",
                )
            ) from None
        return parsed
