"""The API reference as OpenAPI 3.1, made from the routes, the types that are sent, and the catalogue that validates.

Sources: OpenAPI 3.1.1; JSON Schema 2020-12; RateLimit headers: draft-ietf-httpapi-ratelimit-headers-10.
"""

import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import msgspec

from cavendish import __version__
from cavendish.domain.catalog import Catalog, Model
from cavendish.domain.inputs import input_schema, prompt_schema
from cavendish.domain.task_data import TaskData
from cavendish.domain.text import Language, Text
from cavendish.web.openapi_examples import DATA_EXAMPLES, ERROR_EXAMPLES, HEADER_EXAMPLES, REQUEST_EXAMPLES
from cavendish.web.openapi_routes import IMAGES, ROUTES, Parameter, Route

Json = dict[str, Any]

REF = "#/components/schemas/{name}"
MAX_CALLBACK_URL_CHARS = 2048
_ERRORS = (401, 402, 404, 422, 429, 500)
_HEADERS_OF: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {
        206: ("ETag", "Content-Range"),
        304: ("ETag",),
        401: ("WWW-Authenticate",),
        404: ("Allow",),
        416: ("ETag", "Content-Range"),
        429: ("Retry-After", "RateLimit-Policy", "RateLimit"),
    }
)
_ALWAYS_SENT = frozenset({"Retry-After", "RateLimit-Policy", "RateLimit", "WWW-Authenticate", "ETag", "Content-Range"})
_CALLBACK_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature", "X-Webhook-Signature")


class Titled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name and a sentence or two about it."""

    title: Text
    description: Text


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of reference/words.toml."""

    info: Titled
    tags: dict[str, Titled]
    operations: dict[str, Titled]
    codes: dict[str, Text]
    parameters: dict[str, Text]
    headers: dict[str, Text]
    fields: dict[str, dict[str, Text]]


def read_words() -> Words:
    """The words for people, in both languages."""
    path = files("cavendish.web").joinpath("reference", "words.toml")
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Words)


def openapi(catalog: Catalog, language: Language, words: Words | None = None) -> Json:
    """The document, with its sentences in `language`."""
    document: Json = _plain(_Document(catalog, language, words or read_words()).whole())
    return document


