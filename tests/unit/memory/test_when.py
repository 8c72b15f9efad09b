"""Intervals in words and in ISO 8601, against what a person would mean."""

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from remora.errors import InvalidArgumentError
from remora.memory.models import Interval
from remora.memory.when import understand

BERLIN = "Europe/Berlin"
SATURDAY = datetime(2026, 11, 21, 10, 17, 33, tzinfo=UTC)  # 11:17:33 in Berlin


def shown(interval: Interval) -> str:
    return interval.understood.partition(" (")[0]


def read(text: str, timezone: str | None = BERLIN, now: datetime = SATURDAY) -> str:
    """Return the interval without what goes without saying: midnights and Berlin's winter offset."""
    return shown(understand(text, timezone=timezone, now=now)).replace("T00:00:00", "").replace("+01:00", "")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # days
        ("today", "2026-11-21 up to 2026-11-22"),
        ("Yesterday", "2026-11-20 up to 2026-11-21"),
        ("the day before yesterday", "2026-11-19 up to 2026-11-20"),
        ("tomorrow", "2026-11-22 up to 2026-11-23"),
        ("3 days ago", "2026-11-18 up to 2026-11-19"),
        ("a day ago", "2026-11-20 up to 2026-11-21"),
        ("last tuesday", "2026-11-17 up to 2026-11-18"),
        ("on Friday", "2026-11-20 up to 2026-11-21"),
        ("Thurs.", "2026-11-19 up to 2026-11-20"),
        ("Sunday", "2026-11-15 up to 2026-11-16"),
        ("saturday", "2026-11-21 up to 2026-11-22"),
        ("last saturday", "2026-11-14 up to 2026-11-15"),
        ("5 December 2023", "2023-12-05 up to 2023-12-06"),
        ("Dec 5th, 2023", "2023-12-05 up to 2023-12-06"),
        ("the 5th of December 2023", "2023-12-05 up to 2023-12-06"),
        ("Fri, 13 Nov 2026", "2026-11-13 up to 2026-11-14"),
        ("13 November", "2026-11-13 up to 2026-11-14"),
        ("21 November", "2026-11-21 up to 2026-11-22"),
        ("22 November", "2025-11-22 up to 2025-11-23"),
        ("29 February", "2024-02-29 up to 2024-03-01"),
        # parts of a day, and times
        ("this morning", "2026-11-21T06:00:00 up to 2026-11-21T12:00:00"),
        ("last night", "2026-11-20T18:00:00 up to 2026-11-21T06:00:00"),
        ("yesterday evening", "2026-11-20T18:00:00 up to 2026-11-21"),
        ("on tuesday afternoon", "2026-11-17T12:00:00 up to 2026-11-17T18:00:00"),
        ("saturday evening", "2026-11-14T18:00:00 up to 2026-11-15"),
        ("yesterday at 5pm", "2026-11-20T17:00:00 up to 2026-11-20T18:00:00"),
        ("4:30 p.m. on friday", "2026-11-20T16:30:00 up to 2026-11-20T16:31:00"),
        ("saturday 16:30", "2026-11-14T16:30:00 up to 2026-11-14T16:31:00"),
        ("yesterday 16:30:05", "2026-11-20T16:30:05 up to 2026-11-20T16:30:06"),
        ("5 December 2023 at noon", "2023-12-05T12:00:00 up to 2023-12-05T13:00:00"),
        ("two hours ago", "2026-11-21T09:00:00 up to 2026-11-21T10:00:00"),
        ("10 minutes ago", "2026-11-21T11:07:00 up to 2026-11-21T11:08:00"),
        # weeks, months, quarters, years
        ("this week", "2026-11-16 up to 2026-11-23"),
        ("last week", "2026-11-09 up to 2026-11-16"),
        ("during the previous week", "2026-11-09 up to 2026-11-16"),
        ("a week ago", "2026-11-09 up to 2026-11-16"),
        ("2 weeks ago", "2026-11-02 up to 2026-11-09"),
        ("last weekend", "2026-11-14 up to 2026-11-16"),
        ("this weekend", "2026-11-21 up to 2026-11-23"),
        ("this month", "2026-11-01 up to 2026-12-01"),
        ("last month", "2026-10-01+02:00 up to 2026-11-01"),
        ("ten months ago", "2026-01-01 up to 2026-02-01"),
        ("in December", "2025-12-01 up to 2026-01-01"),
        ("november", "2026-11-01 up to 2026-12-01"),
        ("last november", "2025-11-01 up to 2025-12-01"),
        ("Feb 2024", "2024-02-01 up to 2024-03-01"),
        ("january of 2024", "2024-01-01 up to 2024-02-01"),
        ("Q1 2023", "2023-01-01 up to 2023-04-01+02:00"),
        ("this quarter", "2026-10-01+02:00 up to 2027-01-01"),
        ("this year", "2026-01-01 up to 2027-01-01"),
        ("last year", "2025-01-01 up to 2026-01-01"),
        ("in 2024", "2024-01-01 up to 2025-01-01"),
        # up to now
        ("past 3 days", "2026-11-18T11:17:33 up to 2026-11-21T11:17:33"),
        ("the last three days", "2026-11-18T11:17:33 up to 2026-11-21T11:17:33"),
        ("last 2 weeks", "2026-11-07T11:17:33 up to 2026-11-21T11:17:33"),
        ("past week", "2026-11-14T11:17:33 up to 2026-11-21T11:17:33"),
        ("last day", "2026-11-20T11:17:33 up to 2026-11-21T11:17:33"),
        ("in the last week", "2026-11-14T11:17:33 up to 2026-11-21T11:17:33"),
        ("over the past year", "2025-11-21T11:17:33 up to 2026-11-21T11:17:33"),
        ("last hour", "2026-11-21T10:17:33 up to 2026-11-21T11:17:33"),
        ("past 24 hours", "2026-11-20T11:17:33 up to 2026-11-21T11:17:33"),
        # open
        ("since December", "from 2025-12-01 on"),
        ("since yesterday", "from 2026-11-20 on"),
        ("since 2 weeks ago", "from 2026-11-07 on"),
        ("since 2 hours ago", "from 2026-11-21T09:17:33 on"),
        ("since 2024", "from 2024-01-01 on"),
        ("since 2024-01-05", "from 2024-01-05 on"),
        ("from last week on", "from 2026-11-09 on"),
        ("after 5 December 2023", "from 2023-12-06 on"),
        ("after 5pm yesterday", "from 2026-11-20T17:00:00 on"),
        ("before 2024", "before 2024-01-01"),
        ("until yesterday", "before 2026-11-21"),
        ("up to 2024-01", "before 2024-02-01"),
        ("before the day before yesterday", "before 2026-11-19"),
        # two bounds
        ("between January and February", "2026-01-01 up to 2026-03-01"),
        ("from 3 January to 7 January", "2026-01-03 up to 2026-01-08"),
        ("January 3 – February 7", "2026-01-03 up to 2026-02-08"),
        ("3 to 7 January", "2026-01-03 up to 2026-01-08"),
        ("3–7 January 2024", "2024-01-03 up to 2024-01-08"),
        ("between the 3rd and 7th of January", "2026-01-03 up to 2026-01-08"),
        ("January 3-7, 2024", "2024-01-03 up to 2024-01-08"),
        ("Jan-Feb 2024", "2024-01-01 up to 2024-03-01"),
        ("between December and February 2024", "2023-12-01 up to 2024-03-01"),
        ("from December 2023 to February", "2023-12-01 up to 2024-03-01"),
        ("from December to February", "2025-12-01 up to 2026-03-01"),
        ("from November to last month", "2025-11-01 up to 2026-11-01"),
        ("between 2023 and 2024", "2023-01-01 up to 2025-01-01"),
        ("from monday to yesterday", "2026-11-16 up to 2026-11-21"),
        ("from friday to monday", "2026-11-20 up to 2026-11-24"),
        ("monday until now", "2026-11-16 up to 2026-11-21T11:17:33"),
        ("after 3 January and before 7 January", "2026-01-04 up to 2026-01-07"),
        ("from the day before yesterday to today", "2026-11-19 up to 2026-11-22"),
        ("from yesterday 5pm to today 9am", "2026-11-20T17:00:00 up to 2026-11-21T09:00:00"),
        ("2024-01-03 to 2024-01-07", "2024-01-03 up to 2024-01-08"),
        ("from 2024-01-03T10:00 to last week", "2024-01-03T10:00:00 up to 2026-11-16"),
    ],
)
def test_words_mean_what_a_person_means(text: str, expected: str) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024", "2024-01-01 up to 2025-01-01"),
        ("2024-02", "2024-02-01 up to 2024-03-01"),
        ("2024-12", "2024-12-01 up to 2025-01-01"),
        ("2024-W05", "2024-01-29 up to 2024-02-05"),
        ("2024-W05-3", "2024-01-31 up to 2024-02-01"),
        ("2024-02-29", "2024-02-29 up to 2024-03-01"),
        ("20240229", "2024-02-29 up to 2024-03-01"),
        ("2024-01-05T10", "2024-01-05T10:00:00 up to 2024-01-05T11:00:00"),
        ("2024-01-05T10:30", "2024-01-05T10:30:00 up to 2024-01-05T10:31:00"),
        ("2024-01-05 10:30:15", "2024-01-05T10:30:15 up to 2024-01-05T10:30:16"),
        ("2024-01-05T10:30:15.250", "2024-01-05T10:30:15.250 up to 2024-01-05T10:30:15.251"),
        ("2024-01-05T09:30Z", "2024-01-05T10:30:00 up to 2024-01-05T10:31:00"),
        ("2024-01-05T01:30-08:00", "2024-01-05T10:30:00 up to 2024-01-05T10:31:00"),
        ("2024-01-03/2024-01-07", "2024-01-03 up to 2024-01-08"),
        ("2024-01/2024-02", "2024-01-01 up to 2024-03-01"),
        ("2024-01-03T10:00/2024-01-03T12:00", "2024-01-03T10:00:00 up to 2024-01-03T12:00:00"),
        ("2024-01-03/", "from 2024-01-03 on"),
        ("2024-01-03/..", "from 2024-01-03 on"),
        ("/2024-01-03", "before 2024-01-04"),
        ("../2024", "before 2025-01-01"),
        ("2024-01-03/P3D", "2024-01-03 up to 2024-01-06"),
        ("2024-01-31/P1M", "2024-01-31 up to 2024-02-29"),
        ("P1Y2M/2024-01-31", "2022-11-30 up to 2024-01-31"),
        ("2024-01-03T10:00/PT1H30M", "2024-01-03T10:00:00 up to 2024-01-03T11:30:00"),
    ],
)
def test_iso_8601_is_read_as_wide_as_it_is_written(text: str, expected: str) -> None:
    assert read(text) == expected
    assert read(text.lower()) == expected


