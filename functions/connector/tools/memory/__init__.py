"""The memory's tools: remember, recall, change, forget."""

from typing import Any

from connector.tools.memory import changing, finding, ingesting, storing
from connector.tools.tool import Tool

TOOLS: tuple[Tool[Any], ...] = (
    *finding.TOOLS,
    *storing.TOOLS,
    *changing.TOOLS,
    *ingesting.TOOLS,
    finding.OVERVIEW,
)
