"""Stores memories: each content once, in the journal first, then in the index."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from remora.chroma.deadline import Deadline
from remora.errors import UnavailableError
from remora.journal import Entry
from remora.memory.ids import new_memory_id
from remora.memory.limits import EXCERPT_CHARACTERS, SIMILAR_FLOOR, SIMILAR_SHOWN
from remora.memory.models import Memory, NewMemory, Similar, StoredMemory, StoreResult
from remora.memory.workspace import Workspace

CHUNK_KEY = "chunk"
"""Key in the metadata of a document's chunks: the chunk's number."""

_TAKE_OVERS = 5

PENDING_NOTE = (
    "Kept safely, but not searchable yet: {reason} A later call or the scheduled upkeep finishes this; nothing has "
    "to be sent again."
)


@dataclass(frozen=True, slots=True)
class _Target:
    """The memory that a content belongs to, and its newest entry; None if it is still to be written."""

    memory_id: str
    head: Entry | None


async def store(
    space: Workspace, memories: Sequence[NewMemory], *, within: str, similar: bool, now: datetime, deadline: Deadline
) -> StoreResult:
    """Store memories that have been checked.

    Args:
        space: Where.
        memories: What.
        within: Equal contents are the same memory only within this: a document, or "" for the whole space.
        similar: Whether to look for near-duplicates.
        now: The moment of storing.
        deadline: When the answer must be there.

    Raises:
        UnavailableError: The journal did not answer; some may be stored, and storing again is safe.
    """
    first_of = {memory.content: memory for memory in reversed(memories)}
    targets = await asyncio.gather(*(_target(space, content, within, deadline) for content in first_of))
    new = [
        _memory(first_of[content], target.memory_id, now)
        for content, target in zip(first_of, targets, strict=True)
        if target.head is None
    ]
    ids = {content: target.memory_id for content, target in zip(first_of, targets, strict=True)}
    created: list[Memory] = []
    alike: dict[str, tuple[Similar, ...]] = {}
    reason = None
    if new:
        # The announcement comes before what it is about, and names nothing else.
        intent = await space.journal.begin([memory.id for memory in new], deadline=deadline)
        written = await space.journal.append_all(
            [space.entry("store", memory, now) for memory in new], deadline=deadline
        )
        created = [memory for memory, is_ours in zip(new, written, strict=True) if is_ours]
        try:
            if similar and created:
                alike = await _similar(space, created, deadline)
            await space.settler.put_new(created, None, deadline=deadline)
        except UnavailableError as error:
            reason = str(error)
            await space.settler.leave(intent, deadline=deadline)
        else:
            await space.settler.close(intent, deadline=deadline)
    else:
        await space.settler.close(None, deadline=deadline)
    unreported = {memory.id for memory in created}
    answers = []
    for memory in memories:
        id_ = ids[memory.content]
        answers.append(StoredMemory(id=id_, created=id_ in unreported, similar=alike.get(id_, ())))
        unreported.discard(id_)
    return StoreResult(
        memories=tuple(answers),
        pending=len(created) if reason else 0,
        note=PENDING_NOTE.format(reason=reason) if reason else None,
    )


def idempotency_key(content: str, within: str) -> str:
    """Return what makes two contents the same: every character, case included."""
    return f"content\n{within}\n{content}"


async def _target(space: Workspace, content: str, within: str, deadline: Deadline) -> _Target:
    proposed = new_memory_id()
    claim = await space.journal.claim(idempotency_key(content, within), proposed, deadline=deadline)
    for _ in range(_TAKE_OVERS):
        if claim.made:
            return _Target(claim.memory_id, None)
        head = await space.journal.head(claim.memory_id, deadline=deadline)
        # Without an entry, whoever claimed the content died, or is about to write it. One of us will.
        if head is None or (head.is_live and head.memory is not None and head.memory.content == content):
            return _Target(claim.memory_id, head)
        # That memory was deleted, or says something else by now.
        claim = await space.journal.take_over(claim, proposed, deadline=deadline)
    raise UnavailableError("Others are storing and deleting this very content right now. It is safe to try again.")


def _memory(new: NewMemory, memory_id: str, now: datetime) -> Memory:
    return Memory(
        id=memory_id,
        version=1,
        content=new.content,
        type=new.type,
        tags=new.tags,
        metadata=new.metadata,
        source=new.source,
        context=new.context,
        created_at=new.created_at or now,
        updated_at=now,
    )


async def _similar(space: Workspace, created: Sequence[Memory], deadline: Deadline) -> dict[str, tuple[Similar, ...]]:
    found = await space.index.similar(created, floor=SIMILAR_FLOOR, limit=SIMILAR_SHOWN, deadline=deadline)
    ids = list(dict.fromkeys(id_ for matches in found for id_, _ in matches))
    texts = await space.index.fetch(ids, deadline=deadline) if ids else {}
    return {
        memory.id: tuple(
            Similar(id=id_, similarity=round(similarity, 3), content=texts[id_].content[:EXCERPT_CHARACTERS])
            for id_, similarity in matches
            if id_ in texts
        )
        for memory, matches in zip(created, found, strict=True)
    }
