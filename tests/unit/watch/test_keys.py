"""The age of keys, and the room that is left for them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.watch.keys import examine

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def key(days: float | None, *, expires: float | None = None) -> dict[str, Any]:
    """A stored key that was made some days ago and expires in some days."""
    stored: dict[str, Any] = {"sha256": "0" * 64}
    if days is not None:
        stored["created_at"] = (NOW - timedelta(days=days)).isoformat()
    if expires is not None:
        stored["expires_at"] = (NOW + timedelta(days=expires)).isoformat()
    return stored


def principals(**keys: Any) -> str:
    return json.dumps(
        {
            "principals": {
                name: {"scopes": ["read"], "space": "home", "usage_key": "u" * 20, **stored}
                for name, stored in keys.items()
            }
        }
    )


def test_a_principal_is_as_old_as_the_oldest_of_its_keys() -> None:
    report = examine(principals(alice={"keys": [key(10), key(91)]}, bob={"keys": [key(3)]}), NOW)
    assert report.ages == {"alice": 91.0, "bob": 3.0}
    assert report.oldest == 91.0
    assert report.principals == 2


@pytest.mark.parametrize(
    "stored",
    [{"keys": [key(200, expires=-1)]}, {"keys": [key(200, expires=0)]}, {"disabled": True, "keys": [key(200)]}, {}],
)
def test_a_key_that_lets_nobody_in_has_no_age(stored: dict[str, Any]) -> None:
    report = examine(principals(alice=stored), NOW)
    assert (report.ages, report.oldest, report.unknown) == ({}, 0.0, 0)


def test_a_key_whose_age_is_not_known_is_counted_and_not_taken_for_new() -> None:
    report = examine(principals(alice={"keys": [key(None), key(5)]}, bob={"keys": [key(None)]}), NOW)
    assert report.unknown == 2
    assert report.ages == {"alice": 5.0}


@given(st.integers(0, 40))
def test_the_share_of_the_secret_is_that_of_its_bytes(count: int) -> None:
    document = principals(**{f"person-{number}": {"keys": [key(1)]} for number in range(count)})
    assert examine(document, NOW).used_percent == pytest.approx(100 * len(document.encode()) / 65_536)


def test_a_broken_document_is_an_error_that_shows_nothing_of_it() -> None:
    with pytest.raises(ValueError, match="validation error") as error:
        examine('{"principals": {"alice": "not-to-be-seen"}}')
    assert "not-to-be-seen" not in str(error.value)
