"""EventBridge as far as a template uses it here: events of S3, schedules, and the rules that lead to functions.

Format of S3's events: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from moto.events.models import EventPattern

from remora.errors import InvalidArgumentError
from remora.local.buckets import CreatedObject
from remora.local.deployment import ACCOUNT_ID, REGION, Rule

Event = dict[str, Any]

_RATE = re.compile(r"rate\((?P<number>[1-9][0-9]*) (?P<unit>minute|hour|day)s?\)")
_SECONDS = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0}


def object_created(created: CreatedObject, *, reason: str, at: datetime) -> Event:
    """Return S3's event about an object.

    Args:
        created: The object.
        reason: The request that created it, such as `PutObject`.
        at: When.
    """
    described: dict[str, Any] = {
        "key": created.key,
        "size": created.size,
        "etag": created.etag,
        # Later events about a key have a higher one.
        "sequencer": f"{int(at.timestamp() * 1_000_000):018X}",
    }
    if created.version is not None:
        described["version-id"] = created.version
    detail = {
        "version": "0",
        "bucket": {"name": created.bucket},
        "object": described,
        "request-id": uuid.uuid4().hex[:16].upper(),
        "requester": ACCOUNT_ID,
        "source-ip-address": "127.0.0.1",
        "reason": reason,
    }
    return _event("aws.s3", "Object Created", at, [f"arn:aws:s3:::{created.bucket}"], detail)


def scheduled(rule: Rule) -> Event:
    """Return the event of a rule with a schedule."""
    return _event("aws.events", "Scheduled Event", datetime.now(UTC), [rule.arn], {})


def receivers(rules: Iterable[Rule], event: Event) -> list[str]:
    """Return the names of the functions that rules lead an event to."""
    return [
        function
        for rule in rules
        if rule.pattern is not None and _matches(rule.pattern, event)
        for function in rule.functions
    ]


def _matches(pattern: Mapping[str, Any], event: Event) -> bool:
    # moto's type of an event is a private one.
    return EventPattern(None, dict(pattern)).matches_event(cast("Any", event))


def interval(rule: Rule) -> float | None:
    """Return the seconds between two runs of a rule's schedule; None if it has no schedule.

    Raises:
        InvalidArgumentError: It is no rate.
    """
    if rule.schedule is None:
        return None
    found = _RATE.fullmatch(rule.schedule)
    if found is None:
        raise InvalidArgumentError(
            f"The schedule {rule.schedule} of {rule.name} has no local counterpart. "
            "Those that have are rates, such as rate(15 minutes)."
        )
    return int(found["number"]) * _SECONDS[found["unit"]]


def _event(source: str, kind: str, at: datetime, resources: list[str], detail: dict[str, Any]) -> Event:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": kind,
        "source": source,
        "account": ACCOUNT_ID,
        "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": resources,
        "detail": detail,
    }
