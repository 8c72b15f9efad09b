"""Entries and deadlines for the journal's tests."""

from datetime import UTC, datetime

from remora.chroma.deadline import Deadline
from remora.journal import Action, Entry
from remora.memory.models import Memory

NOW = datetime(2026, 5, 1, 9, 30, tzinfo=UTC)


def memory(memory_id: str, version: int = 1, content: str = "the sea is salt") -> Memory:
    """A memory."""
    return Memory(id=memory_id, version=version, content=content, created_at=NOW, updated_at=NOW)


def entry(memory_id: str, version: int = 1, content: str = "the sea is salt", action: Action | None = None) -> Entry:
    """An entry: a first version is stored, a later one an update."""
    return Entry(
        space="space-one",
        memory_id=memory_id,
        version=version,
        action=action or ("store" if version == 1 else "update"),
        at=NOW,
        by="alice",
        memory=None if action == "purge" else memory(memory_id, version, content),
    )


def soon() -> Deadline:
    """A deadline that is far enough for any call of a test."""
    return Deadline.after(60)
