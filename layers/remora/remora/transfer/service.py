"""The transfer service: what every face (REST route, command line) calls to move memories and rebuild the index."""

from collections.abc import Sequence

from remora.chroma.deadline import Deadline
from remora.collections.service import Collections
from remora.errors import InvalidArgumentError
from remora.journal import Journal
from remora.memory.index import MemoryIndex
from remora.transfer.exporting import Exporter
from remora.transfer.foreign.collection import read_collection
from remora.transfer.foreign.records import ForeignRecord, Problem
from remora.transfer.importing import Importer, Settle, Store, store_each
from remora.transfer.models import CollectionReport, ExportPage, ImportReport, RebuildProgress, RefusedRecord
from remora.transfer.rebuilding import Rebuilder
from remora.transfer.vectors import KnownVectors

DEFAULT_PAGE_BYTES = 4 * 1024 * 1024
"""A page as a JSON string. Lambda answers with 6 MB at most, and the first line may be longer than a page."""

MIN_PAGE_BYTES = 1_024


class TransferService:
    """Moves memories out of one space and into it, and rebuilds its index from its journal.

    Every method does as much as there is time for and says where to go on; all may be interrupted and repeated. They
    raise nothing but the errors of `remora.errors`.
    """

    def __init__(
        self,
        journal: Journal,
        index: MemoryIndex,
        settle: Settle,
        store: Store,
        collections: Collections,
        vectors: KnownVectors,
    ) -> None:
        """Bind the service to a space, as one principal uses it.

        Args:
            journal: The space's journal.
            index: The space's index of memories.
            settle: Makes the index agree with the journal for some memories.
            store: Stores memories, each content once: `MemoryService.store`.
            collections: The space's collections.
            vectors: What `index` and `settle` embed with; learns the vectors that an import brings.
        """
        self._exporter = Exporter(journal, index)
        self._importer = Importer(journal, settle, store, vectors)
        self._rebuilder = Rebuilder(journal, index, settle)
        self._store = store
        self._collections = collections

    async def export_page(
        self,
        cursor: str | None = None,
        *,
        embeddings: bool = False,
        max_bytes: int = DEFAULT_PAGE_BYTES,
        deadline: Deadline,
    ) -> ExportPage:
        """Return the next lines of an export; the lines of all pages, one after the other, are the file.

        Args:
            cursor: `next_cursor` of the page before, with the same `embeddings`; None to begin.
            embeddings: Whether to write the passages' vectors, so that an import needs no model.
            max_bytes: Most bytes of the page as a JSON string, at least 1,024; one line is always there.
            deadline: When the page must be there.

        Raises:
            InvalidArgumentError: The cursor is of something else, or `max_bytes` too small.
            UnavailableError: Journal or Chroma did not answer in time.
        """
        if max_bytes < MIN_PAGE_BYTES:
            raise InvalidArgumentError(f"max_bytes is {max_bytes}; it must be at least {MIN_PAGE_BYTES}.")
        return await self._exporter.page(cursor, embeddings=embeddings, max_bytes=max_bytes, deadline=deadline)

    async def import_lines(self, lines: Sequence[str], *, deadline: Deadline) -> ImportReport:
        """Import lines of an export, or `new` lines; ids, versions, times and authors are kept.

        Args:
            lines: A file or a part of one, in its order. Importing the same lines again changes nothing.
            deadline: When the report must be there.

        Raises:
            InvalidArgumentError: They are of another format, or of a later version of this one.
            UnavailableError: Journal or Chroma did not answer in time; sending the same lines again is safe.
        """
        return await self._importer.lines(lines, deadline=deadline)

    async def import_collection(
        self, name: str, cursor: str | None = None, *, deadline: Deadline
    ) -> CollectionReport:
        """Make memories of some records of a Chroma collection in the same space.

        Args:
            name: The collection.
            cursor: `next_cursor` of the report before; None to begin.
            deadline: When the report must be there.

        Raises:
            NotFoundError: There is no collection of that name.
            UnavailableError: Journal or Chroma did not answer in time; calling again is safe.
        """
        page = await read_collection(self._collections, name, cursor, deadline=deadline)
        refused = {problem.number: problem.reason for problem in page.records if isinstance(problem, Problem)}
        good = [record for record in page.records if isinstance(record, ForeignRecord)]
        results, reasons = await store_each(self._store, [record.memory for record in good], deadline=deadline)
        refused |= {good[place].number: reason for place, reason in reasons.items()}
        return CollectionReport(
            created=sum(stored.created for result in results for stored in result.memories),
            unchanged=sum(not stored.created for result in results for stored in result.memories),
            pending=sum(result.pending for result in results),
            errors=tuple(
                RefusedRecord(id=page.ids[number - 1], reason=refused[number]) for number in sorted(refused)
            ),
            next_cursor=page.next_cursor,
        )

    async def rebuild(self, cursor: str | None = None, *, fresh: bool = False, deadline: Deadline) -> RebuildProgress:
        """Make the index agree with the journal, as far as there is time.

        Args:
            cursor: `next_cursor` of the step before; None to begin.
            fresh: Begin by removing the whole index; only with no cursor.
            deadline: When the answer must be there.

        Raises:
            InvalidArgumentError: The cursor is of something else, or `fresh` is given with one.
            UnavailableError: Not one memory could be done in time; calling again with the same cursor is safe.
        """
        if fresh and cursor is not None:
            raise InvalidArgumentError("fresh begins a rebuild by removing the index, so it takes no cursor.")
        return await self._rebuilder.step(cursor, fresh=fresh, deadline=deadline)
