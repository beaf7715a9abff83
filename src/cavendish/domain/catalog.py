"""The models: public id, aliases, upstream ids, prices, pixels; what upstreams take. Data from `catalog.toml`."""

from collections.abc import Mapping
from typing import Any

import msgspec

from cavendish.domain.errors import Misconfigured, NotFound
from cavendish.domain.text import Text, shortened
from cavendish.domain.usage import TokenPrices

MAX_SPELLING_CHARS = 64


class ImagesRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many input images a model takes, under which field name (and which `also`)."""

    field: str
    required: bool
    min: int
    max: int
    also: str | None = None


class ModelRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One `[models."…"]` table of the catalogue file."""

    description: Text
    upstream: tuple[str, ...]
    prices: dict[str, int]
    pixels: str
    ratio_field: str
    ratios: tuple[str, ...]
    formats: tuple[str, ...]
    images: ImagesRule


class CatalogFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole catalogue file.

    `pixels`: table name -> resolution -> ratio -> (width, height). `upstream`: upstream id -> what it takes.
    `credit_micros`: micro-dollars that one credit sells for; 0: not known.
    """

    pixels: dict[str, dict[str, dict[str, tuple[int, int]]]]
    models: dict[str, ModelRow]
    upstream: dict[str, TokenPrices] = {}
    credit_micros: int = 0


class Model(msgspec.Struct, frozen=True):
    """A model that callers may ask for."""

    id: str
    row: ModelRow
    sizes: Mapping[str, Mapping[str, tuple[int, int]]]

    @property
    def resolutions(self) -> tuple[str, ...]:
        """The resolutions that have a price, the first being the default."""
        return tuple(self.row.prices)

    def price(self, resolution: str) -> int:
        """Credits for one picture at `resolution`."""
        return self.row.prices[resolution]

    def size(self, resolution: str, ratio: str) -> tuple[int, int]:
        """Exact pixels (width, height) for a ratio other than `auto`."""
        return self.sizes[resolution][ratio]


def _squeezed(model_id: str) -> str:
    # Clients in the field write google/nano-banana, nano_banana, nanobanana-pro, Nano-Banana…
    return model_id.lower().removeprefix("google/").replace("-", "").replace("_", "")


class Catalog:
    """All models, found by id or by any spelling that clients use.

    Args:
        upstream_prices: upstream id -> what it takes.
        credit_micros: micro-dollars that one credit sells for; 0: not known.
    """

    def __init__(
        self, models: tuple[Model, ...], upstream_prices: Mapping[str, TokenPrices], credit_micros: int
    ) -> None:
        self.models = models
        self.upstream_prices = upstream_prices
        self.credit_micros = credit_micros
        self._by_spelling = {_squeezed(model.id): model for model in models}
        self._by_id = {model.id: model for model in models}

    def find(self, model_id: str) -> Model:
        """The model of that id or alias.

        Raises:
            NotFound: naming the known ids.
        """
        model = self._by_id.get(model_id)
        if model is None and len(model_id) <= MAX_SPELLING_CHARS:
            model = self._by_spelling.get(_squeezed(model_id))
        if model is None:
            known = ", ".join(model.id for model in self.models)
            raise NotFound(
                Text(
                    en=f"model: {shortened(model_id)} is not known here; known models: {known}",
                    zh=f"model：没有名为 {shortened(model_id)} 的模型；可用模型：{known}",
                )
            )
        return model


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with every value of `over` laid on top, tables merged, anything else replaced."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        # A price list replaces: a resolution that the operator leaves out is one that is not sold.
        if isinstance(below, Mapping) and isinstance(value, Mapping) and key != "prices":
            result[key] = merged(below, value)
        else:
            result[key] = value
    return result


def build_catalog(raw: Mapping[str, Any]) -> Catalog:
    """A checked catalogue from decoded TOML.

    Raises:
        Misconfigured: a value is missing, unknown, of the wrong type or contradicts another.
    """
    try:
        file = msgspec.convert(raw, CatalogFile)
    except msgspec.ValidationError as error:
        raise Misconfigured(Text(en=f"model catalogue: {error}", zh=f"模型目录：{error}")) from error
    prices = [price for row in file.upstream.values() for price in msgspec.structs.astuple(row) if price is not None]
    if file.credit_micros < 0 or any(price < 0 for price in prices):
        raise Misconfigured(
            Text(
                en="model catalogue: credit_micros and the prices under upstream must be 0 or more",
                zh="模型目录：credit_micros 和 upstream 下的价格不能为负数",
            )
        )
    models = tuple(_checked(name, row, file) for name, row in file.models.items())
    return Catalog(models, file.upstream, file.credit_micros)


def _checked(name: str, row: ModelRow, file: CatalogFile) -> Model:
    def wrong(en: str, zh: str) -> Misconfigured:
        return Misconfigured(Text(en=f"model catalogue: models.{name}: {en}", zh=f"模型目录：models.{name}：{zh}"))

    if not row.upstream or not row.prices or not row.formats:
        raise wrong("upstream, prices and formats must not be empty", "upstream、prices、formats 不能为空")
    if any(price < 0 for price in row.prices.values()):
        raise wrong("a price must be 0 or more credits", "价格必须是不小于 0 的积分数")
    if row.images.min > row.images.max:
        raise wrong("images.min is above images.max", "images.min 大于 images.max")
    sizes = file.pixels.get(row.pixels)
    if sizes is None:
        raise wrong(f"there is no pixel table named {row.pixels}", f"没有名为 {row.pixels} 的像素表")
    for resolution in row.prices:
        missing = [r for r in row.ratios if r != "auto" and r not in sizes.get(resolution, {})]
        if missing:
            raise wrong(
                f"pixels.{row.pixels} has no size for {resolution} at {', '.join(missing)}",
                f"pixels.{row.pixels} 缺少 {resolution} 下 {', '.join(missing)} 的尺寸",
            )
    return Model(id=name, row=row, sizes=sizes)
