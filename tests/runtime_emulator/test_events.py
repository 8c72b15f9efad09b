"""Every event in `events/` through the runtime emulator, cold and warm."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.runtime_emulator.conftest import Start, load_event
from tests.runtime_emulator.emulator import REPOSITORY, Emulator

Invoke = Callable[[str], dict[str, Any]]

FUNCTIONS = {
    "health": "ConnectorFunction",
    "mcp-initialize": "ConnectorFunction",
    "mcp-tools-list": "ConnectorFunction",
    "mcp-tools-call": "ConnectorFunction",
    "authorizer-allow": "AuthorizerFunction",
    "authorizer-deny": "AuthorizerFunction",
    "oauth-metadata": "OAuthFunction",
    "oauth-authorize": "OAuthFunction",
    "ingest": "IngestFunction",
    "upkeep": "UpkeepFunction",
    "watch": "WatchFunction",
}
STAGE = "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/dev/"


@pytest.fixture(params=["cold", "warm"])
def invoke(request: pytest.FixtureRequest, start: Start, warm: Callable[[str], Emulator]) -> Invoke:
    """Send an event to its function, in a new execution environment or in one that has served before."""
    run = start if request.param == "cold" else warm
    return lambda name: run(FUNCTIONS[name]).invoke(load_event(name))


def result(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON-RPC result in a proxy answer."""
    assert answer["statusCode"] == 200, answer
    assert answer["isBase64Encoded"] is False
    message = json.loads(answer["body"])
    assert message["jsonrpc"] == "2.0"
    outcome: dict[str, Any] = message["result"]
    return outcome


def test_every_event_has_its_test() -> None:
    files = {path.stem for path in (REPOSITORY / "events").glob("*.json")}
    assert files - {"environment", "principals"} == set(FUNCTIONS)


def test_health_is_answered_without_a_principal(invoke: Invoke) -> None:
    assert invoke("health")["statusCode"] == 200


def test_initialize_agrees_on_the_revision_and_makes_no_session(invoke: Invoke) -> None:
    answer = invoke("mcp-initialize")
    assert result(answer)["protocolVersion"] == "2025-11-25"
    assert not [name for name in answer.get("headers", {}) if name.lower() == "mcp-session-id"]


def test_tools_list_names_the_chroma_tools(invoke: Invoke) -> None:
    names = {tool["name"] for tool in result(invoke("mcp-tools-list"))["tools"]}
    assert {"chroma_list_collections", "chroma_query_documents", "chroma_server_info"} <= names


def test_a_tool_call_reaches_chroma(invoke: Invoke) -> None:
    called = result(invoke("mcp-tools-call"))
    assert not called.get("isError"), called
    assert called["structuredContent"]["collections"] == []


def test_a_known_key_is_allowed_on_the_whole_stage(invoke: Invoke) -> None:
    answer = invoke("authorizer-allow")
    assert answer["principalId"] == "example"
    assert answer["usageIdentifierKey"] == "example-usage-key-0001"
    assert answer["context"] == {"principal_id": "example", "scopes": "read write", "space": "example"}
    (statement,) = answer["policyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"
    assert statement["Action"] == "execute-api:Invoke"
    assert statement["Resource"] in (f"{STAGE}*/*", [f"{STAGE}*/*"], [f"{STAGE}*"])


def test_an_unknown_key_is_refused_in_the_one_word_that_becomes_a_401(invoke: Invoke) -> None:
    assert invoke("authorizer-deny")["errorMessage"] == "Unauthorized"


def test_neither_the_key_nor_its_hash_is_logged(warm: Callable[[str], Emulator]) -> None:
    emulator = warm("AuthorizerFunction")
    emulator.invoke(load_event("authorizer-deny"))
    written = emulator.log.read_text()
    assert "Credential refused" in written
    assert "NobodyHasEverBeenGiven" not in written
    assert "ThisKeyIsInThePublicRepository" not in written
    principals = json.loads((REPOSITORY / "events" / "principals.json").read_text())["principals"]
    assert principals["example"]["keys"][0]["sha256"] not in written
    assert principals["example"]["usage_key"] not in written


def test_the_resource_says_where_to_sign_in(invoke: Invoke) -> None:
    answer = invoke("oauth-metadata")
    assert answer["statusCode"] == 200, answer
    document = json.loads(answer["body"])
    assert document["resource"] == "https://d111111abcdef8.cloudfront.net/mcp"
    assert document["authorization_servers"] == ["https://d111111abcdef8.cloudfront.net"]


def test_the_consent_page_names_who_asks(warm: Callable[[str], Emulator]) -> None:
    answer = warm("OAuthFunction").invoke(load_event("oauth-authorize"))
    assert answer["statusCode"] == 200, answer
    assert "claude.ai" in answer["body"]


def test_a_request_for_a_job_that_is_gone_is_left_alone(invoke: Invoke, warm: Callable[[str], Emulator]) -> None:
    assert invoke("ingest") is None
    assert "Job left alone" in warm("IngestFunction").log.read_text()


def test_the_upkeep_finds_nothing_to_do(invoke: Invoke) -> None:
    assert invoke("upkeep") is None


def test_the_watch_looks_at_the_principals(invoke: Invoke) -> None:
    assert invoke("watch") is None
