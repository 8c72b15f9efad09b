"""How memories lie in Chroma: names of collections, ids of records, the text that is embedded, filters.

Two collections hold the index of a space. `PASSAGES` has a record for each passage: its vector, and what filters look
at. `SEGMENTS` has everything else, in few large records (see `segments`).

The vector is that of the passage with what stands before it: the turn before, the headings above. One vector is
enough: a second one, of the passage alone, found no more (see `ranking`), and doubles the work of storing.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, NamedTuple

from pydantic_core import to_json

from remora.memory.models import Memory, MemoryFilter, TagMatch

PASSAGES = "remora.memory.passages"
SEGMENTS = "remora.memory.segments"

PASSAGE_HNSW: Mapping[str, Any] = {"space": "cosine", "ef_construction": 200, "ef_search": 200}
"""Cosine, as the vectors' length says nothing. Searches ask for 100 neighbours, so they look at twice as many; the
graph is built with as much care. 16 links, Chroma's default, suit 384 dimensions."""

SEGMENT_HNSW: Mapping[str, Any] = {"space": "l2", "max_neighbors": 2}
"""Segments are read by id; a record must have a vector, so it has one of a single number."""

PASSAGE_TOKENS = 192
CONTEXT_TOKENS = 60
"""Of the model's window of 256 tokens: four are special ones and line ends."""

_LONG_CHARACTERS = 128
_DIGEST_BYTES = 5


class RecordId(NamedTuple):
    """The id of a passage's record.

    Attributes:
        memory_id: The memory.
        version: Its version.
        digest: Of all that the memory says at that version, its context too.
        passage: The passage's number, from 0.
    """

    memory_id: str
    version: int
    digest: str
    passage: int

    def __str__(self) -> str:
        return f"{self.memory_id}.{self.version}.{self.digest}.{self.passage}"

    @classmethod
    def parse(cls, text: str) -> "RecordId":
        """Read a record's id.

        Raises:
            ValueError: It is not one of a passage.
        """
        memory_id, version, digest, passage = text.rsplit(".", 3)
        return cls(memory_id, int(version), digest, int(passage))


def digest_of(memory: Memory) -> str:
    """Return what tells two states of one version apart: turns get a new context without a new version."""
    return blake2b(memory.model_dump_json().encode(), digest_size=_DIGEST_BYTES).hexdigest()


def milliseconds(moment: datetime) -> int:
    """Return a moment as milliseconds since 1970."""
    return round(moment.timestamp() * 1000)


def moment(since_1970: int) -> datetime:
    """Return the moment that is so many milliseconds after 1970."""
    return datetime.fromtimestamp(since_1970 / 1000, UTC)


def spoken_passage(memory: Memory, passage: str) -> str:
    """Return a passage with who said it, as it is embedded and as its words are indexed."""
    speaker = memory.turn.speaker if memory.turn is not None else None
    return f"{speaker}: {passage}" if speaker else passage


def context_of(memory: Memory, passage: int) -> str | None:
    """Return what a passage is embedded with: for a turn, only its first passage follows what stands before it."""
    return memory.context if memory.turn is None or passage == 0 else None


def passage_metadata(memory: Memory) -> dict[str, Any]:
    """Return the metadata of a passage's record."""
    return {"memory": memory.id, "created": milliseconds(memory.created_at), "facets": list(facets(memory))}


# ---- Facets: what a filter asks for, as texts that are equal exactly when the filter fits ----


def facets(memory: Memory) -> tuple[str, ...]:
    """Return the facets that a memory has, each once."""
    found = [_type(memory.type), *map(_tag, memory.tags)]
    if memory.source is not None:
        found.append(_source(memory.source))
    if memory.conversation_id is not None:
        found.append(_conversation(memory.conversation_id))
    for key, held in memory.metadata.items():
        found.extend(_entry(key, scalar) for scalar in (held if isinstance(held, tuple | list) else (held,)))
    return tuple(dict.fromkeys(found))


def wanted_facets(selection: MemoryFilter) -> list[tuple[str, ...]]:
    """Return what a filter asks for: of each group, one facet at least."""
    groups: list[tuple[str, ...]] = []
    if selection.tags:
        tags = tuple(_tag(tag) for tag in dict.fromkeys(selection.tags))
        groups += [tags] if selection.tag_match is TagMatch.ANY else [(tag,) for tag in tags]
    if selection.type is not None:
        groups.append((_type(selection.type),))
    if selection.source is not None:
        groups.append((_source(selection.source),))
    if selection.conversation_id is not None:
        groups.append((_conversation(selection.conversation_id),))
    groups.extend((_entry(key, scalar),) for key, scalar in selection.metadata.items())
    return groups


def created_range(selection: MemoryFilter) -> tuple[int | None, int | None]:
    """Return the interval of creation that a filter asks for, in milliseconds: first included, last excluded."""
    when = selection.when
    if when is None:
        return None, None
    return (
        None if when.start is None else milliseconds(when.start),
        None if when.end is None else milliseconds(when.end),
    )


def where(selection: MemoryFilter) -> Mapping[str, Any] | None:
    """Return a filter as Chroma takes it; None if it selects everything."""
    conditions: list[Mapping[str, Any]] = []
    for group in wanted_facets(selection):
        either: Sequence[Mapping[str, Any]] = [{"facets": {"$contains": facet}} for facet in group]
        conditions.append(either[0] if len(either) == 1 else {"$or": either})
    first, last = created_range(selection)
    if first is not None:
        conditions.append({"created": {"$gte": first}})
    if last is not None:
        conditions.append({"created": {"$lt": last}})
    if not conditions:
        return None
    return conditions[0] if len(conditions) == 1 else {"$and": conditions}


def called(word: str) -> str:
    """Return the facet of turns whose speaker's name has this word; no filter asks for it."""
    return f"called:{word}"


def facet_value(facet: str, kind: str) -> str | None:
    """Return what a facet of a kind holds (`tag`, `type`, `source`, `conversation`); None if it is of another."""
    prefix = f"{kind}:"
    return facet[len(prefix) :] if facet.startswith(prefix) else None


def _type(name: str) -> str:
    return f"type:{name}"


def _tag(name: str) -> str:
    return f"tag:{name}"


def _source(name: str) -> str:
    return f"source:{name}"


def _conversation(name: str) -> str:
    return f"conversation:{name}"


def _entry(key: str, scalar: object) -> str:
    """Return the facet of one value under a key: 3 and 3.0 are equal, 1 and true are not."""
    if isinstance(scalar, float) and scalar.is_integer():
        scalar = int(scalar)
    held = to_json(scalar).decode()
    if len(held) > _LONG_CHARACTERS:
        held = f"#{blake2b(held.encode(), digest_size=16).hexdigest()}"
    return f"metadata:{to_json(key).decode()}:{held}"
