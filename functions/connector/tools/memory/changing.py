"""Tools that change what the memory holds: update, and delete with restore and purge."""

from typing import Annotated, Any

from pydantic import Field

from connector.tools.memory import rendering
from connector.tools.memory.arguments import ChangedMetadata, Ids, MemoryArguments, Tags
from connector.tools.memory.finding import Filtered
from connector.tools.tool import Call, Tool
from remora.auth.principal import Scope
from remora.errors import InvalidArgumentError
from remora.memory.models import DeletionResult, MemoryChanges, UpdateResult


class _Update(MemoryArguments):
    id: str
    content: str | None = None
    tags: Annotated[Tags, Field(description="Replace the old")] = None
    type: str | None = None
    metadata: ChangedMetadata = None
    source: str | None = None
    version: Annotated[int | None, Field(description="Fail if it has changed since this version")] = None


class _Ids(MemoryArguments):
    ids: Ids = None


# The arguments of the last base are listed first.
class _Delete(Filtered, _Ids):
    confirm: Annotated[bool, Field(description="Do what the preview shows")] = False
    restore: Annotated[bool, Field(description="Bring deleted ids back")] = False
    purge: Annotated[bool, Field(description="Delete for good, history too; needs confirm")] = False


async def _update(call: Call, arguments: _Update) -> UpdateResult:
    # Only what is set is changed.
    changes = arguments.model_dump(exclude={"id", "version"}, exclude_none=True)
    if arguments.metadata is not None:
        # Its own None removes a key, and is kept.
        changes["metadata"] = arguments.metadata
    return await call.memory.update(
        arguments.id, MemoryChanges(**changes), version=arguments.version, deadline=call.deadline
    )


async def _delete(call: Call, arguments: _Delete) -> DeletionResult:
    memory = call.memory
    selection = arguments.selection(memory.now())
    if arguments.restore:
        if arguments.purge or not selection.is_empty:
            raise InvalidArgumentError("restore takes ids and nothing else: those that the deletion answered.")
        return await memory.restore(arguments.ids or (), deadline=call.deadline)
    if bool(arguments.ids) == (not selection.is_empty):
        raise InvalidArgumentError(
            "Give either ids, or a filter (tags, type, source, conversation_id, metadata, when) that says which "
            "memories to delete."
        )
    answered = await memory.delete(
        arguments.ids or (),
        selection=None if selection.is_empty else selection,
        confirm=arguments.confirm,
        purge=arguments.purge,
        deadline=call.deadline,
    )
    return answered if call.may_read else answered.model_copy(update={"preview": ()})


TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        name="memory_update",
        title="Change a memory",
        description="Change parts of a memory; what is not given stays. Its id and history are kept.",
        scope=Scope.WRITE,
        arguments=_Update,
        result=UpdateResult,
        run=_update,
        render=rendering.update_result,
        # Not destructive: the version before can still be read.
    ),
    Tool(
        name="memory_delete",
        title="Forget",
        description=(
            "Delete memories: by ids at once; by filter (source: a document) only previewed until you add confirm. "
            "restore brings deleted ids back; purge is for good."
        ),
        scope=Scope.WRITE,
        arguments=_Delete,
        result=DeletionResult,
        run=_delete,
        render=rendering.deletion_result,
        destructive=True,
    ),
)
