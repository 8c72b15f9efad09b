"""Tries to reach a tool or route that the scopes or the URL do not cover, by every way that a request can be bent."""

import json
from typing import Any

import pytest

from tests.integration.bounds.conftest import REVISIONS, Door
from tests.integration.bounds.test_named_space import ROUTES
from tests.support.lambda_event import HANDSHAKE, MODERN

READERS = {
    "chroma_count_collections",
    "chroma_get_collection_count",
    "chroma_get_collection_info",
    "chroma_get_documents",
    "chroma_list_collections",
    "chroma_peek_collection",
    "chroma_query_documents",
    "chroma_server_info",
    "memory_get",
    "memory_list",
    "memory_overview",
    "memory_search",
}
STORE = {"name": "memory_store", "arguments": {"content": "Stored through a side door."}}
NEEDED = {
    "export": "read",
    "exports": "read",
    "status": "read",
    "import": "write",
    "imports": "write",
    "rebuild": "admin",
}


def stored(door: Door) -> int:
    """Return how many memories the caller's space has."""
    memories: int = door.as_(scopes="read", path="/mcp", revision=HANDSHAKE, headers={}).content("memory_overview")[
        "memories"
    ]
    return memories


# ---- Scopes ----


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_reader_is_shown_and_may_call_what_reads_and_nothing_else(door: Door, revision: str) -> None:
    reader = door.as_(scopes="read", revision=revision)
    assert {tool["name"] for tool in reader.message("tools/list")["result"]["tools"]} == READERS
    for scopes in ("write", "admin", "admin write", ""):
        other = reader.as_(scopes=scopes)
        assert not READERS & {tool["name"] for tool in other.message("tools/list")["result"]["tools"]}
        for name in READERS:
            assert "needs the scope 'read'" in other.refusal(name)


@pytest.mark.parametrize("scopes", ["", "read", "write", "admin", "read write", "admin write", "admin read"])
def test_a_route_that_the_scopes_do_not_cover_is_refused(door: Door, scopes: str) -> None:
    held = set(scopes.split())
    before = door.keys()
    for method, path, body in ROUTES:
        needed = {"import-collection": {"read", "write"}}.get(path) or {NEEDED.get(path, "read")}
        if needed <= held:
            continue
        answer = door.as_(scopes=scopes).rest(method, path, body)
        assert answer["statusCode"] == 403, path
        assert "this key has" in json.loads(answer["body"])["detail"]
    assert door.keys() == before


def test_a_prompt_that_is_not_listed_cannot_be_had_either(door: Door) -> None:
    for scopes, names in (("read write", {"recall", "remember", "review"}), ("read", {"recall"}), ("write", set())):
        caller = door.as_(scopes=scopes)
        assert {prompt["name"] for prompt in caller.message("prompts/list")["result"]["prompts"]} == names
        for name in {"recall", "remember", "review"} - names:
            error = caller.message("prompts/get", {"name": name, "arguments": {"topic": "x", "text": "x"}})["error"]
            assert "needs the scope" in error["message"]


def test_a_writer_who_may_not_read_is_shown_nothing_that_was_stored(door: Door) -> None:
    door.content("memory_store", content="The alarm code of the shed is 4711.", tags=["shed"])
    door.content("chroma_create_collection", collection_name="diary")
    door.content("chroma_add_documents", collection_name="diary", ids=["a"], documents=["The alarm code is 4711."])
    writer = door.as_(scopes="write")
    near = {"content": "The alarm code of the shed is 4711!"}
    for answered in (
        writer.tool("memory_store", **near),
        writer.tool("memory_store", content="The alarm code of the shed is 4711."),
        writer.tool("memory_store", memories=[near, {"content": "Alarm code, shed."}]),
        writer.tool("memory_delete", tags=["shed"]),
        writer.tool("memory_delete", ids=["7h3kq9x2ma"], purge=True),
        writer.tool("memory_store_conversation", turns=[near]),
        writer.tool("memory_ingest", source="x.txt", content="The alarm code of the shed is 1."),
        writer.tool("chroma_get_or_create_collection", collection_name="diary"),
        writer.tool("chroma_upsert_documents", collection_name="diary", ids=["a"], documents=["x"]),
    ):
        assert "4711" not in json.dumps(answered)
    assert "4711" in json.dumps(door.tool("memory_store", content="The alarm code of the shed is: 4711."))
    assert "4711" in json.dumps(door.tool("memory_delete", tags=["shed"]))


def test_a_writer_who_may_not_read_cannot_ask_by_filter_what_records_say(door: Door) -> None:
    door.content("chroma_create_collection", collection_name="diary")
    door.content("chroma_add_documents", collection_name="diary", ids=["a"], documents=["The alarm code is 4711."])
    guess = {"collection_name": "diary", "where_document": {"$contains": "471"}, "dry_run": True}
    assert "'read'" in door.as_(scopes="write").refusal("chroma_delete_documents", **guess)
    assert door.content("chroma_delete_documents", **guess)["ids"] == ["a"]


