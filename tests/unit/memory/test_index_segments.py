"""Segments and views: what is written is what is read, whatever is merged with what."""

import base64
import zlib
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.memory.index.layout import facets, milliseconds
from remora.memory.index.segments import (
    MAX_FREQUENCY,
    NewEntry,
    NewPassage,
    Precedence,
    Segment,
    body_of,
    decode,
    encode,
    frequencies_of,
    merge,
    passages_of,
)
from remora.memory.index.view import View
from remora.memory.models import Memory, MemoryFilter, Turn

MOMENT = datetime(2026, 5, 1, 12, 30, 15, 250_000, tzinfo=UTC)
TEXTS = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
SCALARS = st.one_of(
    TEXTS, st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.booleans()
)
LISTS = st.one_of(
    *(st.lists(each, max_size=3).map(tuple) for each in (TEXTS, st.integers(-9, 9), st.booleans())),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3).map(tuple),
)
MEMORIES = st.builds(
    Memory,
    id=st.from_regex(r"[0-9a-hjkmnp-tv-z]{10}", fullmatch=True),
    version=st.integers(1, 1_000),
    content=TEXTS,
    type=TEXTS,
    tags=st.lists(TEXTS, max_size=3).map(tuple),
    metadata=st.dictionaries(TEXTS, SCALARS | LISTS, max_size=3),
    source=st.none() | TEXTS,
    conversation_id=st.none() | TEXTS,
    context=st.none() | TEXTS,
    created_at=st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)),
    updated_at=st.just(MOMENT),
)


def entry(memory: Memory, *, passages: Sequence[str] | None = None, stamp: int = 1) -> NewEntry:
    """An entry whose terms are the words of its passages."""
    texts = [memory.content] if passages is None else passages
    return NewEntry(
        memory_id=memory.id,
        precedence=Precedence(memory.version, stamp),
        digest="0123456789",
        body=body_of(memory),
        created=milliseconds(memory.created_at),
        fingerprint=hash(memory.content) >> 1,
        facets=facets(memory),
        passages=tuple(
            NewPassage(text=text, words=len(text.split()), questions=0, terms=Counter(text.split())) for text in texts
        ),
    )


def note(memory_id: str, content: str, **parts: Any) -> Memory:
    return Memory(
        **{"id": memory_id, "version": 1, "content": content, "created_at": MOMENT, "updated_at": MOMENT} | parts
    )


def view_of(*segments: Segment) -> View:
    return View(segments, [np.ones(len(segment.ids), dtype=bool) for segment in segments])


@given(memory=MEMORIES)
def test_a_memory_is_read_as_it_was_written(memory: Memory) -> None:
    segment = decode(encode([entry(memory)]))
    assert segment.memory(0) == memory
    assert segment.memory(0).model_dump_json() == memory.model_dump_json()


def test_a_turn_is_kept_without_its_context() -> None:
    turn = note("7h3kq9x2ma-1", "yes", turn=Turn(id="t2", speaker="Ann", position=1), context="Bob: shall we?")
    segment = decode(encode([entry(turn)]))
    assert "shall" not in segment.bodies[0]
    assert segment.memory(0) == turn.model_copy(update={"context": None})


def contents(segments: Sequence[Segment]) -> dict[str, Any]:
    """All that segments say, by memory: independent of how memories are spread over segments."""
    said: dict[str, Any] = {}
    for segment in segments:
        having = {facet: entries for facet in segment.facets if (entries := segment.having(facet)) is not None}
        for number, memory_id in enumerate(segment.ids):
            passages = range(segment.first_passage[number], segment.first_passage[number] + segment.passages[number])
            terms: list[dict[str, int]] = [{} for _ in passages]
            for term in segment.terms:
                found = segment.postings(term)
                assert found is not None
                for passage, frequency in zip(passages_of(found), frequencies_of(found), strict=True):
                    if passage in passages:
                        terms[passage - passages.start][term] = frequency
            said[memory_id] = (
                segment.precedence(number),
                segment.bodies[number],
                segment.digests[number],
                [segment.texts[passage] for passage in passages],
                terms,
                {facet for facet, entries in having.items() if number in entries},
                segment.created[number],
                segment.fingerprints[number],
                [segment.words[passage] for passage in passages],
            )
    return said


WORDS = st.lists(st.sampled_from(["apple", "pear", "plum", "fig"]), max_size=6).map(" ".join)


