"""Reads a Chroma collection of the same space."""

from collections.abc import Mapping
from dataclasses import dataclass

from remora.budget import MAX_MAX_TOKENS
from remora.chroma.deadline import Deadline
from remora.collections.models import Include, Record
from remora.collections.service import Collections
from remora.memory.models import MetadataValue, NewMemory
from remora.transfer.foreign.records import ForeignRecord, Problem, known, read_metadata

_PAGE_RECORDS = 100
_PARTS = (Include.DOCUMENTS, Include.METADATAS, Include.URIS)


@dataclass(frozen=True, slots=True)
class CollectionRecords:
    """Some records of a collection.

    Attributes:
        records: Memories, and what cannot become one, numbered within these records from 1.
        ids: The records' ids in the collection, in the same order.
        next_cursor: For the records after these; None at the end.
    """

    records: tuple[ForeignRecord | Problem, ...]
    ids: tuple[str, ...]
    next_cursor: str | None


async def read_collection(
    collections: Collections, name: str, cursor: str | None, *, deadline: Deadline
) -> CollectionRecords:
    """Read some records of a collection.

    Args:
        collections: The collections of the space.
        name: The collection's name.
        cursor: `next_cursor` of the records before.
        deadline: When they must be there.

    Raises:
        NotFoundError: There is no collection of that name.
    """
    page = await collections.get(
        name, limit=_PAGE_RECORDS, include=_PARTS, max_tokens=MAX_MAX_TOKENS, cursor=cursor, deadline=deadline
    )
    return CollectionRecords(
        tuple(_read_one(number, name, record) for number, record in enumerate(page.records, 1)),
        tuple(record.id for record in page.records),
        page.next_cursor,
    )


def _read_one(number: int, collection: str, record: Record) -> ForeignRecord | Problem:
    if not record.document or not record.document.strip():
        return Problem(number, "it has no document")
    if record.document_truncated:
        return Problem(number, f"its document of {record.document_characters} characters is too long for a memory")
    given: Mapping[str, object] = record.metadata or {}
    metadata: dict[str, MetadataValue] = {
        **known(chroma_id=record.id, chroma_collection=collection),
        **read_metadata(given),
    }
    return ForeignRecord(
        number, NewMemory(content=record.document, metadata=metadata, source=record.uri or collection)
    )
