"""Where the time of one call went: embedding, Chroma, and the rest.

Services mark their phases with `measured`; whoever handles a call puts a `Timings` around it. Outside of such
a call marking costs next to nothing and records nothing.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

Phase = Literal["embed", "chroma"]


@dataclass(slots=True)
class _Clock:
    running: int = 0
    started: float = 0.0
    seconds: float = 0.0


@dataclass(slots=True)
class Timings:
    """Wall-clock seconds of one call by phase. Phases that overlap themselves are counted once."""

    _clocks: dict[Phase, _Clock] = field(default_factory=lambda: {"embed": _Clock(), "chroma": _Clock()})
    _started: float = field(default_factory=time.perf_counter)

    def seconds(self, phase: Phase) -> float:
        """Return the seconds spent in a phase so far."""
        return self._clocks[phase].seconds

    def total(self) -> float:
        """Return the seconds since the call began."""
        return time.perf_counter() - self._started

    @contextmanager
    def running(self, phase: Phase) -> Iterator[None]:
        """Count the time inside as the phase's, once however many run side by side."""
        clock = self._clocks[phase]
        if clock.running == 0:
            clock.started = time.perf_counter()
        clock.running += 1
        try:
            yield
        finally:
            clock.running -= 1
            if clock.running == 0:
                clock.seconds += time.perf_counter() - clock.started


_current: ContextVar[Timings | None] = ContextVar("remora_timings", default=None)


@contextmanager
def timed_call() -> Iterator[Timings]:
    """Collect the timings of everything done inside, tasks started there included."""
    timings = Timings()
    token = _current.set(timings)
    try:
        yield timings
    finally:
        _current.reset(token)


@contextmanager
def measured(phase: Phase) -> Iterator[None]:
    """Mark work as belonging to a phase of the current call, if there is one."""
    timings = _current.get()
    if timings is None:
        yield
        return
    with timings.running(phase):
        yield
