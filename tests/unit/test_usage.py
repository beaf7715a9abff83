"""What a task cost upstream: sums over calls, and exact micro-dollars."""

import msgspec

from cavendish.domain.engine_reports import key_hint
from cavendish.domain.usage import TokenPrices, UpstreamTokens, Usage, cost_micros, total

PRICES = {
    "small": TokenPrices(text_in=300_000, image_in=300_000, text_out=2_500_000, image_out=30_000_000, thought_out=1),
    "large": TokenPrices(
        text_in=2_000_000, image_in=3_000_000, text_out=12_000_000, image_out=120_000_000, thought_out=7, cached_in=5
    ),
}


def used(upstream: str = "small", **tokens: int) -> Usage:
    return Usage((UpstreamTokens(upstream, **tokens),))


def test_every_direction_and_modality_has_its_own_price() -> None:
    tokens = {"text_in": 1, "image_in": 1, "cached_in": 1, "text_out": 1, "image_out": 1, "thought_out": 1}
    millions = {name: count * 1_000_000 for name, count in tokens.items()}
    assert cost_micros(used("large", **millions), PRICES) == 2_000_000 + 3_000_000 + 5 + 12_000_000 + 120_000_000 + 7


def test_cached_input_without_a_price_of_its_own_costs_what_text_costs() -> None:
    assert cost_micros(used(cached_in=1_000_000), PRICES) == 300_000


def test_a_picture_of_1290_tokens_costs_3_87_cents() -> None:
    assert cost_micros(used(image_out=1290), PRICES) == 38_700


def test_the_cost_is_rounded_once_for_the_whole_task_and_half_goes_up() -> None:
    one = used(text_in=5)  # 1.5 micro-dollars
    assert cost_micros(one, PRICES) == 2
    both = total([one, one])
    assert both is not None
    assert cost_micros(both, PRICES) == 3
    assert cost_micros(used(text_in=1), PRICES) == 0


def test_counts_beyond_what_a_float_holds_stay_exact() -> None:
    assert cost_micros(used(image_out=10**18 + 1), PRICES) == 30 * (10**18 + 1)


def test_a_model_without_a_price_makes_the_cost_unknown_rather_than_low() -> None:
    assert cost_micros(used("new", image_out=1), PRICES) is None
    mixed = total([used(image_out=1290), used("new", text_in=1)])
    assert mixed is not None
    assert cost_micros(mixed, PRICES) is None


def test_retries_add_up_by_upstream_model() -> None:
    calls = [used(text_in=3, image_out=7), None, used("large", text_in=1), used(text_in=2, thought_out=5)]
    assert total(calls) == Usage(
        (UpstreamTokens("small", 2, text_in=5, image_out=7, thought_out=5), UpstreamTokens("large", text_in=1))
    )
    assert total([None, None]) is None


def test_usage_is_stored_without_the_zeros_and_read_back_whole() -> None:
    usage = used(text_in=3, image_out=7)
    raw = msgspec.json.encode(usage)
    assert raw == b'{"models":[{"upstream":"small","text_in":3,"image_out":7}]}'
    assert msgspec.json.decode(raw, type=Usage) == usage


def test_a_key_is_shown_by_its_last_four_characters_at_most() -> None:
    assert key_hint("AIzaSyD-0123456789abcdefghijk-WXYZ") == "…WXYZ"
    assert key_hint("short-key") == "…"
