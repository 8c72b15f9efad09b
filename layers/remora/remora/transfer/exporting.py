"""Writes a space's memories as lines, a page at a time, each page going on exactly where the one before ended."""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from remora.budget import json_bytes
from remora.chroma.deadline import Deadline
from remora.collections.cursors import CursorKind, decode_cursor, encode_cursor, reading_position
from remora.errors import UnavailableError
from remora.journal import Entry, Journal, is_memory_id
from remora.memory.index import EmbeddedText, MemoryIndex
from remora.transfer.histories import exported_history
from remora.transfer.lines import (
    MAX_TURNS_PER_LINE,
    NO_LINES,
    ConversationLine,
    EmbeddingsLine,
    FooterLine,
    HeaderLine,
    TextVector,
    next_digest,
    split_history,
)
from remora.transfer.models import ExportPage
from remora.transfer.vectors import text_digest

_READ_AT_ONCE = 32
_VECTORS_PER_LINE = 200
# A page is closed when less than this is left: reading the next memories may take as long.
_RESERVE_SECONDS = 4.0
_PLACE = struct.Struct("<32sQQIII")
# Of lines and memories.
_MOST = 2**31


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an export has come to.

    Attributes:
        digest: Digest of the lines so far.
        lines: How many they are.
        memories: Memories begun in them.
        turns: Turns written of the conversation of `memory_id`; they come before its first turn.
        version: Newest version written of `memory_id`; 0 before the first.
        vectors: Vectors written of `memory_id`.
        memory_id: The memory that the last line is about; empty at the beginning.
    """

    digest: bytes = NO_LINES
    lines: int = 0
    memories: int = 0
    turns: int = 0
    version: int = 0
    vectors: int = 0
    memory_id: str = ""

    def behind(self, line: str, **changes: Any) -> "_Place":  # noqa: ANN401 - those of `replace`
        """Return the place behind one more line."""
        return replace(self, digest=next_digest(self.digest, line.encode()), lines=self.lines + 1, **changes)

    def to_bytes(self) -> bytes:
        """Return it as it is kept in a cursor."""
        numbers = (self.lines, self.memories, self.turns, self.version, self.vectors)
        return _PLACE.pack(self.digest, *numbers) + self.memory_id.encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> "_Place":
        """Read it out of a cursor.

        Raises:
            ValueError: There is no such place.
            struct.error: The same.
        """
        digest, lines, memories, turns, version, vectors = _PLACE.unpack_from(content)
        memory_id = content[_PLACE.size :].decode()
        if (memory_id and not is_memory_id(memory_id)) or max(lines, memories) > _MOST:
            raise ValueError("no place of an export")
        return cls(digest, lines, memories, turns, version, vectors, memory_id)


class Exporter:
    """Exports one space."""

    def __init__(self, journal: Journal, index: MemoryIndex) -> None:
        """Bind it to a space.

        Args:
            journal: The space's journal.
            index: Its index, for the vectors.
        """
        self._journal = journal
        self._index = index
        self._model = index.embedder.name
        # What was found out of conversations, by what the ids of their turns begin with.
        self._conversation_ids: dict[str | None, str | None] = {}

    async def page(self, cursor: str | None, *, embeddings: bool, max_bytes: int, deadline: Deadline) -> ExportPage:
        """Return the next lines of an export.

        Args:
            cursor: `next_cursor` of the page before; None to begin.
            embeddings: Whether to write vectors.
            max_bytes: Most bytes of the page as a JSON string, which is how it travels out of a function. One line
                is always there, however long.
            deadline: When the page must be there; it is closed in time.

        Raises:
            UnavailableError: Not even one line could be read in time.
            InvalidArgumentError: The cursor is of something else.
        """
        arguments = {"operation": "export", "embeddings": embeddings, "space": self._journal.space}
        lines: list[str] = []
        place = _Place()
        if cursor is None:
            lines.append(self._header(embeddings))
        else:
            position = decode_cursor(cursor, CursorKind.MEMORIES, arguments)
            with reading_position():
                place = _Place.from_bytes(position)
        used = sum(map(_cost, lines))
        begun_at = place
        try:
            async for line, behind in self._lines(place, embeddings, deadline):
                used += _cost(line)
                if lines and (used > max_bytes or deadline.remaining() < _RESERVE_SECONDS):
                    break
                lines.append(line)
                place = behind
            else:
                footer = FooterLine(memories=place.memories, lines=place.lines, digest=place.digest.hex())
                return ExportPage((*lines, footer.to_json()), None)
        except UnavailableError:
            # What was read until then is a page.
            if place == begun_at:
                raise
        return ExportPage(tuple(lines), encode_cursor(CursorKind.MEMORIES, arguments, place.to_bytes()))

    def _header(self, embeddings: bool) -> str:
        return HeaderLine(
            exported_at=datetime.now(UTC),
            space=self._journal.space,
            embedding_model=self._model,
            embeddings=embeddings,
        ).to_json()

    async def _lines(self, place: _Place, embeddings: bool, deadline: Deadline) -> AsyncIterator[tuple[str, _Place]]:
        """Go through all lines behind a place, each with the place behind it."""
        async for ids in self._ids(place.memory_id, deadline):
            histories = await asyncio.gather(*(self._journal.history(id_, deadline=deadline) for id_ in ids))
            live = [history[-1].memory_id for history in histories if history and history[-1].is_live]
            stored = await self._index.vectors(live, deadline=deadline) if embeddings and live else {}
            for history in histories:
                if not history:
                    continue
                async for line, behind in self._memory(history, stored, place, deadline):
                    place = behind
                    yield line, place

    async def _ids(self, last: str, deadline: Deadline) -> AsyncIterator[list[str]]:
        """Go through the memories behind one, itself first: it may have more than fitted into the page before."""
        ids = [last] if last else []
        async for head in self._journal.memory_ids(after=last or None, deadline=deadline):
            ids.append(head.memory_id)
            if len(ids) == _READ_AT_ONCE:
                yield ids
                ids = []
        if ids:
            yield ids

    async def _memory(
        self,
        history: Sequence[Entry],
        stored: Mapping[str, Sequence[EmbeddedText]],
        place: _Place,
        deadline: Deadline,
    ) -> AsyncIterator[tuple[str, _Place]]:
        memory_id, previous = history[0].memory_id, place.memory_id
        if memory_id != previous:
            place = replace(place, memory_id=memory_id, turns=0, version=0, vectors=0)
        key = _conversation_key(memory_id)
        if key is not None and not place.version and (place.turns or key != _conversation_key(previous)):
            for turns in await self._conversation(history, place.turns, deadline):
                line = turns.to_json()
                place = place.behind(line, turns=turns.position + len(turns.turn_ids))
                yield line, place
        rest = [entry for entry in exported_history(history) if entry.version > place.version]
        is_purged_turn = key is not None and history[-1].memory is None
        conversation_id = await self._conversation_id(history, deadline) if is_purged_turn else None
        for part in split_history(memory_id, rest, conversation_id):
            line = part.to_json()
            begun = place.memories if place.version else place.memories + 1
            place = place.behind(line, memories=begun, version=part.entries[-1].version)
            yield line, place
        for embedded in self._embeddings(memory_id, stored.get(memory_id, ()), place.vectors):
            line = embedded.to_json()
            place = place.behind(line, vectors=embedded.first + len(embedded.vectors))
            yield line, place

    async def _conversation(
        self, history: Sequence[Entry], written: int, deadline: Deadline
    ) -> list[ConversationLine]:
        conversation_id = await self._conversation_id(history, deadline)
        if conversation_id is None:
            return []
        manifest = await self._journal.conversation(conversation_id, deadline=deadline)
        turn_ids = manifest.turn_ids if manifest is not None else ()
        return [
            ConversationLine(
                id=conversation_id, position=first, turn_ids=turn_ids[first : first + MAX_TURNS_PER_LINE]
            )
            for first in range(written, len(turn_ids), MAX_TURNS_PER_LINE)
        ]

    async def _conversation_id(self, history: Sequence[Entry], deadline: Deadline) -> str | None:
        """Return the conversation of a turn; where it was purged, the first turn that was not knows."""
        for entry in history:
            if entry.memory is not None:
                return entry.memory.conversation_id
        key = _conversation_key(history[0].memory_id)
        if key not in self._conversation_ids:
            self._conversation_ids[key] = await self._search_conversation_id(f"{key}-0", deadline)
        return self._conversation_ids[key]

    async def _search_conversation_id(self, first: str, deadline: Deadline) -> str | None:
        """Return the conversation of a first turn, looking for one of its turns that was not purged."""
        turn = await self._journal.head(first, deadline=deadline)
        if turn is not None and turn.memory is not None:
            return turn.memory.conversation_id
        async for head in self._journal.memory_ids(after=first, deadline=deadline):
            if _conversation_key(head.memory_id) != _conversation_key(first):
                return None
            turn = await self._journal.entry(head.memory_id, head.version, deadline=deadline)
            if turn is not None and turn.memory is not None:
                return turn.memory.conversation_id
        return None

    def _embeddings(self, memory_id: str, embedded: Sequence[EmbeddedText], written: int) -> Iterator[EmbeddingsLine]:
        for first in range(written, len(embedded), _VECTORS_PER_LINE):
            part = embedded[first : first + _VECTORS_PER_LINE]
            yield EmbeddingsLine(
                id=memory_id,
                model=self._model,
                first=first,
                vectors=tuple(TextVector(text=text_digest(one.text), vector=one.vector) for one in part),
            )


def _conversation_key(memory_id: str) -> str | None:
    """Return what the ids of a conversation's turns begin with; None for an id that is no turn's."""
    key, dash, _ = memory_id.partition("-")
    return key if dash else None


def _cost(line: str) -> int:
    """Return the bytes of a line with its end, within a JSON string."""
    return json_bytes(line) + len("\\n")
