"""THE table: whatever the upstream or the network can do, the failure word it becomes and what is done about it.

Four kinds of events: how an answer ended (`finishReason`), why a prompt was refused (`blockReason`), an HTTP status,
and what went wrong on the way (`Fault`). The two vendor enums are named in full; a test compares them with the vendor's
package, so that an upgrade that adds a value fails there and not in front of a caller.

Decisions:
    retry       the same again after a pause, at most MOST_TRIES calls for one task
    next_key    this key, or the quota of its project, is no use now: another, or this one later
    next_model  the upstream id is gone: the next one of the catalogue
    give_up     nothing that we could do would end differently
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

import msgspec

from cavendish.domain.errors import FailCode
from cavendish.domain.text import Text

Decision = Literal["retry", "next_key", "next_model", "give_up"]
Penalty = Literal["none", "quota", "key", "model", "upstream"]
"""Who is at fault, beside the task: the project's quota, the key, the upstream id, the upstream itself."""
Fault = Literal[
    "unreachable",
    "certificate",
    "cut_off",
    "silent",
    "not_json",
    "wrong_base64",
    "too_large",
    "not_an_image",
    "no_candidate",
    "no_credentials",
]

MOST_TRIES = 4
"""Calls for one task that end in `retry`. Keys, ids and the deadline bound `next_key` and `next_model`."""


class Verdict(msgspec.Struct, frozen=True):
    """What an event means. `text` is for the caller: what they can change, nothing about our keys or the upstream."""

    code: FailCode
    decision: Decision
    text: Text
    penalty: Penalty = "none"
    most_tries: int = MOST_TRIES


