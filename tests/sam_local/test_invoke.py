"""Every event of `events/`, as the documentation lists them, in a container by `sam local invoke`."""

import json

import pytest

from tests.sam_local.conftest import Invoke, functions

# What the function answers with, as far as it is told apart here; the runtime emulator's tests look closer.
EXPECTED = {
    "health": '"statusCode": 200',
    "mcp-initialize": "2025-11-25",
    "mcp-tools-list": "chroma_query_documents",
    "mcp-tools-call": "collections",
    "authorizer-allow": "example-usage-key-0001",
    "authorizer-deny": "Unauthorized",
    "oauth-metadata": "authorization_servers",
    "oauth-authorize": "claude.ai",
    "ingest": "null",
    "upkeep": "null",
    "watch": "null",
}


@pytest.mark.parametrize("event", EXPECTED)
def test_an_event_is_answered_in_a_container(invoke: Invoke, event: str) -> None:
    answer = invoke(functions()[event], event)
    assert EXPECTED[event] in answer.replace("\\", ""), answer
    json.loads(answer.strip().splitlines()[-1])


def test_every_event_that_is_documented_is_invoked() -> None:
    assert set(functions()) == set(EXPECTED)