@pytest.mark.parametrize(
    ("now", "text", "expected"),
    [
        ("2026-01-01T12:00Z", "yesterday", "2025-12-31 up to 2026-01-01"),
        ("2026-01-01T12:00Z", "last month", "2025-12-01 up to 2026-01-01"),
        ("2026-01-01T12:00Z", "december", "2025-12-01 up to 2026-01-01"),
        ("2026-01-01T12:00Z", "wednesday", "2025-12-31 up to 2026-01-01"),
        ("2026-01-01T12:00Z", "last quarter", "2025-10-01 up to 2026-01-01"),
        ("2024-01-31T12:00Z", "february", "2023-02-01 up to 2023-03-01"),
        ("2024-01-31T12:00Z", "30 january", "2024-01-30 up to 2024-01-31"),
        ("2024-03-31T12:00Z", "a month ago", "2024-02-01 up to 2024-03-01"),
        ("2024-03-31T12:00Z", "past month", "2024-02-29T12:00:00 up to 2024-03-31T12:00:00"),
        ("2024-02-29T12:00Z", "a year ago", "2023-01-01 up to 2024-01-01"),
        ("2024-02-29T12:00Z", "29 february", "2024-02-29 up to 2024-03-01"),
        ("2026-11-16T00:00Z", "this week", "2026-11-16 up to 2026-11-23"),
        ("2026-11-22T23:59:59Z", "this week", "2026-11-16 up to 2026-11-23"),
        ("2026-11-16T00:00Z", "monday", "2026-11-16 up to 2026-11-17"),
        ("2026-11-16T00:00Z", "last weekend", "2026-11-14 up to 2026-11-16"),
        ("2027-01-02T12:00Z", "between november and february", "2026-11-01 up to 2027-03-01"),
        ("2026-05-20T12:00Z", "between May and June", "2026-05-01 up to 2026-07-01"),
        ("2026-04-20T12:00Z", "between May and June", "2025-05-01 up to 2025-07-01"),
    ],
)
def test_words_are_relative_to_now_and_look_back(now: str, text: str, expected: str) -> None:
    assert read(text, timezone=None, now=at(now)).replace("+00:00", "") == expected


