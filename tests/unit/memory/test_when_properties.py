"""Intervals: what holds for any of them."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remora.errors import InvalidArgumentError
from remora.memory.models import Interval
from remora.memory.when import understand

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Cairo",
]
WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]  # fmt: skip
WORDS = [
    *(
        "since",
        "until",
        "before",
        "after",
        "between",
        "and",
        "from",
        "to",
        "in",
        "on",
        "at",
        "the",
        "of",
        "-",
        "/",
        "..",
    ),
    *("last", "past", "this", "next", "previous", "ago", "now", "today", "yesterday", "tomorrow", "morning", "night"),
    *("day", "days", "week", "weeks", "weekend", "month", "quarter", "year", "years", "hour", "hours", "minute"),
    *(
        "a",
        "two",
        "0",
        "1",
        "3",
        "5th",
        "12",
        "29",
        "31",
        "99",
        "9999",
        "2024",
        "2023",
        "0000",
        "5pm",
        "16:30",
        "noon",
    ),
    *(
        "2024-05-01",
        "2024-02",
        "2024-W05",
        "2024-05-01t10:30",
        "2024-05-01t10:30+02:00",
        "p3d",
        "p9999y",
        "q1",
        "utc",
    ),
    *("may", "feb", "december", "sunday", "tue", "everything", "be"),
]

zones = st.sampled_from(ZONES)
moments = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
days = st.dates(date(1990, 1, 1), date(2060, 1, 1))


def understood_or_refused(text: str, timezone: str | None, now: datetime) -> Interval | None:
    try:
        interval = understand(text, timezone=timezone, now=now)
    except InvalidArgumentError:
        return None
    assert interval.start is not None or interval.end is not None
    if interval.start is not None and interval.end is not None:
        assert interval.start < interval.end
    return interval


@settings(deadline=None)
@given(st.text(max_size=250), zones, moments)
def test_any_text_gives_an_interval_or_is_refused(text: str, zone: str, now: datetime) -> None:
    understood_or_refused(text, zone, now)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join), zones, moments)
def test_any_words_of_time_give_an_interval_or_are_refused(text: str, zone: str, now: datetime) -> None:
    understood_or_refused(text, zone, now)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_time_zone_is_known_or_refused(timezone: str) -> None:
    understood_or_refused("2024-05-01", timezone, datetime(2026, 11, 21, tzinfo=UTC))


@pytest.mark.parametrize(
    "text", ["may to " * 28, "29 february to " * 13, "1 may and " * 20, "before " * 28, "last " * 40]
)
def test_repeated_words_are_refused(text: str) -> None:
    assert understood_or_refused(text, None, datetime(2026, 11, 21, tzinfo=UTC)) is None


@settings(deadline=None)
@given(moments, moments, st.timezones(), zones)
def test_an_iso_interval_comes_back_whatever_zones_it_is_written_and_read_in(
    one: datetime, other: datetime, written: ZoneInfo, zone: str
) -> None:
    start, end = sorted((one, other))
    text = f"{start.astimezone(written).isoformat()}/{end.astimezone(written).isoformat()}"
    interval = understood_or_refused(text, zone, one)
    assert (interval is None) == (start == end)
    if interval is not None:
        assert (interval.start, interval.end) == (start, end)


@settings(deadline=None)
@given(
    st.sampled_from(["last week", "yesterday", "past month", "in may", "2024", "this year"]), moments, moments, zones
)
def test_what_was_understood_can_be_asked_for_again(text: str, now: datetime, later: datetime, zone: str) -> None:
    first = understood_or_refused(text, zone, now)
    if first is None:  # yesterday, in Samoa at the end of 2011
        return
    start, _, end = first.understood.partition(" (")[0].partition(" up to ")
    again = understand(f"{start}/{end}", timezone=None, now=later)
    assert (again.start, again.end) == (first.start, first.end)


@settings(deadline=None)
@given(days, zones, moments)
def test_a_date_is_the_same_day_however_it_is_written(day: date, zone: str, now: datetime) -> None:
    name, weekday = MONTHS[day.month - 1], WEEKDAYS[day.weekday()]
    spellings = [
        day.isoformat(),
        day.strftime("%Y%m%d"),
        "{}-W{:02}-{}".format(*day.isocalendar()),
        f"{day.day} {name} {day.year}",
        f"{day.day} {name[:3]} {day.year}",
        f"{name.title()} {day.day}, {day.year}",
        f"on {weekday}, {day.day} {name.upper()} {day.year}",
        f"{weekday[:3].title()}. {name[:3].title()}. {day.day} {day.year}",
    ]
    read = [understood_or_refused(spelling, zone, now) for spelling in spellings]
    # A day that the zone left out is refused, in every spelling.
    found = {(interval.start, interval.end) if interval else None for interval in read}
    assert len(found) == 1
    if interval := read[0]:
        assert interval.start is not None
        assert interval.start.astimezone(ZoneInfo(zone)).date() == day


@settings(deadline=None)
@given(st.integers(0, 6), zones, moments)
def test_a_bare_weekday_is_the_most_recent_one_that_has_begun(weekday: int, zone: str, now: datetime) -> None:
    today = now.astimezone(ZoneInfo(zone)).date()
    day = today - timedelta(days=(today.weekday() - weekday) % 7)
    expected = understood_or_refused(day.isoformat(), zone, now)
    found = understood_or_refused(WEEKDAYS[weekday], zone, now)
    assert (found and (found.start, found.end)) == (expected and (expected.start, expected.end))


@settings(deadline=None)
@given(st.integers(1, 12), zones, moments)
def test_a_bare_month_is_the_most_recent_one_that_has_begun(month: int, zone: str, now: datetime) -> None:
    today = now.astimezone(ZoneInfo(zone)).date()
    year = today.year if month <= today.month else today.year - 1
    expected = understand(f"{year}-{month:02}", timezone=zone, now=now)
    found = understand(MONTHS[month - 1], timezone=zone, now=now)
    assert (found.start, found.end) == (expected.start, expected.end)


@settings(deadline=None)
@given(st.integers(1, 400), zones, moments)
def test_past_days_end_now_and_begin_at_the_same_time_of_day(count: int, zone: str, now: datetime) -> None:
    interval = understand(f"past {count} days", timezone=zone, now=now)
    local = now.astimezone(ZoneInfo(zone))
    assert interval.end == now
    assert interval.start == (local.replace(fold=0) - timedelta(days=count)).astimezone(UTC)
