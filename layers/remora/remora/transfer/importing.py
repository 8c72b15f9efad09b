"""Takes lines of an export into a space: the journal first, then the index; what is there already stays as it is.

The journal decides what a line means here. A memory whose history here is the beginning of the one in the file
gets the rest of it, so an import that was interrupted goes on where it stopped; one whose history here is the same
or longer is left as it is; one with another history is a conflict, reported and left alone. A memory that owns its
content here keeps owning it; otherwise the imported one does, so that storing this content again finds it.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from remora.chroma.deadline import Deadline
from remora.errors import ConflictError, InvalidArgumentError, UnavailableError
from remora.journal import Entry, Journal, Manifest
from remora.memory.changing import within_of
from remora.memory.limits import MAX_MEMORIES_PER_CALL
from remora.memory.models import Memory, NewMemory, StoreResult, Turn
from remora.memory.storing import idempotency_key
from remora.transfer.histories import check_history, check_place, exported, journal_entry, tombstones
from remora.transfer.lines import (
    BadLineError,
    ConversationLine,
    EmbeddingsLine,
    HistoryEntry,
    Line,
    MemoryLine,
    NewLine,
    is_embeddings,
    parse_line,
)
from remora.transfer.models import ImportReport, RefusedLine
from remora.transfer.vectors import KnownVectors

_SLICE_LINES = MAX_MEMORIES_PER_CALL
_SLICE_CHARACTERS = 30_000
"""Contents of one slice, which embed in some 3 s; a longer memory is a slice of its own."""

_RESERVE_SECONDS = 10.0
"""What must be left for another slice to be begun: time for a memory of the largest size."""


class Settle(Protocol):
    """Makes the index agree with the journal for some memories."""

    async def __call__(self, ids: Sequence[str], *, deadline: Deadline) -> None:
        """Settle them.

        Raises:
            UnavailableError: Journal or Chroma did not answer; it is safe to try again.
        """


class Store(Protocol):
    """Stores memories, each content once."""

    async def __call__(self, memories: Sequence[NewMemory], *, deadline: Deadline) -> StoreResult:
        """Store them.

        Raises:
            InvalidArgumentError: One of them cannot be stored; nothing was.
        """


async def store_each(
    store: Store, memories: Sequence[NewMemory], *, deadline: Deadline
) -> tuple[list[StoreResult], dict[int, str]]:
    """Store memories together; those that cannot be stored do not keep the others from it.

    Args:
        store: Stores all or none.
        memories: What to store, as many as one call takes.
        deadline: When it must be done.

    Returns:
        What became of those that were stored, and why the others were not by their place among `memories`.
    """
    if not memories:
        return [], {}
    try:
        return [await store(memories, deadline=deadline)], {}
    except InvalidArgumentError as error:
        if len(memories) == 1:
            return [], {0: str(error)}
    middle = len(memories) // 2
    results, reasons = await store_each(store, memories[:middle], deadline=deadline)
    more, others = await store_each(store, memories[middle:], deadline=deadline)
    return results + more, reasons | {middle + place: reason for place, reason in others.items()}


@dataclass(frozen=True, slots=True)
class _Numbered:
    """A line with its number among those given, from 1."""

    number: int
    line: Line


@dataclass
class _Tally:
    """What has become of lines so far."""

    created: set[str] = field(default_factory=set)
    unchanged: set[str] = field(default_factory=set)
    stored: int = 0
    stored_before: int = 0
    pending: int = 0
    conflicts: list[RefusedLine] = field(default_factory=list)
    errors: list[RefusedLine] = field(default_factory=list)

    def report(self, lines: int) -> ImportReport:
        return ImportReport(
            lines=lines,
            created=len(self.created) + self.stored,
            unchanged=len(self.unchanged - self.created) + self.stored_before,
            pending=self.pending,
            conflicts=tuple(sorted(self.conflicts, key=lambda conflict: conflict.line)),
            errors=tuple(sorted(self.errors, key=lambda error: error.line)),
        )


class Importer:
    """Imports into one space."""

    def __init__(self, journal: Journal, settle: Settle, store: Store, vectors: KnownVectors) -> None:
        """Bind it to a space.

        Args:
            journal: The space's journal.
            settle: Makes the index agree with the journal.
            store: Stores memories that have no id yet.
            vectors: What `settle` embeds with; learns the vectors that the lines bring.
        """
        self._journal = journal
        self._settle = settle
        self._store = store
        self._vectors = vectors

    async def lines(self, lines: Sequence[str], *, deadline: Deadline) -> ImportReport:
        """Import lines, as many as there is time for.

        Args:
            lines: Lines of an export, without their ends, in their order; a part of a file is enough.
            deadline: When the report must be there.

        Raises:
            InvalidArgumentError: They are of another format, or of a later version of this one.
            UnavailableError: The journal did not answer, or not even the first lines could be done in time. Lines may
                have been imported; sending them again is safe.
        """
        tally = _Tally()
        done = 0
        while done < len(lines) and (done == 0 or deadline.remaining() > _RESERVE_SECONDS):
            part, count = self._slice(lines, done, tally)
            await self._import(part, tally, deadline)
            done += count
        self._vectors.know(())
        return tally.report(done)

    def _slice(self, lines: Sequence[str], start: int, tally: _Tally) -> tuple[list[_Numbered], int]:
        """Read lines that are imported together, and return how many they are."""
        part: list[_Numbered] = []
        characters = 0
        for number in range(start, len(lines)):
            raw = lines[number]
            if not is_embeddings(raw):
                # The size of a line says enough about the size of its contents. Vectors stay with their memory.
                is_full = number - start >= _SLICE_LINES or characters + len(raw) > _SLICE_CHARACTERS
                if part and is_full:
                    return part, number - start
                characters += len(raw)
            try:
                if raw.strip():
                    part.append(_Numbered(number + 1, parse_line(raw)))
            except BadLineError as error:
                tally.errors.append(RefusedLine(line=number + 1, reason=str(error)))
        return part, len(lines) - start

    async def _import(self, part: Sequence[_Numbered], tally: _Tally, deadline: Deadline) -> None:
        for row in part:
            if isinstance(row.line, ConversationLine):
                await self._conversation(row.number, row.line, tally, deadline)
        await self._new([row for row in part if isinstance(row.line, NewLine)], tally, deadline)
        self._vectors.know(
            (one.text, one.vector)
            for row in part
            if isinstance(row.line, EmbeddingsLine) and row.line.model == self._vectors.name
            for one in row.line.vectors
        )
        await self._memories(part, tally, deadline)

    async def _conversation(self, number: int, line: ConversationLine, tally: _Tally, deadline: Deadline) -> None:
        try:
            here = await self._journal.conversation(line.id, deadline=deadline)
            turns = here.turn_ids if here is not None else ()
            known = turns[line.position : line.position + len(line.turn_ids)]
            if len(turns) < line.position or line.turn_ids[: len(known)] != known:
                raise ConflictError("This conversation has other turns here; they were left alone.")
            if len(known) < len(line.turn_ids):
                await self._journal.reserve(line.id, line.turn_ids[len(known) :], deadline=deadline)
        except ConflictError as error:
            tally.conflicts.append(RefusedLine(line=number, reason=str(error)))

    async def _new(self, rows: Sequence[_Numbered], tally: _Tally, deadline: Deadline) -> None:
        memories = [row.line.memory for row in rows if isinstance(row.line, NewLine)]
        results, reasons = await store_each(self._store, memories, deadline=deadline)
        for result in results:
            created = sum(stored.created for stored in result.memories)
            tally.stored += created
            tally.stored_before += len(result.memories) - created
            tally.pending += result.pending
        tally.errors.extend(RefusedLine(line=rows[place].number, reason=reason) for place, reason in reasons.items())

    async def _memories(self, rows: Sequence[_Numbered], tally: _Tally, deadline: Deadline) -> None:
        given: dict[str, _Given] = {}
        for row in rows:
            if isinstance(row.line, MemoryLine):
                memory = given.setdefault(row.line.id, _Given(row.number, row.line.conversation_id))
                memory.entries.extend(row.line.entries)
        for id_, memory in list(given.items()):
            try:
                check_history(id_, memory.entries)
            except BadLineError as error:
                tally.errors.append(RefusedLine(line=given.pop(id_).number, id=id_, reason=str(error)))
        if not given:
            return
        heads = await self._journal.heads(given, deadline=deadline)
        manifests = await self._manifests(given.values(), deadline)

        async def look(id_: str, memory: _Given) -> list[Entry]:
            try:
                entries = await self._missing(id_, memory.entries, heads.get(id_), deadline)
                if entries:
                    check_place(id_, memory.turn, manifests.get(memory.conversation))
            except ConflictError as error:
                tally.conflicts.append(RefusedLine(line=memory.number, id=id_, reason=str(error)))
                return []
            except BadLineError as error:
                tally.errors.append(RefusedLine(line=memory.number, id=id_, reason=str(error)))
                return []
            if not entries:
                tally.unchanged.add(id_)
            return entries

        found = await asyncio.gather(*(look(id_, memory) for id_, memory in given.items()))
        missing = {id_: entries for id_, entries in zip(given, found, strict=True) if entries}
        if missing:
            await self._write(missing, given, tally, deadline)

    async def _manifests(self, given: Iterable["_Given"], deadline: Deadline) -> dict[str | None, Manifest]:
        """Return the conversations that turns belong to, by their ids; those that are not here are left out."""
        found: dict[str | None, Manifest] = {}
        for conversation in {memory.conversation for memory in given} - {None}:
            with suppress(ConflictError):
                manifest = await self._journal.conversation(str(conversation), deadline=deadline)
                if manifest is not None:
                    found[conversation] = manifest
        return found

    async def _missing(
        self, id_: str, entries: Sequence[HistoryEntry], head: Entry | None, deadline: Deadline
    ) -> list[Entry]:
        """Return the entries that the journal here does not have.

        Raises:
            ConflictError: The memory has another history here.
            BadLineError: The entries do not follow those that are here.
        """
        space = self._journal.space
        if entries[0].action == "purge":
            if head is None:
                return tombstones(space, id_, entries[0])
            if head.action == "purge":
                return []
            raise ConflictError("It was purged in the file and is not here. It was left alone.")
        if head is not None and head.action == "purge":
            raise ConflictError("It was purged here. It was left alone.")
        newest = 0 if head is None else head.version
        if entries[0].version > newest + 1:
            raise BadLineError(f"its versions 1 to {entries[0].version - 1} are missing: import the lines before")
        if head is not None and not _is_same(entries[-1], head):
            here = {entry.version: entry for entry in await self._journal.history(id_, deadline=deadline)}
            for entry in entries:
                if entry.version <= newest and not _is_same(entry, here.get(entry.version)):
                    raise ConflictError(f"Its version {entry.version} is another one here. It was left alone.")
        return [journal_entry(space, id_, entry) for entry in entries if entry.version > newest]

    async def _write(
        self,
        missing: Mapping[str, Sequence[Entry]],
        given: Mapping[str, "_Given"],
        tally: _Tally,
        deadline: Deadline,
    ) -> None:
        owned = [entries[-1].memory for entries in missing.values() if entries[-1].is_live]
        await asyncio.gather(*(self._own_content(memory, deadline) for memory in owned if memory is not None))
        intent = await self._journal.begin(tuple(missing), deadline=deadline)
        written = dict(missing)
        for number in range(max(map(len, missing.values()))):
            # Each version after the one before, so that what is interrupted leaves no gaps.
            turn = [entries[number] for entries in written.values() if len(entries) > number]
            for entry, is_written in zip(turn, await self._journal.append_all(turn, deadline=deadline), strict=True):
                if not is_written:
                    del written[entry.memory_id]
                    reason = f"Somebody wrote its version {entry.version} at the same time. It was left alone."
                    line = given[entry.memory_id].number
                    tally.conflicts.append(RefusedLine(line=line, id=entry.memory_id, reason=reason))
        tally.created.update(written)
        try:
            await self._settle(tuple(missing), deadline=deadline)
        except UnavailableError:
            await self._journal.release(intent, deadline=deadline)
            tally.pending += len(written)
        else:
            await self._journal.finish(intent, deadline=deadline)

    async def _own_content(self, memory: Memory, deadline: Deadline) -> None:
        if memory.turn is not None:
            return
        key = idempotency_key(memory.content, within_of(memory))
        claim = await self._journal.claim(key, memory.id, deadline=deadline)
        if claim.made or claim.memory_id == memory.id:
            return
        owner = await self._journal.head(claim.memory_id, deadline=deadline)
        if owner is None or not owner.is_live or owner.memory is None or owner.memory.content != memory.content:
            await self._journal.take_over(claim, memory.id, deadline=deadline)


@dataclass
class _Given:
    """What the lines say of one memory.

    Attributes:
        number: Number of the first of them.
        purged_from: The conversation of a turn that was purged.
        entries: Its entries in all of them.
    """

    number: int
    purged_from: str | None
    entries: list[HistoryEntry] = field(default_factory=list)

    @property
    def conversation(self) -> str | None:
        """The conversation that it is a turn of."""
        memory = self.entries[-1].memory
        return self.purged_from if memory is None else memory.conversation_id

    @property
    def turn(self) -> Turn | None:
        """Its place there; None of a turn that was purged, too."""
        memory = self.entries[-1].memory
        return None if memory is None else memory.turn


def _is_same(given: HistoryEntry, here: Entry | None) -> bool:
    # As JSON, because to Python 1, 1.0 and True are equal.
    return here is not None and exported(here).to_json() == given.to_json()
