"""Segments: all that the index knows of memories but their vectors, as few immutable records in Chroma.

A segment holds the entries of some memories: what is known of each, its passages and their terms (an inverted index),
and the facets that filters ask for. It is made once, by the write that brings the memories, and never changed; small
ones are merged into larger ones (see `writing`), as search engines do (O'Neil et al., "The Log-Structured
Merge-Tree", 1996). A process keeps the segments that it has read and asks only which there are, so that a search
counts words in memory and is never out of date.

Why not one Chroma record for each posting or an array of terms beside each passage: Chroma 1.5.9 reads some 5 to
10 µs for each match of a filter, and the words of a question match thousands of 20,000 passages: 46 ms in the median.

Several entries of one memory may be around, in one segment or in many. The one with the highest version counts, among
those of one version the one with the highest stamp. A removed memory has an entry without passages, a tombstone.
"""

import base64
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic_core import from_json, to_json

from remora.memory.models import Memory

FORMAT = 1
MAX_FREQUENCY = 15
"""Highest count of a term in a passage that is told apart; a fourth bit's worth of postings."""

_FREQUENCY_BITS = 4
_COMPRESSION = 1
"""Level of zlib: the highest takes four times as long for an eighth less."""

_HEADER = struct.Struct("<I")
_ARRAYS: Mapping[str, str] = {
    "versions": "<i4",
    "stamps": "<i8",
    "created": "<i8",
    "fingerprints": "<i8",
    "passages": "<i4",
    "words": "<i4",
    "questions": "<i4",
    "facet_ends": "<i4",
    "facet_members": "<i4",
    "term_ends": "<i4",
    "term_postings": "<i4",
}
_LISTS = ("ids", "digests", "bodies", "texts", "facets", "terms")

Integers = npt.NDArray[np.int64]


class Precedence(NamedTuple):
    """Which of two entries of a memory counts: the greater one.

    Attributes:
        version: The memory's version.
        stamp: When the entry was made, in microseconds since 1970.
    """

    version: int
    stamp: int


@dataclass(frozen=True, slots=True)
class NewPassage:
    """A passage on its way into a segment.

    Attributes:
        text: The passage.
        words: Its length in words.
        questions: Tenths of its sentences that are questions.
        terms: Its terms, and how often each is there.
    """

    text: str
    words: int
    questions: int
    terms: Counter[str]


@dataclass(frozen=True, slots=True)
class NewEntry:
    """A memory on its way into a segment.

    Attributes:
        memory_id: Its id.
        precedence: Whether it counts.
        digest: As in its records' ids; empty for a tombstone.
        body: The memory as JSON, without id, version and content.
        created: Moment of creation in milliseconds.
        fingerprint: A hash of the text; equal texts have equal ones.
        facets: What filters and the names of speakers look at.
        passages: Its passages in order; none for a tombstone.
    """

    memory_id: str
    precedence: Precedence
    digest: str = ""
    body: str = ""
    created: int = 0
    fingerprint: int = 0
    facets: tuple[str, ...] = ()
    passages: tuple[NewPassage, ...] = ()


