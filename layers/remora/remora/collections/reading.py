"""Reads records page by page, so that what existed throughout is neither skipped nor doubled by writes in between.

Chroma offers a limit and an offset over an order that is stable: records come in the order in which they were
first written, and neither updates, upserts nor compaction move them. What moves is the offset: records deleted
before the cursor pull the rest forward, and with a filter, records that begin to match push it back. So a cursor
keeps, besides the offset, what stands around it: digests of the last ids before it and of the first ids after
it. As long as the ids before it stand where they stood, the offset is right. Otherwise the selection's ids are
walked to find them again.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from remora.chroma.client import Database
from remora.chroma.deadline import Deadline
from remora.chroma.wire import Filter, StoredCollection, StoredRecord
from remora.collections.cursors import CursorKind, Position, decode_cursor, encode_cursor, id_digest
from remora.collections.limits import PAGE_READ
from remora.collections.models import Record, RecordPage
from remora.collections.pages import page_budget, take_record, to_record
from remora.errors import InvalidArgumentError, UnavailableError

# More ahead than behind: what was shown is what callers delete next, whole pages of it.
_BEHIND = 4
_AHEAD = 12
_RELOCATIONS = 3


def selection_arguments(collection: StoredCollection, matching: Filter) -> Mapping[str, Any]:
    """Return what a cursor over these records belongs to; a collection made anew is another."""
    return {"collection": collection.id, **matching.to_json()}


async def read_page(
    database: Database,
    collection: StoredCollection,
    matching: Filter,
    *,
    include: Sequence[str],
    limit: int,
    max_tokens: int,
    cursor: str | None,
    deadline: Deadline,
) -> RecordPage:
    """Return a page of the records that match.

    Args:
        database: Where the collection is.
        collection: The collection.
        matching: Which records, already checked.
        include: Parts besides the id.
        limit: Most records of the page.
        max_tokens: Budget of the page.
        cursor: Where to go on.
        deadline: When the page must be there.

    Raises:
        InvalidArgumentError: The cursor is not one of this selection, or everything around it is gone.
    """
    arguments = selection_arguments(collection, matching)
    position = Position()
    if cursor is not None:
        position = Position.from_bytes(decode_cursor(cursor, CursorKind.RECORDS, arguments))
    budget = page_budget(max_tokens)
    page: list[Record] = []
    while True:
        wanted = min(PAGE_READ, limit - len(page))
        window = _Window(database, collection, matching, include, wanted + _AHEAD, deadline)
        start, rows = await window.at(position)
        shown = set(position.behind)
        taken = 0
        full = False
        for row in rows[:wanted]:
            if id_digest(row.id) not in shown:
                record = take_record(page, to_record(row), budget)
                if record is None:
                    full = True
                    break
                page.append(record)
            taken += 1
        rest = rows[taken:]
        if not rest:
            return RecordPage(records=page)
        behind = (*position.behind, *(id_digest(row.id) for row in rows[:taken]))[-_BEHIND:]
        position = Position(start + taken, behind, tuple(id_digest(row.id) for row in rest[:_AHEAD]))
        if full or len(page) >= limit:
            cursor = encode_cursor(CursorKind.RECORDS, arguments, position.to_bytes())
            return RecordPage(records=page, next_cursor=cursor)


class _Window:
    """A stretch of a selection's records."""

    def __init__(
        self,
        database: Database,
        collection: StoredCollection,
        matching: Filter,
        include: Sequence[str],
        size: int,
        deadline: Deadline,
    ) -> None:
        self._database = database
        self._collection = collection
        self._matching = matching
        self._include = include
        self._size = size
        self._deadline = deadline

    async def at(self, position: Position) -> tuple[int, list[StoredRecord]]:
        """Return the offset at which a position is now, and the records from there on."""
        known = len(position.behind)
        rows = await self._rows(position.offset - known, self._size + known)
        if tuple(id_digest(row.id) for row in rows[:known]) == position.behind:
            return position.offset, rows[known:]
        for _ in range(_RELOCATIONS):
            ids = await self._ids()
            if not ids:
                return 0, []
            start = _locate(ids, position)
            rows = await self._rows(start, self._size)
            if [row.id for row in rows] == ids[start : start + self._size]:
                return start, rows
        raise UnavailableError("The records change faster than they can be paged. It is safe to try again.")

    async def _rows(self, offset: int, size: int) -> list[StoredRecord]:
        return await self._database.get(
            self._collection.id,
            self._matching,
            include=self._include,
            limit=size,
            offset=offset,
            deadline=self._deadline,
        )

    async def _ids(self) -> list[str]:
        # In one request, so that it is one moment's order: 46 ms for 20,000 ids.
        rows = await self._database.get(self._collection.id, self._matching, deadline=self._deadline)
        return [row.id for row in rows]


def _locate(ids: Sequence[str], position: Position) -> int:
    """Return where to go on: the first place that any of the ids around the position speaks for.

    An id that was deleted and written again stands at the end now; taking the first place keeps to those that
    stayed. Records before it that were shown already are recognised by the caller.
    """
    behind, ahead = set(position.behind), set(position.ahead)
    for index, record_id in enumerate(ids):
        digest = id_digest(record_id)
        if digest in ahead:
            return index
        if digest in behind:
            return index + 1
    raise InvalidArgumentError(
        "The records around this cursor were all deleted since, so its place is lost. "
        "Call without a cursor to start again."
    )
