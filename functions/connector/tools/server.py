"""The tool that describes the Chroma server."""

from typing import Any

from connector.tools import rendering
from connector.tools.tool import Call, NoArguments, Tool
from remora.auth.principal import Scope
from remora.collections.models import ServerInfo


async def _server_info(call: Call, _: NoArguments) -> ServerInfo:
    return await call.collections.server_info(deadline=call.deadline)


TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        name="chroma_server_info",
        title="Server information",
        description="Heartbeat, version, limits, tenant and database of the Chroma server.",
        scope=Scope.READ,
        arguments=NoArguments,
        result=ServerInfo,
        run=_server_info,
        render=rendering.plain,
    ),
)
