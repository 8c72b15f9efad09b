"""Days, weeks, months and times in English, read by dateparser where a phrase has a shape that it reads rightly.

dateparser reads much that is no date ("5" is May, "32 May" is May 1932, "yesterday tomorrow" is tomorrow), so only
phrases of known shapes reach it. Where words leave open which one is meant, the year of a month or the week of a
weekday, it is decided here: a memory looks back.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from remora.memory.when.units import ELAPSED, Span, Unit, around, floor, shift

_COUNT = r"[1-9][0-9]{0,3}|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_COUNTED = r"second|minute|hour|day|week|month|year"
_WEEKDAY = r"mon(?:day)?|tue(?:s|sday)?|wed(?:s|nesday)?|thu(?:r|rs|rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?"
_MONTH = (
    r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?"
)
_DAY = r"(?:0?[1-9]|[12][0-9]|3[01])(?:st|nd|rd|th)?"
_YEAR = r"[12][0-9]{3}"
_TIME = r"[0-9]{1,2}(?::[0-9]{2})? ?[ap]m|[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?|noon"

_ROLLING = re.compile(
    rf"(?P<within>(?:in|over|within|during|for) )?(?P<the>the )?(?P<word>past|last|previous)"
    rf"(?: (?P<count>{_COUNT}))? (?P<unit>{_COUNTED})s?"
)
_AGO = re.compile(rf"(?P<count>{_COUNT}) (?P<unit>{_COUNTED})s? ago")
_UNIT = re.compile(r"(?:the )?(?P<word>this|current|last|previous) (?P<unit>weekend|week|month|quarter|year)")
_QUARTER = re.compile(rf"q[1-4] {_YEAR}")
_MONTH_OF_YEAR = re.compile(rf"(?P<last>last )?(?P<month>{_MONTH})(?: (?:of )?(?P<year>{_YEAR}))?")
_NAMED_DAY = re.compile(r"today|yesterday|tomorrow|(?:the )?day before yesterday")
_DAY_OF_WEEK = re.compile(rf"(?P<last>last )?(?P<weekday>{_WEEKDAY})")
_DAY_OF_MONTH = re.compile(
    rf"(?:(?P<weekday>{_WEEKDAY}) )?(?:the )?(?P<date>{_DAY} (?:of )?(?:{_MONTH})|(?:{_MONTH}) (?:the )?{_DAY})"
    rf"(?: (?P<year>{_YEAR}))?"
)
_PART_OF_DAY = re.compile(r"(?P<day>.+) (?P<part>morning|afternoon|evening|night)")
_TIME_OF_DAY = re.compile(rf"(?P<day>.+?)(?: at)? (?P<time>{_TIME})")
_DAY_AFTER_TIME = re.compile(rf"(?:at )?(?P<time>{_TIME})(?: on)? (?P<day>.+)")

_LEAD = r"(^(?:from |between |since )?(?:the )?)"
_TO = r"(?: | ?(?=-))(to|until|till|through|and|-)(?: |(?<=-) ?)"
_MONTHS_JOINED = re.compile(rf"\b({_MONTH})-({_MONTH})\b")
_DAYS_THEN_MONTH = re.compile(rf"{_LEAD}({_DAY}){_TO}({_DAY}) (?:of )?((?:{_MONTH})(?: {_YEAR})?)$")
_MONTH_THEN_DAYS = re.compile(rf"{_LEAD}({_MONTH}) ({_DAY}){_TO}({_DAY})( {_YEAR})?$")

# Unicode CLDR's day periods of English, with the evening counted to the night that it opens.
_PARTS = {"morning": (6, 12), "afternoon": (12, 18), "evening": (18, 24), "night": (18, 30)}

_SPOKEN = {
    "this morning": "today morning",
    "this afternoon": "today afternoon",
    "this evening": "today evening",
    "tonight": "today night",
    "last night": "yesterday night",
}

_YEARS_TO_TRY = 9
"""29 February may be eight years away from the next, around 1900 and 2100."""


@dataclass(frozen=True)
class Point:
    """What a phrase names: a stretch of the calendar, or a time.

    Attributes:
        span: What it covers.
        bound: What it covers as the bound of an interval: a time is an instant, `2 weeks ago` is a day.
    """

    span: Span
    bound: Span


def _read(phrase: str, base: datetime) -> datetime | None:
    """Let dateparser read a phrase on the wall clock of `base`."""
    # Importing it takes longer than a search: only who asks in words pays for that, once.
    from dateparser.date import DateDataParser

    settings: dict[str, Any] = {
        "RELATIVE_BASE": base.replace(tzinfo=None),
        "PREFER_DATES_FROM": "past",
        "TIMEZONE": "UTC",
        "RETURN_AS_TIMEZONE_AWARE": False,
        "PARSERS": ["relative-time", "absolute-time"],
    }
    found = DateDataParser(languages=["en"], settings=settings).get_date_data(phrase).date_obj
    return found.replace(tzinfo=base.tzinfo) if isinstance(found, datetime) else None


def _ago(count: str, unit: Unit, now: datetime) -> datetime | None:
    if unit in ELAPSED:
        moment = _read(f"{count} {unit}s ago", now.astimezone(UTC))
        return moment.astimezone(now.tzinfo) if moment else None
    return _read(f"{count} {unit}s ago", now)


def read_rolling(phrase: str, now: datetime) -> Span | None:
    """Read a stretch that ends now: `past 3 days`, `last 2 weeks`, `in the last month`. `last week` is none."""
    match = _ROLLING.fullmatch(phrase)
    if match is None:
        return None
    unit = Unit(match["unit"])
    if not match["count"]:
        rolls = match["word"] == "past" or (match["word"] == "last" and match["within"] and match["the"])
        if phrase.endswith("s") or (unit in (Unit.WEEK, Unit.MONTH, Unit.YEAR) and not rolls):
            return None
    start = _ago(match["count"] or "1", unit, now)
    return Span(start, now) if start else None


def is_floating(phrase: str) -> bool:
    """Whether the phrase leaves open which one is meant: a weekday, or a date without a year."""
    for shape in (_TIME_OF_DAY, _DAY_AFTER_TIME, _PART_OF_DAY):
        if match := shape.fullmatch(phrase):
            phrase = match["day"]
            break
    if match := _DAY_OF_WEEK.fullmatch(phrase):
        return not match["last"]
    match = _MONTH_OF_YEAR.fullmatch(phrase) or _DAY_OF_MONTH.fullmatch(phrase)
    return match is not None and not match["year"] and not match.groupdict().get("last")


def spelled_out(phrase: str) -> str:
    """Give each of two dates the month that they share: "3 to 7 may" is "3 may to 7 may"."""
    phrase = _MONTHS_JOINED.sub(r"\1 - \2", phrase)
    phrase = _DAYS_THEN_MONTH.sub(r"\1\2 \5 \3 \4 \5", phrase)
    return _MONTH_THEN_DAYS.sub(r"\1\2 \3\6 \4 \2 \5\6", phrase)


class Reader:
    """Reads phrases at one moment on one clock."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def read(self, phrase: str, *, before: datetime | None = None, after: datetime | None = None) -> Point | None:
        """Read a phrase.

        Args:
            phrase: In lower case, with single spaces and without punctuation.
            before: If the phrase is floating, the latest that begins before this is meant; now, unless given.
            after: If the phrase is floating, the first that ends after this is meant instead.

        Returns:
            What it names, or None if it cannot be read.

        Raises:
            ValueError: It leaves the calendar; OverflowError may be raised as well.
        """
        zone = self._now.tzinfo
        before = before.astimezone(zone) if before else self._now + timedelta(microseconds=1)
        after = after.astimezone(zone) if after else None
        if phrase == "now":
            instant = Span(self._now, self._now)
            return Point(instant, instant)
        if match := _AGO.fullmatch(phrase):
            unit = Unit(match["unit"])
            moment = _ago(match["count"], unit, self._now)
            if moment is None:
                return None
            bound = Span(moment, moment) if unit in ELAPSED else around(moment, Unit.DAY)
            return Point(around(moment, unit), bound)
        phrase = _SPOKEN.get(phrase, phrase)
        if match := _PART_OF_DAY.fullmatch(phrase):
            part = match["part"]
            return self._within_day(match["day"], before, after, lambda day: self._part(day, part))
        if match := _DAY_AFTER_TIME.fullmatch(phrase) or _TIME_OF_DAY.fullmatch(phrase):
            time = match["time"]
            return self._within_day(match["day"], before, after, lambda day: self._time(day, time))
        span = self._unit(phrase) or self._month(phrase, before, after) or self._day(phrase, before, after)
        return Point(span, span) if span else None

    def _unit(self, phrase: str) -> Span | None:
        if _QUARTER.fullmatch(phrase):
            moment = _read(phrase, self._now)
            return around(moment, Unit.QUARTER) if moment else None
        match = _UNIT.fullmatch(phrase)
        if match is None:
            return None
        weekend = match["unit"] == "weekend"
        unit = Unit.WEEK if weekend else Unit(match["unit"])
        start = floor(self._now, unit)
        if match["word"] in ("last", "previous"):
            start = shift(start, -1, unit)
        return Span(shift(start, 5 if weekend else 0, Unit.DAY), shift(start, 1, unit))

    def _month(self, phrase: str, before: datetime, after: datetime | None) -> Span | None:
        match = _MONTH_OF_YEAR.fullmatch(phrase)
        if match is None or (match["last"] and match["year"]):
            return None
        if match["last"]:
            before, after = floor(self._now, Unit.MONTH), None
        return self._of_year(match["month"], match["year"], Unit.MONTH, before, after)

    def _day(self, phrase: str, before: datetime, after: datetime | None) -> Span | None:
        if _NAMED_DAY.fullmatch(phrase):
            moment = _read(phrase, self._now)
            return around(moment, Unit.DAY) if moment else None
        if match := _DAY_OF_WEEK.fullmatch(phrase):
            if match["last"]:
                before, after = floor(self._now, Unit.DAY), None
            return self._weekday(match["weekday"], before, after)
        match = _DAY_OF_MONTH.fullmatch(phrase)
        if match is None:
            return None
        span = self._of_year(match["date"], match["year"], Unit.DAY, before, after)
        if span and match["weekday"]:
            named = self._weekday(match["weekday"], span.end, None)
            return span if named == span else None
        return span

    @staticmethod
    def _weekday(name: str, before: datetime, after: datetime | None) -> Span | None:
        # dateparser takes the one before the day that it is asked on, and does not know every abbreviation.
        moment = _read(name[:3], before - timedelta(microseconds=1) + timedelta(days=1))
        if moment is None:
            return None
        span = around(moment, Unit.DAY)
        if after is not None and not _is_earlier(after, span.end):
            weeks = (after.replace(tzinfo=None) - span.end.replace(tzinfo=None)) // timedelta(weeks=1) + 1
            span = around(shift(span.start, weeks, Unit.WEEK), Unit.DAY)
        return span

    def _of_year(
        self, text: str, year: str | None, unit: Unit, before: datetime, after: datetime | None
    ) -> Span | None:
        years = [after.year + step if after else before.year - step for step in range(_YEARS_TO_TRY)]
        for candidate in [int(year)] if year else years:
            moment = _read(f"{text} {candidate}", self._now)
            if moment is None or moment.year != candidate:
                continue
            span = around(moment, unit)
            fits = _is_earlier(after, span.end) if after else _is_earlier(span.start, before)
            if year or fits:
                return span
        return None

    def _within_day(
        self, day: str, before: datetime, after: datetime | None, cut: Callable[[Span], Point | None]
    ) -> Point | None:
        whole = self._day(day, before, after)
        point = cut(whole) if whole else None
        if whole and point and after is None and is_floating(day) and not _is_earlier(point.span.start, before):
            # "tuesday evening" on a Tuesday morning is the one of last week.
            return self._within_day(day, whole.start, None, cut)
        return point

    @staticmethod
    def _part(day: Span, part: str) -> Point:
        begins, ends = _PARTS[part]
        end = day.end.replace(hour=ends - 24) if ends >= 24 else day.start.replace(hour=ends)
        span = Span(day.start.replace(hour=begins), end)
        return Point(span, span)

    def _time(self, day: Span, time: str) -> Point | None:
        moment = _read(f"{day.start.date().isoformat()} {time}", self._now)
        if moment is None:
            return None
        unit = (Unit.HOUR, Unit.MINUTE, Unit.SECOND)[time.count(":")]
        return Point(around(moment, unit), Span(moment, moment))


def _is_earlier(one: datetime, other: datetime) -> bool:
    # In UTC, because within one zone Python compares what the clock shows.
    return one.astimezone(UTC) < other.astimezone(UTC)
