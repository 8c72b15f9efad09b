"""Tools that put something into the memory: single memories and conversations."""

from typing import Annotated, Any

from pydantic import Field

from connector.tools.memory import rendering
from connector.tools.memory.arguments import Contents, MemoryArguments, NewMetadata, Tags
from connector.tools.memory.times import Timezone, moment
from connector.tools.tool import Call, Tool
from remora.auth.principal import Scope
from remora.errors import InvalidArgumentError
from remora.memory.models import ConversationResult, NewMemory, NewTurn, StoreResult


class _NewMemory(MemoryArguments):
    content: str
    tags: Tags = None
    type: str | None = None
    metadata: NewMetadata = None
    source: str | None = None
    time: str | None = None


class _Store(MemoryArguments):
    content: Annotated[str | None, Field(description="One memory")] = None
    memories: Annotated[
        Contents[_NewMemory] | None,
        Field(description="Or several; arguments beside it hold for each that has no own"),
    ] = None
    tags: Tags = None
    type: Annotated[str | None, Field(description="A word: note (default), fact, preference, decision…")] = None
    metadata: Annotated[NewMetadata, Field(description="Values: scalars or arrays of one kind")] = None
    source: Annotated[str | None, Field(description="URL, file or app it comes from")] = None
    time: Annotated[str | None, Field(description="When it happened, ISO 8601; default now")] = None
    timezone: Timezone = None


class _Turn(MemoryArguments):
    content: str
    speaker: str | None = None
    time: Annotated[str | None, Field(description="ISO 8601")] = None
    id: Annotated[str | None, Field(description="Your own id of the turn")] = None


class _StoreConversation(MemoryArguments):
    turns: Annotated[Contents[_Turn], Field(description="In order")]
    conversation_id: Annotated[str | None, Field(description="Give it again to append")] = None
    tags: Tags = None
    metadata: NewMetadata = None
    source: str | None = None
    timezone: Timezone = None


def _new_memory(given: _NewMemory | _Store, content: str, shared: _Store, place: str) -> NewMemory:
    """Return a memory with what it says itself before what is said of all."""
    time = given.time or shared.time
    return NewMemory(
        content=content,
        type=given.type or shared.type or "note",
        tags=tuple(dict.fromkeys([*(shared.tags or ()), *(given.tags or ())])),
        metadata={**(shared.metadata or {}), **(given.metadata or {})},
        source=given.source or shared.source,
        created_at=moment(time, shared.timezone, f"{place}time") if time is not None else None,
    )


async def _store(call: Call, arguments: _Store) -> StoreResult:
    if (arguments.content is None) == (arguments.memories is None):
        raise InvalidArgumentError("Give either content, for one memory, or memories, for several.")
    if arguments.content is not None:
        memories = [_new_memory(arguments, arguments.content, arguments, "")]
    else:
        memories = [
            _new_memory(given, given.content, arguments, f"memories[{number}].")
            for number, given in enumerate(arguments.memories or ())
        ]
    stored = await call.memory.store(memories, deadline=call.deadline)
    if call.may_read:
        return stored
    return stored.model_copy(
        update={"memories": tuple(each.model_copy(update={"similar": ()}) for each in stored.memories)}
    )


async def _store_conversation(call: Call, arguments: _StoreConversation) -> ConversationResult:
    turns = [
        NewTurn(
            content=turn.content,
            speaker=turn.speaker,
            id=turn.id,
            time=(moment(turn.time, arguments.timezone, f"turns[{number}].time") if turn.time is not None else None),
        )
        for number, turn in enumerate(arguments.turns)
    ]
    return await call.memory.store_conversation(
        turns,
        conversation_id=arguments.conversation_id,
        tags=arguments.tags or (),
        source=arguments.source,
        metadata=arguments.metadata,
        deadline=call.deadline,
    )


TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        name="memory_store",
        title="Remember",
        description=(
            "Remember facts, preferences, decisions, events for later conversations. Write each so that it is "
            "understood alone: names, not pronouns; dates, not 'tomorrow'. Storing the same again changes nothing; "
            "similar memories are answered, to be merged with memory_update."
        ),
        scope=Scope.WRITE,
        arguments=_Store,
        result=StoreResult,
        run=_store,
        render=rendering.store_result,
    ),
    Tool(
        name="memory_store_conversation",
        title="Remember a conversation",
        description="Remember a conversation turn by turn. Turns it has already are skipped, new ones appended.",
        scope=Scope.WRITE,
        arguments=_StoreConversation,
        result=ConversationResult,
        run=_store_conversation,
        render=rendering.conversation_result,
    ),
)
