"""The reference is whole, says what is, and holds nothing that is not."""

import re
from typing import Any

import jsonschema_rs
import pytest

from cavendish.domain.text import Language, Text
from cavendish.web.openapi import openapi, read_words
from cavendish.web.openapi_routes import ROUTES
from cavendish.wiring import load_catalog
from tests.harness import Running, running, settings_for

CATALOG = load_catalog(None)
ENGLISH = openapi(CATALOG, "en")
CHINESE = openapi(CATALOG, "zh")


def everything(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """Each value of a document with its path."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(path, value), *(found for key, part in inner for found in everything(part, f"{path}/{key}"))]


def resolved(document: Any, reference: str) -> Any:
    for step in reference.removeprefix("#/").split("/"):
        document = document[step]
    return document


def with_components(schema: Any) -> Any:
    """A schema that stands alone."""
    return {**schema, "components": ENGLISH["components"]}


@pytest.mark.parametrize("document", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_every_reference_leads_somewhere(document: Any) -> None:
    references = [value["$ref"] for _, value in everything(document) if isinstance(value, dict) and "$ref" in value]

    assert references
    assert all(resolved(document, reference) is not None for reference in references)


def test_it_is_openapi_3_1_with_one_operation_for_each_route() -> None:
    assert ENGLISH["openapi"].startswith("3.1.")
    shown = {(method, path) for path, methods in ENGLISH["paths"].items() for method in methods}
    assert shown == {(route.method, route.path) for route in ROUTES}
    ids = [operation["operationId"] for methods in ENGLISH["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))


async def test_every_route_that_is_served_is_in_it_and_no_other(dsn: str, tmp_path: Any) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        served = server.parts.app({}).routes()

    named = {(route.method.upper(), re.sub(r"\{\w+\}", "{}", route.path)) for route in ROUTES}
    assert {(method, re.sub(r"\{\w+\}", "{}", path)) for method, path in served} == named


def test_every_code_of_the_contract_is_described_with_its_headers() -> None:
    responses = ENGLISH["components"]["responses"]

    assert set(responses) == {f"error{code}" for code in (401, 402, 404, 422, 429, 500)}
    assert set(responses["error429"]["headers"]) == {"Retry-After", "RateLimit", "RateLimit-Policy"}
    for route in ROUTES:
        if route.has_envelope:
            assert {404, 500} <= set(route.codes) <= {401, 402, 404, 422, 429, 500}, route.id
            assert (401 in route.codes) == route.needs_key, route.id


def examples() -> list[tuple[str, Any, Any]]:
    found = []
    for path, value in everything(ENGLISH):
        if isinstance(value, dict) and "schema" in value and path.count("/content/"):
            named = value.get("examples", {})
            found += [(f"{path}/{name}", value["schema"], example["value"]) for name, example in named.items()]
            if "example" in value:
                found.append((path, value["schema"], value["example"]))
    return found


@pytest.mark.parametrize(
    ("path", "schema", "example"), examples(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_example_is_what_its_schema_says(path: str, schema: Any, example: Any) -> None:
    assert path
    jsonschema_rs.validator_for(with_components(schema)).validate(example)


def test_every_operation_that_answers_json_has_an_example() -> None:
    without = [
        operation["operationId"]
        for methods in ENGLISH["paths"].values()
        for operation in methods.values()
        for content in [operation["responses"]["200"]["content"].get("application/json", {})]
        if content and "examples" not in content and operation["operationId"] != "reference"
    ]

    assert without == []


def test_every_field_and_parameter_is_explained_and_nothing_else_is() -> None:
    words = read_words()
    schemas = {name: schema for name, schema in ENGLISH["components"]["schemas"].items() if "google" not in name}
    of_requests = {"CreateTask", "ImprovePrompt", "UploadForm"}

    assert {name: set(schema["properties"]) for name, schema in schemas.items()} == {
        name: set(fields) for name, fields in words.fields.items() if name not in of_requests
    }
    assert set(words.parameters) == {parameter.name for route in ROUTES for parameter in route.parameters}
    assert set(words.operations) == {route.id for route in ROUTES} | {"taskEnded"}
    assert set(words.tags) == {route.tag for route in ROUTES}
    assert {int(code) for code in words.codes} == {200, *(code for route in ROUTES for code in route.codes)}
    for name, schema in ENGLISH["components"]["schemas"].items():
        for field, rule in schema["properties"].items():
            assert rule["description"], f"{name}.{field}"


@pytest.mark.parametrize("model", CATALOG.models, ids=lambda model: model.id)
def test_a_models_fields_are_all_explained(model: Any) -> None:
    schema = ENGLISH["components"]["schemas"][model.id.replace("/", "_")]

    assert all(rule["description"] for rule in schema["properties"]["input"]["properties"].values())
    assert str(model.price(model.resolutions[0])) in schema["description"]


def test_both_languages_have_the_same_shape_and_other_words() -> None:
    def shape(document: Any) -> list[str]:
        return [path for path, _ in everything(document)]

    assert shape(ENGLISH) == shape(CHINESE)
    described = [
        (path, value) for path, value in everything(CHINESE) if path.endswith("/description") and isinstance(value, str)
    ]
    assert [path for path, value in described if not re.search(r"[一-鿿]", value)] == []


def texts(value: Any) -> list[Text]:
    if isinstance(value, Text):
        return [value]
    parts = (
        value.values()
        if isinstance(value, dict)
        else (getattr(value, f) for f in getattr(value, "__struct_fields__", ()))
    )
    return [text for part in parts for text in texts(part)]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_sentence_is_empty(language: Language) -> None:
    said = [text.say(language) for text in texts(read_words())]

    assert len(said) > 150
    assert all(said)


def schema_of(model: str) -> Any:
    return jsonschema_rs.validator_for(with_components(ENGLISH["components"]["schemas"][f"google_{model}"]))


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({"prompt": "x"}, True),
        ({"prompt": "x", "image_size": "16:9", "aspect_ratio": None}, True),
        ({"prompt": "x", "image_size": "16:9", "aspect_ratio": "1:1"}, False),
        ({"prompt": "x", "image_size": "2:5"}, False),
        ({"prompt": " \u200b\n"}, False),
        ({"prompt": "中"}, True),
        ({}, False),
    ],
)
def test_the_schema_of_a_create_says_what_the_server_says(fields: Any, fits: bool) -> None:
    from cavendish.domain.errors import InvalidRequest
    from cavendish.domain.inputs import InputPolicy, read_input

    policy = InputPolicy(allow_private_urls=True, own_prefix="http://x/results/")
    try:
        read_input(CATALOG.find("nano-banana"), fields, policy)
        read = True
    except InvalidRequest:
        read = False

    assert schema_of("nano-banana").is_valid({"model": "google/nano-banana", "input": fields}) == fits == read


async def test_it_is_served_without_a_key_in_the_language_that_is_asked_for(dsn: str, tmp_path: Any) -> None:
    async with running(settings_for(dsn, tmp_path), with_worker=False) as server:
        status, english, headers = await server.call("GET", "/openapi.json")
        assert (status, english) == (200, ENGLISH)
        assert headers["Content-Type"] == "application/json"
        assert (await server.call("GET", "/openapi.json?lang=zh"))[1] == CHINESE
        assert (await server.call("GET", "/openapi.json", headers={"Accept-Language": "zh-CN"}))[1] == CHINESE
        assert await in_fields(server) == {"prompt", "image_input", "image_size", "output_format", "seed"}


async def in_fields(server: Running) -> set[str]:
    """The fields that GET /api/v1/models names for the standard model."""
    models = (await server.call("GET", "/api/v1/models"))[1]["data"]["models"]
    return set(models[0]["input"]["properties"])
