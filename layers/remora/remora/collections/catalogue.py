"""The collections of a space themselves: listing, creating, describing, changing, deleting them."""

import asyncio
from collections.abc import Mapping
from typing import Any

from remora.chroma.deadline import Deadline
from remora.chroma.names import check_name
from remora.chroma.wire import NewCollection, StoredCollection
from remora.collections.cursors import CursorKind, decode_cursor, encode_cursor
from remora.collections.limits import (
    COUNT_CONCURRENCY,
    LIST_COLLECTIONS,
    MAX_EF,
    MAX_NEIGHBORS,
    MAX_PAGE_COLLECTIONS,
    MAX_RESIZE_FACTOR,
    MAX_SYNC_THRESHOLD,
    MIN_EF,
    MIN_NEIGHBORS,
    MIN_RESIZE_FACTOR,
    MIN_SYNC_THRESHOLD,
)
from remora.collections.models import (
    CollectionInfo,
    CollectionPage,
    CollectionSummary,
    DeletedCollection,
    HnswChanges,
    HnswSettings,
    Space,
)
from remora.collections.pages import page_budget
from remora.collections.records import check_collection_metadata
from remora.collections.reserved import is_reserved, refuse_reserved
from remora.collections.texts import check_creatable, function_label
from remora.collections.workspace import Workspace
from remora.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError, UnavailableError

_HNSW_BOUNDS: Mapping[str, tuple[float, float]] = {
    "ef_construction": (MIN_EF, MAX_EF),
    "ef_search": (MIN_EF, MAX_EF),
    "max_neighbors": (MIN_NEIGHBORS, MAX_NEIGHBORS),
    "resize_factor": (MIN_RESIZE_FACTOR, MAX_RESIZE_FACTOR),
    "sync_threshold": (MIN_SYNC_THRESHOLD, MAX_SYNC_THRESHOLD),
}
_SPACE_KEY = "hnsw:space"


def check_hnsw(settings: HnswSettings | HnswChanges | None) -> dict[str, Any]:
    """Return the settings that are given, as Chroma takes them.

    Raises:
        InvalidArgumentError: A setting would make an index that does not work.
    """
    given = settings.model_dump() if settings is not None else {}
    for name, value in given.items():
        least, greatest = _HNSW_BOUNDS[name]
        if not least <= value <= greatest:
            raise InvalidArgumentError(f"hnsw.{name} is {value}; it may be {least:g} to {greatest:g}.")
    return given


def check_new_collection(
    space: Workspace,
    name: str,
    *,
    embedding_function: str,
    index_space: Space | None,
    hnsw: HnswSettings | None,
    metadata: Mapping[str, Any] | None,
) -> NewCollection:
    """Check what a new collection is to be.

    Raises:
        InvalidArgumentError: The name, a setting or a metadata value cannot be used.
        UnsupportedError: Remora does not have the embedding function.
    """
    refuse_reserved(name)
    checked = check_collection_metadata(metadata)
    settings = check_hnsw(hnsw)
    if checked is not None and _SPACE_KEY in checked:
        # The older way to choose a space, which a configuration overrides in silence.
        if checked[_SPACE_KEY] not in list(Space):
            raise InvalidArgumentError(f"metadata.{_SPACE_KEY} is one of {', '.join(Space)}.")
        if index_space is not None and checked[_SPACE_KEY] != index_space:
            raise InvalidArgumentError(f"metadata.{_SPACE_KEY} and space differ; give only space.")
    if index_space is not None:
        settings["space"] = index_space.value
    return NewCollection(
        name=check_name(name, "collection"),
        metadata=checked,
        hnsw=settings,
        default_embedding_function=check_creatable(embedding_function, space.embedder),
    )


async def create(space: Workspace, new: NewCollection, *, deadline: Deadline) -> StoredCollection:
    """Create a collection.

    Raises:
        AlreadyExistsError: There is one of that name.
    """
    try:
        return await space.database.create_collection(new, deadline=deadline)
    except AlreadyExistsError:
        raise AlreadyExistsError(
            f"A collection named {new.name!r} exists already. Use it, or choose another name."
        ) from None


async def describe(
    space: Workspace, collection: StoredCollection, *, created: bool | None = None, deadline: Deadline
) -> CollectionInfo:
    """Return what there is to know about a collection.

    Args:
        space: Where the collection is.
        collection: The collection, looked up just now.
        created: Whether this call created it; None where that is no question. A new one is described without
            another request, so that nothing can fail once it is there.
        deadline: When the answer must be there.
    """

    async def count_records() -> int:
        return 0 if created else await space.database.count(collection.id, deadline=deadline)

    count, refusal = await asyncio.gather(count_records(), space.functions.refusal(collection, deadline=deadline))
    return CollectionInfo(
        id=collection.id,
        name=collection.name,
        count=count,
        dimension=collection.dimension,
        space=Space(collection.space) if collection.space is not None else None,
        hnsw=HnswSettings.model_validate(dict(collection.index)) if collection.index else None,
        metadata=dict(collection.metadata) if collection.metadata else None,
        embedding_function=function_label(collection.embedding_function),
        embeds_text=refusal is None,
        embeds_text_reason=refusal,
        created=created,
    )


