"""Forks a collection: natively where the engine can, as a page-by-page copy on one node.

A copy holds every record with its embedding, document, metadata and URI, in the same order, under the same index
settings and collection metadata. It is not a snapshot: what is written to the source while it is copied may be in
it or not, but afterwards the ids of both are compared and brought into line. A copy that cannot be finished is
removed again.
"""

from collections.abc import Sequence

from remora.chroma.deadline import Deadline
from remora.chroma.vectors import pack
from remora.chroma.wire import Filter, NewCollection, RecordColumns, StoredCollection, StoredRecord
from remora.collections.limits import COPY_RECORDS, COPY_RESERVE_SECONDS, SCAN_IDS
from remora.collections.models import Engine, ForkResult
from remora.collections.texts import function_label, is_own
from remora.collections.workspace import Workspace
from remora.errors import RemoraError, UnavailableError

_PARTS = ("documents", "embeddings", "metadatas", "uris")


async def fork_collection(
    space: Workspace, source: StoredCollection, new_name: str, *, deadline: Deadline
) -> ForkResult:
    """Make a new collection with the records of another.

    Args:
        space: Where the collections are.
        source: The collection, looked up just now.
        new_name: Name of the new one.
        deadline: When it must be finished.

    Raises:
        AlreadyExistsError: The name is taken.
        UnavailableError: It could not be finished; the message says whether anything is left of it.
    """
    if space.engine is Engine.DISTRIBUTED:
        forked = await space.database.fork(source.id, new_name, deadline=deadline)
        records = await space.database.count(forked.id, deadline=deadline)
        return ForkResult(name=forked.name, id=forked.id, records=records, native=True)
    function = source.embedding_function
    own = function is not None and is_own(function, space.embedder)
    copy = await space.database.create_collection(
        NewCollection(
            name=new_name,
            metadata=source.metadata,
            hnsw={**source.index, **({"space": source.space} if source.space is not None else {})},
            default_embedding_function=own,
        ),
        deadline=deadline,
    )
    # Time to remove the copy is kept back, so that it can be removed when time is up.
    working = Deadline(deadline.at - COPY_RESERVE_SECONDS)
    try:
        records = await _copy(space, source, copy, working)
    except RemoraError as error:
        raise UnavailableError(await _undone(space, copy, error, deadline)) from error
    except BaseException:
        await _undone(space, copy, None, deadline)
        raise
    note = None
    label = function_label(function)
    if label is not None and not own:
        note = (
            f"The copy does not name the embedding function {label!r}: Remora passes on no function but its own. "
            "Query it with embeddings made by that function."
        )
    return ForkResult(name=copy.name, id=copy.id, records=records, native=False, note=note)


async def _copy(space: Workspace, source: StoredCollection, copy: StoredCollection, deadline: Deadline) -> int:
    offset = 0
    while True:
        rows = await space.database.get(
            source.id, Filter(), include=_PARTS, limit=COPY_RECORDS, offset=offset, deadline=deadline
        )
        await _write(space, copy, rows, deadline)
        offset += len(rows)
        if len(rows) < COPY_RECORDS:
            break
    wanted = await _ids(space, source, deadline)
    copied = set(await _ids(space, copy, deadline))
    absent = [record_id for record_id in wanted if record_id not in copied]
    for start in range(0, len(absent), COPY_RECORDS):
        rows = await space.database.get(
            source.id, Filter(ids=absent[start : start + COPY_RECORDS]), include=_PARTS, deadline=deadline
        )
        await _write(space, copy, rows, deadline)
    superfluous = sorted(copied.difference(wanted))
    for start in range(0, len(superfluous), SCAN_IDS):
        batch = Filter(ids=superfluous[start : start + SCAN_IDS])
        await space.database.delete(copy.id, batch, deadline=deadline)
    return await space.database.count(copy.id, deadline=deadline)


async def _ids(space: Workspace, collection: StoredCollection, deadline: Deadline) -> list[str]:
    return [row.id for row in await space.database.get(collection.id, Filter(), deadline=deadline)]


async def _write(space: Workspace, copy: StoredCollection, rows: Sequence[StoredRecord], deadline: Deadline) -> None:
    if not rows:
        return
    columns = RecordColumns(
        ids=[row.id for row in rows],
        embeddings=[pack(row.embedding) if row.embedding is not None else None for row in rows],
        documents=[row.document for row in rows],
        metadatas=[row.metadata or None for row in rows],
        uris=[row.uri for row in rows],
    )
    await space.database.add(copy.id, columns, deadline=deadline)


async def _undone(space: Workspace, copy: StoredCollection, error: RemoraError | None, deadline: Deadline) -> str:
    """Remove an unfinished copy and return what to say."""
    reason = f" ({error})" if error is not None else ""
    try:
        await space.database.delete_collection(copy.name, deadline=deadline)
    except RemoraError:
        return (
            f"The copy could not be finished{reason}, nor removed: collection {copy.name!r} is incomplete. "
            "Delete it before trying again."
        )
    return f"The copy could not be finished{reason}. What there was of it was removed; the source is unchanged."