class Segment:
    """A segment as it was read. Entries are numbered from 0, passages over all entries too."""

    def __init__(self, lists: Mapping[str, Any], arrays: Mapping[str, Integers]) -> None:
        """Take over the columns that `decode` found."""
        self.ids: Sequence[str] = lists["ids"]
        self.digests: Sequence[str] = lists["digests"]
        self.bodies: Sequence[str] = lists["bodies"]
        self.texts: Sequence[str] = lists["texts"]
        self.facets: Sequence[str] = lists["facets"]
        self.terms: Sequence[str] = lists["terms"]
        self.versions = arrays["versions"]
        self.stamps = arrays["stamps"]
        self.created = arrays["created"]
        self.fingerprints = arrays["fingerprints"]
        self.passages = arrays["passages"]
        self.words = arrays["words"]
        self.questions = arrays["questions"]
        self.facet_ends = arrays["facet_ends"]
        self.facet_members = arrays["facet_members"]
        self.term_ends = arrays["term_ends"]
        self.term_postings = arrays["term_postings"]

    @cached_property
    def number_of(self) -> Mapping[str, int]:
        """Each memory's entry."""
        return {memory_id: number for number, memory_id in enumerate(self.ids)}

    @cached_property
    def id_column(self) -> npt.NDArray[np.str_]:
        """The ids as an array."""
        return np.array(self.ids, dtype=str)

    @cached_property
    def entry_of_passage(self) -> Integers:
        """The entry that each passage belongs to."""
        return np.repeat(np.arange(len(self.ids)), self.passages)

    @cached_property
    def passage_number(self) -> Integers:
        """Each passage's number within its memory, from 0."""
        numbers: Integers = np.arange(len(self.words)) - self.first_passage[self.entry_of_passage]
        return numbers

    @cached_property
    def first_passage(self) -> Integers:
        """Each entry's first passage. A tombstone has none, and the number that it would have."""
        first: Integers = np.cumsum(self.passages) - self.passages
        return first

    @cached_property
    def chains(self) -> Integers:
        """What each entry is a part of: the conversation of a turn, else itself; the same number in this process."""
        return np.fromiter((hash(memory_id.partition("-")[0]) for memory_id in self.ids), dtype=np.int64)

    @cached_property
    def places(self) -> Integers:
        """Each entry's place in its chain: a turn's, from 1; 0 for what is no turn."""
        positions = (memory_id.partition("-")[2] for memory_id in self.ids)
        return np.fromiter((int(position) + 1 if position else 0 for position in positions), dtype=np.int64)

    @cached_property
    def _term_number(self) -> Mapping[str, int]:
        return {term: number for number, term in enumerate(self.terms)}

    @cached_property
    def _facet_number(self) -> Mapping[str, int]:
        return {facet: number for number, facet in enumerate(self.facets)}

    def precedence(self, number: int) -> Precedence:
        """Return whether an entry counts."""
        return Precedence(int(self.versions[number]), int(self.stamps[number]))

    def postings(self, term: str) -> Integers | None:
        """Return where a term is, to be read with `passages_of` and `frequencies_of`; None if it is nowhere."""
        number = self._term_number.get(term)
        return None if number is None else _slice(self.term_postings, self.term_ends, number)

    def having(self, facet: str) -> Integers | None:
        """Return the entries that have a facet; None if there are none."""
        number = self._facet_number.get(facet)
        return None if number is None else _slice(self.facet_members, self.facet_ends, number)

    @cached_property
    def states(self) -> Sequence[str]:
        """Which version of its memory each entry is, and in which state: what its records' ids say after the id."""
        return [f"{version}.{digest}" for version, digest in zip(self.versions.tolist(), self.digests, strict=True)]

    def passage(self, number: int, passage: int) -> str:
        """Return a passage of an entry."""
        return self.texts[self.first_passage.item(number) + passage]

    def memory(self, number: int) -> Memory:
        """Return a memory in full."""
        first = self.first_passage.item(number)
        head = to_json(
            {
                "id": self.ids[number],
                "version": self.versions.item(number),
                "content": "".join(self.texts[first : first + self.passages.item(number)]),
            }
        )
        # From JSON, not from what it is read as: of Python's lists, pydantic takes [false] for [0].
        return Memory.model_validate_json(head[:-1] + b"," + self.bodies[number].encode()[1:])

    def known(self, number: int) -> dict[str, Any]:
        """Return the fields of a memory except its content; what is not there has its default."""
        known: dict[str, Any] = from_json(self.bodies[number])
        return {"id": self.ids[number], "version": self.versions.item(number), **known}


def body_of(memory: Memory) -> str:
    """Return what a segment keeps of a memory. The context of a turn is another turn's text, and stays there."""
    excluded = {"id", "version", "content"} | ({"context"} if memory.turn is not None else set())
    return memory.model_dump_json(exclude=excluded, exclude_defaults=True)


def encode(entries: Sequence[NewEntry]) -> str:
    """Return a segment of these entries, one a memory, as the text that Chroma keeps."""
    facets: dict[str, list[int]] = {}
    terms: dict[str, list[int]] = {}
    passages = 0
    for number, entry in enumerate(entries):
        for facet in entry.facets:
            facets.setdefault(facet, []).append(number)
        for passage in entry.passages:
            for term, frequency in passage.terms.items():
                terms.setdefault(term, []).append(passages << _FREQUENCY_BITS | min(frequency, MAX_FREQUENCY))
            passages += 1
    return _pack(
        {
            "ids": [entry.memory_id for entry in entries],
            "digests": [entry.digest for entry in entries],
            "bodies": [entry.body for entry in entries],
            "texts": [passage.text for entry in entries for passage in entry.passages],
            "facets": list(facets),
            "terms": list(terms),
        },
        {
            "versions": [entry.precedence.version for entry in entries],
            "stamps": [entry.precedence.stamp for entry in entries],
            "created": [entry.created for entry in entries],
            "fingerprints": [entry.fingerprint for entry in entries],
            "passages": [len(entry.passages) for entry in entries],
            "words": [passage.words for entry in entries for passage in entry.passages],
            "questions": [passage.questions for entry in entries for passage in entry.passages],
            "facet_ends": np.cumsum([len(members) for members in facets.values()]),
            "facet_members": [member for members in facets.values() for member in members],
            "term_ends": np.cumsum([len(postings) for postings in terms.values()]),
            "term_postings": [posting for postings in terms.values() for posting in postings],
        },
    )


