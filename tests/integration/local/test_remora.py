"""The project's own template under `remora dev`: its routes, its authorizer, its connector, and what stays."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.local_stack import UNLIMITED, LocalStack, start_local_stack


def call(stack: LocalStack, method: str, params: dict[str, Any], key: str | None = None) -> httpx2.Response:
    headers = {"Accept": "application/json, text/event-stream"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return httpx2.post(stack.url, json=body, headers=headers, timeout=60)


def tool(stack: LocalStack, name: str, **arguments: object) -> dict[str, Any]:
    answer = call(stack, "tools/call", {"name": name, "arguments": arguments}, stack.key)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()["result"]
    assert not result.get("isError"), result
    return result


@pytest.mark.usefixtures("model_dir")
def test_a_key_opens_what_is_closed_without_one_and_collections_stay(tmp_path: Path) -> None:
    with start_local_stack(tmp_path, parameters=UNLIMITED) as stack:
        assert httpx2.get(f"{stack.stage_url}/health").status_code == 200

        for key in (None, "rmr_local_" + "x" * 43, "not a key"):
            refused = call(stack, "ping", {}, key)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].startswith("Bearer")

        client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        assert call(stack, "initialize", client, stack.key).json()["result"]["serverInfo"]["name"] == "remora"
        tool(stack, "chroma_create_collection", collection_name="fish")
        tool(stack, "chroma_add_documents", collection_name="fish", documents=["the remora clings to sharks"])
        key = stack.key

    with start_local_stack(tmp_path, parameters=UNLIMITED) as stack:
        assert stack.key == key
        found = tool(stack, "chroma_query_documents", collection_name="fish", query_texts=["a fish on a shark"])
        assert "the remora clings to sharks" in str(found["content"])


@pytest.mark.usefixtures("model_dir")
def test_calls_beyond_the_burst_are_refused_with_when_to_try_again(tmp_path: Path) -> None:
    with start_local_stack(tmp_path, parameters={"StandardLimits": "1,1,20000"}) as stack:
        answers = [call(stack, "ping", {}, stack.key) for _ in range(4)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert answers[0].status_code == 200
    assert refused
    assert refused[0].headers["retry-after"] == "1"
    assert refused[0].json()["error"]["data"]["type"] == "THROTTLED"


@pytest.mark.usefixtures("model_dir")
def test_with_a_distribution_a_key_opens_the_root_and_not_the_stage(tmp_path: Path) -> None:
    with start_local_stack(tmp_path, parameters={**UNLIMITED, "Distribution": "true"}) as stack:
        body = {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {}}
        headers = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {stack.key}"}
        spoofed = headers | {"x-remora-origin": "guess", "x-remora-viewer": "127.0.0.1"}
        # The stage first: the authorizer's answer to the root would be cached for the key.
        assert httpx2.post(f"{stack.stage_url}/mcp", json=body, headers=spoofed, timeout=60).status_code == 401
        assert httpx2.post(stack.url, json=body, headers=spoofed, timeout=60).status_code == 200

        for path in ("/mcp", "/mcp/memory"):
            refused = httpx2.post(
                stack.root_url + path, json=body, headers={"x-api-key": "rmr_local_" + "x" * 43}, timeout=60
            )
            metadata = f"{stack.root_url}/.well-known/oauth-protected-resource{path}"
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == (
                f'Bearer error="invalid_token", resource_metadata="{metadata}", scope="read write"'
            )
