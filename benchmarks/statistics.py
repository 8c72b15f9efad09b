"""Percentiles, and a table that shows them side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Sample:
    """Times of one kind of operation, in milliseconds."""

    name: str
    milliseconds: tuple[float, ...]

    def percentile(self, percent: float) -> float:
        """Return the smallest measured time that `percent` of the times do not exceed (nearest rank)."""
        ordered = sorted(self.milliseconds)
        rank = max(1, -(-len(ordered) * percent // 100))
        return ordered[int(rank) - 1]


def measure(operations: dict[str, Callable[[int], object]], rounds: int, warm_up: int = 20) -> list[Sample]:
    """Time operations in turn, so that whatever else the machine does hits all of them alike.

    Args:
        operations: What to time, by name; each is given the number of the round.
        rounds: How often each is timed.
        warm_up: Rounds before the first that counts.
    """
    times: dict[str, list[float]] = {name: [] for name in operations}
    for number in range(-warm_up, rounds):
        for name, operation in operations.items():
            started = perf_counter()
            operation(number)
            elapsed = perf_counter() - started
            if number >= 0:
                times[name].append(elapsed * 1000)
    return [Sample(name, tuple(values)) for name, values in times.items()]


def table(samples: Sequence[Sample]) -> str:
    """Return a table of p50, p95 and p99 in milliseconds."""
    width = max(len(sample.name) for sample in samples)
    lines = [f"{'milliseconds':{width}}  {'p50':>8} {'p95':>8} {'p99':>8}"]
    lines += [
        f"{sample.name:{width}}  " + " ".join(f"{sample.percentile(percent):8.2f}" for percent in (50, 95, 99))
        for sample in samples
    ]
    return "\n".join(lines)
