"""What the gateway and the functions behind it refuse together: bent paths, smuggled headers, other origins."""

import json
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.e2e.test_http import CLAUDE, rpc
from tests.support.local_stack import LocalStack
from tests.support.raw_http import RawAnswer, send_raw

STORE = rpc("tools/call", {"name": "memory_store", "arguments": {"content": "Stored through a side door."}})
JSON = [("Accept", "application/json, text/event-stream"), ("Content-Type", "application/json")]
STRICT = {
    "cache-control": "no-store",
    "content-security-policy": "frame-ancestors",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=63072000",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def bearer(stack: LocalStack) -> tuple[str, str]:
    """Return the header with the good key."""
    return ("Authorization", f"Bearer {stack.key}")


def send(stack: LocalStack, method: str, path: str, headers: list[tuple[str, str]], body: object = None) -> RawAnswer:
    """Send a request to a path below the stage, as it stands."""
    return send_raw(stack.stage_url, method, urlsplit(stack.stage_url).path + path, [*JSON, *headers], body)


def memories(http: httpx2.Client, stack: LocalStack) -> int:
    """Return how many memories there are."""
    count: int = http.get(f"{stack.stage_url}/api/memory/status").json()["memories"]
    return count


@pytest.mark.parametrize(
    "path",
    [
        "//mcp",
        "/mcp//memory",
        "//mcp//memory",
        "/./mcp",
        "/mcp/.",
        "/mcp/..",
        "/mcp/../mcp",
        "/%2e%2e/mcp",
        "/mcp/%2e%2e/mcp",
        "/mcp%2Fmemory",
        "/mcp%2fmemory",
        "/%6dcp",
        "/mcp%00",
        "/mcp%20",
        "/mcp;x",
        "/mcp/memory/chroma",
        "/MCP",
        "/Mcp/Memory",
        "/mcp\\memory",
        "/api/../mcp",
        "/api/%2e%2e/mcp",
        "/api/..%2f..%2fmcp",
        "/api/memory/../../mcp",
        "/api//memory/status",
        "/api/memory%2Fstatus/",
        "/api/MEMORY/status",
        "/api/memory/status/",
        "/api/docs",
        "/api/openapi.json",
        "/health/../mcp",
        "/health/..%2fmcp",
    ],
)
def test_a_bent_path_leads_nowhere(http: httpx2.Client, stack: LocalStack, path: str) -> None:
    before = memories(http, stack)
    for method in ("POST", "GET", "DELETE"):
        answer = send(stack, method, path, [bearer(stack)], STORE)
        assert answer.status in (400, 403, 404, 405), (method, answer)
        assert "location" not in answer.headers
        without = send(stack, method, path, [], STORE)
        assert without.status in (400, 401, 403, 404, 405), (method, without)
    assert memories(http, stack) == before


@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "TRACE", "QUERY", "post"])
@pytest.mark.parametrize("path", ["/mcp", "/mcp/memory", "/api/memory/status", "/health"])
def test_a_method_that_no_route_has_is_not_there(
    http: httpx2.Client, stack: LocalStack, method: str, path: str
) -> None:
    before = memories(http, stack)
    override = [("X-HTTP-Method-Override", "POST"), ("X-HTTP-Method", "POST"), ("X-Method-Override", "POST")]
    assert send(stack, method, path, [bearer(stack), *override], STORE).status in (400, 403, 404, 405)
    assert memories(http, stack) == before


@pytest.mark.parametrize("path", ["/mcp", "/mcp/memory", "/mcp/chroma", "/api/memory/status", "/api/memory/import"])
def test_a_preflight_of_every_route_allows_what_clients_send(stack: LocalStack, path: str) -> None:
    wanted = [
        "authorization",
        "content-type",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "mcp-session-id",
        "last-event-id",
        "remora-space",
        "x-api-key",
    ]
    headers = {
        "Origin": CLAUDE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": ", ".join(wanted),
    }
    answer = httpx2.request("OPTIONS", stack.stage_url + path, headers=headers)
    assert answer.status_code in (200, 204)
    assert answer.headers["Access-Control-Allow-Origin"] == CLAUDE
    assert {"GET", "POST", "DELETE"} <= set(answer.headers["Access-Control-Allow-Methods"].split(", "))
    assert set(wanted) <= set(answer.headers["Access-Control-Allow-Headers"].lower().split(", "))
    assert "access-control-allow-credentials" not in answer.headers
    other = httpx2.request("OPTIONS", stack.stage_url + path, headers=headers | {"Origin": "https://evil.example"})
    assert other.status_code == 403
    assert "access-control-allow-origin" not in other.headers


