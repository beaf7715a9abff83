"""The `input` object of a create: rules in, typed values out. Every wrong field is reported at once."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from cavendish.domain.catalog import Model
from cavendish.domain.errors import InvalidRequest, Problem
from cavendish.domain.files import referred_file
from cavendish.domain.text import Text, shortened
from cavendish.domain.urls import check_url

MAX_PROMPT_CHARS = 10_000
MAX_SEED = 2**63 - 1
SEEN = r"[^\s\u0000-\u001f\u007f-\u00a0\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
"""Matches a character that leaves a mark: not white space, not control, not invisible formatting."""
RATIO_FIELDS = ("image_size", "aspect_ratio")
DATA_URI_PREFIX = "data:image/"
_FORMATS: Mapping[str, Literal["png", "jpeg"]] = MappingProxyType({"png": "png", "jpeg": "jpeg", "jpg": "jpeg"})


def is_inline(reference: str) -> bool:
    """Whether the reference carries its image itself, as a data URI."""
    return reference[: len(DATA_URI_PREFIX)].lower() == DATA_URI_PREFIX


class TaskInput(msgspec.Struct, frozen=True):
    """What the caller asked for, aliases resolved. `images` are references, not bytes."""

    prompt: str
    aspect_ratio: str
    resolution: str
    output_format: Literal["png", "jpeg"]
    images: tuple[str, ...] = ()
    seed: int | None = None


class InputPolicy(msgspec.Struct, frozen=True):
    """What an operator decides about references: may they lead to private addresses, and which are our own."""

    allow_private_urls: bool
    own_prefix: str

    def refusal(self, reference: str) -> Text | None:
        """Why this image reference cannot be taken, or None. Looks at the text only."""
        if is_inline(reference):
            if ";base64," in reference[:100]:
                return None
            return Text(
                en="a data URI must be base64: data:image/png;base64,…",
                zh="data URI 必须是 base64：data:image/png;base64,…",
            )
        if reference.startswith(self.own_prefix) or referred_file(reference) is not None:
            return None  # whose file it is, and whether it still exists, is for the store to say
        return check_url(reference, allow_private=self.allow_private_urls)


def read_input(model: Model, raw: Mapping[str, Any], policy: InputPolicy) -> TaskInput:
    """Check `raw` against the model's rules.

    Raises:
        InvalidRequest: one Problem per field that breaks a rule.
    """
    problems: list[Problem] = []
    prompt = check_prompt("input.prompt", raw.get("prompt"), problems)
    ratio = _ratio(model, raw, problems)
    resolutions = model.resolutions
    resolution = resolutions[0]
    if len(resolutions) > 1:
        resolution = _choice("resolution", raw.get("resolution"), resolutions, problems, lowered=True)
    output_format = _format(model, raw.get("output_format"), problems)
    images = _images(model, raw, policy, problems)
    seed = _seed(raw.get("seed"), problems)
    if problems:
        raise InvalidRequest(problems)
    return TaskInput(prompt, ratio, resolution, output_format, images, seed)


def _problem(field: str, en: str, zh: str) -> Problem:
    return Problem(f"input.{field}", Text(en=en, zh=zh))


def _not_a_string(field: str, value: object) -> Problem:
    return _problem(field, f"must be a string; got {shortened(value)}", f"必须是字符串；收到 {shortened(value)}")


def check_prompt(path: str, value: object, problems: list[Problem]) -> str:
    """The prompt at `path`, trimmed; what is wrong with it is added to `problems`."""
    if value is None:
        problems.append(Problem(path, Text(en="required: what to draw, in words", zh="必填：用文字描述要画的内容")))
        return ""
    if not isinstance(value, str):
        got = shortened(value)
        problems.append(Problem(path, Text(en=f"must be a string; got {got}", zh=f"必须是字符串；收到 {got}")))
        return ""
    prompt = value.strip()
    if re.search(SEEN, prompt) is None:
        problems.append(Problem(path, Text(en="must not be blank", zh="不能为空白")))
    elif len(prompt) > MAX_PROMPT_CHARS:
        problems.append(
            Problem(
                path,
                Text(
                    en=f"must be at most {MAX_PROMPT_CHARS} characters; got {len(prompt)}",
                    zh=f"最多 {MAX_PROMPT_CHARS} 个字符；收到 {len(prompt)} 个",
                ),
            )
        )
    return prompt


def _ratio(model: Model, raw: Mapping[str, Any], problems: list[Problem]) -> str:
    sent = [field for field in RATIO_FIELDS if raw.get(field) is not None]
    if not sent:
        return model.row.ratios[0]
    if len(sent) == 2 and raw[sent[0]] != raw[sent[1]]:
        problems.append(
            _problem(
                "image_size",
                f"says {shortened(raw['image_size'])} but input.aspect_ratio says {shortened(raw['aspect_ratio'])}; "
                "they mean the same, so send one of them",
                f"为 {shortened(raw['image_size'])}，而 input.aspect_ratio 为 {shortened(raw['aspect_ratio'])}；"
                "两者含义相同，请只发送其中一个",
            )
        )
        return model.row.ratios[0]
    return _choice(sent[0], raw[sent[0]], model.row.ratios, problems)


def _choice(
    field: str, value: object, choices: tuple[str, ...], problems: list[Problem], *, lowered: bool = False
) -> str:
    if value is None:
        return choices[0]
    if not isinstance(value, str):
        problems.append(_not_a_string(field, value))
        return choices[0]
    word = value.lower() if lowered else value
    if word not in choices:
        listed = ", ".join(choices)
        problems.append(
            _problem(
                field,
                f"must be one of {listed}; got {shortened(value)}",
                f"必须是以下之一：{listed}；收到 {shortened(value)}",
            )
        )
        return choices[0]
    return word


def _format(model: Model, value: object, problems: list[Problem]) -> Literal["png", "jpeg"]:
    if isinstance(value, str) and value in _FORMATS:
        return _FORMATS[value]
    return _FORMATS[_choice("output_format", value, model.row.formats, problems)]


def _images(model: Model, raw: Mapping[str, Any], policy: InputPolicy, problems: list[Problem]) -> tuple[str, ...]:
    rule = model.row.images
    field = images_field(model, raw)
    value = raw.get(field)
    if rule.also is not None and field == rule.field and raw.get(rule.also) not in (None, value):
        problems.append(
            _problem(
                field,
                f"differs from input.{rule.also}; they mean the same, so send one of them",
                f"与 input.{rule.also} 不同；两者含义相同，请只发送其中一个",
            )
        )
        return ()
    if value is None:
        if rule.required:
            problems.append(_images_missing(field, rule.min))
        return ()
    if not isinstance(value, list):
        problems.append(
            _problem(
                field,
                f"must be an array of image URLs; got {shortened(value)}",
                f"必须是图片 URL 数组；收到 {shortened(value)}",
            )
        )
        return ()
    if not rule.min <= len(value) <= rule.max:
        problems.append(
            _problem(
                field,
                f"must have {rule.min} to {rule.max} entries; got {len(value)}",
                f"必须有 {rule.min} 到 {rule.max} 张图片；收到 {len(value)} 张",
            )
        )
        return ()
    for index, reference in enumerate(value):
        if not isinstance(reference, str):
            problems.append(_not_a_string(f"{field}[{index}]", reference))
            continue
        refusal = policy.refusal(reference)
        if refusal is not None:
            problems.append(Problem(f"input.{field}[{index}]", refusal))
    return tuple(reference for reference in value if isinstance(reference, str))


def images_field(model: Model, raw: Mapping[str, Any]) -> str:
    """The name under which this request sent its images: the model's own, or the other spelling."""
    rule = model.row.images
    if raw.get(rule.field) is None and rule.also is not None and raw.get(rule.also) is not None:
        return rule.also
    return rule.field


