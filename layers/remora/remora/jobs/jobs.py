"""The jobs of a space: made by the connector, carried out by the ingest function, looked up by whoever waits."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import Field

from remora.chroma.deadline import Deadline
from remora.chroma.names import check_name
from remora.errors import ConflictError, NotFoundError
from remora.ingest import limits
from remora.jobs.files import FileStore
from remora.jobs.status import JobKind, JobStatus
from remora.journal.records import Record
from remora.journal.store import PreconditionFailedError
from remora.memory.ids import check_memory_id, new_memory_id
from remora.memory.models import MetadataValue, Moment

UPLOAD_SECONDS = 3_600
"""How long an upload URL works; a function's role has credentials for a while longer than that."""

DOWNLOAD_SECONDS = 3_600
MAX_DOCUMENT_BYTES = limits.MAX_BYTES
MAX_IMPORT_BYTES = 200_000_000
"""Of a file with memories; a larger one goes in through the command line, part by part."""

_TRIGGER = re.compile(
    r"(?:uploads/(?P<a>[^/]+)/(?P<b>[^/]+)/file|jobs/(?P<c>[^/]+)/(?P<d>[^/]+)/request-[^/]+\.json)"
)


class Job(Record):
    """A job as it stands.

    Attributes:
        id: Its id.
        space: The space that it works in.
        by: The principal that asked for it, in whose name it works.
        kind: What it does.
        name: Of the document or file.
        tags: For what it stores.
        type: For what it stores; the kind's own if None.
        metadata: For what it stores.
        embeddings: Whether an export holds embeddings.
        status: Where it is.
        done: How much is done: chunks, lines, memories.
        total: How much there is; None before that is known.
        created: How many memories it made.
        replaced: How many memories of an earlier state of the document it deleted.
        place: Where to go on, in words of the job's kind.
        problems: What could not be read, the first of them.
        error: Why it failed.
        created_at: When it was asked for.
        updated_at: When this was written.
    """

    id: str
    space: str
    by: str
    kind: JobKind
    name: str
    tags: tuple[str, ...] = ()
    type: str | None = None
    metadata: Mapping[str, MetadataValue] = Field(default_factory=dict)
    embeddings: bool = False
    status: JobStatus
    done: int = 0
    total: int | None = None
    created: int = 0
    replaced: int = 0
    place: str | None = None
    problems: tuple[str, ...] = ()
    error: str | None = None
    created_at: Moment
    updated_at: Moment

    @property
    def upload_key(self) -> str:
        """Key of the file that it reads."""
        return f"uploads/{self.space}/{self.id}/file"

    @property
    def export_key(self) -> str:
        """Key of the file that it writes."""
        return f"exports/{self.space}/{self.id}/memory.jsonl"


@dataclass(frozen=True, slots=True)
class HeldJob:
    """A job and what its object was when it was read, so that nobody's progress is written over."""

    job: Job
    etag: str


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """A URL and when it stops working."""

    url: str
    expires_at: datetime