@given(
    passages=st.lists(st.lists(WORDS, max_size=3), min_size=1, max_size=8),
    cuts=st.lists(st.integers(0, 8), max_size=3),
    data=st.data(),
)
def test_merged_segments_say_what_their_parts_said(
    passages: list[list[str]], cuts: list[int], data: st.DataObject
) -> None:
    entries = [
        entry(note(f"{number:010d}", "".join(parts), tags=(f"tag{number % 3}",)), passages=parts)
        for number, parts in enumerate(passages)
    ]
    places = sorted({0, *(min(cut, len(entries)) for cut in cuts), len(entries)})
    segments = [decode(encode(entries[start:end])) for start, end in pairwise(places)]
    keep = [
        np.array(data.draw(st.lists(st.booleans(), min_size=len(each.ids), max_size=len(each.ids))), dtype=bool)
        for each in segments
    ]
    merged = decode(merge(list(zip(segments, keep, strict=True))))
    kept = {id_ for each, keeping in zip(segments, keep, strict=True) for id_ in np.array(each.ids)[keeping].tolist()}
    assert contents([merged]) == {id_: said for id_, said in contents(segments).items() if id_ in kept}
    # Nothing is left of what was not kept.
    assert all(len(merged.postings(term)) for term in merged.terms)  # type: ignore[arg-type]
    assert all(len(merged.having(facet)) for facet in merged.facets)  # type: ignore[arg-type]


def test_a_term_that_is_there_very_often_counts_as_often_as_can_be_told() -> None:
    segment = decode(encode([entry(note("0000000001", "apple " * 100)), entry(note("0000000002", "apple"))]))
    found = segment.postings("apple")
    assert found is not None
    assert frequencies_of(found).tolist() == [MAX_FREQUENCY, 1]


@pytest.mark.parametrize(
    "text", ["", "%", "AAAA", base64.b64encode(zlib.compress(b"\x02\0\0\0{}")).decode(), encode([])[:-8]]
)
def test_what_is_no_segment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="segment"):
        decode(text)


def test_a_view_has_the_turns_of_a_conversation_side_by_side_wherever_they_are() -> None:
    turns = [
        note(f"7h3kq9x2ma-{position}", f"turn {position}", turn=Turn(id=str(position), position=position))
        for position in range(12)
    ]
    others = [note("0000000001", "a note"), note("zzzzzzzzzz", "long", type="x")]
    first = decode(encode([entry(turns[number]) for number in (10, 2, 0, 5)] + [entry(others[0])]))
    second = decode(encode([entry(turns[number]) for number in (1, 3, 4, 11, 9, 8, 7)]))
    third = decode(encode([entry(turns[6]), entry(others[1], passages=["lo", "ng"])]))
    view = view_of(first, second, third)
    row = view.row("7h3kq9x2ma-0.1.0123456789.0")
    assert row is not None
    assert [view.entry(row + number).memory() for number in range(12)] == turns
    after, long_before = view.beside((1, -3))[:, row : row + 12].tolist()
    assert after == [*range(row + 1, row + 12), view.rows]
    assert long_before == [view.rows] * 3 + list(range(row, row + 9))
    long = view.row("zzzzzzzzzz.1.0123456789.0")
    assert long is not None
    assert view.beside((1,))[0, long] == long + 1
    assert view.entry(long).memory().content == "long"
    assert view.row("zzzzzzzzzz.1.0123456789.2") is None, "there is no third passage"
    assert view.row("zzzzzzzzzz.2.0123456789.0") is None, "that version is not there"
    assert view.row("nothing000.1.0123456789.0") is None
    assert (view.rows, view.memories) == (15, 14)


@given(memories=st.lists(MEMORIES, max_size=5, unique_by=lambda memory: memory.id), data=st.data())
def test_a_view_selects_what_has_the_facets(memories: list[Memory], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(memories)))
    view = view_of(*(decode(encode([entry(each) for each in part])) for part in (memories[:cut], memories[cut:])))
    tag = data.draw(st.sampled_from([tag for each in memories for tag in each.tags] or ["none"]))
    selected = [id_ for _, id_ in view.listed(MemoryFilter(tags=(tag,)))]
    wanted = [(milliseconds(each.created_at), each.id) for each in memories if tag in each.tags]
    assert selected == [id_ for _, id_ in sorted(wanted, reverse=True)]
    assert view.listed(MemoryFilter()) == sorted(
        ((milliseconds(each.created_at), each.id) for each in memories), reverse=True
    )
    facts = {row.id: row for row in view.facts()}
    for each in memories:
        assert set(facts[each.id].tags) == set(each.tags)
        assert facts[each.id].type == each.type
        assert facts[each.id].source == each.source
        assert facts[each.id].conversation_id == each.conversation_id


def test_an_empty_view_has_nothing() -> None:
    view = view_of()
    assert (view.rows, view.memories, view.listed(MemoryFilter()), list(view.facts())) == (0, 0, [], [])
    assert view.find("0000000001") is None
    assert view.spoken_by(["ann"]) is None
