"""What each URL offers: all of it, the memory alone, Chroma alone."""

import subprocess
import sys

import pytest

from connector.offers import Offer, offers
from remora.collections.models import Engine

OFFERS = {offer.path: offer for offer in offers(engine=Engine.SINGLE_NODE, administration_enabled=False)}


def names(offer: Offer) -> set[str]:
    """Return the names of an offer's tools."""
    return {tool.name for tool in offer.tools()}


def test_the_parts_make_up_the_whole() -> None:
    everything, memory, chroma = (names(OFFERS[path]) for path in ("/mcp", "/mcp/memory", "/mcp/chroma"))
    assert everything == memory | chroma
    assert not memory & chroma
    assert all(name.startswith("memory_") for name in memory)
    assert all(name.startswith("chroma_") for name in chroma)


@pytest.mark.parametrize("path", OFFERS)
def test_every_tool_is_found_by_its_name_and_no_tool_of_another_offer(path: str) -> None:
    for name in names(OFFERS["/mcp"]):
        tool = OFFERS[path].tool(name)
        assert (tool is not None and tool.name == name) == (name in names(OFFERS[path]))
    assert OFFERS[path].tool("memory_fly") is None
    assert OFFERS[path].tool("") is None


@pytest.mark.parametrize("path", OFFERS)
def test_instructions_speak_of_what_is_offered_and_of_nothing_else(path: str) -> None:
    instructions = OFFERS[path].instructions
    assert ("memory_search" in instructions) == ("memory_search" in names(OFFERS[path]))
    assert ("chroma_query_documents" in instructions) == ("chroma_query_documents" in names(OFFERS[path]))


def test_a_chroma_tool_is_found_without_importing_the_memory() -> None:
    script = (
        "import sys\n"
        "import connector.app\n"
        "from connector.offers import offers\n"
        "from remora.collections.models import Engine\n"
        "for offer in offers(engine=Engine.SINGLE_NODE, administration_enabled=True):\n"
        "    offer.tool('chroma_query_documents')\n"
        "print([name for name in sys.modules if name.startswith(('connector.tools.memory', 'remora.memory.models',"
        " 'remora.ingest', 'remora.journal', 'boto3'))])\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.strip() == "[]", run.stdout + run.stderr
