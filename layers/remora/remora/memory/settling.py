"""Makes the index agree with the journal: after each write, and for writes that somebody left unfinished.

The journal decides. `settle` reads the newest entry of each memory and puts or removes its records; it may be run at
any time, by anyone, any number of times, and ends in the same state. A write announces its memories in the journal
first (an intent) and withdraws that when the index has them, so whatever interrupts it, the next writer or the upkeep
finds the announcement and settles the same memories.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from remora.chroma.deadline import Deadline
from remora.errors import RemoraError
from remora.journal import Entry, Intent, Journal
from remora.memory.ids import turn_neighbours
from remora.memory.index import MemoryIndex
from remora.memory.limits import FINISHED_PER_CALL, JOURNAL_RESERVE_SECONDS, STALE_SECONDS
from remora.memory.models import Memory

logger = logging.getLogger(__name__)


class Settler:
    """Settles memories of one space."""

    def __init__(self, journal: Journal, index: MemoryIndex) -> None:
        self._journal = journal
        self._index = index

    async def settle(self, ids: Iterable[str], *, deadline: Deadline) -> None:
        """Make the index agree with the journal for these memories, and for the turns that follow them.

        Args:
            ids: The memories; ids that nothing has are removed from the index.
            deadline: When it must be done.

        Raises:
            UnavailableError: Journal or Chroma did not answer; it is safe to try again.
        """
        deadline = _reserved(deadline)
        waiting = set(ids)
        while waiting:
            heads = await self._journal.heads(_with_neighbours(waiting), deadline=deadline)
            await self._apply(waiting, heads, deadline)
            # Somebody may have written meanwhile, and settled before this did: what is older must not stay.
            now = await self._journal.heads(waiting, deadline=deadline)
            waiting = {id_ for id_ in waiting if _version(now.get(id_)) != _version(heads.get(id_))}

    async def put_new(self, memories: Sequence[Memory], predecessor: Entry | None, *, deadline: Deadline) -> None:
        """Put memories into the index that this call has just written to the journal, without reading them back.

        Args:
            memories: The memories, the turns among them in their order.
            predecessor: The newest entry of the turn before the first, if there is one.
            deadline: When it must be done.
        """
        by_id = {memory.id: memory for memory in memories}
        if predecessor is not None and predecessor.memory is not None and predecessor.is_live:
            by_id[predecessor.memory_id] = predecessor.memory
        await self._index.put([_in_context(memory, by_id) for memory in memories], deadline=_reserved(deadline))

    async def close(self, intent: Intent | None, *, deadline: Deadline) -> None:
        """End a write whose memories are in the index, and finish some that others left unfinished.

        The write has succeeded by now: what goes wrong here is made good by whoever comes next.

        Args:
            intent: The write's announcement; None if there was nothing to write.
            deadline: When it must be done.
        """
        try:
            pending = await self._journal.pending(deadline=deadline)
            if intent is not None:
                await self._end(intent, pending, deadline)
            await self._finish(_abandoned(pending, intent), pending, deadline, at_most=FINISHED_PER_CALL)
        except RemoraError as error:
            logger.warning("A write's announcement could not be withdrawn, or others' not be finished: %s", error)

    async def leave(self, intent: Intent, *, deadline: Deadline) -> None:
        """Leave a write that is in the journal, and could not be brought into the index, to whoever comes next."""
        try:
            await self._journal.release(intent, deadline=deadline)
        except RemoraError as error:
            logger.warning("An unfinished write could not be released; it will be taken up later: %s", error)

    async def finish_abandoned(self, *, deadline: Deadline) -> int:
        """Finish all writes that somebody left unfinished; return how many memories were settled."""
        pending = await self._journal.pending(deadline=deadline)
        return await self._finish(_abandoned(pending, None), pending, deadline, at_most=None)

    async def _finish(
        self, abandoned: Sequence[Intent], pending: Sequence[Intent], deadline: Deadline, *, at_most: int | None
    ) -> int:
        settled = 0
        for intent in abandoned:
            if at_most is not None and settled and settled + len(intent.ids) > at_most:
                break
            await self.settle(intent.ids, deadline=deadline)
            await self._end(intent, pending, deadline)
            settled += len(intent.ids)
        return settled

    async def _end(self, intent: Intent, pending: Sequence[Intent], deadline: Deadline) -> None:
        """Withdraw an announcement, unless somebody is writing one of the same memories right now.

        Such a writer may yet put into the index what was the newest when it looked. Then the announcement stays, and
        the memories are settled once more when that writer has ended.
        """
        busy = {id_ for other in pending if _is_busy(other) and other.id != intent.id for id_ in other.ids}
        if busy.isdisjoint(intent.ids):
            await self._journal.finish(intent, deadline=deadline)
        else:
            await self._journal.release(intent, deadline=deadline)

    async def _apply(self, ids: set[str], heads: Mapping[str, Entry], deadline: Deadline) -> None:
        for id_ in ids:
            head = heads.get(id_)
            if head is not None and head.action == "purge":
                # Finishes a purge that was interrupted after its tombstone; else there is nothing left to destroy.
                await self._journal.purge(id_, by=head.by, at=head.at, deadline=deadline)
        live = {id_: head.memory for id_, head in heads.items() if head.is_live and head.memory is not None}
        gone = [id_ for id_ in ids if id_ not in live]
        if gone:
            await self._index.remove(gone, deadline=deadline)
        # What follows a changed turn has it as its context, under the same version.
        after = {turn_neighbours(id_).after for id_ in ids}
        here = [_in_context(live[id_], live) for id_ in sorted(live) if id_ in ids or id_ in after]
        if here:
            await self._index.put(here, deadline=deadline)


def _reserved(deadline: Deadline) -> Deadline:
    # So that a Chroma that hangs leaves time to say in the journal that the write is unfinished.
    return Deadline(deadline.at - JOURNAL_RESERVE_SECONDS)


def _is_busy(intent: Intent) -> bool:
    return not intent.released and intent.at >= datetime.now(UTC) - timedelta(seconds=STALE_SECONDS)


def _abandoned(pending: Sequence[Intent], own: Intent | None) -> list[Intent]:
    return [intent for intent in pending if not _is_busy(intent) and (own is None or intent.id != own.id)]


def _with_neighbours(ids: set[str]) -> list[str]:
    around = {neighbour for id_ in ids for neighbour in (turn_neighbours(id_).before, turn_neighbours(id_).after)}
    return sorted(ids | (around - {None}))  # type: ignore[operator]


def _in_context(memory: Memory, live: Mapping[str, Memory]) -> Memory:
    if memory.turn is None:
        return memory
    before = turn_neighbours(memory.id).before
    previous = live.get(before) if before is not None else None
    return memory if previous is None else memory.model_copy(update={"context": spoken(previous)})


def spoken(memory: Memory) -> str:
    """Return a memory's text as it is embedded: with its speaker, where it has one."""
    speaker = memory.turn.speaker if memory.turn is not None else None
    return f"{speaker}: {memory.content}" if speaker else memory.content


def _version(entry: Entry | None) -> int:
    return 0 if entry is None else entry.version
