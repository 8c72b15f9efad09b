"""Reads memories back out of the index: in full, by likeness, and for comparison with the journal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from remora.chroma.client import Database
from remora.chroma.deadline import Deadline
from remora.chroma.vectors import pack
from remora.chroma.wire import Filter, StoredRecord
from remora.embedding.embedder import Embedder
from remora.memory.ids import turn_neighbours
from remora.memory.index.catalogue import Catalogue
from remora.memory.index.entries import PreparedMemory, prepare
from remora.memory.index.handles import OwnCollection
from remora.memory.index.layout import RecordId, digest_of, spoken_passage
from remora.memory.index.view import View
from remora.memory.models import Memory

_RECORDS_AT_ONCE = 300
"""Of one request; so many vectors are 2 MB."""

_NEAREST = 50
"""Neighbours that are looked at for near-duplicates, as turns of conversations are among them."""


@dataclass(frozen=True, slots=True)
class EmbeddedText:
    """A text that is embedded for a memory.

    Attributes:
        text: The text, just as it was given to the model.
        vector: Its vector, packed (`remora.chroma.vectors`).
    """

    text: str
    vector: bytes


class IndexReader:
    """Reads from the index of a space."""

    def __init__(self, database: Database, embedder: Embedder, passages: OwnCollection, catalogue: Catalogue) -> None:
        """Note where everything is.

        Args:
            database: The space's database.
            embedder: What vectors were made with.
            passages: Where passages are.
            catalogue: What this process knows of the segments.
        """
        self._database = database
        self._embedder = embedder
        self._passages = passages
        self._catalogue = catalogue

    async def fetch(self, ids: Iterable[str], *, deadline: Deadline) -> dict[str, Memory]:
        """Return memories in full by their ids; what the index does not have is left out."""
        view = await self._catalogue.view(deadline=deadline)
        return {id_: entry.memory() for id_ in ids if (entry := view.find(id_)) is not None}

    async def vectors(self, ids: Sequence[str], *, deadline: Deadline) -> dict[str, tuple[EmbeddedText, ...]]:
        """Return what is embedded of memories by their ids, passage by passage.

        Left out is what is not indexed, and a turn while its context is about to change.
        """
        before = {id_: turn_neighbours(id_).before for id_ in ids}
        memories = await self.fetch([*ids, *(id_ for id_ in before.values() if id_)], deadline=deadline)
        view = await self._catalogue.view(deadline=deadline)
        prepared: dict[str, PreparedMemory] = {}
        for id_ in dict.fromkeys(ids):
            memory, entry = memories.get(id_), view.find(id_)
            if memory is not None and entry is not None:
                previous = memories.get(before[id_] or "")
                for state in (memory, _in_context(memory, previous)):
                    if digest_of(state) == entry.digest:
                        prepared[id_] = prepare(state, self._embedder)
        wanted = [record_id for each in prepared.values() for record_id in each.record_ids]
        records = await self._get(wanted, ("embeddings",), deadline)
        packed = {record.id: pack(record.embedding) for record in records if record.embedding is not None}
        return {
            id_: tuple(
                EmbeddedText(each.embedded_text(number, self._embedder), packed[record_id])
                for number, record_id in enumerate(each.record_ids)
            )
            for id_, each in prepared.items()
            if all(record_id in packed for record_id in each.record_ids)
        }

    async def similar(
        self,
        vectors: Sequence[Sequence[float]],
        *,
        of: Sequence[str],
        floor: float,
        limit: int,
        deadline: Deadline,
    ) -> list[list[tuple[str, float]]]:
        """Return, for each vector, memories of one passage that are like it: no turns of conversations.

        Args:
            vectors: The vectors.
            of: The memory that each vector is of, which is not like itself.
            floor: Least cosine similarity.
            limit: Most memories for each.
            deadline: When the answer must be there.

        Returns:
            Ids with similarities, the most similar first.
        """
        nearest = await self.nearest(vectors, limit=_NEAREST, where=None, deadline=deadline)
        view = await self._catalogue.view(deadline=deadline)
        return [
            [
                (entry.id, similarity)
                for record, similarity in each
                if similarity >= floor
                and (row := view.row(record)) is not None
                and not view.is_turn[row]
                and (entry := view.entry(row)).passages == 1
                and entry.id != memory_id
            ][:limit]
            for memory_id, each in zip(of, nearest, strict=True)
        ]

    async def nearest(
        self,
        vectors: Sequence[Sequence[float]],
        *,
        limit: int,
        where: Mapping[str, object] | None,
        deadline: Deadline,
    ) -> list[list[tuple[str, float]]]:
        """Return, for each vector, the ids of the nearest records with cosine similarities, nearest first."""

        async def query(collection_id: str) -> list[list[StoredRecord]]:
            return await self._database.query(
                collection_id, vectors, n_results=limit, matching=Filter(where=where), deadline=deadline
            )

        nothing: list[list[StoredRecord]] = [[] for _ in vectors]
        answers = await self._passages.read(query, missing=nothing, deadline=deadline) if vectors else []
        return [
            [
                (record.id, min(1.0, max(0.0, 1.0 - record.distance)))
                for record in records
                if record.distance is not None
            ]
            for records in answers
        ]

    async def versions(self, *, deadline: Deadline) -> dict[str, int | None]:
        """Return the version at which each memory is indexed; None where its records are not whole."""

        async def ids(collection_id: str) -> list[str]:
            return [record.id for record in await self._database.get(collection_id, Filter(), deadline=deadline)]

        none: list[str] = []
        present = set(await self._passages.read(ids, missing=none, deadline=deadline))
        view = await self._catalogue.view(deadline=deadline)
        versions: dict[str, int | None] = {}
        for entry in view.entries():
            record_ids = entry.record_ids
            versions[entry.id] = entry.version if present.issuperset(record_ids) else None
            present.difference_update(record_ids)
        # Records that no entry names: somebody stopped in the middle of writing or removing.
        versions.update((RecordId.parse(record_id).memory_id, None) for record_id in present)
        return versions

    async def view(self, *, deadline: Deadline) -> View:
        """Return all that counts now."""
        return await self._catalogue.view(deadline=deadline)

    async def _get(self, record_ids: Sequence[str], include: Sequence[str], deadline: Deadline) -> list[StoredRecord]:
        records: list[StoredRecord] = []
        for start in range(0, len(record_ids), _RECORDS_AT_ONCE):
            part = record_ids[start : start + _RECORDS_AT_ONCE]

            async def get(collection_id: str, part: Sequence[str] = part) -> list[StoredRecord]:
                return await self._database.get(collection_id, Filter(ids=part), include=include, deadline=deadline)

            records += await self._passages.read(get, missing=[], deadline=deadline)
        return records


def _in_context(memory: Memory, previous: Memory | None) -> Memory:
    if previous is None:
        return memory
    return memory.model_copy(update={"context": spoken_passage(previous, previous.content)})
