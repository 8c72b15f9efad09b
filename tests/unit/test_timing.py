"""Timings: phases that run side by side are counted once, and marking outside of a call does nothing."""

import asyncio

from remora.observability.timing import Timings, measured, timed_call


def test_a_phase_that_overlaps_itself_is_counted_once() -> None:
    async def work(barrier: asyncio.Barrier) -> None:
        with measured("chroma"):
            await barrier.wait()

    async def call() -> tuple[Timings, float]:
        barrier = asyncio.Barrier(20)
        with timed_call() as timings:
            await asyncio.gather(*(work(barrier) for _ in range(20)))
            return timings, timings.total()

    timings, total = asyncio.run(call())
    assert 0 < timings.seconds("chroma") <= total
    assert timings.seconds("embed") == 0


def test_two_calls_do_not_see_each_others_phases() -> None:
    async def call(phase_used: bool) -> Timings:
        with timed_call() as timings:
            if phase_used:
                with measured("embed"):
                    await asyncio.sleep(0)
            return timings

    async def both() -> tuple[Timings, Timings]:
        return await asyncio.gather(call(True), call(False))

    used, unused = asyncio.run(both())
    assert used.seconds("embed") > 0
    assert unused.seconds("embed") == 0


def test_marking_outside_of_a_call_is_harmless() -> None:
    with measured("embed"):
        pass
