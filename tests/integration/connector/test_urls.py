"""What each URL of the connector serves: tools, resources and prompts, to whom, and by which method."""

import json
from typing import Any

import pytest

from tests.integration.connector.conftest import Handle, at, message
from tests.support.lambda_event import MODERN, event

PATHS = ("/mcp", "/mcp/memory", "/mcp/chroma")
WITH_MEMORY = ("/mcp", "/mcp/memory")


def result(handle: Handle, method: str, *, path: str, scopes: str = "read write") -> dict[str, Any]:
    """Send a request that has to succeed and return its result."""
    answered: dict[str, Any] = message(handle, method, {}, path=path, scopes=scopes)["result"]
    return answered


def tools(handle: Handle, path: str, *, revision: str) -> set[str]:
    """Return the names of the tools that a URL lists."""
    answer = handle(at(path, event("tools/list", revision=revision)))
    return {tool["name"] for tool in json.loads(answer["body"])["result"]["tools"]}


@pytest.mark.parametrize("revision", ["2024-11-05", "2025-11-25", MODERN])
def test_each_url_offers_its_part_of_the_tools(handle: Handle, revision: str) -> None:
    everything, memory, chroma = (tools(handle, path, revision=revision) for path in PATHS)
    assert {name.partition("_")[0] for name in memory} == {"memory"}
    assert {name.partition("_")[0] for name in chroma} == {"chroma"}
    assert everything == memory | chroma
    assert len(memory) == 9


def test_a_tool_that_a_url_does_not_offer_is_unknown_there(handle: Handle) -> None:
    for path, tool in (("/mcp/memory", "chroma_server_info"), ("/mcp/chroma", "memory_overview")):
        answered = message(handle, "tools/call", {"name": tool, "arguments": {}}, path=path, scopes="read")
        assert answered["error"]["code"] == -32602
        assert tool in answered["error"]["message"]


@pytest.mark.parametrize("path", PATHS)
def test_a_model_is_told_about_what_its_url_offers(handle: Handle, path: str) -> None:
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    initialized = message(handle, "initialize", params, path=path, scopes="read")["result"]
    assert ("memory_search" in initialized["instructions"]) == (path in WITH_MEMORY)
    assert ("chroma_query_documents" in initialized["instructions"]) == (path != "/mcp/memory")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_no_url_has_a_stream_to_get_or_a_session_to_delete(handle: Handle, path: str, method: str) -> None:
    answer = handle(at(path, event("ping")) | {"httpMethod": method})
    assert answer["statusCode"] == 405
    assert answer["headers"]["allow"] == "POST"


def test_there_is_nothing_at_any_other_url(handle: Handle) -> None:
    for path in ("/mcp/", "/mcp/other", "/mcp/memory/x", "/memory"):
        assert handle(at(path, event("ping")))["statusCode"] == 404, path


def test_resources_and_prompts_belong_to_the_memory(handle: Handle) -> None:
    for path in PATHS:
        there = path in WITH_MEMORY
        assert bool(result(handle, "resources/list", path=path)["resources"]) == there
        assert bool(result(handle, "resources/templates/list", path=path)["resourceTemplates"]) == there
        assert bool(result(handle, "prompts/list", path=path)["prompts"]) == there


def test_resources_and_prompts_are_shown_to_the_scopes_that_they_need(handle: Handle) -> None:
    def prompts(scopes: str) -> list[str]:
        listed = result(handle, "prompts/list", path="/mcp", scopes=scopes)["prompts"]
        return [prompt["name"] for prompt in listed]

    assert prompts("read write") == ["recall", "remember", "review"]
    assert prompts("read") == ["recall"]
    assert prompts("write") == prompts("") == []
    for scopes in ("write", "admin", ""):
        assert not result(handle, "resources/list", path="/mcp", scopes=scopes)["resources"]
        assert not result(handle, "resources/templates/list", path="/mcp", scopes=scopes)["resourceTemplates"]


@pytest.mark.parametrize("scopes", ["write", "admin", ""])
def test_without_the_scope_nothing_can_be_read_or_completed(handle: Handle, scopes: str) -> None:
    reference = {"type": "ref/resource", "uri": "memory://tags/{tag}{?cursor}"}
    for method, params in (
        ("resources/read", {"uri": "memory://overview"}),
        ("completion/complete", {"ref": reference, "argument": {"name": "tag", "value": ""}}),
    ):
        error = message(handle, method, params, path="/mcp", scopes=scopes)["error"]
        assert f"{method} needs the scope 'read'; this key has: {scopes or 'none'}" in error["message"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "uri", ["memory://", "memory://nothing", "memory://tags/", "file:///etc/passwd", "", "memory://recent/x"]
)
def test_an_unknown_resource_is_an_error_that_names_it(handle: Handle, path: str, uri: str) -> None:
    error = message(handle, "resources/read", {"uri": uri}, path=path, scopes="read")["error"]
    assert error["code"] == -32602
    assert error["data"] == {"uri": uri}


def test_the_memorys_resources_are_not_there_for_chroma_alone(handle: Handle) -> None:
    for method, params in (
        ("resources/read", {"uri": "memory://overview"}),
        ("prompts/get", {"name": "review"}),
        (
            "completion/complete",
            {"ref": {"type": "ref/prompt", "name": "recall"}, "argument": {"name": "tags", "value": ""}},
        ),
    ):
        assert message(handle, method, params, path="/mcp/chroma", scopes="read")["error"]["code"] == -32602


def test_lists_have_one_page(handle: Handle) -> None:
    for method in ("tools/list", "resources/list", "resources/templates/list", "prompts/list"):
        error = message(handle, method, {"cursor": "x"}, path="/mcp", scopes="read")["error"]
        assert error["code"] == -32602
        assert method in error["message"]


def test_a_prompt_is_written_with_its_arguments(handle: Handle) -> None:
    params = {"name": "recall", "arguments": {"topic": "the boat"}}
    (sent,) = message(handle, "prompts/get", params, path="/mcp", scopes="read")["result"]["messages"]
    assert sent["role"] == "user"
    assert "the boat" in sent["content"]["text"]
    for wrong in ({"name": "recall"}, {"name": "forget"}, {"name": "recall", "arguments": {"subject": "x"}}):
        assert message(handle, "prompts/get", wrong, path="/mcp", scopes="read")["error"]["code"] == -32602