class Failed(Exception):
    """A call had no answer, or none that could be read. `detail` is for the log; it holds no key and no URL."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(f"{fault}: {detail}")
        self.fault: Fault = fault
        self.detail = detail


_REJECTED = Text(
    en="The safety check rejected the prompt, an input image or the picture; change the wording or the images",
    zh="提示词、输入图片或据此生成的图片未通过安全审核；请修改描述或更换图片",
)
_PEOPLE = Text(
    en="The request was rejected because it seems to hold personal data; remove names, addresses and numbers of people",
    zh="请求疑似包含个人敏感信息而被拒绝；请删除姓名、住址、号码等内容",
)
_KNOWN_WORK = Text(
    en="The picture came too close to an existing work and was withheld; describe what you want in words of your own",
    zh="生成结果与已有作品过于相似，已被拦截；请用自己的语言描述想要的画面",
)
_BLOCKED_WORDS = Text(
    en="The prompt holds words that the picture service does not accept; word it differently",
    zh="提示词包含图片服务不接受的词语；请换一种说法",
)
_NO_PICTURE = Text(
    en="The model answered without a picture; say clearly what should be seen, for example: a photo of …",
    zh="模型没有返回图片；请明确描述画面内容，例如：一张……的照片",
)
_TOO_LONG = Text(
    en="The model reached its output limit before the picture was done; shorten the prompt or lower the resolution",
    zh="模型在完成图片前达到了输出上限；请缩短提示词，或降低分辨率",
)
_LANGUAGE = Text(
    en="The model does not take the language of the prompt; write it in another, for example English",
    zh="模型不支持提示词所用的语言；请换一种语言，例如英文",
)
_BUSY = Text(
    en="The picture service is at its limit; try again in a few minutes",
    zh="图片服务已达上限；请几分钟后重试",
)
_TROUBLE = Text(
    en="The picture service had an error of its own, also when it was asked again; try again later",
    zh="图片服务自身出错，重试后仍未成功；请稍后重试",
)
_SILENT = Text(
    en="The picture service did not answer in time; try again, or ask for a lower resolution",
    zh="图片服务未能按时响应；请重试，或降低分辨率",
)
_OURS = Text(
    en="This server's request was not accepted by the picture service; tell its operator, and quote the task's id",
    zh="本服务器发出的请求未被图片服务接受；请将任务 id 告知运营者",
)
_NO_ACCESS = Text(
    en="This server has no access to the picture service at the moment; tell its operator",
    zh="本服务器目前无法使用图片服务；请联系运营者",
)
_GONE = Text(
    en="The model is not offered by the picture service at the moment; choose another model, or tell the operator",
    zh="图片服务目前不提供该模型；请选择其他模型，或联系运营者",
)
_BAD_INPUT = Text(
    en="The picture service cannot read an input image; send it as an ordinary PNG or JPEG",
    zh="图片服务无法读取某张输入图片；请以普通 PNG 或 JPEG 格式重新发送",
)
_INPUT_TOO_LARGE = Text(
    en="The input images are too large together; send fewer or smaller ones",
    zh="输入图片的总大小超出限制；请减少数量或缩小尺寸",
)
_UNUSABLE = Text(
    en="What the picture service sent was not a usable picture, also when it was asked again; try again",
    zh="图片服务返回的数据不是可用的图片，重试后仍然如此；请重新提交",
)


def _rejected(text: Text = _REJECTED) -> Verdict:
    return Verdict("content_rejected", "give_up", text)


def _no_image(text: Text = _NO_PICTURE, most_tries: int = 3) -> Verdict:
    return Verdict("no_image", "retry", text, most_tries=most_tries)


_STRANGE = _no_image()
"""For a reason that is none, or one that belongs to tools, which are never asked for."""

FINISH_REASONS: Mapping[str, Verdict] = MappingProxyType(
    {
        # Reached only when no picture came: an answer with one and STOP (or none of the refusals) is a success.
        "FINISH_REASON_UNSPECIFIED": _STRANGE,
        "STOP": _no_image(),
        "MAX_TOKENS": _no_image(_TOO_LONG, 2),
        "SAFETY": _rejected(),
        "RECITATION": _rejected(_KNOWN_WORK),
        "LANGUAGE": Verdict("no_image", "give_up", _LANGUAGE),
        "OTHER": _no_image(),
        "BLOCKLIST": _rejected(_BLOCKED_WORDS),
        "PROHIBITED_CONTENT": _rejected(),
        "SPII": _rejected(_PEOPLE),
        "MALFORMED_FUNCTION_CALL": _STRANGE,
        "IMAGE_SAFETY": _rejected(),
        "IMAGE_PROHIBITED_CONTENT": _rejected(),
        "IMAGE_OTHER": _no_image(),
        "NO_IMAGE": _no_image(),
        "IMAGE_RECITATION": _rejected(_KNOWN_WORK),
        "UNEXPECTED_TOOL_CALL": _STRANGE,
        "TOO_MANY_TOOL_CALLS": _STRANGE,
        "MISSING_THOUGHT_SIGNATURE": _STRANGE,
        "MALFORMED_RESPONSE": _STRANGE,
        "ESCALATION": _rejected(),
        "PUP_LIMITED_DISABLED": Verdict("engine_error", "give_up", _NO_ACCESS),
        "CONTINUATION": _STRANGE,
        "MODEL_ARMOR": _rejected(),
    }
)
UNKNOWN_FINISH = _STRANGE

BLOCK_REASONS: Mapping[str, Verdict] = MappingProxyType(
    {
        "BLOCKED_REASON_UNSPECIFIED": _rejected(),
        "SAFETY": _rejected(),
        "OTHER": _rejected(),
        "BLOCKLIST": _rejected(_BLOCKED_WORDS),
        "PROHIBITED_CONTENT": _rejected(),
        "IMAGE_SAFETY": _rejected(),
        "MODEL_ARMOR": _rejected(),
        "JAILBREAK": _rejected(),
    }
)
UNKNOWN_BLOCK = _rejected()

_OUR_REQUEST = Verdict("engine_error", "give_up", _OURS)
KEY_REFUSED = Verdict("engine_error", "next_key", _NO_ACCESS, "key")
BAD_INPUT = Verdict("bad_input_image", "give_up", _BAD_INPUT)
_UPSTREAM_ERROR = Verdict("engine_error", "retry", _TROUBLE, "upstream")
_OVERLOADED = Verdict("engine_busy", "retry", _BUSY, "upstream")

STATUSES: Mapping[int, Verdict] = MappingProxyType(
    {
        400: _OUR_REQUEST,
        401: KEY_REFUSED,
        403: KEY_REFUSED,
        404: Verdict("engine_error", "next_model", _GONE, "model"),
        408: Verdict("timeout", "retry", _SILENT, "upstream", most_tries=2),
        409: _UPSTREAM_ERROR,
        413: Verdict("bad_input_image", "give_up", _INPUT_TOO_LARGE),
        429: Verdict("engine_busy", "next_key", _BUSY, "quota"),
        499: _UPSTREAM_ERROR,
        500: _UPSTREAM_ERROR,
        501: _OUR_REQUEST,
        502: _UPSTREAM_ERROR,
        503: _OVERLOADED,
        504: Verdict("timeout", "retry", _SILENT, "upstream", most_tries=2),
    }
)
STATUS_CLASSES: Mapping[int, Verdict] = MappingProxyType(
    {1: _OUR_REQUEST, 2: _UPSTREAM_ERROR, 3: _OUR_REQUEST, 4: _OUR_REQUEST, 5: _UPSTREAM_ERROR}
)
"""By the first digit, for a status without a row of its own. 2xx: an answer that should have been 200."""

FAULTS: Mapping[Fault, Verdict] = MappingProxyType(
    {
        "unreachable": _UPSTREAM_ERROR,
        "certificate": Verdict("engine_error", "give_up", _NO_ACCESS, "upstream"),
        "cut_off": _UPSTREAM_ERROR,
        "silent": Verdict("timeout", "retry", _SILENT, "upstream", most_tries=2),
        "not_json": _UPSTREAM_ERROR,
        "wrong_base64": Verdict("engine_error", "retry", _UNUSABLE),
        "too_large": Verdict("engine_error", "give_up", _UNUSABLE),
        "not_an_image": Verdict("engine_error", "retry", _UNUSABLE),
        "no_candidate": _no_image(),
        "no_credentials": KEY_REFUSED,
    }
)
assert set(FAULTS) == set(get_args(Fault))

NO_KEY_LEFT = Verdict("engine_error", "give_up", _NO_ACCESS)
NO_MODEL_LEFT = Verdict("engine_error", "give_up", _GONE)
STILL_WAITING = Verdict("engine_busy", "give_up", _BUSY)
"""The deadline came while the task waited for quota."""
STILL_SILENT = Verdict("timeout", "give_up", _SILENT)
"""The deadline came while a call was under way."""


def of_finish(reason: str) -> Verdict:
    """What an answer without a picture means."""
    return FINISH_REASONS.get(reason, UNKNOWN_FINISH)


def of_block(reason: str) -> Verdict:
    """What a refused prompt means; also for reasons that are newer than this table."""
    return BLOCK_REASONS.get(reason, UNKNOWN_BLOCK)


def of_status(status: int) -> Verdict:
    """What an HTTP status other than 200 means."""
    return STATUSES.get(status) or STATUS_CLASSES.get(status // 100, _OUR_REQUEST)
