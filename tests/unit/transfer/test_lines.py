"""The lines of an export: written and read again unchanged, and a file that is not whole is never taken for one."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.errors import InvalidArgumentError
from remora.memory.models import Memory
from remora.transfer.histories import check_history, journal_entry
from remora.transfer.lines import (
    MAX_LINE_BYTES,
    NO_LINES,
    BadLineError,
    EmbeddingsLine,
    FooterLine,
    HeaderLine,
    HistoryEntry,
    MemoryLine,
    TextVector,
    check_file,
    next_digest,
    parse_line,
    split_history,
)
from tests.unit.transfer.strategies import IDS, histories

MOMENT = datetime(2026, 5, 1, 9, 30, tzinfo=UTC)
HEADER = HeaderLine(exported_at=MOMENT, space="example", embedding_model="all-MiniLM-L6-v2")

EXAMPLE_MEMORY = Memory(id="0123456789", version=1, content="any", created_at=MOMENT, updated_at=MOMENT)


def whole_file(*lines: str) -> list[bytes]:
    """A file of these lines, with header and footer."""
    digest = NO_LINES
    for line in lines:
        digest = next_digest(digest, line.encode())
    count = sum(line.startswith('{"kind":"memory"') for line in lines)
    footer = FooterLine(memories=count, lines=len(lines), digest=digest.hex())
    return [line.encode() for line in (HEADER.to_json(), *lines, footer.to_json())]


EXAMPLE = whole_file(
    *(
        MemoryLine(
            id=f"000000000{number}", entries=(HistoryEntry(version=1, action="purge", at=MOMENT, by="example"),)
        ).to_json()
        for number in range(3)
    )
)


@given(IDS.flatmap(lambda id_: st.tuples(st.just(id_), histories(id_))))
def test_any_history_is_read_as_it_was_written(given_: tuple[str, tuple[HistoryEntry, ...]]) -> None:
    memory_id, entries = given_
    line = MemoryLine(id=memory_id, entries=entries).to_json()

    read = parse_line(line)

    assert "\n" not in line
    assert isinstance(read, MemoryLine)
    assert read.to_json() == line
    assert [entry.memory for entry in read.entries] == [entry.memory for entry in entries]


@given(IDS.flatmap(lambda id_: histories(id_).map(lambda entries: (id_, entries))))
def test_what_the_journal_keeps_of_a_line_is_the_same_however_often_it_is_read(
    given_: tuple[str, tuple[HistoryEntry, ...]],
) -> None:
    memory_id, entries = given_
    line = MemoryLine(id=memory_id, entries=entries).to_json()
    first, second = parse_line(line), parse_line(line)
    assert isinstance(first, MemoryLine)
    assert isinstance(second, MemoryLine)

    kept = [journal_entry("example", memory_id, entry).to_bytes() for entry in first.entries]

    assert kept == [journal_entry("example", memory_id, entry).to_bytes() for entry in second.entries]


@given(st.lists(st.binary(min_size=4, max_size=16), min_size=1))
def test_vectors_are_read_as_they_were_written(vectors: list[bytes]) -> None:
    pairs = tuple(TextVector(text=vector[::-1], vector=vector) for vector in vectors)
    line = EmbeddingsLine(id="0123456789", model="any", first=0, vectors=pairs)

    assert parse_line(line.to_json()) == line


def test_a_long_history_goes_on_in_further_lines_without_gaps() -> None:
    memory = EXAMPLE_MEMORY.model_copy(update={"content": "x" * (MAX_LINE_BYTES // 3)})
    entries = [
        HistoryEntry(
            version=version,
            action="update",
            at=MOMENT,
            by="example",
            memory=memory.model_copy(update={"version": version}),
        )
        for version in range(1, 8)
    ]

    lines = list(split_history("0123456789", entries))

    assert [entry for line in lines for entry in line.entries] == entries
    assert len(lines) > 1
    assert all(len(line.to_json()) < 2 * MAX_LINE_BYTES for line in lines)


def test_a_whole_file_is_accepted_whatever_its_lines_end_with() -> None:
    summary = check_file(line + b"\r\n" for line in EXAMPLE)

    assert (summary.lines, summary.memories) == (5, 3)


@given(st.integers(0, len(EXAMPLE) - 1))
def test_a_file_without_its_end_is_refused(kept: int) -> None:
    with pytest.raises(InvalidArgumentError):
        check_file(EXAMPLE[:kept])


@given(st.integers(1, len(EXAMPLE) - 2))
def test_a_file_that_lacks_a_line_or_has_one_twice_is_refused(number: int) -> None:
    with pytest.raises(InvalidArgumentError, match="changed or damaged"):
        check_file([*EXAMPLE[:number], *EXAMPLE[number + 1 :]])
    with pytest.raises(InvalidArgumentError, match="changed or damaged"):
        check_file([*EXAMPLE[:number], EXAMPLE[number], *EXAMPLE[number:]])


@given(st.data())
def test_a_file_in_which_a_byte_changed_is_refused(data: st.DataObject) -> None:
    number = data.draw(st.integers(1, len(EXAMPLE) - 2))
    place = data.draw(st.integers(0, len(EXAMPLE[number]) - 1))
    line = bytearray(EXAMPLE[number])
    line[place] ^= data.draw(st.integers(1, 255))
    # Ends of lines are no part of them.
    if bytes(line).rstrip(b"\r\n") != EXAMPLE[number]:
        with pytest.raises(InvalidArgumentError):
            check_file([*EXAMPLE[:number], bytes(line), *EXAMPLE[number + 1 :]])


def test_lines_behind_the_footer_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="goes on after its footer, with line 6"):
        check_file([*EXAMPLE, EXAMPLE[1]])


def test_a_file_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="not an export of Remora"):
        check_file([b'{"export_metadata": {}, "memories": []}'])
    with pytest.raises(InvalidArgumentError, match="without a footer"):
        check_file([])


def test_a_file_of_a_later_release_says_which_release_reads_it() -> None:
    later = {**json.loads(HEADER.to_json()), "schema_version": 2}

    with pytest.raises(InvalidArgumentError, match="version 2 of the format"):
        check_file([json.dumps(later).encode(), *EXAMPLE[1:]])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        ("[]", "dictionary|object"),
        ('{"kind": "recipe"}', "recipe|tag"),
        ('{"kind": "memory", "id": "0123456789"}', "entries"),
        ('{"kind": "memory", "id": "../../x", "entries": []}', "id"),
    ],
)
def test_a_bad_line_says_what_is_wrong_and_not_what_it_holds(line: str, message: str) -> None:
    with pytest.raises(BadLineError, match=message):
        parse_line(line)


def entry(version: int, **changes: object) -> HistoryEntry:
    """An entry that can be imported, but for the changes to its memory."""
    base = EXAMPLE_MEMORY.model_copy(update={"version": version, **changes})
    return HistoryEntry(version=version, action="store", at=MOMENT, by="example", memory=base)


@pytest.mark.parametrize(
    ("memory_id", "entries", "message"),
    [
        ("0123456789", [entry(1), entry(3)], "version 3 follows version 1"),
        ("0123456789", [entry(1, id="9876543210")], "holds version 1 of '9876543210'"),
        ("0123456789", [entry(1, content=" ")], "is empty"),
        ("0123456789", [entry(1, content="x" * 1_000_000)], "a memory takes up to"),
        ("0123456789", [entry(1, content="a\0b")], "NUL"),
        ("0123456789", [entry(1, conversation_id="one")], "conversation without a turn"),
        ("UPPER56789", [entry(1)], "no id of a memory"),
        ("0123456789", [entry(1).model_copy(update={"memory": None})], "holds no memory"),
    ],
)
def test_what_the_service_would_not_store_is_not_imported(
    memory_id: str, entries: list[HistoryEntry], message: str
) -> None:
    with pytest.raises(BadLineError, match=message):
        check_history(memory_id, entries)