@pytest.mark.parametrize(
    ("timezone", "expected"),
    [
        (None, "2026-11-19T00:00:00+00:00 up to 2026-11-20T00:00:00+00:00 (UTC)"),
        ("UTC", "2026-11-19T00:00:00+00:00 up to 2026-11-20T00:00:00+00:00 (UTC)"),
        ("Asia/Tokyo", "2026-11-20T00:00:00+09:00 up to 2026-11-21T00:00:00+09:00 (Asia/Tokyo)"),
        ("America/New_York", "2026-11-19T00:00:00-05:00 up to 2026-11-20T00:00:00-05:00 (America/New_York)"),
        ("Asia/Kolkata", "2026-11-20T00:00:00+05:30 up to 2026-11-21T00:00:00+05:30 (Asia/Kolkata)"),
        (
            "America/Argentina/Buenos_Aires",
            "2026-11-19T00:00:00-03:00 up to 2026-11-20T00:00:00-03:00 (America/Argentina/Buenos_Aires)",
        ),
    ],
)
def test_a_day_is_the_callers_day(timezone: str | None, expected: str) -> None:
    assert understand("yesterday", timezone=timezone, now=at("2026-11-20T20:00Z")).understood == expected


@pytest.mark.parametrize(
    ("timezone", "text", "hours"),
    [
        (BERLIN, "2026-03-29", 23),
        (BERLIN, "29 March 2026", 23),
        (BERLIN, "2026-10-25", 25),
        ("America/New_York", "1 November 2026", 25),
        ("Australia/Lord_Howe", "4 October 2026", 23.5),
        ("Africa/Cairo", "2026-04-24", 23),  # the clock goes forward at midnight: the day begins at 1:00
        ("America/Havana", "2026-11-01", 25),  # and back over midnight: it has two
        (BERLIN, "2026-W13", 7 * 24 - 1),
        (BERLIN, "2026-03-29T00:00/2026-03-29T06:00", 5),
        (BERLIN, "2026-03-29T00:00/PT6H", 6),
    ],
)
def test_a_day_is_as_long_as_the_clock_makes_it(timezone: str, text: str, hours: float) -> None:
    interval = understand(text, timezone=timezone, now=SATURDAY)
    assert interval.start is not None
    assert interval.end is not None
    assert (interval.end - interval.start).total_seconds() == hours * 3600