def _plain(value: Any) -> Any:
    """`value` with every read-only table as a dict of its own, so that nobody's change reaches a constant."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


class _Document:
    def __init__(self, catalog: Catalog, language: Language, words: Words) -> None:
        self._catalog = catalog
        self._language: Language = language
        self._words = words

    def whole(self) -> Json:
        """Everything."""
        info = self._words.info
        paths: dict[str, Json] = {}
        for route in ROUTES:
            paths.setdefault(route.path, {})[route.method] = self._operation(route)
        return {
            "openapi": "3.1.1",
            "info": {
                "title": self._say(info.title),
                "version": __version__,
                "description": self._say(info.description),
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/"}],
            "security": [{"apiKey": []}],
            "tags": [
                {"name": name, "summary": self._say(tag.title), "description": self._say(tag.description)}
                for name, tag in self._words.tags.items()
            ],
            "paths": paths,
            "components": {
                "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "sk-…"}},
                "schemas": self._schemas(),
                "headers": {name: self._header(name) for name in HEADER_EXAMPLES},
                "responses": {f"error{code}": self._error(code) for code in _ERRORS},
            },
        }

    def _say(self, text: Text) -> str:
        return text.say(self._language)

    def _operation(self, route: Route) -> Json:
        words = self._words.operations[route.id]
        operation: Json = {
            "operationId": route.id,
            "tags": [route.tag],
            "summary": self._say(words.title),
            "description": self._say(words.description),
        }
        if not route.needs_key:
            operation["security"] = []
        if route.parameters:
            operation["parameters"] = [self._parameter(parameter) for parameter in route.parameters]
        if route.body is not None:
            operation["requestBody"] = self._body(route.body)
        operation["responses"] = {"200": self._success(route), **{str(c): self._other(route, c) for c in route.codes}}
        if route.id == "createTask":
            operation["callbacks"] = {"taskEnded": {"{$request.body#/callBackUrl}": {"post": self._callback()}}}
        return operation

    def _parameter(self, parameter: Parameter) -> Json:
        shown: Json = {
            "name": parameter.name,
            "in": parameter.place,
            "description": self._say(self._words.parameters[parameter.name]),
            "schema": dict(parameter.schema),
        }
        return {**shown, "required": True} if parameter.place == "path" else shown

    def _success(self, route: Route) -> Json:
        answer: Json = {"description": self._say(self._words.codes["200"])}
        if route.headers:
            answer["headers"] = {name: _header_ref(name) for name in route.headers}
        content: Json = {}
        if route.data:
            content["application/json"] = self._json_content(route)
        for media in route.media:
            content[media] = {"schema": _schema_of(media)}
        answer["content"] = content
        if route.id == "createTask":
            answer["links"] = {
                target: {"operationId": target, "parameters": {"taskId": "$response.body#/data/taskId"}}
                for target in ("queryTask", "streamTask", "cancelTask", "showCallback", "redeliverCallback")
            }
        return answer

    def _json_content(self, route: Route) -> Json:
        names = [kind.__name__ for kind in route.data]
        data: Json = {"anyOf": [_ref(name) for name in names]} if len(names) > 1 else _ref(names[0])
        schema = _envelope({"const": 200}, {"const": "success"}, data) if route.has_envelope else data
        examples = {
            name: {"value": _in_envelope(DATA_EXAMPLES[name]) if route.has_envelope else DATA_EXAMPLES[name]}
            for name in names
            if name in DATA_EXAMPLES
        }
        if route.id == "listModels":
            models = {"models": [self._model_example(model) for model in self._catalog.models[:1]]}
            examples = {"ModelsShown": {"value": _in_envelope(models)}}
        return {"schema": schema, "examples": examples}

    def _model_example(self, model: Model) -> Json:
        prices = model.row.prices
        description = {"en": model.row.description.en, "zh": model.row.description.zh}
        price = min(prices.values())
        return {"id": model.id, "description": description, "price": price, "prices": prices, "input": {}}

    def _other(self, route: Route, code: int) -> Json:
        if code in _ERRORS:
            return {"$ref": f"#/components/responses/error{code}"}
        answer: Json = {"description": self._say(self._words.codes[str(code)])}
        if code in _HEADERS_OF:
            answer["headers"] = {name: _header_ref(name) for name in _HEADERS_OF[code]}
        if code == 206:
            answer["content"] = {media: {"schema": {}} for media in route.media}
        if code == 503:
            answer["content"] = {"application/json": {"schema": _ref(route.data[0].__name__)}}
        return answer

    def _error(self, code: int) -> Json:
        return {
            "description": self._say(self._words.codes[str(code)]),
            "headers": {name: _header_ref(name) for name in _HEADERS_OF.get(code, ())},
            "content": {
                "application/json": {
                    "schema": {"allOf": [_ref("Error"), {"properties": {"code": {"const": code}}}]},
                    "example": {"code": code, "message": ERROR_EXAMPLES[code], "data": None},
                }
            },
        }

    def _header(self, name: str) -> Json:
        schema: Json = {"type": "integer", "minimum": 1} if name == "Retry-After" else {"type": "string"}
        example: int | str = int(HEADER_EXAMPLES[name]) if name == "Retry-After" else HEADER_EXAMPLES[name]
        shown: Json = {"description": self._say(self._words.headers[name]), "schema": schema, "example": example}
        return {**shown, "required": True} if name in _ALWAYS_SENT else shown

    def _schemas(self) -> Json:
        kinds = sorted({kind for route in ROUTES for kind in route.data} | {TaskData}, key=lambda kind: kind.__name__)
        _, schemas = msgspec.json.schema_components(kinds, ref_template=REF)
        own = {_spelled(model): self._create_schema(model) for model in self._catalog.models}
        schemas["Error"] = _envelope({"type": "integer"}, {"type": "string"}, {"type": "null"})
        for name, schema in schemas.items():
            schema.pop("title", None)
            schema.pop("description", None)
            for field, said in self._words.fields[name].items():
                schema["properties"][field]["description"] = self._say(said)
        return {**own, **schemas}

    def _create_schema(self, model: Model) -> Json:
        said = self._words.fields["CreateTask"]
        fields = input_schema(model)
        for name, schema in fields["properties"].items():
            if name in said:  # an operator's own model may spell its fields otherwise
                schema["description"] = self._say(said[name])
        url: Json = {
            "anyOf": [
                {"type": "string", "format": "uri", "maxLength": MAX_CALLBACK_URL_CHARS},
                {"type": "string", "const": ""},
                {"type": "null"},
            ],
            "description": self._say(said["callBackUrl"]),
        }
        prices = " · ".join(f"{resolution}: {price}" for resolution, price in model.row.prices.items())
        return {
            "type": "object",
            "title": model.id,
            "description": f"{self._say(model.row.description)} ({prices})",
            "required": ["model", "input"],
            "properties": {
                "model": {"const": model.id, "type": "string", "description": self._say(said["model"])},
                "callBackUrl": url,
                "input": {**fields, "description": self._say(said["input"])},
            },
        }

    def _body(self, body: str) -> Json:
        if body == "create":
            models = self._catalog.models
            examples = {m.id: {"value": REQUEST_EXAMPLES[m.id]} for m in models if m.id in REQUEST_EXAMPLES}
            schema: Json = {"anyOf": [_ref(_spelled(model)) for model in models]}
            return {"required": True, "content": {"application/json": {"schema": schema, "examples": examples}}}
        if body == "improve":
            said = self._words.fields["ImprovePrompt"]
            model = {"type": ["string", "null"], "description": self._say(said["model"])}
            prompt = {**prompt_schema(), "description": self._say(said["prompt"])}
            schema = {"type": "object", "required": ["prompt"], "properties": {"prompt": prompt, "model": model}}
            example = REQUEST_EXAMPLES["improve"]
            return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}
        file = {"description": self._say(self._words.fields["UploadForm"]["file"])}
        form: Json = {
            "schema": {"type": "object", "required": ["file"], "properties": {"file": file}},
            "encoding": {"file": {"contentType": ", ".join(IMAGES)}},
        }
        return {"required": True, "content": {"multipart/form-data": form, **{kind: {"schema": {}} for kind in IMAGES}}}

    def _callback(self) -> Json:
        words = self._words.operations["taskEnded"]
        headers = [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": self._say(self._words.headers[name]),
                "schema": {"type": "string"},
            }
            for name in _CALLBACK_HEADERS
        ]
        content = {"application/json": {"schema": _ref("TaskData"), "example": DATA_EXAMPLES["TaskData"]}}
        return {
            "summary": self._say(words.title),
            "description": self._say(words.description),
            "security": [],
            "parameters": headers,
            "requestBody": {"required": True, "content": content},
            "responses": {"2XX": {"description": self._say(self._words.codes["200"])}},
        }


def _ref(name: str) -> Json:
    return {"$ref": REF.format(name=name)}


def _header_ref(name: str) -> Json:
    return {"$ref": f"#/components/headers/{name}"}


def _spelled(model: Model) -> str:
    """The model's id as a component may be named."""
    return re.sub(r"[^A-Za-z0-9.-]", "_", model.id)


def _envelope(code: Json, message: Json, data: Json) -> Json:
    return {
        "type": "object",
        "required": ["code", "message", "data"],
        "properties": {"code": code, "message": message, "data": data},
        "additionalProperties": False,
    }


def _in_envelope(data: Any) -> Json:
    return {"code": 200, "message": "success", "data": data}


def _schema_of(media: str) -> Json:
    if media == "application/json":
        return {"type": "object"}
    if media == "text/event-stream":  # what each event is, as OpenAPI 3.2 will spell it in `itemSchema`
        data = {"type": "string", "contentMediaType": "application/json", "contentSchema": _ref("TaskData")}
        return {"type": "object", "required": ["id", "data"], "properties": {"id": {"type": "string"}, "data": data}}
    return {"type": "string"} if media.startswith("text/") else {}
