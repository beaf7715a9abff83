"""The model catalogue: as shipped, as an operator changes it, and as nobody should write it."""

import copy
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from cavendish.domain.catalog import Catalog, build_catalog, merged
from cavendish.domain.errors import Misconfigured, NotFound
from cavendish.domain.usage import UpstreamTokens, Usage, cost_micros
from cavendish.wiring import load_catalog

RATIOS = {"1:1", "9:16", "16:9", "3:4", "4:3", "3:2", "2:3", "5:4", "4:5", "21:9"}
BANANA, PRO, EDIT = "google/nano-banana", "google/nano-banana-pro", "google/nano-banana-edit"


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    return tomllib.loads(files("cavendish").joinpath("catalog.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def catalog(shipped: dict[str, Any]) -> Catalog:
    return build_catalog(shipped)


def changed(raw: dict[str, Any], *path: str, value: Any) -> dict[str, Any]:
    """A copy with one value replaced, or removed when it is None."""
    copied = copy.deepcopy(raw)
    table = copied
    for name in path[:-1]:
        table = table[name]
    if value is None:
        del table[path[-1]]
    else:
        table[path[-1]] = value
    return copied


def refusal(raw: dict[str, Any]) -> Misconfigured:
    with pytest.raises(Misconfigured) as refused:
        build_catalog(raw)
    return refused.value


def test_the_shipped_catalogue_has_the_models_and_prices_of_the_contract(catalog: Catalog) -> None:
    assert {model.id: dict(model.row.prices) for model in catalog.models} == {
        BANANA: {"1k": 3},
        PRO: {"1k": 8, "2k": 8, "4k": 14},
        EDIT: {"1k": 3},
    }


def test_upstream_ids_come_with_their_fallbacks(catalog: Catalog) -> None:
    assert catalog.find(BANANA).row.upstream == ("gemini-2.5-flash-image", "gemini-3.1-flash-image")
    assert catalog.find(PRO).row.upstream == ("gemini-3-pro-image", "gemini-3-pro-image-preview")


@pytest.mark.parametrize("model_id", [BANANA, PRO, EDIT])
def test_every_model_has_every_ratio_square_first_and_auto(catalog: Catalog, model_id: str) -> None:
    ratios = catalog.find(model_id).row.ratios

    assert set(ratios) == RATIOS | {"auto"}
    assert (ratios[0], len(ratios)) == ("1:1", 11)


@pytest.mark.parametrize("model_id", [BANANA, PRO, EDIT])
def test_every_size_is_near_its_ratio_and_turned_for_its_inverse(catalog: Catalog, model_id: str) -> None:
    model = catalog.find(model_id)
    for resolution in model.resolutions:
        for ratio in RATIOS:
            across, down = map(int, ratio.split(":"))
            width, height = model.size(resolution, ratio)
            assert width / height == pytest.approx(across / down, rel=0.03)
            if ratio != "21:9":
                assert model.size(resolution, f"{down}:{across}") == (height, width)


def test_higher_resolutions_are_exact_multiples(catalog: Catalog) -> None:
    pro = catalog.find(PRO)
    for ratio in RATIOS:
        width, height = pro.size("1k", ratio)
        assert pro.size("2k", ratio) == (2 * width, 2 * height)
        assert pro.size("4k", ratio) == (4 * width, 4 * height)


@pytest.mark.parametrize(
    ("spelling", "model_id"),
    [
        (BANANA, BANANA),
        ("nano-banana", BANANA),
        ("nano_banana", BANANA),
        ("nanobanana", BANANA),
        ("Google/NANO_Banana", BANANA),
        ("google/nano_banana_pro", PRO),
        ("NanoBanana-Pro", PRO),
        ("nanobananapro", PRO),
        ("google/nano_banana_edit", EDIT),
        ("nanobanana-edit", EDIT),
    ],
)
def test_a_model_is_found_by_every_spelling_in_the_field(catalog: Catalog, spelling: str, model_id: str) -> None:
    assert catalog.find(spelling).id == model_id


@pytest.mark.parametrize(
    "spelling", ["", " nano-banana", "nano banana", "banana", "openai/nano-banana", "nano-banana-2", "nano-banana\0"]
)
def test_an_unknown_model_is_answered_with_the_known_ones(catalog: Catalog, spelling: str) -> None:
    with pytest.raises(NotFound) as missing:
        catalog.find(spelling)

    for sentence in (missing.value.text.en, missing.value.text.zh):
        assert all(model_id in sentence for model_id in (BANANA, PRO, EDIT))


def test_laying_on_top_merges_tables_and_changes_nothing_below() -> None:
    base = {"a": {"x": 1, "y": {"z": 2}}, "b": [1, 2]}
    over = {"a": {"y": {"w": 3}}, "b": [9], "c": 4}

    assert merged(base, over) == {"a": {"x": 1, "y": {"z": 2, "w": 3}}, "b": [9], "c": 4}
    assert base == {"a": {"x": 1, "y": {"z": 2}}, "b": [1, 2]}
    assert over == {"a": {"y": {"w": 3}}, "b": [9], "c": 4}


def test_an_operator_changes_one_price_and_keeps_the_rest(shipped: dict[str, Any]) -> None:
    catalog = build_catalog(merged(shipped, {"models": {BANANA: {"prices": {"1k": 5}}}}))

    assert catalog.find(BANANA).price("1k") == 5
    assert catalog.find(BANANA).row.upstream[0] == "gemini-2.5-flash-image"
    assert catalog.find(PRO).price("4k") == 14


def test_a_resolution_left_out_of_the_price_list_is_not_sold(shipped: dict[str, Any]) -> None:
    model = build_catalog(merged(shipped, {"models": {PRO: {"prices": {"2k": 9}}}})).find(PRO)

    assert model.resolutions == ("2k",)


def test_an_operator_adds_a_model_of_his_own(shipped: dict[str, Any]) -> None:
    own = {**shipped["models"][BANANA], "upstream": ["my-model"], "prices": {"1k": 0}}
    catalog = build_catalog(merged(shipped, {"models": {"acme/draw": own}}))

    assert catalog.find("acme/draw").price("1k") == 0
    assert len(catalog.models) == 4


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("models", BANANA, "prices"), {"1k": -1}, f"models.{BANANA}: a price"),
        (("models", BANANA, "prices"), {"1k": "three"}, "prices"),
        (("models", BANANA, "prices"), {"1k": 2.5}, "prices"),
        (("models", BANANA, "prices"), {}, f"models.{BANANA}: upstream, prices and formats"),
        (("models", BANANA, "prices"), {"2k": 3}, "has no size for 2k"),
        (("models", BANANA, "upstream"), [], f"models.{BANANA}: upstream"),
        (("models", BANANA, "formats"), [], f"models.{BANANA}: upstream"),
        (("models", BANANA, "pixels"), "nowhere", "no pixel table named nowhere"),
        (("models", BANANA, "ratios"), ["1:1", "7:1"], "at 7:1"),
        (("models", BANANA, "upstream"), None, "upstream"),
        (("models", BANANA, "colour"), "blue", "colour"),
        (("models", BANANA, "images", "min"), 4, "images.min is above images.max"),
        (("models", BANANA, "images", "many"), True, "many"),
        (("models", BANANA, "description"), "one language", "description"),
        (("models", BANANA), "a string", "models"),
        (("pixels", "standard", "1k", "1:1"), [1024], "pixels"),
        (("pixels", "standard", "1k", "1:1"), ["a", "b"], "pixels"),
        (("pixels", "standard", "1k", "21:9"), None, "pixels.standard has no size for 1k at 21:9"),
        (("pixels",), None, "pixels"),
        (("prices",), {}, "prices"),
    ],
)
def test_a_wrong_value_is_refused_and_its_place_named(
    shipped: dict[str, Any], path: tuple[str, ...], value: object, says: str
) -> None:
    error = refusal(changed(shipped, *path, value=value))

    assert error.text.en.startswith("model catalogue: ")
    assert says in error.text.en
    assert error.text.zh.startswith("模型目录：")


