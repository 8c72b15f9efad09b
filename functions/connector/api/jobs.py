"""The API's routes for exports and imports as jobs: whole files, sent and fetched with signed URLs."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from connector.api.access import Call, call_with
from remora.auth.principal import Scope
from remora.chroma.deadline import Deadline
from remora.jobs.jobs import Job, Jobs
from remora.jobs.status import JobKind, JobStatus
from remora.memory.models import Moment
from remora.spaces import Spaces

Reader = Annotated[Call, Depends(call_with(Scope.READ))]
Writer = Annotated[Call, Depends(call_with(Scope.WRITE))]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NewExport(_Value):
    """What to export."""

    embeddings: bool = Field(default=False, description="Write the vectors too, so that an import needs no model")


class NewImport(_Value):
    """What to import."""

    name: str = Field(min_length=1, max_length=255, description="The file's name, whose ending says its format")


class Transfer(_Value):
    """A job, and where its file goes to or comes from.

    Attributes:
        id: Its id.
        kind: What it does.
        status: Where it is.
        done: Lines that are done.
        total: Lines that there are, once that is known.
        created: Memories that an import made.
        problems: What an import could not take, the first of it.
        error: Why it failed.
        upload_url: Where to send the file with PUT, while that is awaited.
        download_url: Where to fetch the file, once it is there.
        url_expires_at: When the URL stops working.
        updated_at: When this was written.
    """

    id: str
    kind: JobKind
    status: JobStatus
    done: int
    total: int | None = None
    created: int = 0
    problems: tuple[str, ...] = ()
    error: str | None = None
    upload_url: str | None = None
    download_url: str | None = None
    url_expires_at: Moment | None = None
    updated_at: Moment


def job_routes(spaces: Spaces) -> APIRouter:
    """Return the routes.

    Args:
        spaces: Where they work.
    """
    routes = APIRouter(tags=["transfer"])

    @routes.post("/exports", status_code=202)
    async def export(call: Reader, wanted: NewExport) -> Transfer:
        """Have the whole memory written into a file; `jobs/{id}` says when it is there, and where."""
        jobs, now = spaces.jobs(call.principal.space), datetime.now(UTC)
        job = await jobs.create(
            JobKind.EXPORT,
            "memory.jsonl",
            by=call.principal.id,
            embeddings=wanted.embeddings,
            now=now,
            deadline=call.deadline,
        )
        await jobs.request(job.id, deadline=call.deadline)
        return await _shown(jobs, job, call.deadline)

    @routes.post("/imports", status_code=202)
    async def import_(call: Writer, wanted: NewImport) -> Transfer:
        """Return where to send a file with memories; it is imported when it arrives, and `jobs/{id}` says how far."""
        jobs = spaces.jobs(call.principal.space)
        job = await jobs.create(
            JobKind.IMPORT, wanted.name, by=call.principal.id, now=datetime.now(UTC), deadline=call.deadline
        )
        return await _shown(jobs, job, call.deadline)

    @routes.get("/jobs/{job_id}")
    async def status(call: Reader, job_id: str) -> Transfer:
        """Return how far an export, an import or an ingestion is."""
        jobs = spaces.jobs(call.principal.space)
        held = await jobs.get(job_id, deadline=call.deadline)
        return await _shown(jobs, held.job, call.deadline, may_write=Scope.WRITE in call.principal.scopes)

    return routes


async def _shown(jobs: Jobs, job: Job, deadline: Deadline, *, may_write: bool = True) -> Transfer:
    now = datetime.now(UTC)
    upload = download = None
    # Whoever has the URL may upload, so a reader does not get it.
    if job.status is JobStatus.AWAITING_UPLOAD and may_write:
        upload = await jobs.upload_url(job, now=now, deadline=deadline)
    if job.kind is JobKind.EXPORT and job.status is JobStatus.DONE:
        download = await jobs.download_url(job, now=now, deadline=deadline)
    signed = upload or download
    return Transfer(
        id=job.id,
        kind=job.kind,
        status=job.status,
        done=job.done,
        total=job.total,
        created=job.created,
        problems=job.problems,
        error=job.error,
        upload_url=upload.url if upload is not None else None,
        download_url=download.url if download is not None else None,
        url_expires_at=signed.expires_at if signed is not None else None,
        updated_at=job.updated_at,
    )
