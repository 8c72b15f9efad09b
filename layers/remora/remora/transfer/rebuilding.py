"""Makes the index agree with the journal, memory by memory, in steps that may be interrupted and repeated.

A step compares ids and versions, never counts: a memory whose newest version the index does not have is put there,
and records of memories that the journal does not know, or knows as deleted, go.
"""

import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from remora.chroma.deadline import Deadline
from remora.collections.cursors import CursorKind, decode_cursor, encode_cursor, reading_position
from remora.errors import UnavailableError
from remora.journal import Journal, is_memory_id
from remora.memory.index import MemoryIndex
from remora.transfer.importing import Settle
from remora.transfer.models import RebuildProgress

_LARGEST_SLICE = 100
_COMPARED_AT_ONCE = 1_000
_SLICE_SECONDS = 3.0
# What must be left for another slice to be begun: time for a memory of the largest size.
_RESERVE_SECONDS = 10.0
_PLACE = struct.Struct("<QQ")
# Of memories.
_MOST = 2**31


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a rebuild has come to.

    Attributes:
        done: Memories compared.
        total: Memories in the journal when it began.
        memory_id: The last of those compared; empty at the beginning.
        space: The space that is rebuilt.
    """

    done: int
    total: int
    memory_id: str
    space: str

    def to_cursor(self) -> str:
        """Return it as a cursor."""
        position = _PLACE.pack(self.done, self.total) + self.memory_id.encode()
        return encode_cursor(CursorKind.MEMORIES, _arguments(self.space), position)

    @classmethod
    def from_cursor(cls, cursor: str, space: str) -> "_Place":
        """Read a cursor.

        Raises:
            InvalidArgumentError: It is damaged, or of something else.
        """
        content = decode_cursor(cursor, CursorKind.MEMORIES, _arguments(space))
        with reading_position():
            done, total = _PLACE.unpack_from(content)
            memory_id = content[_PLACE.size :].decode()
            if (memory_id and not is_memory_id(memory_id)) or max(done, total) > _MOST:
                raise ValueError("no place of a rebuild")
        return cls(done, total, memory_id, space)


def _arguments(space: str) -> dict[str, str]:
    """Return what a rebuild's cursor belongs to."""
    return {"operation": "rebuild", "space": space}


class Rebuilder:
    """Rebuilds the index of one space."""

    def __init__(self, journal: Journal, index: MemoryIndex, settle: Settle) -> None:
        """Bind it to a space.

        Args:
            journal: The space's journal.
            index: Its index.
            settle: Makes the index agree with the journal.
        """
        self._journal = journal
        self._index = index
        self._settle = settle

    async def step(self, cursor: str | None, *, fresh: bool, deadline: Deadline) -> RebuildProgress:
        """Go on for as long as there is time.

        Args:
            cursor: `next_cursor` of the step before; None to begin.
            fresh: Begin by removing the whole index, which is then without memories until they are put again. Only
                at the beginning.
            deadline: When the answer must be there.

        Raises:
            UnavailableError: Journal or Chroma did not answer, or not one memory could be done in time. Calling again
                with the same cursor is safe.
        """
        if cursor is None:
            if fresh:
                await self._index.drop(deadline=deadline)
            total = 0
            async for _ in self._journal.memory_ids(deadline=deadline):
                total += 1
            place = _Place(0, total, "", self._journal.space)
        else:
            place = _Place.from_cursor(cursor, self._journal.space)
        # Taken before the journal is read: what is indexed by now was in the journal before.
        indexed = await self._index.versions(deadline=deadline)
        ahead = sorted((id_ for id_ in indexed if _order(id_) > _order(place.memory_id)), key=_order, reverse=True)
        step = _Step(place)
        try:
            async for head in self._journal.memory_ids(after=place.memory_id or None, deadline=deadline):
                while ahead and _order(ahead[-1]) <= _order(head.memory_id):
                    if (id_ := ahead.pop()) != head.memory_id:
                        # Records of a memory that the journal does not know.
                        step.doubtful.append(id_)
                if indexed.get(head.memory_id) != head.version:
                    step.doubtful.append(head.memory_id)
                step.compared(head.memory_id)
                if step.is_due():
                    await self._repair(step, indexed, deadline)
                    if deadline.remaining() < _RESERVE_SECONDS:
                        return step.progress()
            step.doubtful += reversed(ahead)
            await self._repair(step, indexed, deadline)
        except UnavailableError:
            # What was done until then is done.
            if step.place == place:
                raise
            return step.progress()
        return step.progress(finished=True)

    async def _repair(self, step: "_Step", indexed: Mapping[str, int | None], deadline: Deadline) -> None:
        heads = await self._journal.heads(step.doubtful, deadline=deadline)
        wrong = [id_ for id_ in step.doubtful if id_ in indexed or (id_ in heads and heads[id_].is_live)]
        started = time.monotonic()
        for start in range(0, len(wrong), step.slice_size):
            await self._settle(wrong[start : start + step.slice_size], deadline=deadline)
        step.repaired_these(len(wrong), time.monotonic() - started)


@dataclass
class _Step:
    """How far one step has come.

    Attributes:
        place: Up to where everything is repaired.
        doubtful: Memories to look at behind that place.
        slice_size: How many of them to repair at once: one at first, which may be large, more while that is quick.
        repaired: How many were repaired.
    """

    place: _Place
    doubtful: list[str] = field(default_factory=list)
    slice_size: int = 1
    repaired: int = 0
    _reached: _Place | None = None

    def compared(self, memory_id: str) -> None:
        """One more memory of the journal was compared."""
        before = self._reached or self.place
        self._reached = replace(before, done=before.done + 1, memory_id=memory_id)

    def is_due(self) -> bool:
        """Whether to repair what is doubtful now, before comparing more."""
        ahead = self._reached.done - self.place.done if self._reached is not None else 0
        return len(self.doubtful) >= self.slice_size or ahead >= _COMPARED_AT_ONCE

    def repaired_these(self, count: int, seconds: float) -> None:
        """All doubtful memories up to where the comparison has come were repaired."""
        self.repaired += count
        self.doubtful = []
        self.place = self._reached or self.place
        if count and seconds > _SLICE_SECONDS:
            self.slice_size = max(1, self.slice_size // 2)
        elif seconds < _SLICE_SECONDS / 2:
            self.slice_size = min(_LARGEST_SLICE, self.slice_size * 2)

    def progress(self, *, finished: bool = False) -> RebuildProgress:
        """Return it as an answer."""
        return RebuildProgress(
            done=self.place.done,
            total=max(self.place.total, self.place.done),
            repaired=self.repaired,
            next_cursor=None if finished else self.place.to_cursor(),
        )


def _order(memory_id: str) -> str:
    """Return what memories are ordered by in the journal: their keys go on with a slash."""
    return f"{memory_id}/" if memory_id else ""
