"""What the endpoint answers to HTTP as clients in the field send it, well formed and not."""

import json
import socket
from typing import Any

import httpx2
import pytest

from tests.support.local_stack import LocalStack

CLAUDE = "https://claude.ai"


def rpc(method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a JSON-RPC request."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, **({"params": params} if params is not None else {})}


@pytest.mark.parametrize("revision", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_each_handshake_revision_is_spoken(http: httpx2.Client, stack: LocalStack, revision: str) -> None:
    params = {"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    answer = http.post(stack.url, json=rpc("initialize", params))
    assert answer.status_code == 200
    assert answer.json()["result"]["protocolVersion"] == revision
    assert "mcp-session-id" not in answer.headers
    tools = http.post(stack.url, json=rpc("tools/list"), headers={"MCP-Protocol-Version": revision})
    assert "chroma_query_documents" in {tool["name"] for tool in tools.json()["result"]["tools"]}


def test_the_modern_revision_needs_no_handshake(http: httpx2.Client, stack: LocalStack) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    }
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "server/discover"}
    answer = http.post(stack.url, json=rpc("server/discover", {"_meta": meta}), headers=headers)
    assert answer.status_code == 200
    assert "2026-07-28" in answer.json()["result"]["supportedVersions"]


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic YTpi", "Bearer rmr_local_" + "x" * 43])
def test_a_request_without_a_good_key_gets_401_and_how_to_authenticate(
    stack: LocalStack, authorization: str | None
) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    answer = httpx2.post(stack.url, json=rpc("ping"), headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.headers["Access-Control-Allow-Origin"]
    assert "WWW-Authenticate" in answer.headers["Access-Control-Expose-Headers"]
    if authorization:
        assert authorization.split()[1] not in answer.text


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_there_is_no_stream_to_get_and_no_session_to_delete(
    http: httpx2.Client, stack: LocalStack, method: str
) -> None:
    answer = http.request(method, stack.url)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"this is not JSON", 400),
        (b"", 400),
        (json.dumps([rpc("ping"), rpc("ping")]).encode(), 400),
        (b'{"jsonrpc": "2.0"}', 400),
        (b"\xff\xfe\x00", 400),
    ],
)
def test_a_body_that_is_no_single_request_is_refused_as_json_rpc(
    http: httpx2.Client, stack: LocalStack, body: bytes, status: int
) -> None:
    answer = http.post(stack.url, content=body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_an_unknown_method_is_a_json_rpc_error(http: httpx2.Client, stack: LocalStack) -> None:
    answer = http.post(stack.url, json=rpc("no/such"))
    assert answer.json()["error"]["code"] == -32601


def test_an_unknown_tool_is_an_error_that_names_it(http: httpx2.Client, stack: LocalStack) -> None:
    answer = http.post(stack.url, json=rpc("tools/call", {"name": "chroma_fly", "arguments": {}}))
    assert "chroma_fly" in answer.json()["error"]["message"]


def test_another_content_type_is_refused(http: httpx2.Client, stack: LocalStack) -> None:
    answer = http.post(stack.url, content=b"a=b", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code in (400, 415)


def test_an_allowed_origin_can_read_every_answer(http: httpx2.Client, stack: LocalStack) -> None:
    answer = http.post(stack.url, json=rpc("ping"), headers={"Origin": CLAUDE})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == CLAUDE
    assert "mcp-protocol-version" in answer.headers["Access-Control-Expose-Headers"].lower()


def test_another_origin_is_refused(http: httpx2.Client, stack: LocalStack) -> None:
    for origin in ("https://evil.example", "https://claude.ai.evil.example", "null", "https://claude.ai:444"):
        answer = http.post(stack.url, json=rpc("ping"), headers={"Origin": origin})
        assert answer.status_code == 403, origin
        assert "Origin" in answer.json()["error"]["message"]


def test_a_preflight_needs_no_key(stack: LocalStack) -> None:
    headers = {
        "Origin": CLAUDE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, mcp-protocol-version",
    }
    answer = httpx2.request("OPTIONS", stack.url, headers=headers)
    assert answer.status_code in (200, 204)
    assert answer.headers["Access-Control-Allow-Origin"] == CLAUDE
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"].lower()


def test_answers_carry_the_headers_of_a_strict_site(http: httpx2.Client, stack: LocalStack) -> None:
    headers = http.post(stack.url, json=rpc("ping")).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "max-age" in headers["Strict-Transport-Security"]


def test_health_needs_no_key(stack: LocalStack) -> None:
    answer = httpx2.get(stack.url.removesuffix("/mcp") + "/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "chroma": "ok"}


def test_a_client_that_hangs_up_leaves_the_server_as_it_was(http: httpx2.Client, stack: LocalStack) -> None:
    target = httpx2.URL(stack.url)
    body = json.dumps(rpc("tools/list")).encode()
    head = (
        f"POST {target.path} HTTP/1.1\r\nHost: {target.host}:{target.port}\r\n"
        f"Authorization: Bearer {stack.key}\r\nAccept: application/json, text/event-stream\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    for cut in (len(head) // 2, len(head), len(head) + len(body) // 2, len(head) + len(body)):
        with socket.create_connection((target.host, target.port or 80)) as connection:
            connection.sendall((head + body)[:cut])
    assert http.post(stack.url, json=rpc("ping")).status_code == 200
