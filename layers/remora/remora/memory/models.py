"""The memory's values: what is stored, what is asked for, what is answered."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
)

Scalar = str | int | float | bool
# Strict, because a list of truth values would else become one of numbers.
MetadataValue = (
    Scalar | tuple[StrictStr, ...] | tuple[StrictBool, ...] | tuple[StrictInt, ...] | tuple[StrictFloat, ...]
)


def _to_utc_milliseconds(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time needs an offset, such as 2026-05-01T09:30:00Z or 2026-05-01T09:30:00+02:00")
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _to_iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[
    datetime,
    AfterValidator(_to_utc_milliseconds),
    PlainSerializer(_to_iso, return_type=str, when_used="json"),
]
"""A moment in UTC with milliseconds; as JSON, `2026-05-01T09:30:00.000Z`."""


class _Value(BaseModel):
    """A frozen value, built when first used so that a cold start pays only for what it needs."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Turn(_Value):
    """Where in a conversation a memory was said.

    Attributes:
        id: The turn's own id, as the caller named it.
        speaker: Who said it.
        position: Its place among the conversation's turns, from 0, in the order of their arrival.
    """

    id: str
    speaker: str | None = None
    position: int


class Memory(_Value):
    """A memory as it stands at one version.

    Attributes:
        id: Short and stable; a turn's is `<conversation key>-<position>`.
        version: From 1, one more with each write.
        content: The text, exactly as it was given.
        type: A word of the caller's choice.
        tags: In the order given, each once.
        metadata: Scalars and arrays by key.
        source: Where it came from: a file name, a URL, an application.
        conversation_id: The conversation that it is a turn of.
        turn: Its place there.
        context: What stood just before the content: the turn before, the headings above. Searched with the
            content, never part of it.
        created_at: When it was said or stored.
        updated_at: When this version was written.
    """

    id: str
    version: int = Field(ge=1)
    content: str
    type: str = "note"
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, MetadataValue] = Field(default_factory=dict)
    source: str | None = None
    conversation_id: str | None = None
    turn: Turn | None = None
    context: str | None = None
    created_at: Moment
    updated_at: Moment


class NewMemory(_Value):
    """A memory to be stored; its parts mean what they mean in `Memory`.

    Attributes:
        created_at: When it was said or happened; now, unless given.
    """

    content: str
    type: str = "note"
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, MetadataValue] = Field(default_factory=dict)
    source: str | None = None
    context: str | None = None
    created_at: Moment | None = None


class NewTurn(_Value):
    """A turn of a conversation to be stored.

    Attributes:
        content: What was said.
        speaker: Who said it.
        id: The turn's own id. Without one, a turn is known by its speaker, time and words, and by how many
            equal ones stand before it in the same call.
        time: When it was said; now, unless given.
    """

    content: str
    speaker: str | None = None
    id: str | None = None
    time: Moment | None = None


class Interval(_Value):
    """A stretch of time: from `start`, included, to `end`, excluded. None means open.

    Attributes:
        asked: The words that it was read from.
        understood: The interval in words and absolute times, so that a caller can see what was understood.
    """

    asked: str
    start: Moment | None = None
    end: Moment | None = None
    understood: str


class TagMatch(StrEnum):
    """Whether one of the given tags is enough or all are needed."""

    ANY = "any"
    ALL = "all"


