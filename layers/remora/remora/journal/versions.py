"""Versions: the entries of memories, each version written once, and purged without leaving content behind."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from remora.chroma.deadline import Deadline
from remora.errors import ConflictError, NotFoundError
from remora.journal.entries import Entry
from remora.journal.layout import is_memory_id
from remora.journal.part import Part, gather_all
from remora.journal.records import damaged
from remora.journal.store import PreconditionFailedError, StoredObject


class VersionConflictError(ConflictError):
    """A version that was to be written exists already, written by somebody else."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest version of a memory.

    Attributes:
        memory_id: The memory.
        version: Its newest version.
    """

    memory_id: str
    version: int


class Versions(Part):
    """The entries of one space."""

    async def head(self, memory_id: str, *, deadline: Deadline) -> Entry | None:
        """Return a memory's newest entry; None if nothing has that id."""
        newest = None
        async for newest in self._versions(memory_id, deadline):  # noqa: B007 - the last one counts
            pass
        return None if newest is None else await self.entry(memory_id, newest, deadline=deadline)

    async def heads(self, ids: Iterable[str], *, deadline: Deadline) -> dict[str, Entry]:
        """Return the newest entries of memories by id, read side by side; ids that nothing has are left out."""
        wanted = list(dict.fromkeys(ids))
        found = await gather_all(self.head(memory_id, deadline=deadline) for memory_id in wanted)
        return {entry.memory_id: entry for entry in found if entry is not None}

    async def entry(self, memory_id: str, version: int, *, deadline: Deadline) -> Entry | None:
        """Return the entry of one version; None if there is none. Cheaper than `head`, where the version is known."""
        if not is_memory_id(memory_id):
            return None
        key = self._layout.entry(memory_id, version)
        found = await self._store.get(key, deadline=deadline)
        return None if found is None else self._read_entry(found, key)

    async def history(self, memory_id: str, *, deadline: Deadline) -> list[Entry]:
        """Return all entries of a memory, oldest first; none if nothing has that id."""
        versions = [version async for version in self._versions(memory_id, deadline)]
        found = await gather_all(self.entry(memory_id, version, deadline=deadline) for version in versions)
        return [entry for entry in found if entry is not None]

    async def append(self, entry: Entry, *, deadline: Deadline) -> None:
        """Write an entry. Writing the same entry again succeeds.

        Raises:
            VersionConflictError: Somebody else wrote that version; nothing was written.
        """
        if entry.space != self.space:
            raise ValueError("the entry belongs to another space")
        if entry.memory is None and entry.action != "purge":
            raise ValueError("only a purge is written without the memory")
        key = self._layout.entry(entry.memory_id, entry.version)
        try:
            await self._store.create(key, entry.to_bytes(), deadline=deadline)
        except PreconditionFailedError:
            raise VersionConflictError(
                f"Somebody else wrote version {entry.version} of {entry.memory_id} in between; nothing was changed "
                "here. Read it again, and change what it says now."
            ) from None

    async def append_all(self, entries: Sequence[Entry], *, deadline: Deadline) -> list[bool]:
        """Write entries side by side.

        Returns:
            For each entry whether it was written; False if somebody else wrote that version.

        Raises:
            UnavailableError: The outcome of at least one is not known; others may have been written.
        """

        async def written(entry: Entry) -> bool:
            try:
                await self.append(entry, deadline=deadline)
            except VersionConflictError:
                return False
            return True

        return await gather_all(written(entry) for entry in entries)

    async def purge(self, memory_id: str, *, by: str, at: datetime, deadline: Deadline) -> Entry:
        """Destroy all content of a memory, except who did what and when; its newest entry is then a tombstone.

        A purge that was interrupted is finished by another one. Purging what is purged changes nothing else.

        Args:
            memory_id: The memory.
            by: The principal that does it.
            at: When.
            deadline: When it must be done.

        Returns:
            The tombstone.

        Raises:
            NotFoundError: Nothing has that id.
        """
        while True:
            newest = await self.head(memory_id, deadline=deadline)
            if newest is None:
                raise NotFoundError(f"There is no memory {memory_id}.")
            if newest.action == "purge":
                break
            tombstone = Entry(
                space=self.space, memory_id=memory_id, version=newest.version + 1, action="purge", at=at, by=by
            )
            # Whoever wrote in between is purged as well.
            with suppress(VersionConflictError):
                await self.append(tombstone, deadline=deadline)
        older = [version async for version in self._versions(memory_id, deadline) if version < newest.version]
        await gather_all(self._redact(memory_id, version, deadline) for version in older)
        prefix = self._layout.versions(memory_id)
        versions = await self._store.versions(prefix, deadline=deadline)
        await self._store.remove_all([each for each in versions if not each.current], deadline=deadline)
        return newest

    async def memory_ids(self, *, after: str | None = None, deadline: Deadline) -> AsyncIterator[Head]:
        """Go through all memories, deleted and purged ones included, in the order of their keys.

        What is written meanwhile may or may not be seen.

        Args:
            after: The id of a memory to go on behind.
            deadline: When the last of them must be there.
        """
        # "~" sorts behind every version of that memory, and before the keys of those that follow it.
        begin = None if after is None else f"{self._layout.versions(after)}~"
        head: Head | None = None
        async for key in self._store.keys(self._layout.memories, after=begin, deadline=deadline):
            parsed = self._layout.parse_entry(key)
            if parsed is None:
                continue
            if head is not None and head.memory_id != parsed[0]:
                yield head
            head = Head(*parsed)
        if head is not None:
            yield head

    async def overwritten(self, *, deadline: Deadline) -> list[str]:
        """Return the memories of which S3 keeps more than the entries that there are, each once, in order."""
        found: dict[str, None] = {}
        async for version in self._store.each_version(self._layout.memories, deadline=deadline):
            parsed = None if version.current else self._layout.parse_entry(version.key)
            if parsed is not None:
                found[parsed[0]] = None
        return list(found)

    async def _versions(self, memory_id: str, deadline: Deadline) -> AsyncIterator[int]:
        """Go through the versions that a memory has, oldest first."""
        if not is_memory_id(memory_id):
            return
        async for key in self._store.keys(self._layout.versions(memory_id), deadline=deadline):
            parsed = self._layout.parse_entry(key)
            if parsed is not None:
                yield parsed[1]

    def _read_entry(self, found: StoredObject, key: str) -> Entry:
        entry = Entry.from_bytes(found.body, key)
        if entry.space != self.space or self._layout.entry(entry.memory_id, entry.version) != key:
            raise damaged(key)
        return entry

    async def _redact(self, memory_id: str, version: int, deadline: Deadline) -> None:
        """Take the memory out of an entry. The key stays taken, so that nobody can write this version any more."""
        key = self._layout.entry(memory_id, version)
        while (found := await self._store.get(key, deadline=deadline)) is not None:
            entry = self._read_entry(found, key)
            if entry.memory is None:
                return
            # Another purge may have been faster.
            with suppress(PreconditionFailedError):
                await self._store.replace(key, entry.redacted().to_bytes(), etag=found.etag, deadline=deadline)
                return
