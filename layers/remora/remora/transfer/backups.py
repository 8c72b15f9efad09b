"""Backups: a space's memory as export files in S3, one for each period, written on as time allows.

What there is of a backup in the bucket:

    backups/<space>/<period>/backup.json         how far it is, and in the end what it holds
    backups/<space>/<period>/memory-00001.jsonl  the file's parts, in order; one after the other they are an export

A period is named by its first day. Whoever comes in that period goes on with its backup, and leaves it alone once it
is done, so running it more often than needed costs a read and does nothing.
"""

import tempfile
from datetime import UTC, date, datetime
from pathlib import Path

from remora.chroma.deadline import Deadline
from remora.errors import ConflictError
from remora.jobs.files import FileStore
from remora.journal.records import Record
from remora.journal.store import PreconditionFailedError, StoredObject
from remora.memory.models import Moment
from remora.transfer.service import TransferService

_PART_BYTES = 64_000_000
# What must be left of the time to begin another page, and to put the part away.
_RESERVE_SECONDS = 60.0


class Backup(Record):
    """A backup as it stands.

    Attributes:
        space: The space.
        parts: How many parts are written.
        lines: How many lines they hold.
        cursor: Where the next part begins; None at the beginning and when it is done.
        done: Whether all is there.
        created_at: When it was begun.
        updated_at: When this was written.
    """

    space: str
    parts: int = 0
    lines: int = 0
    cursor: str | None = None
    done: bool = False
    created_at: Moment
    updated_at: Moment


class Backups:
    """The backups of one space."""

    def __init__(self, files: FileStore, transfer: TransferService, space: str) -> None:
        """Bind them to a space.

        Args:
            files: The memory's bucket.
            transfer: What exports the space.
            space: The space.
        """
        self._files = files
        self._transfer = transfer
        self._space = space

    async def carry_on(
        self, first_day: date, *, part_bytes: int = _PART_BYTES, deadline: Deadline
    ) -> tuple[Backup, bool]:
        """Begin the backup of a period, or go on with it, as far as there is time.

        Args:
            first_day: The day that names the period.
            part_bytes: A part ends with the page that makes it this long.
            deadline: When it must be put away.

        Returns:
            How it stands, and whether this call wrote anything of it.

        Raises:
            ConflictError: Another invocation writes it.
            UnavailableError: S3 did not answer; what was put away until then is kept, and calling again goes on.
        """
        folder = f"backups/{self._space}/{first_day.isoformat()}"
        key = f"{folder}/backup.json"
        held = await self._begun(key, deadline)
        backup, written = Backup.from_bytes(held.body, key), False
        while not backup.done and deadline.remaining() > _RESERVE_SECONDS:
            backup, written = await self._part(folder, backup, part_bytes, deadline), True
            try:
                held = await self._files.replace(key, backup.to_bytes(), etag=held.etag, deadline=deadline)
            except PreconditionFailedError:
                raise ConflictError(f"The backup of {self._space} is being written elsewhere.") from None
        return backup, written

    async def _begun(self, key: str, deadline: Deadline) -> StoredObject:
        held = await self._files.get(key, deadline=deadline)
        if held is not None:
            return held
        now = datetime.now(UTC)
        begun = Backup(space=self._space, created_at=now, updated_at=now)
        try:
            return await self._files.create(key, begun.to_bytes(), deadline=deadline)
        except PreconditionFailedError:
            raise ConflictError(f"The backup of {self._space} was just begun elsewhere.") from None

    async def _part(self, folder: str, backup: Backup, part_bytes: int, deadline: Deadline) -> Backup:
        """Write one part. Its name says its place, so writing it again after a failure leaves one of it."""
        cursor, lines, done, number = backup.cursor, backup.lines, False, backup.parts + 1
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "part.jsonl"
            with path.open("wb") as file:
                while not done and file.tell() < part_bytes:
                    page = await self._transfer.export_page(cursor, deadline=deadline)
                    file.writelines(line.encode() + b"\n" for line in page.lines)
                    cursor, lines, done = page.next_cursor, lines + len(page.lines), page.next_cursor is None
                    if deadline.remaining() < _RESERVE_SECONDS:
                        break
            part = f"{folder}/memory-{number:05d}.jsonl"
            await self._files.write(part, path, content_type="application/jsonl", deadline=deadline)
        return backup.model_copy(
            update={"parts": number, "lines": lines, "cursor": cursor, "done": done, "updated_at": datetime.now(UTC)}
        )