class Jobs:
    """The jobs of one space."""

    def __init__(self, files: FileStore, space: str) -> None:
        """Bind them to a space.

        Args:
            files: The memory's bucket.
            space: The space.

        Raises:
            InvalidArgumentError: That is no name of a space.
        """
        self._files = files
        self._space = check_name(space, "space")

    async def create(
        self,
        kind: JobKind,
        name: str,
        *,
        by: str,
        tags: tuple[str, ...] = (),
        type: str | None = None,  # noqa: A002 - the attribute's name
        metadata: Mapping[str, MetadataValue] | None = None,
        embeddings: bool = False,
        now: datetime,
        deadline: Deadline,
    ) -> Job:
        """Make a job; it starts when its file is uploaded, or with `request`.

        Args:
            kind: What it does.
            name: Of the document or file.
            by: Who asks for it.
            tags: For what it stores.
            type: For what it stores.
            metadata: For what it stores.
            embeddings: Whether an export holds embeddings.
            now: The moment.
            deadline: When the answer must be there.
        """
        status = JobStatus.RUNNING if kind is JobKind.EXPORT else JobStatus.AWAITING_UPLOAD
        job = Job(
            id=new_memory_id(),
            space=self._space,
            by=by,
            kind=kind,
            name=name,
            status=status,
            created_at=now,
            updated_at=now,
            tags=tags,
            type=type,
            metadata=metadata or {},
            embeddings=embeddings,
        )
        await self._files.create(self._key(job.id), job.to_bytes(), deadline=deadline)
        return job

    async def get(self, job_id: str, *, deadline: Deadline) -> HeldJob:
        """Return a job.

        Raises:
            NotFoundError: There is none of that id, or it has expired.
        """
        key = self._key(check_memory_id(job_id))
        stored = await self._files.get(key, deadline=deadline)
        if stored is None:
            raise NotFoundError(f"There is no job {job_id} in this space; jobs are kept for some days.")
        return HeldJob(Job.from_bytes(stored.body, key), stored.etag)

    async def save(self, held: HeldJob, job: Job, *, deadline: Deadline) -> HeldJob:
        """Write a job's progress.

        Raises:
            ConflictError: Somebody else works on it too, and has written since it was read.
        """
        key = self._key(job.id)
        try:
            stored = await self._files.replace(key, job.to_bytes(), etag=held.etag, deadline=deadline)
        except PreconditionFailedError:
            raise ConflictError(f"The job {job.id} is being worked on elsewhere.") from None
        return HeldJob(job, stored.etag)

    async def request(self, job_id: str, *, deadline: Deadline) -> None:
        """Have a job carried out, or continued, by another invocation."""
        key = f"jobs/{self._space}/{job_id}/request-{secrets.token_hex(4)}.json"
        await self._files.create(key, b"{}", deadline=deadline)

    async def upload_url(self, job: Job, *, now: datetime, deadline: Deadline) -> SignedUrl:
        """Return where to send the file that a job reads."""
        url = await self._files.signed_url("put_object", job.upload_key, seconds=UPLOAD_SECONDS, deadline=deadline)
        return SignedUrl(url, now + timedelta(seconds=UPLOAD_SECONDS))

    async def upload(self, job: Job, content: bytes, *, deadline: Deadline) -> None:
        """Put the file that a job reads where an upload would, which starts the job."""
        await self._files.create(job.upload_key, content, deadline=deadline)

    async def read_upload(self, job: Job, *, deadline: Deadline) -> bytes | None:
        """Return the file that a job reads; None if it is not there, or not any more.

        Raises:
            InvalidArgumentError: It is too large.
        """
        most = MAX_IMPORT_BYTES if job.kind is JobKind.IMPORT else MAX_DOCUMENT_BYTES
        return await self._files.read(job.upload_key, max_bytes=most, deadline=deadline)

    async def write_export(self, job: Job, path: Path, *, deadline: Deadline) -> None:
        """Keep the file that a job wrote, for its download."""
        await self._files.write(job.export_key, path, content_type="application/jsonl", deadline=deadline)

    async def download_url(self, job: Job, *, now: datetime, deadline: Deadline) -> SignedUrl:
        """Return where to fetch the file that a job wrote."""
        url = await self._files.signed_url("get_object", job.export_key, seconds=DOWNLOAD_SECONDS, deadline=deadline)
        return SignedUrl(url, now + timedelta(seconds=DOWNLOAD_SECONDS))

    def _key(self, job_id: str) -> str:
        return f"jobs/{self._space}/{job_id}/job.json"


def parse_trigger(key: str) -> tuple[str, str] | None:
    """Return the space and id of the job that an object's creation starts or continues; None if it is no trigger."""
    found = _TRIGGER.fullmatch(key)
    if found is None:
        return None
    return (found["a"], found["b"]) if found["a"] is not None else (found["c"], found["d"])
