"""Durations and expiry dates as people type them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.cli.times import LONGEST, distance, read_duration, read_expiry
from remora.errors import InvalidArgumentError

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0", timedelta()),
        ("90m", timedelta(minutes=90)),
        ("24h", timedelta(days=1)),
        ("90d", timedelta(days=90)),
        (" 2W ", timedelta(weeks=2)),
    ],
)
def test_a_duration_is_a_number_with_its_unit(text: str, duration: timedelta) -> None:
    assert read_duration(text) == duration


@pytest.mark.parametrize("text", ["", "90", "d", "-1d", "1.5h", "1y", "١d", "99999w", "1d2h"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"24h|ten years"):
        read_duration(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("never", None),
        ("Never", None),
        ("90d", NOW + timedelta(days=90)),
        ("2027-06-30", datetime(2027, 6, 30, tzinfo=UTC)),
        ("2027-06-30T12:00", datetime(2027, 6, 30, 12, tzinfo=UTC)),
        ("2027-06-30T12:00+02:00", datetime(2027, 6, 30, 10, tzinfo=UTC)),
    ],
)
def test_an_expiry_is_a_duration_a_date_or_never(text: str, moment: datetime | None) -> None:
    assert read_expiry(text, NOW) == moment


@pytest.mark.parametrize(
    "text", ["2026-10-31", "2026-11-01", "0d", "2040-01-01", "tomorrow", "0001-01-01T00:00+14:00"]
)
def test_an_expiry_that_is_not_ahead_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        read_expiry(text, NOW)


@given(st.text(max_size=40))
def test_any_text_is_an_expiry_ahead_or_refused(text: str) -> None:
    try:
        moment = read_expiry(text, NOW)
    except InvalidArgumentError:
        return
    assert moment is None or NOW < moment <= NOW + LONGEST


@given(st.timedeltas(min_value=timedelta(minutes=1), max_value=LONGEST))
def test_a_distance_is_a_count_and_a_unit(duration: timedelta) -> None:
    count, unit = distance(duration).split()
    assert int(count.replace(",", "")) >= 1
    assert unit.removesuffix("s") in ("day", "hour", "minute")
