"""Writes memories into the index: first their records, then the segment that makes them count.

A write may stop anywhere and be done again. Until its segment is there, a memory counts as it did before; records
that no entry names are not found by anything, and go with the memory's next write. Ids of records are never used for
something else, as Chroma 1.5.9 can lose its index over changes of records (chroma-core/chroma issue 7678).
"""

import asyncio
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from remora.chroma.client import Database
from remora.chroma.deadline import Deadline
from remora.chroma.vectors import pack
from remora.chroma.wire import Filter, RecordColumns
from remora.embedding.embedder import Embedder
from remora.errors import UnavailableError
from remora.memory.index.catalogue import DATA_KEY, Catalogue
from remora.memory.index.entries import PreparedMemory, prepare_all
from remora.memory.index.handles import OwnCollection
from remora.memory.index.layout import RecordId, passage_metadata
from remora.memory.index.segments import NewEntry, Precedence, encode, merge
from remora.memory.index.view import Booleans
from remora.memory.models import Memory
from remora.observability.timing import measured

logger = logging.getLogger(__name__)

_SLICE = 64
"""Passages between two looks at the deadline; they embed in about half a second."""

_RECORDS_AT_ONCE = 500
"""Of one write: with metadata of the largest size about 5 MB, where Chroma takes 40 MB."""

_IDS_AT_ONCE = 500

_MERGED_AT_ONCE = 8
"""Segments of about one size that are merged into one. With 8, a memory is written four times on its way to the
largest size."""

_LARGEST_TIER = 3
"""Segments of 8 to the power of this many passages and more are left as they are: a deletion writes them anew. So
20,000 memories that come one by one have some 20 to 40 segments."""

_LARGEST_SEGMENT = 2_048
"""Passages from which a write goes on in another segment; they are about 2 MB, and Chroma takes 40 at once."""

_MERGE_SECONDS = 3.0
"""What must be left of the deadline to merge; whoever writes next does it otherwise."""

_KEPT_VECTORS = 512
_TOMBSTONE_SECONDS = 3_600
"""After that, no writer can still be at work that has not seen a tombstone."""


