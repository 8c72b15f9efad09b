"""Entries as JSON, and the keys that they are kept under."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from remora.errors import InvalidArgumentError, UnavailableError, UnsupportedError
from remora.journal import Entry
from remora.journal.layout import Layout, is_memory_id
from remora.memory.models import Memory, Turn

MOMENT = datetime(2026, 5, 1, 9, 30, 0, 123000, tzinfo=UTC)
MOMENTS = st.datetimes(timezones=st.just(UTC)).map(
    lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000, fold=0)
)
IDS = st.from_regex(r"[0-9a-z]{10}(-[0-9]{1,6})?", fullmatch=True)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.one_of(
    st.text(),
    INTEGERS,
    FLOATS,
    st.booleans(),
    st.lists(st.text(), min_size=1).map(tuple),
    st.lists(INTEGERS, min_size=1).map(tuple),
    st.lists(FLOATS, min_size=1).map(tuple),
    st.lists(st.booleans(), min_size=1).map(tuple),
)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Any entry that has a memory."""
    id_, version = draw(IDS), draw(st.integers(1, 99_999_999))
    return Entry(
        space="space-one",
        memory_id=id_,
        version=version,
        action=draw(st.sampled_from(["store", "update", "delete", "restore"])),
        at=draw(MOMENTS),
        by=draw(st.text()),
        memory=Memory(
            id=id_,
            version=version,
            content=draw(st.text()),
            type=draw(st.text()),
            tags=tuple(draw(st.lists(st.text()))),
            metadata=draw(st.dictionaries(st.text(), VALUES)),
            source=draw(st.none() | st.text()),
            conversation_id=draw(st.none() | st.text()),
            turn=draw(
                st.none()
                | st.builds(Turn, id=st.text(), speaker=st.none() | st.text(), position=st.integers(0, 10**6))
            ),
            context=draw(st.none() | st.text()),
            created_at=draw(MOMENTS),
            updated_at=draw(MOMENTS),
        ),
    )


def plain(version: int = 1) -> Entry:
    return Entry(
        space="space-one",
        memory_id="abc",
        version=version,
        action="store",
        at=MOMENT,
        by="alice",
        memory=Memory(id="abc", version=version, content="salt", created_at=MOMENT, updated_at=MOMENT),
    )


@given(entries())
def test_an_entry_is_read_as_it_was_written_whatever_it_holds(entry: Entry) -> None:
    read = Entry.from_bytes(entry.to_bytes(), "key")
    assert read == entry
    # Equality takes 1, 1.0 and True for the same.
    assert repr(read) == repr(entry)


@pytest.mark.parametrize(
    "content", ["\x00", "\u2028\u2029", "\ufeff\uffff", "e\u0301 é", "👩‍👩‍👧‍👦", "\r\n \t", "\\u0000"]
)
def test_text_that_other_formats_change_stays_as_it_is(content: str) -> None:
    memory = Memory(id="abc", version=1, content=content, created_at=MOMENT, updated_at=MOMENT)
    entry = Entry(space="space-one", memory_id="abc", version=1, action="store", at=MOMENT, by="a", memory=memory)
    read = Entry.from_bytes(entry.to_bytes(), "key")
    assert read.memory is not None
    assert read.memory.content == content


def test_an_object_says_its_schema_and_times_in_milliseconds() -> None:
    written = json.loads(plain().to_bytes())
    assert written["schema"] == 1
    assert written["at"] == "2026-05-01T09:30:00.123Z"


def test_an_entry_of_a_newer_release_is_said_to_be_one() -> None:
    newer = {**json.loads(plain().to_bytes()), "schema": 2, "something": "new"}
    with pytest.raises(UnsupportedError, match="newer release"):
        Entry.from_bytes(json.dumps(newer).encode(), "memories/space-one/abc/00000001.json")


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'{"schema":1}', plain().to_bytes()[:-5]])
def test_a_damaged_object_is_named_and_not_shown(body: bytes) -> None:
    with pytest.raises(UnavailableError, match="object the-key is damaged") as caught:
        Entry.from_bytes(body, "the-key")
    assert "salt" not in str(caught.value)


def test_an_entry_holds_the_memory_that_it_is_about() -> None:
    memory = Memory(id="abc", version=2, content="salt", created_at=MOMENT, updated_at=MOMENT)
    with pytest.raises(ValidationError, match="id and version"):
        Entry(space="space-one", memory_id="abc", version=1, action="update", at=MOMENT, by="a", memory=memory)
    with pytest.raises(ValidationError, match="keeps no memory"):
        Entry(space="space-one", memory_id="abc", version=2, action="purge", at=MOMENT, by="a", memory=memory)


def test_only_a_stored_updated_or_restored_memory_is_live() -> None:
    entry = plain()
    live = {action: entry.model_copy(update={"action": action}).is_live for action in ("update", "restore", "delete")}
    assert entry.is_live
    assert live == {"update": True, "restore": True, "delete": False}
    assert not entry.redacted().is_live


def test_two_attempts_to_write_the_same_are_told_apart() -> None:
    assert plain().to_bytes() != plain().to_bytes()


@given(st.integers(1, 99_999_998))
def test_keys_of_versions_sort_as_the_versions_do(version: int) -> None:
    layout = Layout("space-one")
    assert layout.entry("abc", version) < layout.entry("abc", version + 1)
    assert layout.parse_entry(layout.entry("abc", version)) == ("abc", version)


@given(st.text())
def test_no_text_becomes_a_memory_id_that_leaves_its_place(text: str) -> None:
    if is_memory_id(text):
        assert text.isascii()
        assert not set(text) & set("/.%\n ")


@pytest.mark.parametrize("space", ["", "a/b", "../b", "ab", "a b c", "ä-space", "space-one\n", "a" * 513])
def test_a_space_that_chroma_would_not_name_has_no_journal(space: str) -> None:
    with pytest.raises(InvalidArgumentError, match="space name"):
        Layout(space)


@given(st.text())
def test_a_key_that_holds_content_does_not_show_it(content: str) -> None:
    key = Layout("space-one").claim(content)
    assert key.startswith("claims/space-one/")
    assert len(key) == len("claims/space-one/") + 64 + len(".json")


def test_importing_the_journal_does_not_load_boto3() -> None:
    program = (
        "import sys, remora.journal; remora.journal.JournalStore('b');"
        "sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