# ---- One message that is two, or says two things ----


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("method", ["tools/list", "tools/call"])
def test_a_batch_carries_no_second_call_past_the_checks(door: Door, revision: str, method: str) -> None:
    caller = door.as_(revision=revision)
    request = caller.event(method, STORE if method == "tools/call" else None)
    one = json.loads(request["body"])
    store = json.loads(caller.event("tools/call", STORE)["body"])
    for body in ([one, store | {"id": 2}], [store], [], [[store]], {"jsonrpc": "2.0", "batch": [store]}):
        answer = caller.send(request | {"body": json.dumps(body)})
        assert answer["statusCode"] == 400, body
    assert stored(door) == 0


@pytest.mark.parametrize("revision", REVISIONS)
def test_two_messages_in_one_body_are_refused(door: Door, revision: str) -> None:
    caller = door.as_(revision=revision)
    request = caller.event("tools/call", STORE)
    for body in (
        f"{request['body']}\n{request['body']}",
        f"{request['body']}{request['body']}",
        f"{request['body']},",
    ):
        assert caller.send(request | {"body": body})["statusCode"] == 400
    assert stored(door) == 0


def test_a_name_that_is_given_twice_in_the_body_is_judged_as_it_is_run(door: Door) -> None:
    reader = door.as_(scopes="read")
    request = reader.event("tools/call", {"name": "memory_overview", "arguments": {}})
    both = request["body"].replace('"name": "memory_overview"', '"name": "memory_overview", "name": "memory_store"')
    both = both.replace('"arguments": {}', '"arguments": {"content": "Twice."}')
    assert both != request["body"]
    assert "needs the scope 'write'" in reader.send(request | {"body": both})["body"]
    assert stored(door) == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Mcp-Method": "tools/list"},
        {"Mcp-Method": "TOOLS/CALL"},
        {"Mcp-Method": "tools/call, tools/list"},
        {"Mcp-Name": "memory_overview"},
        {"Mcp-Name": "memory_store, memory_overview"},
        {"Mcp-Name": "=?base64?bWVtb3J5X292ZXJ2aWV3?="},
        {"Mcp-Name": "MEMORY_STORE"},
        {"Mcp-Name": ""},
        {"MCP-Protocol-Version": "2026-07-28, 2025-11-25"},
        {"MCP-Protocol-Version": "2099-01-01"},
    ],
    ids=lambda headers: "-".join(f"{name}={value}" for name, value in headers.items()),
)
def test_routing_headers_that_disagree_with_the_body_are_refused(door: Door, headers: dict[str, str]) -> None:
    caller = door.as_(revision=MODERN, headers=headers)
    answer = caller.send(caller.event("tools/call", STORE))
    assert answer["statusCode"] == 400, answer
    assert stored(door) == 0


@pytest.mark.parametrize("revision", REVISIONS[:2])
def test_where_routing_headers_are_unknown_they_decide_nothing(door: Door, revision: str) -> None:
    headers = {"Mcp-Method": "tools/list", "Mcp-Name": "memory_overview", "Mcp-Session-Id": "somebody-elses"}
    reader = door.as_(scopes="read", revision=revision, headers=headers)
    assert "needs the scope 'write'" in reader.refusal("memory_store", content="x")
    assert stored(door) == 0


def test_a_modern_body_under_an_old_header_is_judged_all_the_same(door: Door) -> None:
    for header in ("2024-11-05", HANDSHAKE):
        reader = door.as_(scopes="read", revision=MODERN, headers={"MCP-Protocol-Version": header})
        answer = reader.send(reader.event("tools/call", STORE))
        assert "needs the scope 'write'" in answer["body"]
    assert stored(door) == 0


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_notification_does_nothing(door: Door, revision: str) -> None:
    caller = door.as_(revision=revision)
    request = caller.event("tools/call", STORE)
    body = json.loads(request["body"])
    del body["id"]
    assert caller.send(request | {"body": json.dumps(body)})["statusCode"] in (202, 400)
    assert stored(door) == 0


# ---- URLs ----


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize(
    ("path", "tools"),
    [
        ("/mcp/memory", ["chroma_count_collections", "chroma_create_collection", "chroma_list_databases"]),
        ("/mcp/chroma", ["memory_overview", "memory_store", "memory_delete"]),
        ("/mcp", ["memory", "chroma", "tools/list", "../memory/memory_store", "__class__", ""]),
    ],
)
def test_a_url_runs_no_tool_of_another_url(door: Door, revision: str, path: str, tools: list[str]) -> None:
    caller = door.as_(revision=revision, path=path, scopes="admin read write")
    for tool in tools:
        for name in (tool, tool.upper(), f" {tool}", f"{tool} ", f"{tool}\x00", tool.replace("_", "\uff3f")):
            if not name.isprintable() and revision == MODERN:
                continue
            answered = caller.message("tools/call", {"name": name, "arguments": {}})
            assert answered["error"]["code"] in (-32602, -32020), (name, answered)


