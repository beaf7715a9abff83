"""Prompt help over HTTP: what a prompt has, what it lacks, and the prompt with that added."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from cavendish.domain.catalog import Catalog, Model
from cavendish.domain.errors import InvalidRequest, Problem
from cavendish.domain.inputs import check_prompt
from cavendish.domain.prompt_reading import Kind, Written
from cavendish.domain.prompt_rules import PromptRules
from cavendish.domain.prompts import Advice, advise
from cavendish.domain.text import Language, Text, shortened
from cavendish.web.answers import AnswerResponse, language_of, success
from cavendish.web.asgi import read_body
from cavendish.web.auth import KeyRing
from cavendish.web.bodies import BODY_LIMIT_BYTES, json_object
from cavendish.web.limits import QueryLimit

IMPROVE_PATH = "/api/v1/prompts/improve"
LONG_PROMPT_CHARS = 1_000
"""A longer one takes more than a few milliseconds to read, so it is read in a thread."""


class MissingPart(msgspec.Struct, frozen=True):
    """A part that the prompt says nothing about, and what to say about it."""

    part: str
    advice: str


class PromptAdvice(msgspec.Struct, frozen=True):
    """What prompt help answers. `parts`: the prompt's own words by part; an empty list where it has none."""

    language: Written
    kind: Kind
    parts: dict[str, list[str]]
    missing: list[MissingPart]
    added: list[str]
    improved: str


def shown(advice: Advice, language: Language) -> PromptAdvice:
    """Advice as the wire shows it, with sentences in `language`."""
    return PromptAdvice(
        language=advice.language,
        kind=advice.kind,
        parts={found.part.name: list(found.words) for found in advice.parts},
        missing=[MissingPart(part.name, part.advice.say(language)) for part in advice.missing],
        added=list(advice.added),
        improved=advice.improved,
    )


class PromptHelp:
    """POST /api/v1/prompts/improve"""

    def __init__(self, *, keys: KeyRing, rules: PromptRules, catalog: Catalog, limit: QueryLimit) -> None:
        self._keys = keys
        self._rules = rules
        self._catalog = catalog
        self._limit = limit

    async def improve(self, request: Request) -> Response:
        """Read a prompt and improve it; costs no credits and creates no task.

        Raises:
            InvalidRequest: naming each wrong field.
            NotFound: the model is not known.
        """
        caller = await self._keys.caller(request.scope)
        self._limit.count(caller.key_id)
        fields = json_object(await read_body(request.receive, limit=BODY_LIMIT_BYTES, inline_limit=BODY_LIMIT_BYTES))
        prompt, model = self._read(fields)
        edits_only = model is not None and model.row.images.min > 0
        if len(prompt) > LONG_PROMPT_CHARS:
            advice = await asyncio.to_thread(advise, self._rules, prompt, edits_only=edits_only)
        else:
            advice = advise(self._rules, prompt, edits_only=edits_only)
        return AnswerResponse(success(shown(advice, language_of(request.scope))))

    def _read(self, fields: Mapping[str, Any]) -> tuple[str, Model | None]:
        problems: list[Problem] = []
        prompt = check_prompt("prompt", fields.get("prompt"), problems)
        raw = fields.get("model")
        if raw is not None and not isinstance(raw, str):
            got = shortened(raw)
            rule = Text(en=f"must be a string, or be left out; got {got}", zh=f"必须是字符串或省略；收到 {got}")
            problems.append(Problem("model", rule))
        if problems:
            raise InvalidRequest(problems)
        return prompt, self._catalog.find(raw) if isinstance(raw, str) else None
