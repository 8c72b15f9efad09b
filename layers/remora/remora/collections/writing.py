"""Adds, upserts and updates records: all of them, or exactly said which.

Everything is checked before the first byte goes out. Records then go to Chroma in requests of a bounded size, so
that a deadline or a lost server in the middle leaves a known part stored; texts are embedded shortly before their
request. An answer that never came leaves that request's records uncertain; writing them again is safe with the
ids in the answer.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from remora.chroma.deadline import Deadline
from remora.chroma.failures import OutcomeUnknownError
from remora.chroma.vectors import dimension
from remora.chroma.wire import Filter, RecordColumns, StoredCollection
from remora.collections.limits import (
    EMBED_RECORDS_PER_WRITE,
    EMBED_TEXTS,
    WRITE_BYTES,
    WRITE_RECORDS,
    WRITE_RESERVE_SECONDS,
)
from remora.collections.models import TruncatedText, WriteResult
from remora.collections.records import CheckedRecord
from remora.collections.texts import EmbeddedText, check_dimension, embed
from remora.collections.workspace import Workspace
from remora.errors import InvalidArgumentError, RemoraError, UnavailableError


class WriteKind(StrEnum):
    """What happens to ids that exist, and to those that do not."""

    ADD = "add"
    UPSERT = "upsert"
    UPDATE = "update"


@dataclass(slots=True)
class _Progress:
    stored: list[str] = field(default_factory=list)
    under_way: list[str] = field(default_factory=list)
    truncated: list[TruncatedText] = field(default_factory=list)


async def write_records(
    space: Workspace,
    collection: StoredCollection,
    kind: WriteKind,
    records: Sequence[CheckedRecord],
    *,
    ids_given: bool,
    deadline: Deadline,
) -> WriteResult:
    """Write records that were checked.

    Args:
        space: Where the collection is.
        collection: The collection, looked up just now.
        kind: What to do with them.
        records: The records.
        ids_given: Whether their ids are the caller's; new ones need not be looked for.
        deadline: When the answer must be there.

    Raises:
        InvalidArgumentError: The vectors have another dimension than the collection's.
        UnsupportedError: Texts need vectors that Remora cannot make.
        UnavailableError: Nothing was stored.
    """
    await _check_vectors(space, collection, records, deadline)
    already_existed: list[str] = []
    missing: list[str] = []
    to_write = records
    if kind is not WriteKind.UPSERT and ids_given:
        existing = await existing_ids(space, collection, [record.id for record in records], deadline=deadline)
        if kind is WriteKind.ADD:
            already_existed = [record.id for record in records if record.id in existing]
            to_write = [record for record in records if record.id not in existing]
        else:
            missing = [record.id for record in records if record.id not in existing]
            to_write = [record for record in records if record.id in existing]
    progress = _Progress()
    uncertain: list[str] = []
    reason: str | None = None
    try:
        await _write_all(space, collection, kind, to_write, progress, deadline)
    except OutcomeUnknownError as error:
        uncertain = progress.under_way
        reason = str(error)
    except RemoraError as error:
        if not progress.stored:
            raise
        reason = str(error)
    handled = {*progress.stored, *uncertain}
    return WriteResult(
        stored=len(progress.stored),
        ids=progress.stored,
        already_existed=already_existed,
        missing=missing,
        not_stored=[record.id for record in to_write if record.id not in handled],
        uncertain=uncertain,
        truncated=progress.truncated,
        reason=reason,
    )


async def existing_ids(
    space: Workspace, collection: StoredCollection, ids: Sequence[str], *, deadline: Deadline
) -> set[str]:
    """Return which of the ids exist in a collection."""
    rows = await space.database.get(collection.id, Filter(ids=ids), deadline=deadline)
    return {row.id for row in rows}


async def _check_vectors(
    space: Workspace, collection: StoredCollection, records: Sequence[CheckedRecord], deadline: Deadline
) -> None:
    given = next((dimension(record.embedding) for record in records if record.embedding is not None), None)
    if given is not None:
        check_dimension(given, collection, "The embeddings have")
    if any(_needs_vector(record) for record in records):
        await space.functions.require(collection, deadline=deadline)
        if given is not None and given != space.embedder.dimension:
            raise InvalidArgumentError(
                f"The embeddings have {given} dimensions, those that would be made of the other documents "
                f"{space.embedder.dimension}. Give embeddings for all documents or for none."
            )


def _needs_vector(record: CheckedRecord) -> bool:
    return record.document is not None and record.embedding is None


async def _write_all(
    space: Workspace,
    collection: StoredCollection,
    kind: WriteKind,
    records: Sequence[CheckedRecord],
    progress: _Progress,
    deadline: Deadline,
) -> None:
    if not records:
        return
    most = min((await space.database.client.preflight(deadline=deadline)).max_batch_size, WRITE_RECORDS)
    if any(_needs_vector(record) for record in records):
        most = min(most, EMBED_RECORDS_PER_WRITE)
    write = {
        WriteKind.ADD: space.database.add,
        WriteKind.UPSERT: space.database.upsert,
        WriteKind.UPDATE: space.database.update,
    }[kind]
    for batch in _batches(records, most):
        vectors, truncated = await _vectors(space, batch, deadline)
        ready = batch[: len(vectors)]
        if ready:
            progress.under_way = [record.id for record in ready]
            await write(collection.id, _columns(ready, vectors), deadline=deadline)
            progress.stored += progress.under_way
            progress.under_way = []
            progress.truncated += truncated
        if len(ready) < len(batch):
            raise UnavailableError(
                "The time limit came before all texts were embedded. Write the rest in another call, fewer at a time."
            )


def _batches(records: Sequence[CheckedRecord], most: int) -> Iterator[Sequence[CheckedRecord]]:
    start = size = 0
    for index, record in enumerate(records):
        if index > start and (index - start == most or size + record.estimated_bytes > WRITE_BYTES):
            yield records[start:index]
            start, size = index, 0
        size += record.estimated_bytes
    yield records[start:]


async def _vectors(
    space: Workspace, batch: Sequence[CheckedRecord], deadline: Deadline
) -> tuple[list[bytes | None], list[TruncatedText]]:
    """Return the vectors of a batch, or of as much of its beginning as the deadline allows."""
    vectors: list[bytes | None] = []
    truncated: list[TruncatedText] = []
    slowest = 0.0
    for start in range(0, len(batch), EMBED_TEXTS):
        part = batch[start : start + EMBED_TEXTS]
        texts = [record.document for record in part if record.document is not None and record.embedding is None]
        made: Iterator[EmbeddedText] = iter(())
        if texts:
            if deadline.remaining() < WRITE_RESERVE_SECONDS + slowest:
                break
            began = time.monotonic()
            made = iter(await embed(space.embedder, texts))
            slowest = max(slowest, time.monotonic() - began)
        for record in part:
            if not _needs_vector(record):
                vectors.append(record.embedding)
                continue
            text = next(made)
            vectors.append(text.packed())
            if text.tokens > space.embedder.window:
                truncated.append(
                    TruncatedText(id=record.id, tokens=text.tokens, embedded_tokens=space.embedder.window)
                )
    return vectors, truncated


def _columns(records: Sequence[CheckedRecord], vectors: Sequence[bytes | None]) -> RecordColumns:
    documents = [record.document for record in records]
    metadatas = [record.metadata for record in records]
    uris = [record.uri for record in records]
    return RecordColumns(
        ids=[record.id for record in records],
        embeddings=vectors if any(vector is not None for vector in vectors) else None,
        documents=documents if any(document is not None for document in documents) else None,
        metadatas=metadatas if any(metadata is not None for metadata in metadatas) else None,
        uris=uris if any(uri is not None for uri in uris) else None,
    )