def test_the_memory_is_not_to_be_had_at_the_url_of_chroma(door: Door) -> None:
    caller = door.as_(path="/mcp/chroma")
    door.content("memory_store", content="The alarm code is 4711.", tags=["home"])
    reference = {"type": "ref/resource", "uri": "memory://tags/{tag}{?cursor}"}
    for method, params in (
        ("resources/read", {"uri": "memory://recent"}),
        ("prompts/get", {"name": "recall", "arguments": {"topic": "x"}}),
        ("completion/complete", {"ref": reference, "argument": {"name": "tag", "value": ""}}),
    ):
        assert "error" in caller.message(method, params), method


PATHS = [
    "//mcp",
    "/mcp//",
    "/mcp/",
    "/./mcp",
    "/mcp/.",
    "/mcp/..",
    "/mcp/memory/..",
    "/mcp/../mcp",
    "/%2e%2e/mcp",
    "/mcp/%2e%2e/mcp",
    "/mcp%2Fmemory",
    "/mcp%2fmemory",
    "/mcp/memory%2F..%2Fchroma",
    "/MCP",
    "/Mcp/Memory",
    "/mcp/MEMORY",
    "/mcp;x",
    "/mcp%00",
    "/mcp%20",
    "/mcp ",
    "/mcp\\memory",
    "/mcp/memory/chroma",
    "/mcp?x",
    "/mcp#x",
    "mcp",
    "",
    "/",
    "*",
    "/docs",
    "/redoc",
    "/openapi.json",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_bent_path_leads_to_no_endpoint(door: Door, path: str) -> None:
    for method in ("POST", "GET", "DELETE"):
        answer = door.send(door.as_(path=path).event("tools/call", STORE) | {"httpMethod": method})
        assert answer["statusCode"] in (404, 405), (method, answer)
    assert stored(door) == 0


@pytest.mark.parametrize(
    "path",
    [
        "status/",
        "/status",
        "./status",
        "../memory/status",
        "..%2Fmemory%2Fstatus",
        "STATUS",
        "status;x",
        "status%20",
        "%73tatus/",
        "status/x",
        "../../mcp",
        "..%2f..%2fmcp",
        "",
        "../docs",
        "../openapi.json",
    ],
)
def test_a_bent_rest_path_leads_to_no_route_and_nowhere_else(door: Door, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = door.rest(method, path)
        assert answer["statusCode"] in (404, 405), (method, answer)
        assert "location" not in {name.lower() for name in answer["headers"]}


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "DELETE", "PUT", "PATCH", "TRACE", "CONNECT", "QUERY", "post", "X"]
)
def test_another_method_runs_nothing_whatever_a_header_says_that_it_is(door: Door, method: str) -> None:
    headers = {
        "X-HTTP-Method-Override": "POST",
        "X-HTTP-Method": "POST",
        "X-Method-Override": "POST",
    }
    caller = door.as_(headers=headers)
    for path in ("/mcp", "/mcp/memory"):
        request = caller.as_(path=path).event("tools/call", STORE)
        answer = caller.send(request | {"httpMethod": method, "queryStringParameters": {"_method": "POST"}})
        assert answer["statusCode"] in (404, 405), path
    assert stored(door) == 0


def test_an_override_makes_no_other_route_of_a_read(door: Door) -> None:
    reader = door.as_(scopes="admin read", headers={"X-HTTP-Method-Override": "POST", "X-Original-URL": "/rebuild"})
    before = door.keys()
    assert reader.rest("GET", "export", _method="POST")["statusCode"] == 200
    assert reader.rest("GET", "imports")["statusCode"] == 405
    assert reader.rest("GET", "rebuild")["statusCode"] == 405
    for method in ("HEAD", "PUT", "PATCH", "DELETE"):
        assert reader.rest(method, "status")["statusCode"] in (404, 405)
    assert door.keys() == before


@pytest.mark.parametrize("path", ["/mcp", "/mcp/memory", "/mcp/chroma", "/api/memory/exports", "/api/memory/rebuild"])
def test_the_open_preflight_routes_run_nothing(door: Door, path: str) -> None:
    """OPTIONS is asked without a key, so whatever it carries must not be done, preflight or not."""
    preflight = {"Origin": "https://claude.ai", "Access-Control-Request-Method": "POST"}
    before = door.keys()
    for headers in ({}, {"Origin": "https://claude.ai"}, preflight, {"X-HTTP-Method-Override": "POST"}):
        request = door.as_(path=path, headers=headers).event("tools/call", STORE) | {"httpMethod": "OPTIONS"}
        request["requestContext"] = request["requestContext"] | {"authorizer": None}
        answer = door.send(request)
        assert answer["statusCode"] in ((200,) if headers == preflight else (404, 405)), headers
        assert "result" not in answer["body"]
    assert door.keys() == before


def test_a_request_without_a_principal_reaches_no_route(door: Door) -> None:
    def without(request: dict[str, Any]) -> int:
        request["requestContext"] = request["requestContext"] | {"authorizer": None}
        status: int = door.send(request)["statusCode"]
        return status

    for path in ("/mcp", "/mcp/memory", "/mcp/chroma"):
        assert without(door.as_(path=path).event("tools/list")) == 401
    for method, path, _ in ROUTES:
        request = door.as_(path=f"/api/memory/{path}").event("ping") | {"httpMethod": method, "body": "{}"}
        assert without(request) == 401, path