async def list_page(
    space: Workspace, *, limit: int, cursor: str | None, max_tokens: int, deadline: Deadline
) -> CollectionPage:
    """Return a page of the collections in the order of their names.

    The cursor is the last name shown, so that collections created or deleted meanwhile move nothing.

    Raises:
        InvalidArgumentError: The limit or the cursor cannot be used.
    """
    if not 1 <= limit <= MAX_PAGE_COLLECTIONS:
        raise InvalidArgumentError(f"limit is {limit}; it may be 1 to {MAX_PAGE_COLLECTIONS}.")
    arguments = {"database": space.database.name}
    after = ""
    if cursor is not None:
        after = decode_cursor(cursor, CursorKind.COLLECTIONS, arguments).decode("utf-8", "replace")
    collections = sorted(await _all(space, deadline), key=lambda collection: collection.name)
    rest = [collection for collection in collections if collection.name > after]
    gate = asyncio.Semaphore(COUNT_CONCURRENCY)

    async def summary(collection: StoredCollection) -> CollectionSummary | None:
        async with gate:
            try:
                count = await space.database.count(collection.id, deadline=deadline)
            except NotFoundError:
                # Deleted since it was listed.
                return None
        return CollectionSummary(
            name=collection.name,
            count=count,
            dimension=collection.dimension,
            metadata=dict(collection.metadata) if collection.metadata else None,
        )

    budget = page_budget(max_tokens)
    shown: list[CollectionSummary] = []
    last = after
    for start in range(0, min(limit, len(rest)), COUNT_CONCURRENCY):
        part = rest[start : min(start + COUNT_CONCURRENCY, limit)]
        for collection, line in zip(part, await asyncio.gather(*map(summary, part)), strict=True):
            if line is not None:
                if not budget.take(line.model_dump_json()):
                    if shown:
                        return _page(shown, len(collections), last, arguments)
                    # Alone too large: its metadata can be had from the collection's own description.
                    line = line.model_copy(update={"metadata": None})
                shown.append(line)
            last = collection.name
    if len(rest) > limit:
        return _page(shown, len(collections), last, arguments)
    return CollectionPage(collections=shown, total=len(collections))


def _page(shown: list[CollectionSummary], total: int, last: str, arguments: Mapping[str, Any]) -> CollectionPage:
    cursor = encode_cursor(CursorKind.COLLECTIONS, arguments, last.encode())
    return CollectionPage(collections=shown, total=total, next_cursor=cursor)


async def _all(space: Workspace, deadline: Deadline) -> list[StoredCollection]:
    # The server's own order is by id, so a page of names needs all of them; 1.5 KB each.
    found: dict[str, StoredCollection] = {}
    offset = 0
    while True:
        part = await space.database.list_collections(limit=LIST_COLLECTIONS, offset=offset, deadline=deadline)
        found.update((collection.id, collection) for collection in part if not is_reserved(collection.name))
        if len(part) < LIST_COLLECTIONS:
            return list(found.values())
        offset += len(part)


async def count_all(space: Workspace, *, deadline: Deadline) -> int:
    """Return how many collections there are, Remora's own left out; the server's count would include those."""
    return len(await _all(space, deadline))


async def modify(
    space: Workspace,
    collection: StoredCollection,
    *,
    new_name: str | None,
    metadata: Mapping[str, Any] | None,
    hnsw: HnswChanges | None,
    deadline: Deadline,
) -> CollectionInfo:
    """Change a collection's name, metadata or index settings, and describe it as it is then.

    Raises:
        AlreadyExistsError: The new name is taken.
        UnavailableError: The message says whether the change was made.
    """
    try:
        await space.database.update_collection(
            collection.id, new_name=new_name, metadata=metadata, hnsw=check_hnsw(hnsw), deadline=deadline
        )
    except AlreadyExistsError:
        raise AlreadyExistsError(
            f"A collection named {new_name!r} exists already; nothing was changed. Choose another name."
        ) from None
    try:
        changed = await space.handles.look_up(new_name or collection.name, deadline=deadline)
        return await describe(space, changed, deadline=deadline)
    except UnavailableError as error:
        raise UnavailableError(f"The collection was changed, but could not be read afterwards. {error}") from None


async def delete(space: Workspace, collection: StoredCollection, *, deadline: Deadline) -> DeletedCollection:
    """Delete a collection and say how many records went with it."""
    count = await space.database.count(collection.id, deadline=deadline)
    await space.database.delete_collection(collection.name, deadline=deadline)
    return DeletedCollection(name=collection.name, deleted_records=count)
