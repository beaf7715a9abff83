"""The `input` of a create: defaults, aliases, and every wrong field named at once."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cavendish.domain.catalog import Catalog
from cavendish.domain.errors import InvalidRequest, Problem
from cavendish.domain.inputs import MAX_SEED, SEEN, InputPolicy, TaskInput, input_schema, is_inline, read_input
from cavendish.wiring import load_catalog

CATALOG: Catalog = load_catalog(None)
OWN = "http://127.0.0.1:8787/results/"
STRICT, LENIENT = InputPolicy(False, OWN), InputPolicy(True, OWN)
URL = "https://a.example/1.png"
INLINE = "data:image/png;base64,AAAA"


def read(model: str = "nano-banana", policy: InputPolicy = STRICT, /, **fields: Any) -> TaskInput:
    return read_input(CATALOG.find(model), {"prompt": "x", **fields}, policy)


def problems(model: str = "nano-banana", policy: InputPolicy = STRICT, /, **fields: Any) -> dict[str, str]:
    """Path -> rule in English, of what is wrong."""
    with pytest.raises(InvalidRequest) as refused:
        read(model, policy, **fields)
    assert all(problem.rule.zh and problem.rule.zh != problem.rule.en for problem in refused.value.problems)
    return {problem.path: problem.rule.en for problem in refused.value.problems}


def test_a_prompt_alone_gets_every_default() -> None:
    assert read() == TaskInput("x", "1:1", "1k", "png", (), None)
    assert read("nano-banana-pro", image_input=[]) == TaskInput("x", "1:1", "1k", "png", (), None)
    assert read("nano-banana-edit", image_urls=[URL]) == TaskInput("x", "1:1", "1k", "png", (URL,), None)


@pytest.mark.parametrize("field", ["image_size", "aspect_ratio", "output_format", "image_input", "resolution", "seed"])
def test_null_is_as_good_as_absent(field: str) -> None:
    assert read(**{field: None}) == read()


def test_unknown_fields_are_ignored() -> None:
    assert read(mood="calm", negative_prompt=7, PROMPT=None) == read()


@pytest.mark.parametrize(("prompt", "kept"), [("  a cat\n", "a cat"), ("\u3000猫\u00a0", "猫"), ("a  b", "a  b")])
def test_a_prompt_is_trimmed_at_its_ends_only(prompt: str, kept: str) -> None:
    assert read(prompt=prompt).prompt == kept


@pytest.mark.parametrize("prompt", ["画" * 10_000, " " * 50 + "🍌" * 10_000 + "\n" * 50])
def test_ten_thousand_characters_are_counted_after_trimming(prompt: str) -> None:
    assert len(read(prompt=prompt).prompt) == 10_000
    assert "10000 characters; got 10001" in problems(prompt=prompt.strip() + "x")["input.prompt"]


@pytest.mark.parametrize("prompt", [None, "", "   ", "\t\n\u3000"])
def test_a_prompt_is_required(prompt: str | None) -> None:
    assert set(problems(prompt=prompt)) == {"input.prompt"}


@pytest.mark.parametrize("value", [7, True, 1.5, ["x"], {"text": "x"}])
@pytest.mark.parametrize("field", ["prompt", "image_size", "aspect_ratio", "output_format"])
def test_words_must_be_strings(field: str, value: object) -> None:
    assert "must be a string" in problems(**{field: value})[f"input.{field}"]


@pytest.mark.parametrize("model", ["nano-banana", "nano-banana-pro", "nano-banana-edit"])
@pytest.mark.parametrize("field", ["image_size", "aspect_ratio"])
def test_a_ratio_goes_by_either_name_on_every_model(model: str, field: str) -> None:
    images = {"image_input": [URL]}

    assert read(model, **images, **{field: "21:9"}).aspect_ratio == "21:9"
    assert set(problems(model, **images, **{field: "2:5"})) == {f"input.{field}"}


def test_both_names_of_the_ratio_must_agree() -> None:
    assert read(image_size="4:3", aspect_ratio="4:3").aspect_ratio == "4:3"
    assert "aspect_ratio" in problems(image_size="4:3", aspect_ratio="1:1")["input.image_size"]


@pytest.mark.parametrize("ratio", ["1:2", "16:10", "1 : 1", "01:1", "AUTO", "", "1:1 ", "square"])
def test_a_wrong_ratio_is_answered_with_the_right_ones(ratio: str) -> None:
    rule = problems(image_size=ratio)["input.image_size"]

    assert "1:1, 9:16, 16:9, 3:4, 4:3, 3:2, 2:3, 5:4, 4:5, 21:9, auto" in rule
    assert f'"{ratio}"' in rule


@pytest.mark.parametrize("model", ["nano-banana", "nano-banana-pro", "nano-banana-edit"])
@pytest.mark.parametrize(("sent", "read_as"), [("png", "png"), ("jpeg", "jpeg"), ("jpg", "jpeg")])
def test_jpg_and_jpeg_are_the_same_on_every_model(model: str, sent: str, read_as: str) -> None:
    assert read(model, image_input=[URL], output_format=sent).output_format == read_as


@pytest.mark.parametrize("sent", ["webp", "gif", "PNG", "", ".png"])
def test_other_formats_are_refused(sent: str) -> None:
    assert "png, jpeg" in problems(output_format=sent)["input.output_format"]


@pytest.mark.parametrize("sent", ["4k", "4K"])
def test_a_resolution_may_be_written_in_any_case(sent: str) -> None:
    assert read("nano-banana-pro", image_input=[], resolution=sent).resolution == "4k"


@pytest.mark.parametrize("sent", ["8k", "1024", "", "4 k", 4])
def test_a_wrong_resolution_is_refused_where_there_is_a_choice(sent: object) -> None:
    assert set(problems("nano-banana-pro", image_input=[], resolution=sent)) == {"input.resolution"}
    assert read(resolution=sent).resolution == "1k"


@pytest.mark.parametrize(("model", "least", "most"), [("nano-banana", 0, 3), ("pro", 0, 8), ("edit", 1, 10)])
def test_each_model_takes_its_number_of_images(model: str, least: int, most: int) -> None:
    name = model if model == "nano-banana" else f"nano-banana-{model}"
    for count in range(least, most + 1):
        assert len(read(name, image_input=[URL] * count).images) == count
    assert (
        f"{least} to {most} entries; got {most + 1}"
        in problems(name, image_input=[URL] * (most + 1))["input.image_input"]
    )


def test_pro_wants_its_list_even_if_empty_and_says_so() -> None:
    assert "send []" in problems("nano-banana-pro")["input.image_input"]


def test_edit_wants_at_least_one_image() -> None:
    assert "at least 1" in problems("nano-banana-edit")["input.image_urls"]
    assert set(problems("nano-banana-edit", image_urls=[])) == {"input.image_urls"}


@pytest.mark.parametrize("value", ["https://a.example/1.png", 7, {"0": URL}, True])
def test_images_must_be_a_list(value: object) -> None:
    assert "array" in problems(image_input=value)["input.image_input"]


def test_every_wrong_image_is_named_by_its_place() -> None:
    found = problems("nano-banana-pro", image_input=[URL, "nonsense", 7, URL, "ftp://a.example/"])

    assert set(found) == {f"input.image_input[{index}]" for index in (1, 2, 4)}


@pytest.mark.parametrize("url", ["http://127.0.0.1/1.png", "http://localhost/1.png", "http://10.1.2.3/1.png"])
def test_private_addresses_are_refused_unless_allowed(url: str) -> None:
    assert set(problems(image_input=[url])) == {"input.image_input[0]"}
    assert read("nano-banana", LENIENT, image_input=[url]).images == (url,)


def test_our_own_results_are_taken_wherever_we_run() -> None:
    assert read(image_input=[OWN + "9f.png"]).images == (OWN + "9f.png",)


@pytest.mark.parametrize("reference", [INLINE, "DATA:IMAGE/PNG;base64,AAAA", "data:image/webp;charset=x;base64,AA=="])
def test_a_data_uri_is_an_image_reference(reference: str) -> None:
    assert is_inline(reference)
    assert read(image_input=[reference]).images == (reference,)


@pytest.mark.parametrize("reference", ["data:image/png,AAAA", "data:image/png", "data:image/" + "x" * 100 + ";base64,"])
def test_a_data_uri_must_be_base64(reference: str) -> None:
    assert "base64" in problems(image_input=[reference])["input.image_input[0]"]


@pytest.mark.parametrize("reference", ["data:text/plain;base64,AAAA", "data:,x", " data:image/png;base64,AAAA", ""])
def test_other_data_is_no_image(reference: str) -> None:
    assert not is_inline(reference)
    assert set(problems(image_input=[reference])) == {"input.image_input[0]"}


@pytest.mark.parametrize("seed", [0, 1, -1, MAX_SEED, -MAX_SEED])
def test_a_seed_is_a_whole_number(seed: int) -> None:
    assert read(seed=seed).seed == seed


@pytest.mark.parametrize("seed", [MAX_SEED + 1, -MAX_SEED - 1, 1.0, "1", True, [1]])
def test_other_seeds_are_refused(seed: object) -> None:
    assert set(problems(seed=seed)) == {"input.seed"}


def test_all_wrong_fields_are_reported_at_once() -> None:
    found = problems(
        "nano-banana-pro", prompt="", aspect_ratio="2:5", resolution="8k", output_format="gif", image_input=7, seed="x"
    )

    assert set(found) == {
        f"input.{field}" for field in ("prompt", "aspect_ratio", "resolution", "output_format", "image_input", "seed")
    }


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["1:1", "auto", "jpg", URL]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_fields = st.sampled_from(
    ["prompt", "image_size", "aspect_ratio", "output_format", "image_input", "image_urls", "resolution", "seed", "mood"]
)


@given(st.sampled_from(CATALOG.models), st.dictionaries(_fields, _values, max_size=9))
def test_whatever_is_sent_is_read_or_refused_by_field(model: Any, raw: dict[str, Any]) -> None:
    refused: tuple[Problem, ...] = ()
    wanted = None
    try:
        wanted = read_input(model, raw, STRICT)
    except InvalidRequest as error:
        refused = error.problems
    assert (wanted is None) == bool(refused)
    assert all(problem.path.startswith("input.") for problem in refused)
    assert all(len(problem.rule.en) < 2_000 for problem in refused)
    if wanted is None:
        return
    assert 1 <= len(wanted.prompt) <= 10_000
    assert wanted.aspect_ratio in model.row.ratios
    assert wanted.resolution in model.resolutions
    assert model.row.images.min <= len(wanted.images) <= model.row.images.max or not model.row.images.required


@pytest.mark.parametrize("model", CATALOG.models, ids=lambda model: model.id)
def test_the_schema_says_what_the_rules_say(model: Any) -> None:
    schema = input_schema(model)
    properties = schema["properties"]

    assert properties["prompt"] == {"type": "string", "minLength": 1, "maxLength": 10_000, "pattern": SEEN}
    assert properties[model.row.ratio_field]["enum"] == [*model.row.ratios, None]
    assert properties[model.row.images.field]["maxItems"] == model.row.images.max
    assert ("resolution" in properties) == (len(model.resolutions) > 1)
    assert set(schema["required"]) <= set(properties)
    for name, rule in properties.items():
        for value in rule.get("enum", []):
            read_input(model, {"prompt": "x", "image_input": [URL], name: value}, STRICT)