def merge(parts: Sequence[tuple[Segment, npt.NDArray[np.bool_]]]) -> str:
    """Return one segment of others.

    Args:
        parts: Segments, each with which of its entries to keep.
    """
    kept = [(segment, keep, keep[segment.entry_of_passage]) for segment, keep in parts]
    lists: dict[str, list[Any]] = {name: [] for name in ("ids", "digests", "bodies")}
    for segment, keep, _ in kept:
        for name, column in lists.items():
            given = getattr(segment, name)
            column.extend(given[number] for number in np.flatnonzero(keep).tolist())
    arrays: dict[str, Any] = {
        name: _joined([getattr(segment, name)[keep] for segment, keep, _ in kept])
        for name in ("versions", "stamps", "created", "fingerprints", "passages")
    }
    lists["texts"] = [
        segment.texts[number] for segment, _, passages in kept for number in np.flatnonzero(passages).tolist()
    ]
    for name in ("words", "questions"):
        arrays[name] = _joined([getattr(segment, name)[passages] for segment, _, passages in kept])
    facets = _merged([(s.facets, s.facet_ends, s.facet_members, keep) for s, keep, _ in kept], bits=0)
    terms = _merged(
        [(s.terms, s.term_ends, s.term_postings, passages) for s, _, passages in kept], bits=_FREQUENCY_BITS
    )
    lists["facets"], arrays["facet_ends"], arrays["facet_members"] = facets
    lists["terms"], arrays["term_ends"], arrays["term_postings"] = terms
    return _pack(lists, arrays)


def passages_of(postings: Integers) -> Integers:
    """Return the passages of postings."""
    return postings >> _FREQUENCY_BITS


def frequencies_of(postings: Integers) -> Integers:
    """Return how often the term is in each passage of postings."""
    return postings & MAX_FREQUENCY


def decode(text: str) -> Segment:
    """Read a segment.

    Raises:
        ValueError: That is no segment of this format.
    """
    try:
        unpacked = zlib.decompress(base64.b64decode(text, validate=True))
        (length,) = _HEADER.unpack_from(unpacked)
        start = _HEADER.size + length
        header = from_json(unpacked[_HEADER.size : start])
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']}, expected {FORMAT}")
        arrays: dict[str, Integers] = {}
        for name, kind in _ARRAYS.items():
            size = header["sizes"][name]
            column = np.frombuffer(unpacked, dtype=kind, count=size, offset=start)
            start += column.nbytes
            arrays[name] = column.astype(np.int64)
        return Segment({name: header[name] for name in _LISTS}, arrays)
    except (zlib.error, struct.error, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a segment: {error}") from error


def _pack(lists: Mapping[str, Sequence[Any]], arrays: Mapping[str, Any]) -> str:
    columns = {name: np.asarray(arrays[name], dtype=kind) for name, kind in _ARRAYS.items()}
    header = to_json({"format": FORMAT, **lists, "sizes": {name: len(column) for name, column in columns.items()}})
    binary = b"".join(column.tobytes() for column in columns.values())
    return base64.b64encode(zlib.compress(_HEADER.pack(len(header)) + header + binary, _COMPRESSION)).decode("ascii")


def _slice(members: Integers, ends: Integers, number: int) -> Integers:
    start = ends.item(number - 1) if number else 0
    part: Integers = members[start : ends.item(number)]
    return part


def _joined(columns: Sequence[Integers]) -> Integers:
    return np.concatenate(columns) if columns else np.empty(0, dtype=np.int64)


def _merged(
    parts: Iterable[tuple[Sequence[str], Integers, Integers, npt.NDArray[np.bool_]]], *, bits: int
) -> tuple[list[str], Integers, Integers]:
    """Merge inverted lists.

    Args:
        parts: Names, ends of their lists, members, and which members' numbers to keep.
        bits: How many low bits of a member are not its number.

    Returns:
        The same of all, without names that nothing has any more.
    """
    number_of: dict[str, int] = {}
    names: list[Integers] = []
    members: list[Integers] = []
    offset = 0
    for labels, ends, coded, keep in parts:
        known = np.fromiter((number_of.setdefault(label, len(number_of)) for label in labels), dtype=np.int64)
        owner = known[np.repeat(np.arange(len(labels)), np.diff(ends, prepend=0))] if len(labels) else known
        number = coded >> bits
        kept = keep[number]
        moved = np.cumsum(keep) - 1 + offset
        names.append(owner[kept])
        members.append((moved[number] << bits | coded & ((1 << bits) - 1))[kept])
        offset += int(keep.sum())
    owners, values = _joined(names), _joined(members)
    order = np.argsort(owners, kind="stable")
    counts = np.bincount(owners, minlength=len(number_of))
    labels_kept = [label for label, number in number_of.items() if counts[number]]
    return labels_kept, np.cumsum(counts[counts > 0]), values[order]
