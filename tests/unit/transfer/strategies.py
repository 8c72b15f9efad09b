"""Any memory, and any history of one."""

from datetime import UTC

from hypothesis import strategies as st

from remora.memory.models import Memory
from remora.transfer.lines import HistoryEntry

IDS = st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=10, max_size=10)
TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"))
CONTENT = TEXT.filter(lambda text: bool(text.strip()))
LINE = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "M"]), min_size=1, max_size=20)
MOMENTS = st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000))
INTEGERS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.one_of(
    TEXT,
    INTEGERS,
    FLOATS,
    st.booleans(),
    st.lists(TEXT, min_size=1, max_size=3).map(tuple),
    st.lists(INTEGERS, min_size=1, max_size=3).map(tuple),
    st.lists(FLOATS, min_size=1, max_size=3).map(tuple),
    st.lists(st.booleans(), min_size=1, max_size=3).map(tuple),
)


@st.composite
def memories(draw: st.DrawFn, memory_id: str, version: int) -> Memory:
    """Any memory at a version."""
    return Memory(
        id=memory_id,
        version=version,
        content=draw(CONTENT),
        type=draw(LINE),
        tags=tuple(draw(st.lists(LINE, max_size=3, unique=True))),
        metadata=draw(st.dictionaries(LINE, VALUES, max_size=3)),
        source=draw(st.none() | LINE),
        context=draw(st.none() | TEXT),
        created_at=draw(MOMENTS),
        updated_at=draw(MOMENTS),
    )


@st.composite
def histories(draw: st.DrawFn, memory_id: str) -> tuple[HistoryEntry, ...]:
    """Any history of a memory that was not purged."""
    entries = []
    for version in range(1, draw(st.integers(1, 4)) + 1):
        actions = ["store"] if version == 1 else ["update", "delete", "restore"]
        entries.append(
            HistoryEntry(
                version=version,
                action=draw(st.sampled_from(actions)),
                at=draw(MOMENTS),
                by=draw(LINE),
                memory=draw(memories(memory_id, version)),
            )
        )
    return tuple(entries)
