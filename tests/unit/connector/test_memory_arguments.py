"""Arguments of the memory tools: what is forgiven, what is refused, and what a refusal says."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.tools import memory_tools
from connector.tools.memory.times import interval, moment
from connector.tools.tool import Arguments
from remora.errors import InvalidArgumentError
from remora.memory.zones import zone_named

TOOLS = {tool.name: tool for tool in memory_tools()}
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
SCALARS = st.one_of(NAMES, st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False))
ARRAYS = st.one_of(*(st.lists(kind, min_size=1, max_size=3) for kind in (NAMES, st.booleans(), st.integers(0, 9))))


def parse(tool: str, **arguments: Any) -> Arguments:
    """Parse a tool's arguments."""
    parsed: Arguments = TOOLS[tool].parse(arguments)
    return parsed


def same(tool: str, first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Return whether two sets of arguments mean the same."""
    return parse(tool, **first) == parse(tool, **second)


@given(NAMES)
def test_one_tag_may_stand_without_its_list(tag: str) -> None:
    if not tag.lstrip().startswith("["):
        assert same("memory_list", {"tags": tag}, {"tags": [tag]})


@given(st.lists(NAMES, max_size=3))
def test_a_list_may_come_as_json_text(tags: list[str]) -> None:
    assert same("memory_list", {"tags": json.dumps(tags)}, {"tags": tags})


@pytest.mark.parametrize("text", ["[draft", "[", "[" * 100_000])
def test_a_text_that_is_no_json_is_one_tag_whatever_it_begins_with(text: str) -> None:
    assert same("memory_list", {"tags": text}, {"tags": [text]})


@pytest.mark.parametrize("tool", ["memory_get", "memory_delete"])
@pytest.mark.parametrize("form", [{"id": "a1"}, {"ids": "a1"}, {"ids": ["a1"]}, {"ids": '["a1"]'}, {"id": ["a1"]}])
def test_one_id_may_be_given_in_any_form(tool: str, form: dict[str, Any]) -> None:
    assert same(tool, form, {"ids": ["a1"]})


def test_an_update_takes_the_one_id_of_a_list() -> None:
    assert same("memory_update", {"ids": ["a1"], "content": "x"}, {"id": "a1", "content": "x"})
    with pytest.raises(InvalidArgumentError, match="`id` is required"):
        parse("memory_update", ids=["a1", "a2"], content="x")


def test_memories_and_turns_may_be_bare_texts() -> None:
    for tool, name in (("memory_store", "memories"), ("memory_store_conversation", "turns")):
        plain = {name: [{"content": "one"}, {"content": "two"}]}
        assert same(tool, {name: ["one", {"content": "two"}]}, plain)
        assert same(tool, {name: json.dumps(plain[name])}, plain)
        assert same(tool, {name: "one"}, {name: [{"content": "one"}]})
        assert same(tool, {name: {"content": "one"}}, {name: [{"content": "one"}]})


@pytest.mark.parametrize("tool", TOOLS)
def test_null_means_not_given(tool: str) -> None:
    model = TOOLS[tool].arguments
    needed = {"query": "x", "turns": [{"content": "x"}], "id": "a1", "ids": ["a1"]}
    required = {name: needed[name] for name, field in model.model_fields.items() if field.is_required()}
    optional = dict.fromkeys(name for name, field in model.model_fields.items() if not field.is_required())
    assert same(tool, {**required, **optional}, required)


@given(st.dictionaries(NAMES, st.one_of(SCALARS, ARRAYS), max_size=4))
def test_metadata_of_scalars_and_arrays_is_taken_as_it_is(metadata: dict[str, Any]) -> None:
    taken = parse("memory_store", content="x", metadata=metadata).model_dump(mode="json")["metadata"]
    assert json.dumps(taken) == json.dumps(metadata)


@pytest.mark.parametrize("value", [{"a": 1}, [1, "a"], [[1]], [True, 1], [None]])
def test_metadata_that_cannot_be_stored_is_refused_by_its_key(value: object) -> None:
    for tool, needed in (("memory_store", {"content": "x"}), ("memory_update", {"id": "a1"})):
        with pytest.raises(InvalidArgumentError, match=r"'colour' cannot be stored; values are strings, numbers"):
            parse(tool, **needed, metadata={"colour": value})


def test_null_in_metadata_removes_a_key_in_an_update_and_is_refused_elsewhere() -> None:
    assert parse("memory_update", id="a1", metadata={"colour": None}).model_dump()["metadata"] == {"colour": None}
    with pytest.raises(InvalidArgumentError, match="'colour' is null; leave the key out"):
        parse("memory_store", content="x", metadata={"colour": None})


def test_a_filter_on_metadata_takes_one_value_for_each_key() -> None:
    with pytest.raises(InvalidArgumentError, match="the one value that it must have"):
        parse("memory_list", metadata={"colour": ["red", "blue"]})


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("memory_search", {}, "`query` is required"),
        ("memory_search", {"query": "x", "tag": "y"}, "`tag` is not an argument"),
        ("memory_search", {"query": "x", "mode": "fuzzy"}, "'hybrid', 'dense' or 'lexical'"),
        ("memory_search", {"query": "x", "min_score": 2}, "less than or equal to 1"),
        ("memory_search", {"query": "x", "limit": 0}, "greater than or equal to 1"),
        ("memory_store", {"memories": [{"text": "x"}]}, r"memories\.0\.content"),
        ("memory_store", {"memories": [{"content": "x", "tag": "y"}]}, r"memories\.0\.tag` is not an argument"),
        ("memory_store_conversation", {"turns": [{"content": "x", "role": "user"}]}, r"turns\.0\.role"),
        ("memory_ingest", {"source": "a.pdf", "content": "x", "encoding": "gzip"}, "'text' or 'base64'"),
        ("memory_overview", {"when": "today"}, "Accepted arguments .*none"),
    ],
)
def test_anything_else_is_refused_with_what_is_accepted(tool: str, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=says) as error:
        parse(tool, **arguments)
    for name in TOOLS[tool].arguments.model_fields:
        assert name in str(error.value)


@given(
    st.datetimes(datetime(1000, 1, 1), datetime(9000, 1, 1)), st.sampled_from(["Europe/Zurich", "Asia/Tokyo", "UTC"])
)
def test_a_time_without_offset_is_of_the_timezone_and_otherwise_of_utc(local: datetime, name: str) -> None:
    assert moment(local.isoformat(), name, "time") == local.replace(tzinfo=ZoneInfo(name))
    assert moment(local.isoformat(), None, "time") == local.replace(tzinfo=UTC)


@given(st.datetimes(datetime(1000, 1, 1), datetime(9000, 1, 1)), st.integers(-12, 14))
def test_a_time_with_an_offset_keeps_it_whatever_the_timezone(local: datetime, hours: int) -> None:
    given_time = local.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert moment(given_time.isoformat(), "Asia/Tokyo", "time") == given_time


def test_a_date_is_its_midnight() -> None:
    assert moment("2026-05-01", "Europe/Zurich", "time") == datetime(2026, 4, 30, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["yesterday", "", "1 May 2026", "2026-13-01", "0001-01-01T00:00+14:00", "1777620600"]
)
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"turns\[3\]\.time .* such as 2026-05-01T09:30"):
        moment(text, None, "turns[3].time")


@pytest.mark.parametrize("name", ["Atlantis/Capital", "", "../../etc/passwd", "CET+1", "\0"])
def test_what_is_no_timezone_is_refused_with_examples(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="Europe/Berlin"):
        zone_named(name)


def test_an_interval_is_counted_from_now_in_the_callers_timezone() -> None:
    now = datetime(2026, 5, 1, 23, 30, tzinfo=UTC)
    understood = interval("today", "Asia/Tokyo", now)
    assert understood is not None
    assert understood.start == datetime(2026, 5, 1, 15, tzinfo=UTC)
    assert interval(None, None, now) is None
