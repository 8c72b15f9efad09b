"""The index of a space's memories in Chroma: what is put, removed, listed and fetched, and what searches rank."""

from collections.abc import Iterable, Mapping, Sequence

from remora.chroma.client import Database
from remora.chroma.deadline import Deadline
from remora.chroma.vectors import unpack
from remora.embedding.embedder import Embedder
from remora.memory.index.catalogue import Catalogue
from remora.memory.index.entries import prepare_all
from remora.memory.index.handles import OwnCollection
from remora.memory.index.layout import PASSAGE_HNSW, PASSAGES, SEGMENT_HNSW, SEGMENTS
from remora.memory.index.reading import EmbeddedText, IndexReader
from remora.memory.index.view import EntryRef, Facts, View
from remora.memory.index.writing import IndexWriter
from remora.memory.models import Memory, MemoryFilter

__all__ = ["EmbeddedText", "EntryRef", "Facts", "MemoryIndex", "View"]


class MemoryIndex:
    """The index of one space. It holds nothing that the journal could not make again.

    A space without an index reads as empty; the first write makes the collections. All methods raise
    `UnavailableError` if Chroma does not answer in time; what was begun may then be done again.
    """

    def __init__(self, database: Database, embedder: Embedder) -> None:
        """Bind the index to a space.

        Args:
            database: The space's database.
            embedder: Makes vectors of text.
        """
        self.embedder = embedder
        passages = OwnCollection(database, PASSAGES, PASSAGE_HNSW)
        segments = OwnCollection(database, SEGMENTS, SEGMENT_HNSW)
        catalogue = Catalogue(database, segments)
        self._reader = IndexReader(database, embedder, passages, catalogue)
        self._writer = IndexWriter(database, embedder, passages, segments, catalogue)

    async def put(self, memories: Sequence[Memory], *, deadline: Deadline) -> None:
        """Put memories into the index; what it had of lower versions, or of another context, goes.

        Doing it again changes nothing. A memory of a lower version than the index has is passed over.

        Args:
            memories: The memories; turns with the turn before them as their context.
            deadline: When it must be done.
        """
        await self._writer.put(memories, deadline=deadline)

    async def remove(self, ids: Iterable[str], *, deadline: Deadline) -> None:
        """Remove memories, their words and metadata too; ids that the index does not have are passed over."""
        await self._writer.remove(ids, deadline=deadline)

    async def drop(self, *, deadline: Deadline) -> None:
        """Remove everything; nothing happens if there is nothing."""
        await self._writer.drop(deadline=deadline)

    async def ids(self, selection: MemoryFilter, *, deadline: Deadline) -> list[tuple[int, str]]:
        """Return creation (milliseconds since 1970) and id of all memories that a filter selects.

        Newest first, and the later id first among those of one moment.
        """
        return (await self.view(deadline=deadline)).listed(selection)

    async def fetch(self, ids: Sequence[str], *, deadline: Deadline) -> dict[str, Memory]:
        """Return memories in full by their ids; what the index does not have is left out.

        A turn comes without its context, as in the journal: that is another turn's text.
        """
        return await self._reader.fetch(ids, deadline=deadline)

    async def facts(self, *, deadline: Deadline) -> list[Facts]:
        """Return of each memory what an overview counts."""
        return list((await self.view(deadline=deadline)).facts())

    async def similar(
        self, memories: Sequence[Memory], *, floor: float, limit: int, deadline: Deadline
    ) -> list[list[tuple[str, float]]]:
        """Return, for each memory, others in the index that say nearly the same.

        Memories of several passages and turns of conversations are not compared.

        Args:
            memories: The memories, in the index or not.
            floor: Least cosine similarity.
            limit: Most others for each.
            deadline: When the answer must be there.

        Returns:
            Ids with similarities from 0 to 1, the most similar first.
        """
        prepared = prepare_all(memories, self.embedder)
        compared = [each for each in prepared if len(each.passages) == 1 and each.memory.turn is None]
        vectors = await self._writer.embed(
            [each.embedded_text(0, self.embedder) for each in compared], deadline=deadline
        )
        found = await self._reader.similar(
            [unpack(vector) for vector in vectors],
            of=[each.memory.id for each in compared],
            floor=floor,
            limit=limit,
            deadline=deadline,
        )
        alike = {each.memory.id: matches for each, matches in zip(compared, found, strict=True)}
        return [alike.get(memory.id, []) for memory in memories]

    async def vectors(self, ids: Sequence[str], *, deadline: Deadline) -> dict[str, tuple[EmbeddedText, ...]]:
        """Return what is embedded of memories by their ids, passage by passage.

        Left out is what is not indexed, and a turn while its context is about to change.
        """
        return await self._reader.vectors(ids, deadline=deadline)

    async def versions(self, *, deadline: Deadline) -> dict[str, int | None]:
        """Return the version at which each memory is indexed; None where its records are not whole."""
        return await self._reader.versions(deadline=deadline)

    async def view(self, *, deadline: Deadline) -> View:
        """Return all that is known of the memories but their vectors, as of now."""
        return await self._reader.view(deadline=deadline)

    async def nearest(
        self, vector: Sequence[float], *, limit: int, where: Mapping[str, object] | None = None, deadline: Deadline
    ) -> list[tuple[str, float]]:
        """Return the ids of the records nearest to a vector with their cosine similarities, nearest first.

        Args:
            vector: The vector.
            limit: Most passages.
            where: A Chroma filter (`layout.where`).
            deadline: When the answer must be there.
        """
        # As many digits as a float32 has in numbers below 1: half the request, and the same answer.
        rounded = [round(number, 7) for number in vector]
        (found,) = await self._reader.nearest([rounded], limit=limit, where=where, deadline=deadline)
        return found
