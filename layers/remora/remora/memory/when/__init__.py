"""Intervals as people write them, "last tuesday" or "2024-05/..", as absolute times on the caller's clock.

The rules, for whoever reads an answer and wonders:

- Days, weeks (from Monday), months and years are whole ones of the caller's zone: `last week` is the calendar week
  before this one, `2 weeks ago` the one before that.
- `past week`, `last 7 days`, `in the last week` end now.
- A bare weekday, month or date is the most recent one that has begun.
- `since` and `until` include what they name; `after` and `before` do not; `between` and `from … to` include both.
"""

import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from remora.errors import InvalidArgumentError
from remora.memory.models import Interval
from remora.memory.when import english, iso
from remora.memory.when.units import Span
from remora.memory.zones import zone_named

MAX_CHARACTERS = 200

_ACCEPTED = (
    "Give an interval in English or ISO 8601, such as: today, last tuesday, past 3 days, last week, in March, "
    "5 May 2023, 2 weeks ago, since March, after 5 May 2023, until yesterday, before 2024, between May and June, "
    "from 3 May to 7 May, 2024-05, 2024-05-01, 2024-05-01T09:00+02:00/.., 2024-05-01/2024-05-07"
)

_TO = r"to|until|till|through|up to|-"
_PAIR = re.compile(r"(?:(?P<word>from|since|after|between) )?(?P<pair>.+)")
_SEPARATOR = re.compile(rf" (?P<to>{_TO}|and before|before|and)(?= )")
_FROM = re.compile(r"(?P<word>since|from|after) (?P<point>.+?)(?: on| onwards?)?")
_UNTIL = re.compile(r"(?P<word>before|until|till|up to|through) (?P<point>.+)")
_IN = re.compile(r"(?:on|in|during|over|within|for) (?P<point>.+)")


class _Ends(NamedTuple):
    start: datetime | None
    end: datetime | None


def understand(text: str, *, timezone: str | None, now: datetime) -> Interval:
    """Read an interval.

    Args:
        text: In English words or ISO 8601, at most 200 characters.
        timezone: The IANA name of the caller's zone; UTC, unless given.
        now: The moment that words like `today` are relative to, with an offset.

    Raises:
        InvalidArgumentError: The text is not understood to its last word, or ends before it begins, or there is no
            such zone.
    """
    zone = zone_named(timezone)
    if len(text) > MAX_CHARACTERS:
        raise InvalidArgumentError(f"An interval takes at most {MAX_CHARACTERS} characters. {_ACCEPTED}.")
    try:
        ends = _read(_normalised(text), now.astimezone(zone))
        if ends is None:
            raise ValueError
        start, end = (moment.astimezone(UTC) if moment else None for moment in ends)
        understood = _described(start, end, zone)
    except (ValueError, OverflowError):
        # Besides words: what has the shape of a date but is none, or lies outside the years 1 to 9999.
        raise InvalidArgumentError(f"The interval {_quoted(text)} is not understood. {_ACCEPTED}.") from None
    interval = Interval(asked=text, start=start, end=end, understood=understood)
    if interval.start is not None and interval.end is not None and interval.start >= interval.end:
        raise InvalidArgumentError(
            f"The interval {_quoted(text)} ends before it begins or covers no time: {understood}. "
            "Name the earlier time first."
        )
    return interval


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


def _normalised(text: str) -> str:
    """Return it in lower case, with single spaces, plain hyphens and without the punctuation of sentences."""
    text = unicodedata.normalize("NFKC", text).lower()
    text = re.sub(r" ?[‐‑‒–—] ?", " - ", text).replace("a.m.", "am").replace("p.m.", "pm")
    return " ".join(re.sub(r"(?<=[a-z])\.(?= |$)|,(?= )", " ", text).split())


def _described(start: datetime | None, end: datetime | None, zone: tzinfo) -> str:
    def shown(moment: datetime) -> str:
        local = moment.astimezone(zone)
        return local.isoformat(timespec="milliseconds" if local.microsecond else "seconds")

    if start and end:
        words = f"{shown(start)} up to {shown(end)}"
    elif start:
        words = f"from {shown(start)} on"
    elif end:
        words = f"before {shown(end)}"
    else:
        raise ValueError("an interval needs a bound")
    return f"{words} ({zone})"


class _Clock:
    """Reads the points of time that intervals are made of."""

    def __init__(self, now: datetime) -> None:
        self._zone = now.tzinfo or UTC
        self._english = english.Reader(now)

    def whole(self, phrase: str) -> Span | None:
        """Return all that the phrase names."""
        if span := iso.read_point(phrase, self._zone, bound=False):
            return span
        point = self._english.read(phrase)
        return point.span if point else None

    def bound(self, phrase: str, *, before: datetime | None = None, after: datetime | None = None) -> Span | None:
        """Return what the phrase names where it bounds an interval."""
        if span := iso.read_point(phrase, self._zone, bound=True):
            return span
        point = self._english.read(phrase, before=before, after=after)
        return point.bound if point else None

    def pair(self, first: str, second: str) -> tuple[Span, Span] | None:
        """Return both bounds of an interval; a year or week that one leaves open follows from the other."""
        if english.is_floating(first) and not english.is_floating(second):
            last = self.bound(second)
            start = self.bound(first, before=last.end) if last else None
        else:
            start = self.bound(first)
            last = self.bound(second, after=start.start) if start else None
        return (start, last) if start and last else None


def _read(phrase: str, now: datetime) -> _Ends | None:
    clock = _Clock(now)
    if "/" in phrase:
        ends = iso.read_interval(phrase, now.tzinfo or UTC)
        return _Ends(*ends) if ends else None
    if rolling := english.read_rolling(phrase, now):
        return _Ends(rolling.start, rolling.end)
    for word, first, to, second in _pairs(english.spelled_out(phrase)):
        if found := clock.pair(first, second):
            start, last = found
            return _Ends(start.end if word == "after" else start.start, last.start if "before" in to else last.end)
    if (match := _FROM.fullmatch(phrase)) and (bound := clock.bound(match["point"])):
        return _Ends(bound.end if match["word"] == "after" else bound.start, None)
    if (match := _UNTIL.fullmatch(phrase)) and (bound := clock.bound(match["point"])):
        return _Ends(None, bound.start if match["word"] == "before" else bound.end)
    if match := _IN.fullmatch(phrase):
        phrase = match["point"]
    whole = clock.whole(phrase)
    return _Ends(whole.start, whole.end) if whole else None


def _pairs(phrase: str) -> Iterator[tuple[str, str, str, str]]:
    """Cut at each word that may stand between two points: "the day before yesterday" holds one that does not."""
    match = _PAIR.fullmatch(phrase)
    if match is None:
        return
    word, pair = match["word"] or "", match["pair"]
    for separator in _SEPARATOR.finditer(pair):
        to = separator["to"]
        if to != "and" or word == "between":
            yield word, pair[: separator.start()], to, pair[separator.end() + 1 :]
