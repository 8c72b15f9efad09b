"""What the collection services answer: frozen models that double as the tools' output schemas."""

from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")


def _is_none(value: object) -> bool:
    return value is None


Maybe = Annotated[T | None, Field(exclude_if=_is_none)]
"""A value that is left out of the answer altogether when it is None."""

Scalar = str | bool | int | float
Metadata = dict[str, Any]
"""A record's metadata: scalars and arrays of scalars, and on distributed engines sparse vectors."""


class Model(BaseModel):
    """Base of every answer."""

    # Built when first used: a cold start needs one answer's model, not all of them.
    model_config = ConfigDict(frozen=True, defer_build=True)


class Space(StrEnum):
    """The distance that a collection's index uses."""

    L2 = "l2"
    COSINE = "cosine"
    IP = "ip"


class Engine(StrEnum):
    """What kind of Chroma answers: only a distributed one has search, native forks and indexing status."""

    SINGLE_NODE = "single-node"
    DISTRIBUTED = "distributed"


class QueryMode(StrEnum):
    """How hits are found and ordered."""

    DENSE = "dense"
    LEXICAL = "lexical"
    HYBRID = "hybrid"


class Include(StrEnum):
    """The parts of a record that an answer may hold besides its id."""

    DOCUMENTS = "documents"
    METADATAS = "metadatas"
    URIS = "uris"
    EMBEDDINGS = "embeddings"


class HnswSettings(Model):
    """Settings of a collection's HNSW index, as given on creation; None leaves Chroma's default.

    Attributes:
        ef_construction: Candidates considered while a record is linked into the graph.
        ef_search: Candidates considered by a query.
        max_neighbors: Links of each record (M).
        resize_factor: Growth of the index when it is full.
        sync_threshold: Writes between two flushes of the index to disk.
    """

    ef_construction: Maybe[int] = None
    ef_search: Maybe[int] = None
    max_neighbors: Maybe[int] = None
    resize_factor: Maybe[float] = None
    sync_threshold: Maybe[int] = None


class HnswChanges(Model):
    """HNSW settings that Chroma can change on an existing collection; None leaves a setting as it is."""

    ef_search: Maybe[int] = None
    max_neighbors: Maybe[int] = None
    resize_factor: Maybe[float] = None
    sync_threshold: Maybe[int] = None


class CollectionSummary(Model):
    """One line of the list of collections."""

    name: str
    count: Maybe[int] = Field(default=None, description="Records in the collection")
    dimension: Maybe[int] = Field(default=None, description="Length of its vectors; absent until the first write")
    metadata: Maybe[dict[str, Scalar]] = None


class CollectionPage(Model):
    """A page of collections, in the order of their names."""

    collections: list[CollectionSummary]
    total: int = Field(description="Collections in the database")
    next_cursor: Maybe[str] = Field(
        default=None, description="Pass as `cursor` for the next page; absent on the last"
    )


class CollectionInfo(Model):
    """What there is to know about one collection."""

    id: str
    name: str
    count: int = Field(description="Records in the collection")
    dimension: Maybe[int] = Field(default=None, description="Length of its vectors; absent until the first write")
    space: Maybe[Space] = Field(default=None, description="Distance of its index")
    hnsw: Maybe[HnswSettings] = None
    metadata: Maybe[dict[str, Scalar]] = None
    embedding_function: Maybe[str] = Field(default=None, description="Name of its embedding function, if it has one")
    embeds_text: bool = Field(description="Whether text can be stored and queried here; else give embeddings")
    embeds_text_reason: Maybe[str] = Field(default=None, description="Why not, when it cannot")
    created: Maybe[bool] = Field(default=None, description="Whether this call created it")


class DeletedCollection(Model):
    """A collection that is gone, and what went with it."""

    name: str
    deleted_records: int


class Record(Model):
    """One stored record."""

    id: str
    document: Maybe[str] = None
    document_truncated: Maybe[bool] = Field(
        default=None,
        description="True when only the beginning of the document is shown, to fit the token budget",
    )
    document_characters: Maybe[int] = Field(default=None, description="Full length of a document shown in part")
    metadata: Maybe[Metadata] = None
    uri: Maybe[str] = None
    embedding: Maybe[list[float]] = None
    omitted: Maybe[list[str]] = Field(
        default=None, description="Parts left out because they alone are larger than the token budget"
    )