def answers(http: httpx2.Client, stack: LocalStack, origin: str) -> dict[str, httpx2.Response]:
    """Return every kind of answer that a page may get, by what it is."""
    page = {"Origin": origin}
    unknown = page | {"Authorization": "Bearer rmr_local_" + "x" * 43}
    api = f"{stack.stage_url}/api/memory"
    return {
        "200": http.post(stack.url, json=rpc("ping"), headers=page),
        "200 REST": http.get(f"{api}/status", headers=page),
        "200 health": httpx2.get(f"{stack.stage_url}/health", headers=page),
        "400": http.post(stack.url, content=b"no JSON", headers=page),
        "400 space": http.post(stack.url, json=rpc("ping"), headers=page | {"Remora-Space": "a"}),
        "401 no key": httpx2.post(stack.url, json=rpc("ping"), headers=page),
        "401 bad key": httpx2.post(stack.url, json=rpc("ping"), headers=unknown),
        "404 path": http.get(f"{stack.stage_url}/nothing", headers=page),
        "404 REST": http.get(f"{api}/jobs/7h3kq9x2ma", headers=page),
        "405": http.get(stack.url, headers=page),
        "413": http.post(stack.url, content=b"x" * (10 * 1024 * 1024 + 1), headers=page),
    }


def test_every_answer_can_be_read_by_an_allowed_page_and_has_the_headers_of_a_strict_site(
    http: httpx2.Client, stack: LocalStack
) -> None:
    for what, answer in answers(http, stack, CLAUDE).items():
        assert answer.status_code == int(what.split()[0]), what
        assert answer.headers.get("Access-Control-Allow-Origin") in (CLAUDE, "*"), what
        exposed = answer.headers["Access-Control-Expose-Headers"].lower().split(", ")
        assert {"www-authenticate", "mcp-session-id", "mcp-protocol-version", "retry-after"} <= set(exposed), what
        assert "access-control-allow-credentials" not in answer.headers, what
        for name, value in STRICT.items():
            assert value in answer.headers.get(name, ""), (what, name)


def test_a_page_of_another_origin_can_read_nothing_that_took_a_credential(
    http: httpx2.Client, stack: LocalStack
) -> None:
    """What the gateway answers by itself may be read anywhere: it holds no more than this test knows."""
    for origin in ("https://evil.example", "null", "https://claude.ai.evil.example", "http://claude.ai", "file://"):
        for what, answer in answers(http, stack, origin).items():
            if answer.headers.get("Access-Control-Allow-Origin") == "*":
                assert answer.status_code in (401, 404, 413), what
                assert stack.key not in answer.text
                assert "local" not in answer.text.lower()
            else:
                assert answer.status_code == 403, what
                assert "access-control-allow-origin" not in answer.headers, what
            for name, value in STRICT.items():
                assert value in answer.headers.get(name, ""), (what, name)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "169.254.169.254", ""])
def test_a_name_that_was_resolved_to_this_machine_is_refused(stack: LocalStack, host: str) -> None:
    """DNS rebinding: the browser believes that it talks to another site, so the page's origin is the host's own."""
    headers = [("Host", host), ("Origin", f"http://{host}"), bearer(stack)]
    for path in ("/mcp", "/api/memory/status", "/health"):
        assert send(stack, "POST", path, headers, rpc("ping")).status in (400, 403)


def test_an_admin_names_a_space_over_http(http: httpx2.Client, stack: LocalStack) -> None:
    def call(tool: str, arguments: dict[str, Any], **headers: str) -> dict[str, Any]:
        answer = http.post(stack.url, json=rpc("tools/call", {"name": tool, "arguments": arguments}), headers=headers)
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()["result"]["structuredContent"]
        return content

    there = {"Remora-Space": "somebody-else"}
    before = memories(http, stack)
    call("memory_store", {"content": "The lighthouse keeper is called Ottilie."}, **there)
    assert memories(http, stack) == before
    status = http.get(f"{stack.stage_url}/api/memory/status", headers=there).json()
    assert (status["space"], status["memories"]) == ("somebody-else", 1)
    refused = http.get(f"{stack.stage_url}/api/memory/status", headers={"Remora-Space": "../x"})
    assert refused.status_code == 400
    assert "3 to 512" in json.loads(refused.text)["detail"]
