"""The entries that count, of all segments, in an order in which neighbours lie side by side.

Rows are passages. The passages of a memory follow each other, and so do the turns of a conversation, so that what
stands around a passage is found by shifting an array. A view never changes; a write makes the next one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from remora.memory.index.layout import RecordId, called, created_range, facet_value, wanted_facets
from remora.memory.index.segments import Integers, Precedence, Segment, frequencies_of, passages_of
from remora.memory.models import Memory, MemoryFilter

Floats = npt.NDArray[np.float32]
Booleans = npt.NDArray[np.bool_]

_PASSAGE_BITS = 20


@dataclass(frozen=True, slots=True)
class Facts:
    """What an overview counts of a memory.

    Attributes:
        id: Its id.
        created_ms: Moment of creation, in milliseconds since 1970.
        passages: How many passages it has.
        type: Its type.
        tags: Its tags.
        source: Its source.
        conversation_id: Its conversation.
    """

    id: str
    created_ms: int
    passages: int
    type: str
    tags: tuple[str, ...]
    source: str | None
    conversation_id: str | None


@dataclass(frozen=True, slots=True)
class EntryRef:
    """A memory's entry that counts."""

    segment: Segment
    number: int

    @property
    def id(self) -> str:
        """The memory's id."""
        return self.segment.ids[self.number]

    @property
    def version(self) -> int:
        """The memory's version."""
        return self.segment.versions.item(self.number)

    @property
    def precedence(self) -> Precedence:
        """How it compares with other entries of the memory."""
        return self.segment.precedence(self.number)

    @property
    def digest(self) -> str:
        """The digest in its records' ids."""
        return self.segment.digests[self.number]

    @property
    def passages(self) -> int:
        """How many passages it has; none if it is a tombstone."""
        return self.segment.passages.item(self.number)

    @property
    def record_ids(self) -> list[str]:
        """The ids of its records, in the order of its passages."""
        return [str(RecordId(self.id, self.version, self.digest, passage)) for passage in range(self.passages)]

    def memory(self) -> Memory:
        """Return the memory in full. A turn comes without its context, which is another turn's text."""
        return self.segment.memory(self.number)


