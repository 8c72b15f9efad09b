"""The layout of the index: ids of records, facets and filters."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.memory.index.layout import (
    RecordId,
    context_of,
    digest_of,
    facet_value,
    facets,
    milliseconds,
    moment,
    spoken_passage,
    wanted_facets,
    where,
)
from remora.memory.models import Interval, Memory, MemoryFilter, TagMatch, Turn

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
NAMES = st.text(alphabet="abé:\"[]#. '", min_size=1, max_size=6)
SCALARS = st.one_of(NAMES, st.integers(-3, 3), st.sampled_from([0.5, 1.0, -2.0]), st.booleans())


def a_memory(**parts: Any) -> Memory:
    return Memory(
        **{"id": "7h3kq9x2ma", "version": 1, "content": "x", "created_at": START, "updated_at": START} | parts
    )


def fits(memory: Memory, selection: MemoryFilter) -> bool:
    """Whether a filter selects a memory, said plainly."""
    tags, held = set(memory.tags), set(selection.tags)

    def equal(one: object, other: object) -> bool:
        return isinstance(one, bool) == isinstance(other, bool) and one == other

    def has(key: str, scalar: object) -> bool:
        value = memory.metadata.get(key)
        return any(equal(each, scalar) for each in (value if isinstance(value, tuple) else (value,)))

    return (
        (not held or (bool(held & tags) if selection.tag_match is TagMatch.ANY else held <= tags))
        and selection.type in {None, memory.type}
        and selection.source in {None, memory.source}
        and selection.conversation_id in {None, memory.conversation_id}
        and all(has(key, scalar) for key, scalar in selection.metadata.items())
    )


MEMORIES = st.builds(
    a_memory,
    type=NAMES,
    tags=st.lists(NAMES, max_size=3).map(tuple),
    source=st.none() | NAMES,
    conversation_id=st.none() | NAMES,
    metadata=st.dictionaries(NAMES, SCALARS | st.lists(NAMES, max_size=2).map(tuple), max_size=2),
)


@given(memory=MEMORIES, data=st.data())
def test_a_filter_asks_for_facets_that_a_memory_has_exactly_if_it_fits(memory: Memory, data: st.DataObject) -> None:
    values = [value for value in memory.metadata.values() if not isinstance(value, tuple)]
    selection = data.draw(
        st.builds(
            MemoryFilter,
            tags=st.lists(st.sampled_from(memory.tags) | NAMES if memory.tags else NAMES, max_size=2).map(tuple),
            tag_match=st.sampled_from(TagMatch),
            type=st.sampled_from([None, memory.type]) | NAMES,
            source=st.sampled_from([None, memory.source]) | NAMES,
            conversation_id=st.sampled_from([None, memory.conversation_id]),
            metadata=st.dictionaries(
                st.sampled_from([*memory.metadata, "other"]),
                st.sampled_from(values) | SCALARS if values else SCALARS,
                max_size=2,
            ),
        )
    )
    has = set(facets(memory))
    assert all(has.intersection(group) for group in wanted_facets(selection)) == fits(memory, selection)


def test_facets_of_different_things_are_different() -> None:
    memory = a_memory(type="a", tags=("a",), source="a", conversation_id="a", metadata={"a": "a"})
    assert len(facets(memory)) == 5
    one, other = a_memory(metadata={"a:": "b"}), a_memory(metadata={"a": ":b"})
    assert facets(one) != facets(other)
    long = facets(a_memory(metadata={"a": "x" * 8_000}))
    assert len(long[-1]) < 100
    assert long != facets(a_memory(metadata={"a": "x" * 7_999}))


def test_a_facet_gives_its_value_back() -> None:
    assert facet_value("tag:a:b", "tag") == "a:b"
    assert facet_value("tag:a", "type") is None


def test_a_filter_becomes_one_condition_of_chroma() -> None:
    assert where(MemoryFilter()) is None
    assert where(MemoryFilter(type="note")) == {"facets": {"$contains": "type:note"}}
    when = Interval(asked="may", understood="May", start=START, end=START + timedelta(days=1))
    assert where(MemoryFilter(tags=("a", "b"), when=when)) == {
        "$and": [
            {"$or": [{"facets": {"$contains": "tag:a"}}, {"facets": {"$contains": "tag:b"}}]},
            {"created": {"$gte": milliseconds(START)}},
            {"created": {"$lt": milliseconds(START + timedelta(days=1))}},
        ]
    }


@given(
    memory_id=st.from_regex(r"[0-9a-hjkmnp-tv-z]{10}(-[1-9][0-9]{0,8})?", fullmatch=True),
    version=st.integers(1, 10**6),
    digest=st.from_regex(r"[0-9a-f]{10}", fullmatch=True),
    passage=st.integers(0, 10**4),
)
def test_the_id_of_a_record_is_read_as_it_was_made(memory_id: str, version: int, digest: str, passage: int) -> None:
    record = RecordId(memory_id, version, digest, passage)
    assert RecordId.parse(str(record)) == record


@pytest.mark.parametrize("text", ["", "abc", "a.b.c.d", "a.1.c"])
def test_what_is_no_id_of_a_record_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|invalid literal"):
        RecordId.parse(text)


@given(since=st.integers(-(10**13), 10**14))
def test_moments_keep_their_milliseconds(since: int) -> None:
    assert milliseconds(moment(since)) == since


def test_a_digest_tells_states_of_one_version_apart() -> None:
    assert digest_of(a_memory()) == digest_of(a_memory())
    assert digest_of(a_memory()) != digest_of(a_memory(context="before"))
    assert digest_of(a_memory()) != digest_of(a_memory(tags=("a",)))


def test_only_the_first_passage_of_a_turn_follows_the_turn_before() -> None:
    turn = a_memory(turn=Turn(id="t", speaker="Ann", position=1), context="Bob: hi")
    chunk = a_memory(context="Chapter 1")
    assert (context_of(turn, 0), context_of(turn, 1)) == ("Bob: hi", None)
    assert (context_of(chunk, 0), context_of(chunk, 1)) == ("Chapter 1", "Chapter 1")
    assert spoken_passage(turn, "hello") == "Ann: hello"
    assert spoken_passage(chunk, "hello") == "hello"
