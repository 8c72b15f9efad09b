"""Moments and intervals in ISO 8601, read by the standard library."""

import re
from datetime import date, datetime, tzinfo

from remora.memory.when.units import Span, Unit, around, shift

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}|[0-9]{4}-?W[0-9]{2}-?[1-7]"
_OFFSET = r"Z|[+-][0-9]{2}(?::?[0-9]{2})?"
_TIME = r"[0-9]{2}(?P<minute>:?[0-9]{2})?(?P<second>:?[0-9]{2})?(?P<part>[.,][0-9]{1,9})?"
_POINT = re.compile(
    r"(?P<year>[0-9]{4})|(?P<month>[0-9]{4}-[0-9]{2})|(?P<week>[0-9]{4}-?W[0-9]{2})"
    rf"|(?:{_DATE})(?:[T ](?P<time>{_TIME}(?:{_OFFSET})?))?"
)
_DURATION = re.compile(
    r"P(?=[0-9T])(?:(?P<year>[0-9]{1,4})Y)?(?:(?P<month>[0-9]{1,4})M)?(?:(?P<week>[0-9]{1,4})W)?(?:(?P<day>[0-9]{1,5})D)?"
    r"(?:T(?=[0-9])(?:(?P<hour>[0-9]{1,6})H)?(?:(?P<minute>[0-9]{1,6})M)?(?:(?P<second>[0-9]{1,6})S)?)?"
)
_OPEN = ("", "..")


def read_point(text: str, zone: tzinfo, *, bound: bool) -> Span | None:
    """Read a year, month, week, date or time.

    Args:
        text: Such as `2024`, `2024-05`, `2024-W18`, `2024-05-01`, `2024-05-01T10:30+02:00`.
        zone: Of times without an offset.
        bound: Whether it is the bound of an interval, where a time is an instant. Otherwise it is as wide as it is
            exact: `10:30` is that minute.

    Returns:
        What it covers, or None if it is not ISO 8601.

    Raises:
        ValueError: It is, but there is no such date.
    """
    text = text.upper()
    match = _POINT.fullmatch(text)
    if match is None:
        return None
    if match["year"]:
        return around(datetime(int(text), 1, 1, tzinfo=zone), Unit.YEAR)
    if match["month"]:
        return around(datetime.fromisoformat(f"{text}-01").replace(tzinfo=zone), Unit.MONTH)
    if match["week"]:
        return around(datetime.combine(date.fromisoformat(text), datetime.min.time(), zone), Unit.WEEK)
    if not match["time"]:
        return around(datetime.combine(date.fromisoformat(text), datetime.min.time(), zone), Unit.DAY)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    if bound:
        return Span(moment, moment)
    if match["part"]:
        return around(moment, Unit.MILLISECOND)
    return around(moment, Unit.SECOND if match["second"] else Unit.MINUTE if match["minute"] else Unit.HOUR)


def _moved(moment: datetime, duration: re.Match[str], sign: int) -> datetime:
    for unit, count in duration.groupdict(default="0").items():
        moment = shift(moment, sign * int(count), Unit(unit))
    return moment


def read_interval(text: str, zone: tzinfo) -> tuple[datetime | None, datetime | None] | None:
    """Read an interval of two parts.

    Args:
        text: Such as `2024-05-01/2024-05-07`, whose last day is included, `2024-05/` or `2024-05/..`, `/2024-05`,
            `2024-05-01/P3D`, `P3D/2024-05-01`.
        zone: Of times without an offset.

    Returns:
        Start and end, None for an open one, or None if it is no such interval.

    Raises:
        ValueError: It is, but there is no such date; OverflowError if a duration leaves the calendar.
    """
    first, slash, second = (part.strip() for part in text.upper().partition("/"))
    if not slash or (first in _OPEN and second in _OPEN):
        return None
    after, before = _DURATION.fullmatch(second), _DURATION.fullmatch(first)
    start = None if first in _OPEN or before else read_point(first, zone, bound=True)
    end = None if second in _OPEN or after else read_point(second, zone, bound=True)
    if after and start:
        return start.start, _moved(start.start, after, 1)
    if before and end:
        return _moved(end.start, before, -1), end.start
    if (start is None and first not in _OPEN) or (end is None and second not in _OPEN):
        return None
    return start.start if start else None, end.end if end else None
