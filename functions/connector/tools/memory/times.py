"""Reads times as callers write them: moments in ISO 8601, intervals in words or ISO 8601."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from remora.errors import InvalidArgumentError
from remora.memory.models import Interval
from remora.memory.zones import zone_named

When = Annotated[
    str | None,
    Field(description='Time span in words or ISO 8601: "past 3 days", "last tuesday", "in March", "2026-05/2026-06"'),
]
Timezone = Annotated[str | None, Field(description="IANA name, such as Europe/Zurich; default UTC")]


def moment(text: str, timezone: str | None, place: str) -> datetime:
    """Return a moment.

    Args:
        text: ISO 8601; a date stands for its midnight.
        timezone: Where a time without offset is; UTC unless given.
        place: The argument, for the message.

    Raises:
        InvalidArgumentError: It is not ISO 8601, or before the year 1 or after 9999 in UTC.
    """
    where = zone_named(timezone)
    try:
        read = datetime.fromisoformat(text.strip())
        return (read if read.tzinfo is not None else read.replace(tzinfo=where)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidArgumentError(
            f"{place} {text[:60]!r} is not a time in ISO 8601, such as 2026-05-01T09:30, 2026-05-01T09:30:00+02:00 "
            "or 2026-05-01."
        ) from None


def interval(when: str | None, timezone: str | None, now: datetime) -> Interval | None:
    """Return the interval that words mean.

    Args:
        when: The words; None for no interval.
        timezone: Where the caller is; UTC unless given.
        now: What "past 3 days" counts back from.

    Raises:
        InvalidArgumentError: They are not understood; the message says what is accepted.
    """
    if when is None:
        return None
    # Understanding words needs a library that is slow to load, and most calls bring none.
    from remora.memory.when import understand

    return understand(when, timezone=timezone, now=now)
