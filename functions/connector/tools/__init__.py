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
    return (*memory_tools(), *chroma_tools(engine=engine, administration_enabled=administration_enabled))


def chroma_tools(*, engine: Engine, administration_enabled: bool) -> tuple[Tool[Any], ...]:
    """Return the tools for Chroma itself; arguments as in `catalogue`."""
    return (
        *collections.TOOLS,
        *documents.TOOLS,
        *server.TOOLS,
        *(distributed.TOOLS if engine is Engine.DISTRIBUTED else ()),
        *(administration.TOOLS if administration_enabled else ()),
    )


def memory_tools() -> tuple[Tool[Any], ...]:
    """Return the tools for the memory; imported when first asked for, so that a Chroma tool's call does without."""
    from connector.tools import memory

    return memory.TOOLS
