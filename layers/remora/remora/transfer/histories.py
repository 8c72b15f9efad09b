"""A memory's history as the journal has it and as a line of an export has it, and what makes one acceptable.

Of a purged memory an export says only that it was purged, when and by whom. In the journal that tombstone stands
in the place of every version then, so that none of them can be written again.
"""

from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise

from remora.errors import ConflictError, InvalidArgumentError
from remora.journal import Entry, Manifest
from remora.memory.checks import check_new_memories
from remora.memory.ids import check_memory_id, turn_memory_id
from remora.memory.models import Memory, NewMemory, Turn
from remora.transfer.lines import BadLineError, HistoryEntry

MAX_TOMBSTONES = 1_000
"""Versions of a purged memory; each becomes an object. Nobody edits a memory that often."""


def exported(entry: Entry) -> HistoryEntry:
    """Return an entry of the journal as a line has it."""
    return HistoryEntry(version=entry.version, action=entry.action, at=entry.at, by=entry.by, memory=entry.memory)


def exported_history(history: Sequence[Entry]) -> list[HistoryEntry]:
    """Return a history as lines have it: all of it, or the tombstone alone."""
    kept = history[-1:] if history[-1].action == "purge" else history
    return [exported(entry) for entry in kept]


def journal_entry(space: str, memory_id: str, entry: HistoryEntry) -> Entry:
    """Return an entry for the journal of a space.

    Its `write_id` follows from what it says, so that it is the same entry however often it is imported.
    """
    said = f"{memory_id}\n{entry.to_json()}"
    return Entry(
        space=space,
        memory_id=memory_id,
        version=entry.version,
        action=entry.action,
        at=entry.at,
        by=entry.by,
        memory=entry.memory,
        write_id=sha256(said.encode()).hexdigest()[:16],
    )


def tombstones(space: str, memory_id: str, tombstone: HistoryEntry) -> list[Entry]:
    """Return the entries of a purged memory: its tombstone, for every version."""
    return [
        journal_entry(space, memory_id, tombstone.model_copy(update={"version": version}))
        for version in range(1, tombstone.version + 1)
    ]


def check_history(memory_id: str, entries: Sequence[HistoryEntry]) -> None:
    """Check that entries can be a part of a memory's history.

    Raises:
        BadLineError: They cannot.
    """
    if not is_memory_id(memory_id):
        raise BadLineError(f"{memory_id!r} is no id of a memory")
    if entries[0].action == "purge":
        if len(entries) > 1 or entries[0].memory is not None or entries[0].version > MAX_TOMBSTONES:
            raise BadLineError("a purged memory has one entry, its tombstone, and nothing else")
        return
    for before, after in pairwise(entries):
        if after.version != before.version + 1:
            raise BadLineError(f"version {after.version} follows version {before.version}")
    for entry in entries:
        if entry.memory is None:
            raise BadLineError(f"version {entry.version} holds no memory")
        _check_memory(memory_id, entry.version, entry.memory)


def check_place(memory_id: str, turn: Turn | None, manifest: Manifest | None) -> None:
    """Check that a turn has its place in its conversation, which gives each place once and for all.

    Args:
        memory_id: The memory, a turn or not.
        turn: The turn, unless it was purged.
        manifest: Its conversation, as it is here.

    Raises:
        ConflictError: Another turn has its place, or may get it.
    """
    _, dash, position = memory_id.partition("-")
    if not dash:
        return
    turn_ids = manifest.turn_ids if manifest is not None else ()
    place = int(position)
    if place >= len(turn_ids) or (turn is not None and turn_ids[place] != turn.id):
        raise ConflictError(
            "Its conversation does not have this turn here, but another one or none in its place. It was left alone."
        )


def is_memory_id(text: str) -> bool:
    """Whether a memory can have this id, in just this spelling."""
    try:
        return check_memory_id(text) == text
    except InvalidArgumentError:
        return False


def _check_memory(memory_id: str, version: int, memory: Memory) -> None:
    if (memory.id, memory.version) != (memory_id, version):
        raise BadLineError(f"version {version} holds version {memory.version} of {memory.id!r}")
    if (memory.turn is None) != (memory.conversation_id is None):
        raise BadLineError(f"version {version} has a conversation without a turn, or a turn without a conversation")
    if (
        memory.turn is not None
        and memory.conversation_id is not None
        and turn_memory_id(memory.conversation_id, memory.turn.position) != memory_id
    ):
        raise BadLineError(f"version {version} is not the turn that its id says")
    new = NewMemory(
        content=memory.content,
        type=memory.type,
        tags=memory.tags,
        metadata=memory.metadata,
        source=memory.source,
        context=memory.context,
    )
    try:
        check_new_memories((new,))
    except InvalidArgumentError as error:
        raise BadLineError(f"version {version}: {error}") from None
