"""Tools that reach beyond the caller's space: databases. For the scope `admin`, where the deployment offers them."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from connector.tools import rendering
from connector.tools.arguments import Cursor
from connector.tools.tool import Arguments, Call, Tool
from remora.auth.principal import Scope
from remora.collections.models import DatabaseInfo, DatabasePage
from remora.errors import InvalidArgumentError

DatabaseName = Annotated[str, Field(description="3-512 of a-z A-Z 0-9 . _ -")]


class _Named(Arguments):
    database_name: DatabaseName


class _List(Arguments):
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: Cursor = None


class _Delete(Arguments):
    database_name: DatabaseName
    confirm_name: Annotated[str, Field(description="The same name again")]


class _Reset(Arguments):
    confirm: Annotated[str, Field(description='"delete everything"')]


class ResetResult(BaseModel):
    """The server was emptied."""

    reset: bool


async def _create(call: Call, arguments: _Named) -> DatabaseInfo:
    return await call.administration.create(arguments.database_name, deadline=call.deadline)


async def _get(call: Call, arguments: _Named) -> DatabaseInfo:
    return await call.administration.get(arguments.database_name, deadline=call.deadline)


async def _list(call: Call, arguments: _List) -> DatabasePage:
    return await call.administration.list(limit=arguments.limit, cursor=arguments.cursor, deadline=call.deadline)


async def _delete(call: Call, arguments: _Delete) -> DatabaseInfo:
    if arguments.confirm_name != arguments.database_name:
        raise InvalidArgumentError(
            "`confirm_name` must repeat `database_name`: deleting a database deletes every collection in it."
        )
    return await call.administration.delete(arguments.database_name, deadline=call.deadline)


async def _reset(call: Call, arguments: _Reset) -> ResetResult:
    if arguments.confirm != "delete everything":
        raise InvalidArgumentError('`confirm` must be "delete everything": a reset deletes every database.')
    await call.administration.reset(deadline=call.deadline)
    return ResetResult(reset=True)


TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        name="chroma_create_database",
        title="Create a database",
        description="Create a database (a space). Fails if it exists.",
        scope=Scope.ADMIN,
        arguments=_Named,
        result=DatabaseInfo,
        run=_create,
        render=rendering.plain,
        idempotent=False,
    ),
    Tool(
        name="chroma_get_database",
        title="Describe a database",
        description="Show a database.",
        scope=Scope.ADMIN,
        arguments=_Named,
        result=DatabaseInfo,
        run=_get,
        render=rendering.plain,
        read_only=True,
    ),
    Tool(
        name="chroma_list_databases",
        title="List databases",
        description="List the databases.",
        scope=Scope.ADMIN,
        arguments=_List,
        result=DatabasePage,
        run=_list,
        render=rendering.plain,
        read_only=True,
    ),
    Tool(
        name="chroma_delete_database",
        title="Delete a database",
        description="Delete a database and every collection in it, for good.",
        scope=Scope.ADMIN,
        arguments=_Delete,
        result=DatabaseInfo,
        run=_delete,
        render=rendering.plain,
        destructive=True,
        idempotent=False,
    ),
    Tool(
        name="chroma_reset",
        title="Reset the server",
        description="Delete everything on the Chroma server, where its own settings allow that.",
        scope=Scope.ADMIN,
        arguments=_Reset,
        result=ResetResult,
        run=_reset,
        render=rendering.plain,
        destructive=True,
    ),
)
