"""What travels between Remora and Chroma, as typed values: the shapes of the REST API v2 and nothing more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

Json = Any
"""Decoded JSON of a shape that only its reader knows."""

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EmbeddingFunction:
    """What a collection's configuration says about its embedding function. Data to compare, never to build from.

    Attributes:
        kind: `known`, `legacy` or `unknown`.
        name: The function's name, of a known one.
        model: The `model_name` of its configuration, if there is one.
    """

    kind: str
    name: str | None = None
    model: str | None = None

    @classmethod
    def from_json(cls, value: Json) -> Self | None:
        """Read it out of `configuration_json.embedding_function`."""
        if not isinstance(value, dict):
            return None
        config = value.get("config")
        model = config.get("model_name") if isinstance(config, dict) else None
        return cls(
            kind=str(value.get("type")),
            name=value.get("name"),
            model=model if isinstance(model, str) else None,
        )


@dataclass(frozen=True, slots=True)
class StoredCollection:
    """A collection as the server describes it.

    Attributes:
        id: Its UUID.
        name: Its name.
        dimension: Length of its vectors; None before the first write.
        space: `l2`, `cosine` or `ip`; None where the engine names none.
        index: The settings of its HNSW index; empty on engines that use another index.
        metadata: Its metadata, None when it has none.
        embedding_function: What its configuration says about its embedding function.
    """

    id: str
    name: str
    dimension: int | None
    space: str | None
    index: JsonObject
    metadata: JsonObject | None
    embedding_function: EmbeddingFunction | None

    @classmethod
    def from_json(cls, value: JsonObject) -> Self:
        """Read the server's answer."""
        configuration = value.get("configuration_json") or {}
        hnsw = configuration.get("hnsw") or {}
        index = hnsw or configuration.get("spann") or {}
        return cls(
            id=value["id"],
            name=value["name"],
            dimension=value.get("dimension"),
            space=index.get("space"),
            index={name: setting for name, setting in hnsw.items() if name != "space" and setting is not None},
            metadata=value.get("metadata") or None,
            embedding_function=EmbeddingFunction.from_json(configuration.get("embedding_function")),
        )


@dataclass(frozen=True, slots=True)
class StoredDatabase:
    """A database as the server describes it."""

    id: str
    name: str
    tenant: str

    @classmethod
    def from_json(cls, value: JsonObject) -> Self:
        """Read the server's answer."""
        return cls(id=value["id"], name=value["name"], tenant=value["tenant"])


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records an operation is about. What is None does not restrict."""

    ids: Sequence[str] | None = None
    where: JsonObject | None = None
    where_document: JsonObject | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the members of a request body."""
        members: dict[str, Any] = {}
        if self.ids is not None:
            members["ids"] = list(self.ids)
        if self.where is not None:
            members["where"] = self.where
        if self.where_document is not None:
            members["where_document"] = self.where_document
        return members


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as the server returns it; what was not asked for is None."""

    id: str
    document: str | None = None
    metadata: JsonObject | None = None
    uri: str | None = None
    embedding: Sequence[float] | None = None
    distance: float | None = None


def _column(columns: JsonObject, name: str, length: int) -> Sequence[Any]:
    column = columns.get(name)
    return column if column is not None else (None,) * length


def _row(columns: JsonObject, name: str, query: int, length: int) -> Sequence[Any]:
    column = columns.get(name)
    row = column[query] if column is not None else None
    return row if row is not None else (None,) * length


_RECORD_COLUMNS = ("documents", "metadatas", "uris", "embeddings")
_MATCH_COLUMNS = (*_RECORD_COLUMNS, "distances")


def records_from_json(columns: JsonObject) -> list[StoredRecord]:
    """Turn the columns of a `get` answer into records."""
    ids = columns["ids"]
    cells = (_column(columns, name, len(ids)) for name in _RECORD_COLUMNS)
    return [StoredRecord(*row) for row in zip(ids, *cells, strict=True)]


def matches_from_json(columns: JsonObject) -> list[list[StoredRecord]]:
    """Turn the columns of a `query` answer into the records of each query, nearest first."""
    answers: list[list[StoredRecord]] = []
    for query, ids in enumerate(columns["ids"]):
        cells = (_row(columns, name, query, len(ids)) for name in _MATCH_COLUMNS)
        answers.append([StoredRecord(*row) for row in zip(ids, *cells, strict=True)])
    return answers


@dataclass(frozen=True, slots=True)
class RecordColumns:
    """Records on their way to Chroma, as columns of one length. A None in a column leaves that part out.

    Attributes:
        ids: The records' ids.
        embeddings: Packed vectors (`vectors.pack`); None as a whole, or for a record of an update that keeps its.
        documents: Texts.
        metadatas: Metadata; in an update, a key with the value None is removed.
        uris: URIs.
    """

    ids: Sequence[str]
    embeddings: Sequence[bytes | None] | None = None
    documents: Sequence[str | None] | None = None
    metadatas: Sequence[JsonObject | None] | None = None
    uris: Sequence[str | None] | None = None


@dataclass(frozen=True, slots=True)
class NewCollection:
    """A collection to be made.

    Attributes:
        name: Its name.
        metadata: Its metadata; None for none.
        hnsw: Settings of its index, `space` among them; what is missing is Chroma's default.
        default_embedding_function: Whether to record Chroma's default function as its own. No other function
            can be recorded through this client: Chroma's clients build what a configuration names.
    """

    name: str
    metadata: JsonObject | None = None
    hnsw: JsonObject = field(default_factory=dict)
    default_embedding_function: bool = False


DEFAULT_EMBEDDING_FUNCTION: JsonObject = {"type": "known", "name": "default", "config": {}}
"""The only embedding-function configuration that Remora ever writes; Chroma's clients write the same."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who Chroma takes the connector for."""

    user_id: str
    tenant: str
    databases: Sequence[str]


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """How far a distributed engine has indexed a collection's log."""

    progress: float
    indexed: int
    unindexed: int
    total: int


@dataclass(frozen=True, slots=True)
class SearchMatches:
    """One search's records with their scores, best first."""

    records: Sequence[StoredRecord]
    scores: Sequence[float | None]


def searches_from_json(columns: JsonObject) -> list[SearchMatches]:
    """Turn the columns of a `search` answer into the records of each search, best first."""
    answers: list[SearchMatches] = []
    for search, ids in enumerate(columns["ids"]):
        documents, metadatas, embeddings, scores = (
            _row(columns, name, search, len(ids)) for name in ("documents", "metadatas", "embeddings", "scores")
        )
        records = [
            StoredRecord(id_, document, metadata, None, embedding)
            for id_, document, metadata, embedding in zip(ids, documents, metadatas, embeddings, strict=True)
        ]
        answers.append(SearchMatches(records, tuple(scores)))
    return answers