class IndexWriter:
    """Writes to the index of a space, one write at a time in this process."""

    def __init__(
        self,
        database: Database,
        embedder: Embedder,
        passages: OwnCollection,
        segments: OwnCollection,
        catalogue: Catalogue,
    ) -> None:
        """Note where everything is.

        Args:
            database: The space's database.
            embedder: Makes vectors of text.
            passages: Where passages are.
            segments: Where segments are.
            catalogue: What this process knows of the segments.
        """
        self._database = database
        self._embedder = embedder
        self._passages = passages
        self._segments = segments
        self._catalogue = catalogue
        self._lock = asyncio.Lock()
        self._vectors: OrderedDict[str, bytes] = OrderedDict()

    async def embed(self, texts: Sequence[str], *, deadline: Deadline) -> list[bytes]:
        """Return the packed vectors of texts. What was embedded last is not embedded again.

        Raises:
            UnavailableError: The time ran out.
        """
        fresh = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        made: dict[str, bytes] = {text: self._vectors[text] for text in texts if text in self._vectors}
        for start in range(0, len(fresh), _SLICE):
            if deadline.expired:
                raise UnavailableError("There was not enough time to embed the texts. It is safe to try again.")
            part = fresh[start : start + _SLICE]
            with measured("embed"):
                embedded = await asyncio.to_thread(self._embedder.embed, part)
            made.update((text, pack(vector.tolist())) for text, vector in zip(part, embedded.vectors, strict=True))
        for text in fresh[-_KEPT_VECTORS:]:
            self._vectors[text] = made[text]
        while len(self._vectors) > _KEPT_VECTORS:
            self._vectors.popitem(last=False)
        return [made[text] for text in texts]

    async def put(self, memories: Sequence[Memory], *, deadline: Deadline) -> None:
        """Put memories into the index. What is there already, in this state or at a later version, stays as it is.

        Raises:
            UnavailableError: Chroma did not answer, or the time ran out; it is safe to try again.
        """
        newest = _newest(memories)
        if not newest:
            return
        async with self._lock:
            found, _ = await asyncio.gather(
                self._records_of(newest, deadline), self._catalogue.refresh(deadline=deadline)
            )
            current = [memory for memory in newest.values() if not self._is_outdated(memory)]
            prepared = await asyncio.to_thread(prepare_all, current, self._embedder)
            news = [each for each in prepared if self._is_news(each, found.get(each.memory.id, frozenset()))]
            for part in _parts(news):
                await self._add_records(part, deadline)
                await self._add_segment([each.entry(self._precedence(each.memory)) for each in part], deadline)
            obsolete = [
                record
                for each in prepared
                for record in found.get(each.memory.id, frozenset()).difference(each.record_ids)
            ]
            await self._delete(self._passages, obsolete, deadline)
            await self._merge_small(deadline)

    async def remove(self, ids: Iterable[str], *, deadline: Deadline) -> None:
        """Remove memories from the index, their words and metadata too. Nothing happens to those it does not have.

        Raises:
            UnavailableError: Chroma did not answer, or the time ran out; it is safe to try again.
        """
        gone = list(dict.fromkeys(ids))
        async with self._lock:
            found, _ = await asyncio.gather(
                self._records_of(gone, deadline), self._catalogue.refresh(deadline=deadline)
            )
            tombstones = [
                NewEntry(id_, Precedence(entry.version, _stamp(entry.precedence.stamp)))
                for id_ in gone
                if (entry := self._catalogue.entry(id_)) is not None and entry.passages
            ]
            if tombstones:
                await self._add_segment(tombstones, deadline)
            records = [record for each in found.values() for record in each]
            await self._delete(self._passages, records, deadline)
            await self._forget_words(gone, deadline)
            await self._merge_small(deadline)

    async def drop(self, *, deadline: Deadline) -> None:
        """Remove everything."""
        async with self._lock:
            # Without segments nothing counts, whatever records are left.
            await self._segments.drop(deadline=deadline)
            await self._passages.drop(deadline=deadline)

    def _is_outdated(self, memory: Memory) -> bool:
        known = self._catalogue.entry(memory.id)
        return known is not None and known.version > memory.version

    def _is_news(self, prepared: PreparedMemory, records: frozenset[str]) -> bool:
        """Whether the index does not have this state of a memory, whole and counting."""
        counting = self._catalogue.entry(prepared.memory.id)
        is_there = (
            counting is not None
            and (counting.version, counting.digest) == (prepared.memory.version, prepared.digest)
            and records.issuperset(prepared.record_ids)
        )
        return not is_there

    def _precedence(self, memory: Memory) -> Precedence:
        known = self._catalogue.entry(memory.id)
        return Precedence(memory.version, _stamp(known.precedence.stamp if known is not None else 0))

    async def _add_records(self, prepared: Sequence[PreparedMemory], deadline: Deadline) -> None:
        rows = [_Row(each, number) for each in prepared for number in range(len(each.passages))]
        for start in range(0, len(rows), _RECORDS_AT_ONCE):
            part = rows[start : start + _RECORDS_AT_ONCE]
            texts = [row.prepared.embedded_text(row.passage, self._embedder) for row in part]
            vectors = await self.embed(texts, deadline=deadline)
            columns = RecordColumns(
                ids=[row.prepared.record_ids[row.passage] for row in part],
                embeddings=vectors,
                metadatas=[passage_metadata(row.prepared.memory) for row in part],
            )

            async def add(collection_id: str, columns: RecordColumns = columns) -> None:
                await self._database.add(collection_id, columns, deadline=deadline)

            await self._passages.write(add, deadline=deadline)

    async def _add_segment(self, entries: Sequence[NewEntry], deadline: Deadline) -> None:
        await self._write_segments([await asyncio.to_thread(encode, entries)], deadline)

    async def _write_segments(self, data: Sequence[str], deadline: Deadline) -> None:
        columns = RecordColumns(
            ids=[_segment_id() for _ in data],
            embeddings=[pack([1.0])] * len(data),
            metadatas=[{DATA_KEY: each} for each in data],
        )

        async def add(collection_id: str) -> None:
            await self._database.add(collection_id, columns, deadline=deadline)

        await self._segments.write(add, deadline=deadline)

    async def _records_of(self, ids: Iterable[str], deadline: Deadline) -> dict[str, frozenset[str]]:
        """Return the ids of the records that memories have, whatever version they are of."""
        wanted = list(ids)
        found: dict[str, set[str]] = {}
        for start in range(0, len(wanted), _IDS_AT_ONCE):
            part = wanted[start : start + _IDS_AT_ONCE]
            where = {"memory": {"$in": part}}

            async def get(collection_id: str, where: Mapping[str, object] = where) -> list[str]:
                records = await self._database.get(collection_id, Filter(where=where), deadline=deadline)
                return [record.id for record in records]

            none: list[str] = []
            for record_id in await self._passages.read(get, missing=none, deadline=deadline):
                found.setdefault(RecordId.parse(record_id).memory_id, set()).add(record_id)
        return {memory_id: frozenset(records) for memory_id, records in found.items()}

    async def _delete(self, collection: OwnCollection, ids: Sequence[str], deadline: Deadline) -> None:
        for start in range(0, len(ids), _RECORDS_AT_ONCE):
            part = ids[start : start + _RECORDS_AT_ONCE]

            async def delete(collection_id: str, part: Sequence[str] = part) -> None:
                await self._database.delete(collection_id, Filter(ids=part), deadline=deadline)

            await collection.read(delete, missing=None, deadline=deadline)

    async def _merge_small(self, deadline: Deadline) -> None:
        """Merge segments of which there are too many; if that fails, the next writer does it."""
        try:
            while deadline.remaining() > _MERGE_SECONDS:
                await self._catalogue.refresh(deadline=deadline)
                tiers: dict[int, list[str]] = {}
                for segment_id, segment in self._catalogue.segments.items():
                    tiers.setdefault(_tier(len(segment.words)), []).append(segment_id)
                full = [tier for tier, ids in tiers.items() if tier < _LARGEST_TIER and len(ids) >= _MERGED_AT_ONCE]
                if not full:
                    return
                await self._replace([tiers[min(full)]], deadline)
        except UnavailableError as error:
            logger.warning("Segments of the memory's index could not be merged now: %s", error)

    async def _forget_words(self, memory_ids: Sequence[str], deadline: Deadline) -> None:
        """Write the segments anew that hold entries of removed memories, which nobody is to read any more."""
        await self._catalogue.refresh(deadline=deadline)
        holding = []
        for segment_id, segment in self._catalogue.segments.items():
            entries = [segment.number_of[id_] for id_ in memory_ids if id_ in segment.number_of]
            if segment.passages[entries].any():
                holding.append([segment_id])
        for start in range(0, len(holding), _MERGED_AT_ONCE):
            await self._catalogue.refresh(deadline=deadline)
            await self._replace(holding[start : start + _MERGED_AT_ONCE], deadline)

    async def _replace(self, groups: Sequence[Sequence[str]], deadline: Deadline) -> None:
        """Put one segment in the place of each group of them, without the entries that do not count."""
        # Another process may have replaced some since.
        present = [[id_ for id_ in group if id_ in self._catalogue.segments] for group in groups]
        parts = [[(self._catalogue.segments[id_], self._needed(id_)) for id_ in group] for group in present]
        filled = [group for group in parts if any(needed.any() for _, needed in group)]
        if filled:
            data = await asyncio.to_thread(lambda: [merge(group) for group in filled])
            await self._write_segments(data, deadline)
        await self._delete(self._segments, [id_ for group in present for id_ in group], deadline)

    def _needed(self, segment_id: str) -> Booleans:
        segment, counting = self._catalogue.segments[segment_id], self._catalogue.counting(segment_id)
        oldest = (time.time() - _TOMBSTONE_SECONDS) * 1e6
        needed: Booleans = counting & ((segment.passages > 0) | (segment.stamps > oldest))
        return needed


class _Row(NamedTuple):
    prepared: PreparedMemory
    passage: int


def _newest(memories: Sequence[Memory]) -> dict[str, Memory]:
    """Return each memory once, in its highest version; of equal ones the last."""
    newest: dict[str, Memory] = {}
    for memory in memories:
        if memory.id not in newest or newest[memory.id].version <= memory.version:
            newest[memory.id] = memory
    return newest


def _stamp(after: int) -> int:
    return max(time.time_ns() // 1_000, after + 1)


def _parts(prepared: Sequence[PreparedMemory]) -> Iterator[list[PreparedMemory]]:
    """Cut what is put at once into segments of a bounded size."""
    part: list[PreparedMemory] = []
    passages = 0
    for each in prepared:
        part.append(each)
        passages += len(each.passages)
        if passages >= _LARGEST_SEGMENT:
            yield part
            part, passages = [], 0
    if part:
        yield part


def _segment_id() -> str:
    return f"{time.time_ns() // 1_000_000:013d}-{secrets.token_hex(6)}"


def _tier(passages: int) -> int:
    """Return how many times segments were merged when one has that many passages."""
    tier = 0
    while passages >= _MERGED_AT_ONCE ** (tier + 1):
        tier += 1
    return tier
