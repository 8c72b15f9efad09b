"""The segments of a space as this process has read them, brought up to date before each use."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from remora.chroma.client import Database
from remora.chroma.deadline import Deadline
from remora.chroma.wire import Filter
from remora.errors import UnavailableError
from remora.memory.index.handles import OwnCollection
from remora.memory.index.segments import Precedence, Segment, decode
from remora.memory.index.view import Booleans, EntryRef, View

DATA_KEY = "data"
"""Key of a segment in its record's metadata. Documents are indexed by Chroma for text search, metadata are not."""

_READ_AT_ONCE = 16
_ATTEMPTS = 5


class Held(NamedTuple):
    """Where the entry of a memory is that counts."""

    segment_id: str
    number: int


class Catalogue:
    """What the process knows of the segments. Segments never change, so knowing which there are is knowing all."""

    def __init__(self, database: Database, collection: OwnCollection) -> None:
        """Start with nothing known.

        Args:
            database: The space's database.
            collection: Where segments are.
        """
        self._database = database
        self._collection = collection
        self._segments: dict[str, Segment] = {}
        self._counting: dict[str, Booleans] = {}
        self._held: dict[str, Held] = {}
        self._view: View | None = None
        self._lock = asyncio.Lock()

    @property
    def segments(self) -> Mapping[str, Segment]:
        """The segments by id, as of the last refresh."""
        return self._segments

    def counting(self, segment_id: str) -> Booleans:
        """Return which entries of a segment count, as of the last refresh."""
        return self._counting[segment_id]

    def entry(self, memory_id: str) -> EntryRef | None:
        """Return the entry of a memory that counts, even a tombstone, as of the last refresh; None if none does."""
        held = self._held.get(memory_id)
        return None if held is None else EntryRef(self._segments[held.segment_id], held.number)

    async def view(self, *, deadline: Deadline) -> View:
        """Return all that counts now.

        Raises:
            UnavailableError: Chroma did not answer in time, or segments change all the time.
        """
        await self.refresh(deadline=deadline)
        if self._view is None:
            self._view = View(list(self._segments.values()), [self._counting[id_] for id_ in self._segments])
        return self._view

    async def refresh(self, *, deadline: Deadline) -> None:
        """Read which segments there are, and those that are new.

        Raises:
            UnavailableError: Chroma did not answer in time, or segments change all the time.
        """
        async with self._lock:
            for _ in range(_ATTEMPTS):
                present = await self._present(deadline)
                read = await self._read([id_ for id_ in present if id_ not in self._segments], deadline)
                if read is not None:
                    self._take(present, read)
                    return
        raise UnavailableError("The memory's index is being rewritten. It is safe to try again.")

    async def _present(self, deadline: Deadline) -> list[str]:
        async def ids(collection_id: str) -> list[str]:
            return [record.id for record in await self._database.get(collection_id, Filter(), deadline=deadline)]

        return await self._collection.read(ids, missing=[], deadline=deadline)

    async def _read(self, ids: Sequence[str], deadline: Deadline) -> dict[str, Segment] | None:
        """Read segments; None if one is not there any more, because it was merged into another."""
        read: dict[str, Segment] = {}
        for start in range(0, len(ids), _READ_AT_ONCE):
            part = ids[start : start + _READ_AT_ONCE]

            async def get(collection_id: str, part: Sequence[str] = part) -> dict[str, str]:
                records = await self._database.get(
                    collection_id, Filter(ids=part), include=("metadatas",), deadline=deadline
                )
                return {record.id: str((record.metadata or {}).get(DATA_KEY)) for record in records}

            nothing: dict[str, str] = {}
            found = await self._collection.read(get, missing=nothing, deadline=deadline)
            if len(found) < len(part):
                return None
            for id_, data in found.items():
                try:
                    read[id_] = decode(data)
                except ValueError as error:
                    raise UnavailableError(
                        f"Segment {id_} of the memory's index cannot be read ({error}). Rebuild the index from the "
                        "journal: remora memory rebuild --fresh"
                    ) from error
        return read

    def _take(self, present: Sequence[str], read: Mapping[str, Segment]) -> None:
        """Take over what was read and forget what is gone, and find out which entries count."""
        gone = self._segments.keys() - set(present)
        if not read and not gone:
            return
        self._view = None
        for id_, segment in read.items():
            self._segments[id_] = segment
            self._counting[id_] = np.zeros(len(segment.ids), dtype=bool)
            for number, memory_id in enumerate(segment.ids):
                self._consider(memory_id, Held(id_, number), segment.precedence(number))
        for id_ in gone:
            for memory_id in self._segments[id_].ids:
                # A segment goes only after others have what counts of it, unless the whole index was dropped.
                if (held := self._held.get(memory_id)) is not None and held.segment_id == id_:
                    del self._held[memory_id]
            del self._segments[id_], self._counting[id_]

    def _consider(self, memory_id: str, new: Held, precedence: Precedence) -> None:
        old = self._held.get(memory_id)
        if old is not None:
            # Of equal ones the later read, as it is in the segment that the other one is merged into.
            if self._segments[old.segment_id].precedence(old.number) > precedence:
                return
            self._counting[old.segment_id][old.number] = False
        self._held[memory_id] = new
        self._counting[new.segment_id][new.number] = True