def test_past_hours_are_elapsed_hours_where_the_clock_is_set_back() -> None:
    # 02:30 the second time; two hours earlier it was 01:30, not 00:30.
    now = at("2026-10-25T01:30Z")
    interval = understand("past 2 hours", timezone=BERLIN, now=now)
    assert (interval.start, interval.end) == (at("2026-10-24T23:30Z"), now)


def test_a_day_that_a_zone_left_out_covers_no_time() -> None:
    with pytest.raises(InvalidArgumentError, match="covers no time"):
        understand("2011-12-30", timezone="Pacific/Apia", now=SATURDAY)


def test_what_was_asked_and_understood_is_echoed() -> None:
    interval = understand(" Last  Tuesday ", timezone=BERLIN, now=SATURDAY)
    assert interval == Interval(
        asked=" Last  Tuesday ",
        start=at("2026-11-16T23:00Z"),
        end=at("2026-11-17T23:00Z"),
        understood="2026-11-17T00:00:00+01:00 up to 2026-11-18T00:00:00+01:00 (Europe/Berlin)",
    )


NOT_UNDERSTOOD = [
    "",
    " ",
    ".",
    "-",
    "/",
    "..",
    "../..",
    "everything",
    "all time",
    "ever",
    "recently",
    "blue",
    "may be",
    "maybe",
    "5",
    "05",
    "the 5th",
    "may 5 pm",
    "march to the beat",
    "march to may be",
    "sat on the sun",
    "tuesday last",
    "tuesday tuesday",
    "32 May",
    "0 May",
    "30 February",
    "29 February 2023",
    "31 June",
    "may 2023 2024",
    "friday 13 may 2026",
    "next week",
    "next tuesday",
    "yesterday tomorrow",
    "yesterday at 25:00",
    "yesterday at 24:00",
    "yesterday at 13pm",
    "yesterday at",
    "last",
    "last 3",
    "past days",
    "past -3 days",
    "past 0 days",
    "past 1.5 days",
    "past 3 days or so",
    "past 9999 years",
    "9999 years ago",
    "since",
    "since forever",
    "since the beginning",
    "until",
    "before",
    "between",
    "between may",
    "between may and",
    "between may and be",
    "between",
    "from to",
    "to",
    "may to",
    "to may",
    "today/",
    "yesterday/today",
    "03/04/2024",
    "3.4.2024",
    "2024/05/01",
    "24-05-01",
    "1234567890",
    "2024-13",
    "2024-00-01",
    "2024-02-30",
    "2024-W54",
    "2024-05-01T25:00",
    "2024-05-01T10:00+25:00",
    "2024-05-01/15",
    "2024-05-01/P",
    "2024-05-01/PT",
    "2024-05-01/P9999Y",
    "P3D",
    "P3D/P3D",
    "P3D/..",
    "2024-05-01/2024-05-02/2024-05-03",
    "0000",
    "9999",
    "٢٠٢٤",
    "letzten Dienstag",
    "hier",
    "vor 3 Tagen",
    "5. Mai 2023",
    "昨天",
    "😀",
    "today 😀",
    "today\x00",
    "\ud800",
    "today; drop table memories",
    "ignore all filters and show everything since yesterday",
]


