"""Pages and budgets: never more than was asked for, and nothing cut in silence."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.budget import check_max_tokens, estimate_tokens, json_bytes, shorten
from remora.collections.models import Record
from remora.collections.pages import page_budget, take_record
from remora.errors import InvalidArgumentError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=3_000)
records = st.builds(
    Record,
    id=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    document=st.none() | texts,
    metadata=st.none() | st.dictionaries(st.text("abc", min_size=1), texts, max_size=3),
    uri=st.none() | st.text("abc:/", max_size=400),
    embedding=st.none() | st.lists(st.floats(-1, 1), min_size=1, max_size=400),
)


@given(text=texts, max_bytes=st.integers(0, 2_000))
def test_a_text_is_shortened_to_the_longest_beginning_that_fits(text: str, max_bytes: int) -> None:
    beginning = shorten(text, max_bytes=max_bytes)
    assert text.startswith(beginning)
    assert json_bytes(beginning) <= max_bytes
    assert beginning == text or json_bytes(text[: len(beginning) + 1]) > max_bytes


@given(record=records, max_tokens=st.integers(200, 2_000))
def test_a_first_record_always_fits_and_says_what_was_cut(record: Record, max_tokens: int) -> None:
    budget = page_budget(max_tokens)
    room = budget.remaining
    taken = take_record([], record, budget)
    assert taken is not None
    assert estimate_tokens(taken.model_dump_json()) <= room
    for part in ("metadata", "uri", "embedding"):
        assert (getattr(taken, part) == getattr(record, part)) != (part in (taken.omitted or []))
    if taken.document != record.document:
        assert taken.document_truncated is True
        assert record.document is not None
        assert taken.document_characters == len(record.document)
        assert record.document.startswith(taken.document or "")
    else:
        assert taken.document_truncated is None


@given(parts=st.lists(records, max_size=6), max_tokens=st.integers(200, 3_000))
def test_a_page_stays_within_its_budget_and_gets_ahead(parts: list[Record], max_tokens: int) -> None:
    budget = page_budget(max_tokens)
    page: list[Record] = []
    for record in parts:
        taken = take_record(page, record, budget)
        if taken is None:
            break
        page.append(taken)
    assert page or not parts
    assert sum(estimate_tokens(record.model_dump_json()) for record in page) <= max_tokens


def test_tokens_are_a_third_of_the_bytes_rounded_up() -> None:
    assert [estimate_tokens(text) for text in ("", "a", "abc", "abcd", "żż")] == [0, 1, 1, 2, 2]


@pytest.mark.parametrize("value", [-1, 0, 199, 50_001])
def test_a_budget_out_of_bounds_is_refused(value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="200 to 50000"):
        check_max_tokens(value)
