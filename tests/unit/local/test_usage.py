"""Token buckets and quotas, with a clock of their own."""

from datetime import UTC, datetime
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.local.deployment import Quota, Throttle, UsagePlan
from remora.local.gateway_responses import QUOTA_EXCEEDED, THROTTLED
from remora.local.usage import TokenBucket, UsageMeter


class Clock:
    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def at(year: int, month: int, day: int, hour: int = 0) -> float:
    return datetime(year, month, day, hour, tzinfo=UTC).timestamp()


def test_a_bucket_lets_a_burst_through_and_then_the_rate() -> None:
    clock = Clock()
    bucket = TokenBucket(Throttle(rate=2, burst=3), clock)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock.now = 0.5
    assert [bucket.take() for _ in range(2)] == [True, False]
    clock.now = 100
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


@given(
    rate=st.integers(1, 100),
    burst=st.integers(1, 100),
    pauses=st.lists(st.floats(0, 2, allow_nan=False), min_size=1, max_size=200),
)
def test_a_bucket_never_lets_more_through_than_burst_and_rate_allow(
    rate: int, burst: int, pauses: list[float]
) -> None:
    clock = Clock()
    bucket = TokenBucket(Throttle(rate=rate, burst=burst), clock)
    taken = 0
    for pause in pauses:
        clock.now += pause
        taken += bucket.take()
    assert taken <= burst + rate * clock.now + 1e-6


def test_keys_do_not_share_a_bucket() -> None:
    meter = UsageMeter(UsagePlan(id="p", throttle=Throttle(rate=1, burst=1), quota=None), Clock())
    assert [meter.admit("a"), meter.admit("a"), meter.admit("b")] == [None, THROTTLED, None]


@pytest.mark.parametrize(
    ("period", "last_moment", "next_period"),
    [
        ("DAY", at(2026, 11, 21, 23), at(2026, 11, 22)),
        ("WEEK", at(2026, 11, 21, 23), at(2026, 11, 22)),  # a Saturday and a Sunday
        ("MONTH", at(2026, 11, 30, 23), at(2026, 12, 1)),
    ],
)
def test_a_quota_starts_anew_with_its_period(
    period: Literal["DAY", "WEEK", "MONTH"], last_moment: float, next_period: float
) -> None:
    clock = Clock(last_moment)
    meter = UsageMeter(UsagePlan(id="p", throttle=None, quota=Quota(limit=2, period=period)), clock)
    assert [meter.admit("a") for _ in range(3)] == [None, None, QUOTA_EXCEEDED]
    assert meter.admit("b") is None
    clock.now = next_period
    assert meter.admit("a") is None


def test_a_throttled_request_does_not_count_against_the_quota() -> None:
    clock = Clock(at(2026, 11, 21))
    plan = UsagePlan(id="p", throttle=Throttle(rate=1, burst=1), quota=Quota(limit=2, period="DAY"))
    meter = UsageMeter(plan, clock)
    assert [meter.admit("a") for _ in range(3)] == [None, THROTTLED, THROTTLED]
    clock.now += 1
    assert meter.admit("a") is None