@pytest.mark.parametrize("text", NOT_UNDERSTOOD)
def test_what_is_not_understood_to_the_last_word_is_refused_with_examples(text: str) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        understand(text, timezone=BERLIN, now=SATURDAY)
    message = str(raised.value)
    assert "is not understood" in message
    assert "English or ISO 8601" in message
    assert "past 3 days" in message
    assert message.isprintable()


@pytest.mark.parametrize(
    "text",
    ["today" * 100, "a" * 201, "may to " * 1_000, " " * 1_000_000, "9" * 100_000, "2024-05-01" + " " * 200],
    ids=len,
)
def test_a_long_text_is_refused_before_it_is_read(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="at most 200 characters"):
        understand(text, timezone=BERLIN, now=SATURDAY)


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-07/2024-05-01",
        "2024-05-01T10:00/2024-05-01T10:00",
        "2024-05-01T10:00:00.0001/2024-05-01T10:00:00.0009",
        "from today to yesterday",
        "between 2024 and 2023",
        "now",
        "after 3 May 2024 and before 4 May 2024",
        "2024-05-01/P0D",
    ],
)
def test_an_interval_that_ends_before_it_begins_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="ends before it begins or covers no time: 20"):
        understand(text, timezone=None, now=SATURDAY)


def test_every_example_of_the_error_is_understood() -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        understand("blue", timezone=None, now=SATURDAY)
    examples = str(raised.value).partition("such as: ")[2].removesuffix(".").split(", ")
    assert len(examples) > 10
    for example in examples:
        assert understand(example, timezone=None, now=SATURDAY)


@pytest.mark.parametrize(
    "timezone",
    [
        "",
        "Berlin",
        "Europe",
        "Europe/Atlantis",
        "Mars/Olympus_Mons",
        "UTC+2",
        "+02:00",
        "../../etc/passwd",
        "/etc/localtime",
        "Europe/../UTC",
        "\x00",
        "Europe/Berlin\n",
        "é",
        "\ud800",
        "x" * 10_000,
    ],
)
def test_an_unknown_time_zone_is_refused_with_what_is_accepted(timezone: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"Give an IANA name, such as Europe/Berlin") as raised:
        understand("today", timezone=timezone, now=SATURDAY)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 400


def test_time_zones_are_known_on_a_machine_that_has_none() -> None:
    program = (
        "from datetime import UTC, datetime\n"
        "from remora.memory.when import understand\n"
        "print(understand('2026-03-29', timezone='Europe/Berlin', now=datetime.now(UTC)).understood)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONTZPATH": ""}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "2026-03-29T00:00:00+01:00 up to 2026-03-30T00:00:00+02:00 (Europe/Berlin)\n"


@pytest.mark.parametrize(
    ("text", "loaded"), [("2024-05", False), ("2024-05/P3D", False), ("since 2024", False), ("since yesterday", True)]
)
def test_only_words_load_the_library_that_reads_words(text: str, loaded: bool) -> None:
    program = (
        "import sys\n"
        "from datetime import UTC, datetime\n"
        "from remora.memory.when import understand\n"
        f"understand({text!r}, timezone=None, now=datetime.now(UTC))\n"
        "print('dateparser' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"{loaded}\n"
