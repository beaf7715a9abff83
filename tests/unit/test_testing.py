"""The public doubles keep their word."""

import asyncio

import pytest

from cavendish.domain.errors import EngineError
from cavendish.domain.text import Text
from cavendish.ports import Clock, Engine, EngineImage, ImageRequest
from cavendish.testing import Blocked, ManualClock, ScriptedEngine

REQUEST = ImageRequest(
    task_id="task_1",
    model="google/nano-banana",
    upstream_models=("gemini-2.5-flash-image",),
    prompt="a red apple",
    aspect_ratio="1:1",
    resolution="1k",
    width=1024,
    height=1024,
    output_format="png",
)
PICTURE = EngineImage(b"picture")
BUSY = EngineError("engine_busy", Text(en="busy", zh="繁忙"))


def nothing() -> None:
    """A `started` that does nothing."""


async def test_time_stands_still_until_it_is_advanced() -> None:
    clock: Clock = ManualClock(now_ms=1000)
    await asyncio.sleep(0.01)
    assert (clock.now_ms(), clock.monotonic()) == (1000, 0.0)
    assert isinstance(clock, ManualClock)
    await clock.advance(1.5)
    assert (clock.now_ms(), clock.monotonic()) == (2500, 1.5)


async def test_sleepers_wake_in_the_order_of_their_hours_and_at_them() -> None:
    clock = ManualClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, clock.monotonic()))

    tasks = [asyncio.create_task(sleeper(*s)) for s in (("c", 3.0), ("a", 1.0), ("b", 1.5, 0.5, 0.25), ("late", 9.0))]
    await clock.until_sleeping(4)
    await clock.advance(0.5)
    assert woken == []
    await clock.advance(4.5)
    assert woken == [("a", 1.0), ("b", 1.5), ("b", 2.0), ("b", 2.25), ("c", 3.0)]
    assert clock.sleeping == 1
    await clock.advance(4)
    assert woken[-1] == ("late", 9.0)
    await asyncio.gather(*tasks)


async def test_a_canceled_sleeper_is_forgotten() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(1))
    await clock.until_sleeping()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert clock.sleeping == 0
    await clock.advance(2)
    assert clock.monotonic() == 2


async def test_no_sleep_only_lets_others_run() -> None:
    await ManualClock().sleep(0)


async def test_a_scripted_engine_answers_and_raises_in_order() -> None:
    engine = ScriptedEngine(PICTURE, BUSY)
    begun: list[int] = []
    as_port: Engine = engine
    assert await as_port.generate(REQUEST, lambda: begun.append(1)) == PICTURE
    with pytest.raises(EngineError) as caught:
        await as_port.generate(REQUEST, lambda: begun.append(2))
    assert caught.value is BUSY
    assert begun == [1, 2]
    assert engine.requests == [REQUEST, REQUEST]
    with pytest.raises(AssertionError, match="call 3"):
        await as_port.generate(REQUEST, nothing)


async def test_a_script_may_go_on_for_ever() -> None:
    engine = ScriptedEngine(BUSY, afterwards=PICTURE)
    with pytest.raises(EngineError):
        await engine.generate(REQUEST, nothing)
    assert [await engine.generate(REQUEST, nothing) for _ in range(3)] == [PICTURE] * 3


@pytest.mark.parametrize("then", [PICTURE, BUSY], ids=["answers", "raises"])
async def test_a_blocked_call_goes_on_when_it_is_released(then: EngineImage | Exception) -> None:
    blocked = Blocked(then)
    engine = ScriptedEngine(blocked)
    call = asyncio.create_task(engine.generate(REQUEST, nothing))
    assert await engine.until_called() == REQUEST
    assert engine.running == 1
    assert not call.done()
    blocked.release()
    (result,) = await asyncio.gather(call, return_exceptions=True)
    assert result == then
    assert (engine.running, engine.canceled) == (0, 0)


async def test_a_call_canceled_while_blocked_is_counted() -> None:
    engine = ScriptedEngine(Blocked(PICTURE))
    call = asyncio.create_task(engine.generate(REQUEST, nothing))
    await engine.until_called()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (engine.running, engine.canceled) == (0, 1)
    assert not engine.closed
    await engine.aclose()
    assert engine.closed