class MemoryFilter(_Value):
    """Which memories an operation is about; what is not given does not restrict.

    Attributes:
        tags: Tags to look for, compared exactly.
        tag_match: Whether any or all of them.
        type: The type.
        source: The source.
        conversation_id: The conversation.
        metadata: Keys with the value that each must have; an array in a memory matches if it holds the value.
        when: When it was created.
    """

    tags: tuple[str, ...] = ()
    tag_match: TagMatch = TagMatch.ANY
    type: str | None = None
    source: str | None = None
    conversation_id: str | None = None
    metadata: Mapping[str, Scalar] = Field(default_factory=dict)
    when: Interval | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it selects everything."""
        return not (
            self.tags or self.type or self.source or self.conversation_id or self.metadata or self.when is not None
        )


class SearchMode(StrEnum):
    """What evidence ranks memories."""

    HYBRID = "hybrid"
    DENSE = "dense"
    LEXICAL = "lexical"


class SearchRequest(_Value):
    """A search.

    Attributes:
        query: What is looked for, in plain words.
        filter: Which memories may be found; applied before ranking.
        mode: What evidence ranks them.
        limit: Most hits of a page.
        min_score: Hits below it are left out, so that the answer may be that nothing is relevant.
        recency_half_life_days: After how many days a memory's score has lost half of what recency adds; None for
            no recency.
    """

    query: str
    filter: MemoryFilter = Field(default_factory=MemoryFilter)
    mode: SearchMode = SearchMode.HYBRID
    limit: int = 10
    min_score: float = 0.0
    recency_half_life_days: float | None = None


class Signals(_Value):
    """What a score is made of, each from 0 to 1; what did not take part is None.

    Attributes:
        dense: Cosine similarity of the query and the passage with what stands before it.
        dense_context: How near to the query its neighbours are, up to three on each side.
        lexical: Share of the query's word evidence (BM25) that the passage holds.
        lexical_context: The same for the passage with up to three neighbours on each side.
        recency: 1 now, a half after the half-life.
    """

    dense: float | None = None
    dense_context: float | None = None
    lexical: float | None = None
    lexical_context: float | None = None
    recency: float | None = None


class Hit(_Value):
    """A memory that a search found.

    Attributes:
        id: The memory's id.
        score: From 0 to 1, the same scale for every query.
        signals: What the score is made of.
        passage: The best passage; the whole content if `whole`.
        whole: Whether the passage is the whole content. If not, `memory_get` has it.
        type: As in `Memory`; so are the rest.
    """

    id: str
    score: float
    signals: Signals
    passage: str
    whole: bool
    type: str
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = Field(default_factory=dict)
    source: str | None = None
    conversation_id: str | None = None
    turn: Turn | None = None
    created_at: Moment
    updated_at: Moment
    version: int


class SearchResult(_Value):
    """Hits, best first.

    Attributes:
        hits: The hits.
        when: The interval that was understood, in words.
        next_cursor: For the hits after these; None at the end.
        note: What a reader should know: nothing was relevant enough, hits were cut.
    """

    hits: tuple[Hit, ...]
    when: str | None = None
    next_cursor: str | None = None
    note: str | None = None


class MemoryPage(_Value):
    """Memories of a listing, newest first.

    Attributes:
        memories: The memories.
        total: How many there are in all pages.
        when: The interval that was understood, in words.
        next_cursor: For those after these; None at the end.
        note: What a reader should know.
    """

    memories: tuple[Memory, ...]
    total: int
    when: str | None = None
    next_cursor: str | None = None
    note: str | None = None


class Similar(_Value):
    """A memory much like one that was stored; the caller decides whether they are the same.

    Attributes:
        id: Its id.
        similarity: Cosine similarity of the two, from 0 to 1.
        content: How it begins.
    """

    id: str
    similarity: float
    content: str


class StoredMemory(_Value):
    """What became of one memory of a store call.

    Attributes:
        id: Its id: the first one, if it was stored before.
        created: Whether this call made it.
        similar: Near-duplicates that were there already.
    """

    id: str
    created: bool
    similar: tuple[Similar, ...] = ()


class StoreResult(_Value):
    """What became of a store call.

    Attributes:
        memories: One for each memory given, in their order.
        pending: How many are kept safely but cannot be searched yet; later calls and the upkeep finish that.
        note: Why some are pending.
    """

    memories: tuple[StoredMemory, ...]
    pending: int = 0
    note: str | None = None


class StoredTurn(_Value):
    """What became of one turn.

    Attributes:
        turn_id: The turn's own id, given or made.
        id: The memory's id.
        created: Whether this call made it.
    """

    turn_id: str
    id: str
    created: bool


class ConversationResult(_Value):
    """What became of a conversation's turns.

    Attributes:
        conversation_id: The conversation, for appending to it.
        turns: One for each turn given, in their order.
        created: How many of them are new.
        total: How many turns the conversation has now.
        pending: As in `StoreResult`.
        note: Why some are pending.
    """

    conversation_id: str
    turns: tuple[StoredTurn, ...]
    created: int
    total: int
    pending: int = 0
    note: str | None = None


class Version(_Value):
    """One write of a memory.

    Attributes:
        version: Its number.
        action: What was done.
        at: When.
        by: The principal that did it.
        content: The content from then on; None where there was none.
        changed: Names of the parts that differ from the version before.
    """

    version: int
    action: Literal["store", "update", "delete", "restore", "purge"]
    at: Moment
    by: str
    content: str | None = None
    changed: tuple[str, ...] = ()


class MemoryDetail(_Value):
    """A memory with what surrounds it.

    Attributes:
        id: Its id.
        memory: The memory; None after it was purged. A deleted one is shown as it was.
        deleted: Whether it is deleted, and can be restored.
        history: Its versions, oldest first; only if asked for.
        before: The turn before it, in a conversation.
        after: The turn after it.
        cut: Whether the content was cut to the token budget.
    """

    id: str
    memory: Memory | None
    deleted: bool = False
    history: tuple[Version, ...] | None = None
    before: Memory | None = None
    after: Memory | None = None
    cut: bool = False


class GetResult(_Value):
    """Memories by id.

    Attributes:
        memories: In the order of the ids.
        missing: Ids that nothing has.
        note: What a reader should know, such as ids left out because the budget was used up.
    """

    memories: tuple[MemoryDetail, ...]
    missing: tuple[str, ...] = ()
    note: str | None = None


class MemoryChanges(_Value):
    """What to change; what is not set stays.

    Attributes:
        content: New content.
        tags: New tags, in place of the old.
        type: New type.
        metadata: Keys to set; a key with the value None is removed.
        source: New source.
    """

    content: str | None = None
    tags: tuple[str, ...] | None = None
    type: str | None = None
    metadata: Mapping[str, MetadataValue | None] | None = None
    source: str | None = None


class UpdateResult(_Value):
    """What an update did.

    Attributes:
        id: The memory's id.
        version: Its version now.
        changed: Names of the parts that changed; empty if it said so already.
        pending: Whether the change is kept safely but cannot be searched yet.
        note: What a reader should know.
    """

    id: str
    version: int
    changed: tuple[str, ...]
    pending: bool = False
    note: str | None = None


class DeletionPreview(_Value):
    """A memory that a deletion would take.

    Attributes:
        id: Its id.
        content: How it begins.
    """

    id: str
    content: str


class DeletionResult(_Value):
    """What a deletion, restoration or purge did, or would do.

    Attributes:
        action: What was asked for.
        done: Whether it was done; False for a preview.
        count: How many memories it is about.
        ids: Which, the first hundred.
        preview: The first of them, when nothing was done yet.
        missing: Ids given that nothing has, or that are in that state already.
        when: The interval that was understood, in words.
        pending: How many are done in the journal and not yet in the index.
        note: What to do next.
    """

    action: Literal["delete", "restore", "purge"]
    done: bool
    count: int
    ids: tuple[str, ...] = ()
    preview: tuple[DeletionPreview, ...] = ()
    missing: tuple[str, ...] = ()
    when: str | None = None
    pending: int = 0
    note: str | None = None


class Count(_Value):
    """How many memories have something in common."""

    name: str
    count: int


class Overview(_Value):
    """What a memory holds, in numbers.

    Attributes:
        memories: Memories in all.
        passages: Passages that they are indexed as.
        conversations: Conversations among them.
        tags: The most used tags.
        types: The types.
        sources: The most used sources.
        months: Memories by the month of their creation, `2026-05`, oldest first.
        oldest: Creation of the oldest.
        newest: Creation of the newest.
        pending: Writes that are kept safely and not searchable yet.
    """

    memories: int
    passages: int
    conversations: int
    tags: tuple[Count, ...] = ()
    types: tuple[Count, ...] = ()
    sources: tuple[Count, ...] = ()
    months: tuple[Count, ...] = ()
    oldest: Moment | None = None
    newest: Moment | None = None
    pending: int = 0
