"""Takes documents into the memory: small ones at once, large ones as a job that another function carries out."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from remora.chroma.deadline import Deadline
from remora.embedding import Embedder
from remora.errors import InvalidArgumentError
from remora.ingest.chunking import Chunk, chunks
from remora.ingest.jobs import Ingestion, Upload
from remora.ingest.reading import read
from remora.jobs.jobs import MAX_DOCUMENT_BYTES, HeldJob, Job, Jobs
from remora.jobs.status import JobKind, JobStatus
from remora.memory.checks import check_shared
from remora.memory.index.layout import PASSAGE_TOKENS
from remora.memory.limits import MAX_METADATA_KEYS
from remora.memory.models import MemoryFilter, MetadataValue, NewMemory
from remora.memory.service import MemoryService
from remora.memory.storing import CHUNK_KEY

DOCUMENT_TYPE = "document"

MAX_INLINE_BYTES = 200_000
"""A larger file becomes a job: to read, cut and embed it may take longer than a caller waits."""

MAX_INLINE_CHUNKS = 150
_BATCH = 50
# What must be left of an invocation to begin another batch, and to say how far it is.
_RESERVE_SECONDS = 60.0
_OWN_METADATA_KEYS = 4


@dataclass(frozen=True, slots=True)
class _Progress:
    """How many chunks are stored, and what became of them."""

    done: int
    created: int
    pending: int
    ids: frozenset[str]


class IngestionService:
    """Documents on their way into the memory of one space, in the name of one principal."""

    def __init__(self, memory: MemoryService, jobs: Jobs, embedder: Embedder, *, by: str) -> None:
        """Bind the service.

        Args:
            memory: Where the chunks go.
            jobs: The space's jobs.
            embedder: The model that decides how large a chunk may be.
            by: The principal's id.
        """
        self._memory = memory
        self._jobs = jobs
        self._embedder = embedder
        self._by = by

    async def ingest(
        self,
        name: str,
        content: bytes,
        *,
        tags: Sequence[str] = (),
        type: str | None = None,  # noqa: A002 - the attribute's name
        metadata: Mapping[str, MetadataValue] | None = None,
        deadline: Deadline,
    ) -> Ingestion:
        """Take in a document; one that is large goes on as a job after this has answered.

        Ingesting a document of the same name again replaces it: what is still in it keeps its memories, what is not
        is deleted and can be restored.

        Args:
            name: The document's name, whose ending says its format.
            content: The file.
            tags: For every chunk.
            type: For every chunk; `document` if not given.
            metadata: For every chunk, beside its number, page and headings.
            deadline: When the answer must be there.

        Raises:
            InvalidArgumentError: The document cannot be read; the message says why, and what could be.
        """
        unique = _check(name, tags, metadata)
        if len(content) <= MAX_INLINE_BYTES:
            found = await asyncio.to_thread(self._cut, name, content)
            if len(found) <= MAX_INLINE_CHUNKS:
                return await self._ingest_now(name, found, unique, type, metadata or {}, deadline)
        job = await self._create(name, unique, type, metadata, deadline)
        await self._jobs.upload(job, content, deadline=deadline)
        running = job.model_copy(update={"status": JobStatus.RUNNING})
        return _ingestion(running, note="Large: it is being read. Ask with memory_ingest and this id how far it is.")

    async def upload(
        self,
        name: str,
        *,
        tags: Sequence[str] = (),
        type: str | None = None,  # noqa: A002 - the attribute's name
        metadata: Mapping[str, MetadataValue] | None = None,
        deadline: Deadline,
    ) -> Ingestion:
        """Return where to send a document that is too large to be brought along; it is read when it arrives."""
        job = await self._create(name, _check(name, tags, metadata), type, metadata, deadline)
        signed = await self._jobs.upload_url(job, now=self._memory.now(), deadline=deadline)
        upload = Upload(url=signed.url, expires_at=signed.expires_at, max_bytes=MAX_DOCUMENT_BYTES)
        note = "Send the file with PUT, such as: curl -T FILE 'URL'. Then ask with memory_ingest and this id."
        return _ingestion(job, upload=upload, note=note)

    async def status(self, job_id: str, *, deadline: Deadline) -> Ingestion:
        """Return how far a document is.

        Raises:
            NotFoundError: There is no such ingestion, or it was long ago.
        """
        held = await self._jobs.get(job_id, deadline=deadline)
        if held.job.kind is not JobKind.DOCUMENT:
            raise InvalidArgumentError(f"{job_id} is no ingestion of a document.")
        return _ingestion(held.job)

    async def carry_out(self, held: HeldJob, *, deadline: Deadline) -> None:
        """Carry out a job, or go on with it; ask for another invocation when the time runs out.

        What cannot be read is said in the job. Any other failure is raised, so that the invocation is repeated:
        chunks that are stored already are found again.
        """
        job = held.job
        try:
            content = await self._jobs.read_upload(job, deadline=deadline)
            if content is None:
                return
            found = await asyncio.to_thread(self._cut, job.name, content)
        except InvalidArgumentError as error:
            await self._save(held, deadline, status=JobStatus.FAILED, error=str(error))
            return
        held = await self._save(held, deadline, status=JobStatus.RUNNING, total=len(found))

        async def report(progress: _Progress) -> None:
            nonlocal held
            created = job.created + progress.created
            held = await self._save(held, deadline, done=progress.done, created=created)

        progress = await self._store(
            job.name, found, job.tags, job.type, job.metadata, report=report, start=job.done, deadline=deadline
        )
        if progress.done < len(found):
            await self._jobs.request(job.id, deadline=deadline)
            return
        replaced = await self._remove_others(job.name, found, deadline)
        await self._save(
            held,
            deadline,
            status=JobStatus.DONE,
            replaced=replaced,
        )

    async def _ingest_now(
        self,
        name: str,
        found: Sequence[Chunk],
        tags: tuple[str, ...],
        type_: str | None,
        metadata: Mapping[str, MetadataValue],
        deadline: Deadline,
    ) -> Ingestion:
        async def report(_: _Progress) -> None:
            pass

        progress = await self._store(
            name, found, tags, type_, metadata, report=report, start=0, deadline=deadline, reserve=0
        )
        replaced = await self._remove_others(name, found, deadline)
        return Ingestion(
            source=name,
            status=JobStatus.DONE,
            chunks=len(found),
            stored=progress.done,
            created=progress.created,
            replaced=replaced,
            pending=progress.pending,
            updated_at=self._memory.now(),
            note=f"memory_delete with source={name!r} removes it." if not progress.pending else "Searchable soon.",
        )

    async def _store(
        self,
        name: str,
        found: Sequence[Chunk],
        tags: tuple[str, ...],
        type_: str | None,
        metadata: Mapping[str, MetadataValue],
        *,
        report: Callable[[_Progress], Awaitable[None]],
        start: int,
        deadline: Deadline,
        reserve: float = _RESERVE_SECONDS,
    ) -> _Progress:
        progress = _Progress(start, 0, 0, frozenset())
        while progress.done < len(found) and (progress.done == start or deadline.remaining() > reserve):
            batch = found[progress.done : progress.done + _BATCH]
            result = await self._memory.store(
                [_memory(name, chunk, tags, type_, metadata) for chunk in batch], within=name, deadline=deadline
            )
            progress = _Progress(
                progress.done + len(batch),
                progress.created + sum(memory.created for memory in result.memories),
                progress.pending + result.pending,
                progress.ids | {memory.id for memory in result.memories},
            )
            await report(progress)
        return progress

    async def _remove_others(self, name: str, found: Sequence[Chunk], deadline: Deadline) -> int:
        """Delete chunks that an earlier state of the document had and this one does not."""
        contents = {chunk.text for chunk in found}
        gone: list[str] = []
        cursor = None
        while True:
            page = await self._memory.page(
                MemoryFilter(source=name), limit=500, cursor=cursor, max_tokens=50_000, deadline=deadline
            )
            gone += [
                memory.id
                for memory in page.memories
                if CHUNK_KEY in memory.metadata and memory.content not in contents
            ]
            cursor = page.next_cursor
            if cursor is None:
                break
        rest = iter(gone)
        while part := list(islice(rest, 100)):
            await self._memory.delete(part, deadline=deadline)
        return len(gone)

    def _cut(self, name: str, content: bytes) -> list[Chunk]:
        document = read(content, name=name)
        return chunks(
            document,
            count_tokens=self._embedder.count_tokens,
            # As large as one passage of the index, so that a hit is a whole chunk.
            max_tokens=PASSAGE_TOKENS,
        )

    async def _create(
        self,
        name: str,
        tags: tuple[str, ...],
        type_: str | None,
        metadata: Mapping[str, MetadataValue] | None,
        deadline: Deadline,
    ) -> Job:
        return await self._jobs.create(
            JobKind.DOCUMENT,
            name,
            by=self._by,
            tags=tags,
            type=type_,
            metadata=metadata,
            now=self._memory.now(),
            deadline=deadline,
        )

    async def _save(self, held: HeldJob, deadline: Deadline, **changes: object) -> HeldJob:
        job = held.job.model_copy(update={**changes, "updated_at": self._memory.now()})
        return await self._jobs.save(held, job, deadline=deadline)


def _check(name: str, tags: Sequence[str], metadata: Mapping[str, MetadataValue] | None) -> tuple[str, ...]:
    if metadata is not None and len(metadata) > MAX_METADATA_KEYS - _OWN_METADATA_KEYS:
        raise InvalidArgumentError(f"metadata may have {MAX_METADATA_KEYS - _OWN_METADATA_KEYS} keys for a document.")
    return check_shared(tags, name, metadata or {}, None)


def _memory(
    name: str, chunk: Chunk, tags: tuple[str, ...], type_: str | None, metadata: Mapping[str, MetadataValue]
) -> NewMemory:
    own: dict[str, MetadataValue] = {CHUNK_KEY: chunk.number}
    if chunk.page is not None:
        own["page"] = chunk.page
    if chunk.headings:
        own["headings"] = chunk.headings
    return NewMemory(
        content=chunk.text,
        type=type_ or DOCUMENT_TYPE,
        tags=tags,
        metadata={**metadata, **own},
        source=name,
        context=" > ".join((name, *chunk.headings)),
    )


def _ingestion(job: Job, *, upload: Upload | None = None, note: str | None = None) -> Ingestion:
    return Ingestion(
        id=job.id,
        source=job.name,
        status=job.status,
        chunks=job.total,
        stored=job.done,
        created=job.created,
        replaced=job.replaced,
        error=job.error,
        upload=upload,
        updated_at=job.updated_at,
        note=note,
    )