class View:
    """All passages that count.

    Attributes:
        rows: How many passages there are.
        memories: How many memories.
        words: Each passage's length in words.
        average_words: Their mean, at least 1.
        questions: The share of each passage's sentences that are questions.
        is_turn: Whether each passage is of a turn of a conversation.
        created: Each memory's moment of creation, in milliseconds.
        fingerprints: A hash of each memory's text.
        starts: Each memory's first row.
        memory_of_row: Each row's memory.
    """

    def __init__(self, segments: Sequence[Segment], counting: Sequence[Booleans]) -> None:
        """Bring segments into order.

        Args:
            segments: The segments.
            counting: Which of each segment's entries count.
        """
        self._segments = segments
        parts = [np.flatnonzero(alive[s.entry_of_passage]) for s, alive in zip(segments, counting, strict=True)]
        sizes = [len(part) for part in parts]
        self.rows = sum(sizes)
        entries = [segment.entry_of_passage[part] for segment, part in zip(segments, parts, strict=True)]
        chain = _joined([segment.chains[entry] for segment, entry in zip(segments, entries, strict=True)])
        place = _joined(
            [
                segment.places[entry] << _PASSAGE_BITS | segment.passage_number[part]
                for segment, entry, part in zip(segments, entries, parts, strict=True)
            ]
        )
        order = np.lexsort((place, chain))
        row_of = np.empty(self.rows, dtype=np.int64)
        row_of[order] = np.arange(self.rows)

        def column(columns: Sequence[Integers]) -> Integers:
            return _joined(columns)[order]

        self._chain = chain[order]
        self._beside: dict[tuple[int, ...], Integers] = {}
        self._segment_of_row = column([np.full(size, number) for number, size in enumerate(sizes)])
        self._entry_of_row = column(entries)
        self._passage_of_row = column([s.passage_number[part] for s, part in zip(segments, parts, strict=True)])
        self.words = column([s.words[part] for s, part in zip(segments, parts, strict=True)]).astype(np.float32)
        self.average_words = max(1.0, float(self.words.mean())) if self.rows else 1.0
        self.questions = column([s.questions[part] for s, part in zip(segments, parts, strict=True)]) / np.float32(10)
        self.is_turn: Booleans = (place[order] >> _PASSAGE_BITS) > 0
        self.starts = np.flatnonzero(self._passage_of_row == 0)
        self.memories = len(self.starts)
        self.memory_of_row = np.cumsum(self._passage_of_row == 0) - 1
        self.created = self._of_memories("created")
        self.fingerprints = self._of_memories("fingerprints")
        # Where the passages of all segments have gone to; -1 for those that do not count.
        self._offsets = np.cumsum([0, *(len(segment.words) for segment in segments)]).tolist()[:-1]
        self._row_of_passage = np.full(sum(len(segment.words) for segment in segments), -1, dtype=np.int64)
        moved = [part + offset for part, offset in zip(parts, self._offsets, strict=True)]
        self._row_of_passage[_joined(moved)] = row_of

    def _of_memories(self, name: str) -> npt.NDArray[Any]:
        """Return a column of the segments, in the order of the memories."""
        segments, entries = self._segment_of_row[self.starts], self._entry_of_row[self.starts]
        columns = [getattr(segment, name) for segment in self._segments]
        first = np.cumsum([0, *map(len, columns)])
        joined = np.concatenate(columns) if columns else np.empty(0, dtype=np.int64)
        return joined[first[segments] + entries]

    def spoken_by(self, words: Iterable[str]) -> Booleans | None:
        """Return which passages are by somebody whom a word names; None if the words name nobody."""
        named = [numbers for word in words if len(numbers := self._having(called(word)))]
        if not named:
            return None
        memories: Booleans = np.zeros(self.memories, dtype=bool)
        memories[np.concatenate(named)] = True
        rows: Booleans = memories[self.memory_of_row]
        return rows

    def beside(self, distances: tuple[int, ...]) -> Integers:
        """Return the rows at distances from each row, after it if positive, before it if negative.

        Returns:
            [distances, rows]; the number of rows itself where there is no neighbour.
        """
        known = self._beside.get(distances)
        if known is None:
            rows = np.arange(self.rows)
            places = rows + np.array(distances, dtype=np.int64)[:, None]
            inside = (places >= 0) & (places < self.rows)
            same = self._chain[np.where(inside, places, rows)] == self._chain
            known = np.where(inside & same, places, self.rows)
            self._beside[distances] = known
        return known

    def postings(self, term: str) -> tuple[Integers, Integers]:
        """Return the rows that hold a term, and how often each does."""
        found: list[Integers] = []
        offsets: list[int] = []
        for segment, offset in zip(self._segments, self._offsets, strict=True):
            part = segment.postings(term)
            if part is not None:
                found.append(part)
                offsets.append(offset)
        postings = _joined(found)
        passages = passages_of(postings) + np.repeat(np.array(offsets, dtype=np.int64), [len(part) for part in found])
        rows = self._row_of_passage[passages]
        counts = rows >= 0
        return rows[counts], frequencies_of(postings)[counts]

    def row(self, record_id: str) -> int | None:
        """Return the row of a record; None if it does not count, or not any more."""
        head, _, passage = record_id.rpartition(".")
        memory_id, _, state = head.partition(".")
        row = self._first_rows.get(memory_id)
        if row is None:
            return None
        segment, entry = self._segments[self._segment_of_row.item(row)], self._entry_of_row.item(row)
        if segment.states[entry] != state or int(passage) >= segment.passages.item(entry):
            return None
        return row + int(passage)

    @cached_property
    def _first_rows(self) -> Mapping[str, int]:
        """The first row of each memory."""
        return dict(zip(self.ids.tolist(), self.starts.tolist(), strict=True))

    @cached_property
    def ids(self) -> npt.NDArray[np.str_]:
        """Each memory's id."""
        return self._of_memories("id_column") if self.memories else np.empty(0, dtype=str)

    def find(self, memory_id: str) -> EntryRef | None:
        """Return a memory's entry; None if there is no such memory."""
        row = self._first_rows.get(memory_id)
        return None if row is None else self.entry(row)

    def entry(self, row: int) -> EntryRef:
        """Return the entry of a row's memory."""
        return EntryRef(self._segments[self._segment_of_row.item(row)], self._entry_of_row.item(row))

    def passage(self, row: int) -> int:
        """Return the number of a row's passage within its memory."""
        return self._passage_of_row.item(row)

    def selected(self, selection: MemoryFilter) -> Booleans:
        """Return which memories a filter selects; [memories]."""
        chosen: Booleans = np.ones(self.memories, dtype=bool)
        for group in wanted_facets(selection):
            fitting: Booleans = np.zeros(self.memories, dtype=bool)
            for facet in group:
                fitting[self._having(facet)] = True
            chosen &= fitting
        first, last = created_range(selection)
        if first is not None:
            chosen &= self.created >= first
        if last is not None:
            chosen &= self.created < last
        return chosen

    def _having(self, facet: str) -> Integers:
        """Return the memories that have a facet."""
        found: list[Integers] = []
        for segment, offset in zip(self._segments, self._offsets, strict=True):
            entries = segment.having(facet)
            if entries is not None:
                # A tombstone has no facets, so each of these has a first passage.
                rows = self._row_of_passage[segment.first_passage[entries] + offset]
                found.append(self.memory_of_row[rows[rows >= 0]])
        return _joined(found)

    def listed(self, selection: MemoryFilter) -> list[tuple[int, str]]:
        """Return creation and id of what a filter selects: newest first, and the later id first of one moment."""
        numbers = np.flatnonzero(self.selected(selection))
        created = self.created[numbers].tolist()
        return sorted(zip(created, self.ids[numbers].tolist(), strict=True), reverse=True)

    def entries(self) -> Iterator[EntryRef]:
        """Yield the entry of each memory."""
        for row in self.starts.tolist():
            yield self.entry(row)

    def facts(self) -> Iterator[Facts]:
        """Yield what is to be counted of each memory."""
        facets_of: list[dict[int, list[str]]] = []
        for segment in self._segments:
            found: dict[int, list[str]] = {}
            for facet in segment.facets:
                entries = segment.having(facet)
                for entry in entries.tolist() if entries is not None else ():
                    found.setdefault(entry, []).append(facet)
            facets_of.append(found)
        for row in self.starts.tolist():
            entry = self.entry(row)
            yield _facts(entry, facets_of[self._segment_of_row.item(row)][entry.number])


def _facts(entry: EntryRef, found: Sequence[str]) -> Facts:
    def values(kind: str) -> tuple[str, ...]:
        return tuple(value for facet in found if (value := facet_value(facet, kind)) is not None)

    return Facts(
        id=entry.id,
        created_ms=int(entry.segment.created[entry.number]),
        passages=entry.passages,
        type=next(iter(values("type"))),
        tags=values("tag"),
        source=next(iter(values("source")), None),
        conversation_id=next(iter(values("conversation")), None),
    )


def _joined(columns: Sequence[Integers]) -> Integers:
    return np.concatenate(columns) if columns else np.empty(0, dtype=np.int64)
