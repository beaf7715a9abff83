"""From Google's `usageMetadata` to the dollars of `cavendish usage`, over the whole API."""

import json
from pathlib import Path
from typing import Any

from cavendish.domain.limits import KeyLimits
from tests.google import Step, answer, blocked, gives, google, image_part, used_tokens
from tests.harness import cavendish, running, settings_for
from tests.imagery import png

KEY = "AIzaSy-the-only-key-0001"
SQUARE = png(64, 64)
DREW = gives(answer(image_part(SQUARE), usage=used_tokens(text_in=10, image_in=258, image_out=1290)))
DREW_MICROS = (10 + 258) * 0.3 + 1290 * 30  # as the price table says: 38,780.4
NO_PICTURE = gives(answer(reason="NO_IMAGE", usage=used_tokens(text_in=100, image_out=0)))
THOUGHT = gives(answer(image_part(SQUARE), usage=used_tokens(text_in=50, image_out=2000, thoughts=300)))


async def spent(dsn: str, folder: Path, *script: Step, model: str = "google/nano-banana") -> dict[str, Any]:
    """The total of `cavendish usage --json` after one task that was answered so, and its row's state."""
    async with google(*script) as upstream:
        settings = settings_for(
            dsn, folder, ENGINE="gemini", GEMINI_KEYS=f"a:{KEY}", GEMINI_BASE_URL=upstream.url, LEASE_TTL_SECONDS="5"
        )
        async with running(settings) as server:
            key = await server.new_key(limits=KeyLimits(100, 100))
            wanted = {"prompt": "a red apple", "image_input": []}
            await server.ended(key, await server.create(key, {"model": model, "input": wanted}))
    folder.joinpath("catalog.toml").write_text("credit_micros = 20000")
    environment = {
        "CAVENDISH_DATABASE_URL": dsn,
        "CAVENDISH_DATA_DIR": str(folder),
        "CAVENDISH_CATALOG_FILE": str(folder / "catalog.toml"),
    }
    report = json.loads(cavendish(environment, "usage", "--since", "1h", "--by", "day", "--json").stdout)
    total: dict[str, Any] = report["total"]
    return total


async def test_a_picture_costs_what_google_counted_for_it_and_the_rest_is_margin(dsn: str, tmp_path: Path) -> None:
    total = await spent(dsn, tmp_path, DREW)
    assert (total["successes"], total["credits"], total["upstreamCostMicros"]) == (1, 3, round(DREW_MICROS))
    assert total["marginMicros"] == 3 * 20_000 - round(DREW_MICROS)


async def test_answers_without_a_picture_that_were_asked_again_cost_too(dsn: str, tmp_path: Path) -> None:
    total = await spent(dsn, tmp_path, NO_PICTURE, DREW)
    assert (total["successes"], total["upstreamCostMicros"]) == (1, round(100 * 0.3 + DREW_MICROS))


async def test_a_blocked_prompt_earns_nothing_and_costs_its_tokens(dsn: str, tmp_path: Path) -> None:
    total = await spent(dsn, tmp_path, gives(blocked("SAFETY")))
    assert (total["tasks"], total["successes"], total["credits"]) == (1, 0, 0)
    assert total["upstreamCostMicros"] == round(7 * 0.3)


async def test_a_picture_whose_tokens_come_without_their_modality_is_not_counted_as_cheap_text(
    dsn: str, tmp_path: Path
) -> None:
    undetailed = {"promptTokenCount": 10, "candidatesTokenCount": 1290, "totalTokenCount": 1300}
    total = await spent(dsn, tmp_path, gives(answer(image_part(SQUARE), usage=undetailed)))
    assert total["upstreamCostMicros"] == 10 * 0.3 + 1290 * 30


async def test_thinking_costs_what_text_costs_on_pro(dsn: str, tmp_path: Path) -> None:
    total = await spent(dsn, tmp_path, THOUGHT, model="google/nano-banana-pro")
    assert total["upstreamCostMicros"] == 50 * 2 + 300 * 12 + 2000 * 120
