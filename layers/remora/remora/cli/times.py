"""Reads durations and expiry dates as people type them, and writes how long ago or ahead a moment is."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from remora.errors import InvalidArgumentError

LONGEST: Final = timedelta(days=3650)

_DURATION = re.compile(r"(?P<count>[0-9]{1,6})(?P<unit>[mhdw])", re.ASCII)
_UNITS = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


def read_duration(text: str) -> timedelta:
    """Return the duration that a text such as `24h` or `90d` names.

    Raises:
        InvalidArgumentError: It names none, or one of more than ten years.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if text.strip() == "0":
        return timedelta()
    if match is None:
        raise InvalidArgumentError(f"{text!r} is no duration: give a number with m, h, d or w, such as 24h or 90d.")
    duration = int(match["count"]) * _UNITS[match["unit"]]
    if duration > LONGEST:
        raise InvalidArgumentError(f"{text!r} is too long: ten years at most.")
    return duration


def read_expiry(text: str, now: datetime) -> datetime | None:
    """Return the moment that a text names: a duration from now, a date or a time; None for `never`.

    A date is the beginning of that day in UTC; a time without a zone is in UTC.

    Raises:
        InvalidArgumentError: It names no moment, or one that is past or more than ten years ahead.
    """
    stripped = text.strip()
    if stripped.lower() == "never":
        return None
    if _DURATION.fullmatch(stripped.lower()):
        moment = now + read_duration(stripped)
    else:
        try:
            moment = datetime.fromisoformat(stripped)
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise InvalidArgumentError(
                f"{text!r} is no expiry: give a duration such as 90d, a date such as 2027-06-30, or never."
            ) from None
    if not now < moment <= now + LONGEST:
        raise InvalidArgumentError(f"{text!r} is not ahead, or more than ten years ahead.")
    return moment.replace(microsecond=0)


def distance(duration: timedelta) -> str:
    """Return a length of time in the largest unit that it holds one of, rounded, such as `3 days`."""
    seconds = int(abs(duration).total_seconds())
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            count = round(seconds / length)
            return f"{count:,} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"
