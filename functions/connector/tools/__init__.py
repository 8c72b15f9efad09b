"""The tools that assistants see, by subject; `catalogue` says which of them this deployment offers."""

from typing import Any

from connector.tools import administration, collections, distributed, documents, server
from connector.tools.tool import Tool
from remora.collections.models import Engine


def catalogue(*, engine: Engine, administration_enabled: bool) -> tuple[Tool[Any], ...]:
    """Return the tools of a deployment, in the order in which they are listed.

    Args:
        engine: The kind of Chroma; tools that only a distributed one can serve are left out on a single node.
        administration_enabled: Whether databases can be administered.
    """
    return (
        *collections.TOOLS,
        *documents.TOOLS,
        *server.TOOLS,
        *(distributed.TOOLS if engine is Engine.DISTRIBUTED else ()),
        *(administration.TOOLS if administration_enabled else ()),
    )
