"""Carries out a job: finds it, hands it to what its kind is about, and says when it has failed for good."""

from datetime import UTC, datetime

from remora.chroma.deadline import Deadline
from remora.jobs.status import JobKind, JobStatus
from remora.spaces import Spaces
from remora.transfer import carrying

_ENDED = frozenset({JobStatus.DONE, JobStatus.FAILED})


async def carry_out(spaces: Spaces, space: str, job_id: str, *, deadline: Deadline) -> None:
    """Carry out a job, or go on with it. One that has ended is left alone.

    Raises:
        NotFoundError: There is no such job.
        ConflictError: Another invocation works on it.
        RemoraError: It could not go on; repeating the invocation is safe.
    """
    jobs = spaces.jobs(space)
    held = await jobs.get(job_id, deadline=deadline)
    if held.job.status in _ENDED:
        return
    by = held.job.by
    if held.job.kind is JobKind.DOCUMENT:
        await spaces.ingestion(space, by).carry_out(held, deadline=deadline)
    elif held.job.kind is JobKind.IMPORT:
        await carrying.carry_out_import(spaces.transfer(space, by), held, jobs, deadline=deadline)
    else:
        await carrying.carry_out_export(spaces.transfer(space, by), held, jobs, deadline=deadline)


async def give_up(spaces: Spaces, space: str, job_id: str, reason: str, *, deadline: Deadline) -> None:
    """Say in a job that it has failed for good, unless it has ended otherwise.

    Raises:
        NotFoundError: There is no such job.
    """
    jobs = spaces.jobs(space)
    held = await jobs.get(job_id, deadline=deadline)
    if held.job.status in _ENDED:
        return
    failed = held.job.model_copy(
        update={"status": JobStatus.FAILED, "error": reason, "updated_at": datetime.now(UTC)}
    )
    await jobs.save(held, failed, deadline=deadline)
