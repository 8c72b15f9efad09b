"""Stores conversations turn by turn: appendable, each turn once, whoever sends it how often."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256

from remora.chroma.deadline import Deadline
from remora.errors import UnavailableError
from remora.memory.ids import new_memory_id, turn_memory_id, turn_neighbours
from remora.memory.models import ConversationResult, Memory, MetadataValue, NewTurn, StoredTurn, Turn
from remora.memory.storing import PENDING_NOTE
from remora.memory.workspace import Workspace

TURN_TYPE = "turn"
_MADE_ID_CHARACTERS = 16


async def store_conversation(
    space: Workspace,
    turns: Sequence[NewTurn],
    *,
    conversation_id: str | None,
    tags: tuple[str, ...],
    source: str | None,
    metadata: Mapping[str, MetadataValue],
    now: datetime,
    deadline: Deadline,
) -> ConversationResult:
    """Store turns that have been checked.

    Raises:
        UnavailableError: The journal did not answer; some turns may be stored, and storing all again is safe.
    """
    conversation = conversation_id or f"conversation-{new_memory_id()}"
    turn_ids = _turn_ids(turns)
    # Positions are given out once and for all, so two callers never put different turns in one place.
    manifest = await space.journal.reserve(conversation, turn_ids, deadline=deadline)
    memories = [
        Memory(
            id=turn_memory_id(conversation, manifest.positions[turn_id]),
            version=1,
            content=turn.content,
            type=TURN_TYPE,
            tags=tags,
            metadata=metadata,
            source=source,
            conversation_id=conversation,
            turn=Turn(id=turn_id, speaker=turn.speaker, position=manifest.positions[turn_id]),
            # Turns without a time are a millisecond apart, so that they stay in their order.
            created_at=turn.time or now + timedelta(milliseconds=number),
            updated_at=now,
        )
        for number, (turn_id, turn) in enumerate(zip(turn_ids, turns, strict=True))
    ]
    intent = await space.journal.begin([memory.id for memory in memories], deadline=deadline)
    entries = [space.entry("store", memory, now) for memory in memories]
    written = await space.journal.append_all(entries, deadline=deadline)
    created = [memory for memory, is_new in zip(memories, written, strict=True) if is_new]
    reason = None
    try:
        if created:
            await _index(space, memories, created, deadline)
    except UnavailableError as error:
        reason = str(error)
        await space.settler.leave(intent, deadline=deadline)
    else:
        await space.settler.close(intent, deadline=deadline)
    return ConversationResult(
        conversation_id=conversation,
        turns=tuple(
            StoredTurn(turn_id=turn_id, id=memory.id, created=is_new)
            for turn_id, memory, is_new in zip(turn_ids, memories, written, strict=True)
        ),
        created=len(created),
        total=len(manifest.positions),
        pending=len(created) if reason else 0,
        note=PENDING_NOTE.format(reason=reason) if reason else None,
    )


async def _index(space: Workspace, given: Sequence[Memory], created: Sequence[Memory], deadline: Deadline) -> None:
    ids = {memory.id for memory in given}
    outside = {turn_neighbours(memory.id).before for memory in created} - ids - {None}
    if len(created) == len(given) and len(outside) <= 1:
        # The usual case, new turns at the end: all there is to know is the turn before the first.
        before = next(iter(outside), None)
        head = await space.journal.head(before, deadline=deadline) if before else None
        await space.settler.put_new(created, head, deadline=deadline)
    else:
        await space.settler.settle([memory.id for memory in created], deadline=deadline)


def _turn_ids(turns: Sequence[NewTurn]) -> list[str]:
    """Return each turn's own id; one is made of speaker, time, words and the equal ones before it, if it has none."""
    seen: Counter[tuple[str | None, str | None, str]] = Counter()
    ids = []
    for turn in turns:
        if turn.id is not None:
            ids.append(turn.id)
            continue
        said = (turn.speaker, turn.time.isoformat() if turn.time else None, turn.content)
        seen[said] += 1
        digest = sha256(repr((*said, seen[said])).encode("utf-8", "surrogatepass")).hexdigest()
        ids.append(f"~{digest[:_MADE_ID_CHARACTERS]}")
    return ids