def _images_missing(field: str, minimum: int) -> Problem:
    if minimum == 0:
        return _problem(
            field,
            "required: an array of image URLs; send [] for text to image",
            "必填：图片 URL 数组；纯文生图请传 []",
        )
    return _problem(
        field, f"required: an array of at least {minimum} image URL", f"必填：至少包含 {minimum} 个图片 URL 的数组"
    )


def _seed(value: object, problems: list[Problem]) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not -MAX_SEED <= value <= MAX_SEED:
        problems.append(
            _problem(
                "seed",
                f"must be a 64-bit integer; got {shortened(value)}",
                f"必须是 64 位整数；收到 {shortened(value)}",
            )
        )
        return None
    return value


def prompt_schema() -> dict[str, Any]:
    """The rule of a prompt as a JSON Schema."""
    return {"type": "string", "minLength": 1, "maxLength": MAX_PROMPT_CHARS, "pattern": SEEN}


def input_schema(model: Model) -> dict[str, Any]:
    """The rules above as a JSON Schema (2020-12) of the model's `input`. `null` is as good as absent."""
    row = model.row
    references: dict[str, Any] = {
        "type": "array" if row.images.required else ["array", "null"],
        "items": {"type": "string", "format": "uri"},
        "minItems": row.images.min,
        "maxItems": row.images.max,
        "description": "PNG, JPEG or WebP by http(s) URL or data URI / 图片的 http(s) URL 或 data URI",
    }
    properties: dict[str, Any] = {
        "prompt": prompt_schema(),
        row.images.field: references,
        row.ratio_field: _choices_schema(row.ratios),
    }
    if len(model.resolutions) > 1:
        cased = dict.fromkeys(spelling for r in model.resolutions for spelling in (r, r.upper()))
        properties["resolution"] = _choices_schema(tuple(cased))
    properties["output_format"] = {**_choices_schema(("png", "jpeg", "jpg")), "default": row.formats[0]}
    properties["seed"] = {"type": ["integer", "null"], "minimum": -MAX_SEED, "maximum": MAX_SEED}
    required = ["prompt", row.images.field] if row.images.required else ["prompt"]
    same = [(row.ratio_field, next(f for f in RATIO_FIELDS if f != row.ratio_field))]
    if row.images.also is not None:
        same.append((row.images.field, row.images.also))
    only_one = [{"anyOf": [{"properties": {name: {"type": "null"}}} for name in pair]} for pair in same]
    return {"type": "object", "required": required, "properties": properties, "allOf": only_one}


def _choices_schema(choices: tuple[str, ...]) -> dict[str, Any]:
    return {"type": ["string", "null"], "enum": [*choices, None], "default": choices[0]}
