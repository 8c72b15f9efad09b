"""Deletes records by id, by filter, or both, and counts what was really there."""

from collections.abc import Sequence

from remora.chroma.deadline import Deadline
from remora.chroma.wire import Filter, StoredCollection
from remora.collections.limits import MAX_SHOWN_IDS, WRITE_RECORDS
from remora.collections.models import DeleteResult
from remora.collections.workspace import Workspace
from remora.errors import InvalidArgumentError, RemoraError


def check_selects(matching: Filter) -> Filter:
    """Check that a deletion says what to delete; nothing said is never everything.

    Raises:
        InvalidArgumentError: There are no ids and no filter.
    """
    if matching.ids is not None and not matching.ids:
        raise InvalidArgumentError("ids is empty. Give the ids to delete, or leave it out and give a filter.")
    if matching == Filter():
        raise InvalidArgumentError(
            "Nothing says what to delete: give ids, where or where_document. "
            "To remove all records, delete the collection and create it again."
        )
    return matching


async def delete_records(
    space: Workspace, collection: StoredCollection, matching: Filter, *, dry_run: bool, deadline: Deadline
) -> DeleteResult:
    """Delete the records that match.

    Args:
        space: Where the collection is.
        collection: The collection, looked up just now.
        matching: Which records, already checked.
        dry_run: Only say which records it would be.
        deadline: When the answer must be there.

    Raises:
        UnavailableError: Chroma failed before anything was deleted.
    """
    found = [row.id for row in await space.database.get(collection.id, matching, deadline=deadline)]
    existing = set(found)
    missing = [record_id for record_id in matching.ids or () if record_id not in existing]
    deleted = 0
    reason: str | None = None
    if not dry_run:
        try:
            for start in range(0, len(found), WRITE_RECORDS):
                batch = found[start : start + WRITE_RECORDS]
                await _delete_batch(space, collection, batch, matching, deadline)
                deleted += len(batch)
        except RemoraError as error:
            if deleted == 0:
                raise
            reason = str(error)
    ids = found if dry_run else found[:deleted]
    return DeleteResult(
        deleted=len(ids),
        ids=ids[:MAX_SHOWN_IDS],
        ids_cut=True if len(ids) > MAX_SHOWN_IDS else None,
        missing=missing,
        remaining=len(found) - deleted if reason is not None else None,
        dry_run=dry_run,
        reason=reason,
    )


async def _delete_batch(
    space: Workspace,
    collection: StoredCollection,
    ids: Sequence[str],
    matching: Filter,
    deadline: Deadline,
) -> None:
    # With the filter beside the ids, a record that was changed since and no longer matches stays.
    batch = Filter(ids, matching.where, matching.where_document)
    await space.database.delete(collection.id, batch, deadline=deadline)
