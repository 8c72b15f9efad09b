"""The memory service: what every face (MCP tool, REST route, command line) calls to remember and recall."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from remora.budget import DEFAULT_MAX_TOKENS
from remora.chroma.deadline import Deadline
from remora.errors import InvalidArgumentError
from remora.journal import Journal
from remora.memory import changing, checks, conversations, recalling, storing, viewing
from remora.memory.ids import check_memory_id
from remora.memory.index import MemoryIndex
from remora.memory.limits import MAX_IDS_PER_CALL
from remora.memory.models import (
    ConversationResult,
    DeletionResult,
    GetResult,
    MemoryChanges,
    MemoryFilter,
    MemoryPage,
    MetadataValue,
    NewMemory,
    NewTurn,
    Overview,
    SearchRequest,
    SearchResult,
    StoreResult,
    UpdateResult,
)
from remora.memory.workspace import Workspace


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryService:
    """The memory of one space, used by one principal.

    Every write is in the journal before it reaches the index, so what was acknowledged is never lost; what the index
    does not show yet when the time runs out is said as `pending` and finished by a later call or the upkeep. Methods
    check all their arguments before anything is written and raise nothing but the errors of `remora.errors`.
    """

    def __init__(
        self, journal: Journal, index: MemoryIndex, *, by: str, clock: Callable[[], datetime] = _now
    ) -> None:
        """Bind the service to a space and a principal.

        Args:
            journal: The space's journal.
            index: The space's index.
            by: The principal's id, which the journal keeps with each write.
            clock: Tells the moment.
        """
        self._space = Workspace(journal, index, by)
        self._clock = clock

    async def store(self, memories: Sequence[NewMemory], *, within: str = "", deadline: Deadline) -> StoreResult:
        """Store memories. Content that the space holds already keeps its first id.

        Args:
            memories: 1 to 100 of them, together at most 1 MB.
            within: The document that they are chunks of. Equal contents of two documents are two memories.
            deadline: When the answer must be there.

        Raises:
            InvalidArgumentError: One of them cannot be stored; nothing was.
        """
        checked = checks.check_new_memories(memories)
        return await storing.store(
            self._space, checked, within=within, similar=not within, now=self.now(), deadline=deadline
        )

    async def store_conversation(
        self,
        turns: Sequence[NewTurn],
        *,
        conversation_id: str | None = None,
        tags: Sequence[str] = (),
        source: str | None = None,
        metadata: Mapping[str, MetadataValue] | None = None,
        deadline: Deadline,
    ) -> ConversationResult:
        """Store turns, or append them to a conversation. Turns that it has already are left as they are.

        Args:
            turns: 1 to 500 of them, in their order.
            conversation_id: The conversation; a new one is named if there is none.
            tags: Of every turn.
            source: Of every turn.
            metadata: Of every turn.
            deadline: When the answer must be there.
        """
        checks.check_new_turns(turns)
        unique = checks.check_shared(tags, source, metadata or {}, conversation_id)
        return await conversations.store_conversation(
            self._space,
            turns,
            conversation_id=conversation_id,
            tags=unique,
            source=source,
            metadata=metadata or {},
            now=self.now(),
            deadline=deadline,
        )

    async def search(
        self,
        request: SearchRequest,
        *,
        cursor: str | None = None,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        deadline: Deadline,
    ) -> SearchResult:
        """Find memories, best first.

        Args:
            request: What is looked for.
            cursor: `next_cursor` of the page before, with the same request.
            max_tokens: Budget of the answer.
            deadline: When the answer must be there.
        """
        return await recalling.search(
            self._space, request, cursor=cursor, max_tokens=max_tokens, now=self.now(), deadline=deadline
        )

    async def page(
        self,
        selection: MemoryFilter,
        *,
        limit: int = 20,
        cursor: str | None = None,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        deadline: Deadline,
    ) -> MemoryPage:
        """Return memories, newest first."""
        return await viewing.page(
            self._space, selection, limit=limit, cursor=cursor, max_tokens=max_tokens, deadline=deadline
        )

    async def get(
        self,
        ids: Sequence[str],
        *,
        history: bool = False,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        deadline: Deadline,
    ) -> GetResult:
        """Return memories by id, each with the turns around it; deleted ones as they were."""
        return await viewing.get(
            self._space, _check_ids(ids), history=history, max_tokens=max_tokens, deadline=deadline
        )

    async def update(
        self, memory_id: str, changes: MemoryChanges, *, version: int | None = None, deadline: Deadline
    ) -> UpdateResult:
        """Change a memory; its id and its history stay.

        Args:
            memory_id: The memory.
            changes: What to change.
            version: The version that the changes were made from. If the memory has a later one, nothing is changed.
                Without it, the changes are made to whatever is there.
            deadline: When the answer must be there.

        Raises:
            ConflictError: The memory has changed since `version`.
            NotFoundError: There is none of that id, or it is deleted.
        """
        return await changing.update(
            self._space,
            check_memory_id(memory_id),
            checks.check_changes(changes),
            version=version,
            now=self.now(),
            deadline=deadline,
        )

    async def delete(
        self,
        ids: Sequence[str] = (),
        *,
        selection: MemoryFilter | None = None,
        confirm: bool = False,
        purge: bool = False,
        deadline: Deadline,
    ) -> DeletionResult:
        """Delete memories so that they can be restored, or purge them for good.

        Ids are deleted at once. What a filter selects, and every purge, is only shown unless `confirm` is given.

        Args:
            ids: Which memories; or
            selection: what they have in common; not an empty one.
            confirm: Do it, rather than show what would be done.
            purge: Remove content and history for good, from the journal too.
            deadline: When the answer must be there.
        """
        action: changing.StateChange = "purge" if purge else "delete"
        changing.check_selection(ids, selection, action)
        return await changing.change_state(
            self._space,
            action,
            _check_ids(ids) if ids else [],
            selection if not ids else None,
            confirm=confirm,
            now=self.now(),
            deadline=deadline,
        )

    async def restore(self, ids: Sequence[str], *, deadline: Deadline) -> DeletionResult:
        """Bring deleted memories back as they were."""
        return await changing.change_state(
            self._space,
            "restore",
            _check_ids(ids),
            None,
            confirm=True,
            now=self.now(),
            deadline=deadline,
        )

    async def overview(self, *, deadline: Deadline) -> Overview:
        """Return what the memory holds, in numbers."""
        return await viewing.overview(self._space, deadline=deadline)

    async def tags(self, prefix: str, *, limit: int = 100, deadline: Deadline) -> tuple[str, ...]:
        """Return tags that begin with `prefix`, the most used first; for completion."""
        return await viewing.tags(self._space, prefix, limit=limit, deadline=deadline)

    async def settle(self, ids: Sequence[str], *, deadline: Deadline) -> None:
        """Make the index agree with the journal for these memories; may be called for any, at any time."""
        await self._space.settler.settle(ids, deadline=deadline)

    async def finish_abandoned(self, *, deadline: Deadline) -> int:
        """Finish writes that were interrupted; return how many memories were settled."""
        return await self._space.settler.finish_abandoned(deadline=deadline)

    def now(self) -> datetime:
        """Return the moment that relative times are relative to."""
        return self._clock()


def _check_ids(ids: Sequence[str]) -> list[str]:
    if not 1 <= len(ids) <= MAX_IDS_PER_CALL:
        raise InvalidArgumentError(f"{len(ids)} ids were given; one call takes 1 to {MAX_IDS_PER_CALL}.")
    return [check_memory_id(id_) for id_ in ids]