def test_an_operators_file_is_laid_on_top(tmp_path: Path) -> None:
    file = tmp_path / "catalog.toml"
    file.write_text(f'[models."{BANANA}"]\nprices = {{ "1k" = 4 }}\n', encoding="utf-8")

    assert load_catalog(file).find(BANANA).price("1k") == 4


@pytest.mark.parametrize("content", [b"[models", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_a_file_that_is_no_toml_is_refused_by_the_settings_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "catalog.toml"
    file.write_bytes(content)
    with pytest.raises(Misconfigured, match="CAVENDISH_CATALOG_FILE"):
        load_catalog(file)


def test_a_file_that_is_not_there_is_refused_by_the_settings_name(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="CAVENDISH_CATALOG_FILE"):
        load_catalog(tmp_path / "missing.toml")


def test_every_upstream_model_has_a_price(catalog: Catalog) -> None:
    assert {upstream for model in catalog.models for upstream in model.row.upstream} <= catalog.upstream_prices.keys()


def test_a_picture_costs_upstream_what_google_announces(catalog: Catalog) -> None:
    def micros(upstream: str, tokens: int) -> int | None:
        return cost_micros(Usage((UpstreamTokens(upstream, image_out=tokens),)), catalog.upstream_prices)

    assert micros("gemini-2.5-flash-image", 1290) == 38_700
    assert micros("gemini-3.1-flash-image", 1120) == 67_200
    assert micros("gemini-3-pro-image", 1120) == 134_400
    assert micros("gemini-3-pro-image-preview", 2000) == 240_000


def test_an_operator_corrects_one_upstream_price_and_says_what_a_credit_sells_for(shipped: dict[str, Any]) -> None:
    over = tomllib.loads('credit_micros = 12000\n[upstream."gemini-2.5-flash-image"]\nimage_out = 25_000_000\n')
    catalog = build_catalog(merged(shipped, over))
    assert catalog.credit_micros == 12_000
    prices = catalog.upstream_prices["gemini-2.5-flash-image"]
    assert (prices.image_out, prices.text_in) == (25_000_000, 300_000)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("credit_micros",), -1),
        (("credit_micros",), 0.5),
        (("upstream", "gemini-3-pro-image", "text_in"), -1),
        (("upstream", "gemini-3-pro-image", "text_in"), None),
        (("upstream", "gemini-3-pro-image", "audio_out"), 1),
    ],
)
def test_an_impossible_upstream_price_is_refused(shipped: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    with pytest.raises(Misconfigured, match="model catalogue"):
        build_catalog(changed(shipped, *path, value=value))