class RecordPage(Model):
    """A page of records."""

    records: list[Record]
    next_cursor: Maybe[str] = Field(
        default=None, description="Pass as `cursor` for the next page; absent on the last"
    )


class Hit(Record):
    """A record that matches a query."""

    distance: Maybe[float] = Field(default=None, description="Chroma's distance, in the collection's own space")
    score: Maybe[float] = Field(default=None, description="Similarity from 0 to 1, the same scale for every space")
    keyword_score: Maybe[float] = Field(
        default=None, description="BM25 as a part of the query's best, 0 to 1 (modes lexical and hybrid)"
    )
    search_score: Maybe[float] = Field(default=None, description="The Search API's own score; lower is better")
    hybrid_score: Maybe[float] = Field(default=None, description="What hybrid hits are ordered by, 0 to 1")


class QueryMatches(Model):
    """The hits of one of the queries, best first."""

    query: Maybe[str] = Field(default=None, description="The query's text, if it was given as text")
    hits: list[Hit]
    cut: Maybe[bool] = Field(
        default=None,
        description="True when the token budget left out hits of this query that `n_results` asked for",
    )


class QueryResult(Model):
    """The answer to one or more queries, in the order in which they were given."""

    results: list[QueryMatches]
    next_cursor: Maybe[str] = Field(
        default=None, description="Pass as `cursor` for the hits that did not fit (one query at a time)"
    )
    note: Maybe[str] = Field(default=None, description="What the caller should know about how hits were found")


class TruncatedText(Model):
    """A document that is stored whole, but whose vector covers only its beginning."""

    id: str
    tokens: int = Field(description="Tokens in the whole document")
    embedded_tokens: int = Field(description="Tokens that the vector covers")


class WriteResult(Model):
    """What a write stored, and what it did not."""

    stored: int = Field(description="Records written")
    ids: list[str] = Field(description="Their ids, in the order given")
    already_existed: list[str] = Field(
        default_factory=list, description="Ids that `add` left as they were because they exist"
    )
    missing: list[str] = Field(default_factory=list, description="Ids that `update` did not find")
    not_stored: list[str] = Field(default_factory=list, description="Ids that were not written; `reason` says why")
    uncertain: list[str] = Field(
        default_factory=list,
        description="Ids that may or may not have been written; writing them again is safe",
    )
    truncated: list[TruncatedText] = Field(
        default_factory=list, description="Documents longer than the embedding model's window"
    )
    reason: Maybe[str] = Field(default=None, description="Why the write stopped before its end")


class DeleteResult(Model):
    """What a deletion removed, or would remove."""

    deleted: int = Field(description="Records removed, or with `dry_run` those that would be")
    ids: list[str] = Field(description="Their ids; only the first ones when `ids_cut` is true")
    ids_cut: Maybe[bool] = None
    missing: list[str] = Field(default_factory=list, description="Given ids that match no record")
    remaining: Maybe[int] = Field(
        default=None, description="Matching records that are still there; `reason` says why"
    )
    dry_run: bool
    reason: Maybe[str] = None


class ForkResult(Model):
    """A collection made of another."""

    name: str
    id: str
    records: int = Field(description="Records in the new collection")
    native: bool = Field(description="True for a fork made by the engine, false for a copy")
    note: Maybe[str] = None


class ServerInfo(Model):
    """The Chroma server behind this connector."""

    version: str
    heartbeat_ns: int = Field(description="The server's clock, nanoseconds since 1970")
    clock: str = Field(description="The same as an ISO 8601 time in UTC")
    max_batch_size: int
    engine: Engine
    tenant: str
    database: str
    user_id: Maybe[str] = None


class IndexingStatus(Model):
    """How much of a collection's log has reached its index."""

    progress: float = Field(description="0 to 1")
    indexed: int
    unindexed: int
    total: int


class DatabaseInfo(Model):
    """One Chroma database."""

    name: str
    id: str
    tenant: str


class DatabasePage(Model):
    """A page of databases, in the order of their names."""

    databases: list[DatabaseInfo]
    next_cursor: Maybe[str] = Field(
        default=None, description="Pass as `cursor` for the next page; absent on the last"
    )
