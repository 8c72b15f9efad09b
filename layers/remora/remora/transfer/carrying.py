"""Exports and imports as jobs: whole files in S3, without a caller who waits."""

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from remora.chroma.deadline import Deadline
from remora.errors import InvalidArgumentError, UnavailableError
from remora.jobs.jobs import HeldJob, Jobs
from remora.jobs.status import JobStatus
from remora.transfer.foreign import Format, Problem, detect_format, read_foreign
from remora.transfer.lines import NewLine, check_file, is_embeddings
from remora.transfer.service import TransferService

_LINES_AT_ONCE = 200
_SHOWN_PROBLEMS = 20
# What must be left of an invocation to begin another part, and to hand the rest to the next one.
_RESERVE_SECONDS = 60.0


async def carry_out_export(transfer: TransferService, held: HeldJob, jobs: Jobs, *, deadline: Deadline) -> None:
    """Write a space's memory into a file, which is there when the job is done.

    Raises:
        UnavailableError: Journal or Chroma did not answer, or the memory is too large for one invocation; a whole one
            fetches it page by page (`remora memory export`).
    """
    cursor: str | None = None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "memory.jsonl"
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for _ in itertools.count():
                page = await transfer.export_page(cursor, embeddings=held.job.embeddings, deadline=deadline)
                file.writelines(f"{line}\n" for line in page.lines)
                held = await _save(held, jobs, deadline, done=held.job.done + len(page.lines))
                cursor = page.next_cursor
                if cursor is None:
                    break
        await jobs.write_export(held.job, path, deadline=deadline)
    await _save(held, jobs, deadline, status=JobStatus.DONE, total=held.job.done)


async def carry_out_import(transfer: TransferService, held: HeldJob, jobs: Jobs, *, deadline: Deadline) -> None:
    """Import an uploaded file, or go on with it; ask for another invocation when the time runs out.

    Raises:
        UnavailableError: Journal or Chroma did not answer; repeating the invocation goes on.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            content = await jobs.read_upload(held.job, deadline=deadline)
            if content is None:
                return
            path = Path(folder) / Path(held.job.name).name
            path.write_bytes(content)
            del content
            lines = list(_lines(path))
        except InvalidArgumentError as error:
            await _save(held, jobs, deadline, status=JobStatus.FAILED, error=str(error))
            return
        held = await _save(held, jobs, deadline, status=JobStatus.RUNNING, total=len(lines))
        while held.job.done < len(lines):
            if deadline.remaining() < _RESERVE_SECONDS:
                await jobs.request(held.job.id, deadline=deadline)
                return
            held = await _import_some(transfer, held, jobs, lines, deadline)
        await _save(held, jobs, deadline, status=JobStatus.DONE)


async def _import_some(
    transfer: TransferService, held: HeldJob, jobs: Jobs, lines: Sequence[str | Problem], deadline: Deadline
) -> HeldJob:
    job = held.job
    problems = list(job.problems)
    part = list(itertools.islice(lines, job.done, job.done + _LINES_AT_ONCE))
    # Vectors are of use only together with their memory.
    for line in itertools.islice(lines, job.done + len(part), None):
        if isinstance(line, Problem) or not is_embeddings(line):
            break
        part.append(line)
    good = [(place, line) for place, line in enumerate(part) if isinstance(line, str)]
    problems += [f"record {line.number}: {line.reason}" for line in part if isinstance(line, Problem)]
    done, created = len(part), 0
    if good:
        report = await transfer.import_lines([line for _, line in good], deadline=deadline)
        if not report.lines:
            raise UnavailableError("Not one line could be imported in time. It is safe to try again.")
        if report.lines < len(good):
            done = good[report.lines][0]
        created = report.created
        problems += [
            f"line {job.done + good[refused.line - 1][0] + 1}: {refused.reason}"
            for refused in (*report.errors, *report.conflicts)
        ]
    return await _save(
        held,
        jobs,
        deadline,
        done=job.done + done,
        created=job.created + created,
        problems=tuple(problems[:_SHOWN_PROBLEMS]),
    )


def _lines(path: Path) -> Iterator[str | Problem]:
    """Yield what is to be imported of a file: lines of an export without header and footer, or `new` lines."""
    format_ = detect_format(path)
    if format_ is Format.REMORA:
        with path.open("rb") as file:
            summary = check_file(file)
        with path.open(encoding="utf-8", newline="\n") as text:
            for line in itertools.islice(text, 1, summary.lines - 1):
                yield line.rstrip("\r\n")
        return
    for record in read_foreign(path, format_):
        yield record if isinstance(record, Problem) else NewLine(memory=record.memory).to_json()


async def _save(held: HeldJob, jobs: Jobs, deadline: Deadline, **changes: object) -> HeldJob:
    job = held.job.model_copy(update={**changes, "updated_at": datetime.now(UTC)})
    return await jobs.save(held, job, deadline=deadline)
