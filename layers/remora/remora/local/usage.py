"""Throttles and quotas: token buckets for each method and each API key, and a count in each calendar period."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from remora.local.deployment import Quota, Throttle, UsagePlan
from remora.local.gateway_responses import QUOTA_EXCEEDED, THROTTLED, GatewayError


class TokenBucket:
    """Lets `burst` requests through at once and `rate` a second over time."""

    def __init__(self, throttle: Throttle, clock: Callable[[], float] = time.monotonic) -> None:
        self._throttle = throttle
        self._clock = clock
        self._tokens = float(throttle.burst)
        self._filled_at = clock()

    def take(self) -> bool:
        """Take a token, if there is one."""
        now = self._clock()
        self._tokens = min(float(self._throttle.burst), self._tokens + (now - self._filled_at) * self._throttle.rate)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


@dataclass(slots=True)
class _Count:
    period: date
    requests: int


class UsageMeter:
    """Holds each API key of a usage plan to the plan's limits.

    Counts are kept in memory: unlike those of AWS they start anew with each run.
    """

    def __init__(self, plan: UsagePlan, clock: Callable[[], float] = time.time) -> None:
        self._plan = plan
        self._clock = clock
        self._buckets: dict[str, TokenBucket] = {}
        self._counts: dict[str, _Count] = {}

    def admit(self, key: str) -> GatewayError | None:
        """Count a request of a key; return why it is refused, if it is. A refused request is not counted.

        Args:
            key: Id of the API key.
        """
        if self._plan.throttle is not None:
            bucket = self._buckets.setdefault(key, TokenBucket(self._plan.throttle, self._clock))
            if not bucket.take():
                return THROTTLED
        if self._plan.quota is not None:
            period = _first_day(self._plan.quota, datetime.fromtimestamp(self._clock(), UTC).date())
            count = self._counts.get(key)
            if count is None or count.period != period:
                count = self._counts[key] = _Count(period, 0)
            if count.requests >= self._plan.quota.limit:
                return QUOTA_EXCEEDED
            count.requests += 1
        return None


def _first_day(quota: Quota, day: date) -> date:
    """Return the first day, in UTC, of the quota period that a day is in. Weeks begin on Sunday, as in AWS."""
    if quota.period == "MONTH":
        return day.replace(day=1)
    if quota.period == "WEEK":
        return day - timedelta(days=day.isoweekday() % 7)
    return day
