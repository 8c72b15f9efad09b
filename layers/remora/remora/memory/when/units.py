"""Calendar units on a wall clock: where they begin, and moving by them."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum


class Unit(StrEnum):
    """A unit of the calendar or the clock. Weeks begin on Monday (ISO 8601)."""

    MILLISECOND = "millisecond"
    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


_LENGTHS = {
    Unit.MILLISECOND: timedelta(milliseconds=1),
    Unit.SECOND: timedelta(seconds=1),
    Unit.MINUTE: timedelta(minutes=1),
    Unit.HOUR: timedelta(hours=1),
    Unit.DAY: timedelta(days=1),
    Unit.WEEK: timedelta(weeks=1),
}
ELAPSED = frozenset({Unit.MILLISECOND, Unit.SECOND, Unit.MINUTE, Unit.HOUR})
"""Units that are a time elapsed, whatever the clock is set to in between."""

_MONTHS = {Unit.MONTH: 1, Unit.QUARTER: 3, Unit.YEAR: 12}


@dataclass(frozen=True)
class Span:
    """From `start`, included, to `end`, excluded; both with a zone. Equal ones are an instant, used as a bound."""

    start: datetime
    end: datetime


def floor(moment: datetime, unit: Unit) -> datetime:
    """Return the beginning of the unit that the moment lies in, on the wall clock of its zone."""
    if unit is Unit.MILLISECOND:
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    if unit is Unit.SECOND:
        return moment.replace(microsecond=0)
    if unit is Unit.MINUTE:
        return moment.replace(second=0, microsecond=0)
    if unit is Unit.HOUR:
        return moment.replace(minute=0, second=0, microsecond=0)
    # The first of two midnights, where the clock is set back over one.
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if unit is Unit.DAY:
        return day
    if unit is Unit.WEEK:
        return day - timedelta(days=day.weekday())
    months = _MONTHS[unit]
    return day.replace(day=1, month=(day.month - 1) // months * months + 1)


def shift(moment: datetime, count: int, unit: Unit) -> datetime:
    """Move by units: hours and less in elapsed time, days and more on the wall clock of the moment's zone.

    The last of the month stands for days that the month reached does not have.

    Raises:
        OverflowError: It leaves the years 1 to 9999; ValueError may be raised as well.
    """
    if unit in _MONTHS:
        index = moment.year * 12 + moment.month - 1 + count * _MONTHS[unit]
        year, month = index // 12, index % 12 + 1
        if not 1 <= year <= 9999:
            raise OverflowError("year out of range")
        return moment.replace(year=year, month=month, day=min(moment.day, monthrange(year, month)[1]))
    if unit in ELAPSED:
        return (moment.astimezone(UTC) + count * _LENGTHS[unit]).astimezone(moment.tzinfo)
    return moment + count * _LENGTHS[unit]


def around(moment: datetime, unit: Unit) -> Span:
    """Return the whole unit that the moment lies in."""
    start = floor(moment, unit)
    return Span(start, shift(start, 1, unit))
