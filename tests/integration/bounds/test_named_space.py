"""The header Remora-Space: an admin works in the space that is named, everybody else in their own or not at all."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connector.api import add_api
from remora.auth.keys import StoredPrincipal
from remora.auth.principal import SPACE_HEADER
from tests.integration.bounds.conftest import REVISIONS, Door

REQUESTS: list[tuple[str, dict[str, Any]]] = [
    (
        "initialize",
        {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    ),
    ("ping", {}),
    ("tools/list", {}),
    ("tools/call", {"name": "memory_overview", "arguments": {}}),
    ("tools/call", {"name": "chroma_list_collections", "arguments": {}}),
    ("resources/list", {}),
    ("resources/templates/list", {}),
    ("resources/read", {"uri": "memory://recent"}),
    ("prompts/list", {}),
    ("prompts/get", {"name": "recall", "arguments": {"topic": "x"}}),
    (
        "completion/complete",
        {
            "ref": {"type": "ref/resource", "uri": "memory://tags/{tag}{?cursor}"},
            "argument": {"name": "tag", "value": ""},
        },
    ),
    ("server/discover", {}),
    ("no/such/method", {}),
]
ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "status", None),
    ("GET", "export", None),
    ("GET", "jobs/7h3kq9x2ma", None),
    ("POST", "exports", {}),
    ("POST", "imports", {"name": "memory.jsonl"}),
    ("POST", "import", ""),
    ("POST", "import-collection", {"collection": "diary"}),
    ("POST", "rebuild", {}),
]
NO_NAMES = [
    "a",
    "a/b",
    "../alice",
    "al ice",
    "alice\n",
    "-alice",
    "alice.",
    "%61lice",
    "älice",
    "alice\x00",
    "a" * 513,
    "*",
]


@pytest.fixture
def admin(open_door: Door, space_name: str) -> Door:
    """The way in of an admin who may read and write too, with a space of their own."""
    return open_door.as_(id="root", scopes="admin read write", space=f"{space_name}-root")


def test_every_tool_of_an_admin_works_in_the_space_that_is_named(admin: Door, victim: Door) -> None:
    there = admin.naming(victim.space)
    (hit,) = there.content("memory_search", query="alarm code")["hits"]
    assert "4711" in hit["passage"]
    assert there.content("chroma_count_collections") == {"count": 1}
    stored = there.content("memory_store", content="The spare key is under the third stone.")["memories"][0]["id"]
    assert victim.content("memory_get", ids=[stored])["memories"][0]["memory"]["content"].startswith("The spare")
    assert admin.content("memory_overview")["memories"] == 0
    assert admin.content("chroma_count_collections") == {"count": 0}


def test_resources_prompts_and_completions_follow_the_space_that_is_named(admin: Door, victim: Door) -> None:
    there = admin.naming(victim.space)
    (read,) = there.message("resources/read", {"uri": "memory://recent"})["result"]["contents"]
    assert "4711" in read["text"]
    reference = {"type": "ref/resource", "uri": "memory://tags/{tag}{?cursor}"}
    asked = {"ref": reference, "argument": {"name": "tag", "value": "h"}}
    assert there.message("completion/complete", asked)["result"]["completion"]["values"] == ["home"]
    assert admin.message("completion/complete", asked)["result"]["completion"]["values"] == []
    assert there.message("prompts/list")["result"]["prompts"]


@pytest.mark.parametrize("revision", REVISIONS)
def test_each_protocol_era_follows_the_space_that_is_named(admin: Door, victim: Door, revision: str) -> None:
    there = admin.naming(victim.space).as_(revision=revision)
    assert there.content("memory_overview")["memories"] == 1


def test_the_rest_routes_follow_the_space_that_is_named(admin: Door, victim: Door) -> None:
    there = admin.naming(victim.space)
    status = there.document("GET", "status")
    assert (status["space"], status["memories"]) == (victim.space, 1)
    assert "4711" in there.rest("GET", "export")["body"]
    assert there.document("POST", "rebuild", {"fresh": True})["repaired"] == 1
    assert victim.content("memory_search", query="alarm code")["hits"]
    made = there.document("POST", "import-collection", {"collection": "diary"})
    assert made["created"] + made["unchanged"] == 1
    assert admin.document("GET", "status") | {"scopes": []} == {
        "space": admin.space,
        "memories": 0,
        "passages": 0,
        "pending": 0,
        "scopes": [],
    }


def test_journal_jobs_and_signed_urls_are_those_of_the_space_that_is_named(admin: Door, victim: Door) -> None:
    there = admin.naming(victim.space)
    before = set(admin.keys())
    there.content("memory_store", content="Written for somebody else.")
    imported = there.document("POST", "imports", {"name": "memory.jsonl"})
    exported = there.document("POST", "exports", {})
    asked = there.content("memory_ingest", source="plan.pdf")
    made = set(admin.keys()) - before
    assert made
    assert {key.split("/")[1] for key in made} == {victim.space}
    for url, job in ((imported["upload_url"], imported["id"]), (asked["upload"]["url"], asked["id"])):
        assert f"/uploads/{victim.space}/{job}/file?" in url
        assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url
    for job in (imported["id"], exported["id"], asked["id"]):
        assert victim.rest("GET", f"jobs/{job}")["statusCode"] == 200
        assert admin.rest("GET", f"jobs/{job}")["statusCode"] == 404


def test_the_journal_says_who_wrote_in_somebody_elses_space(admin: Door, victim: Door) -> None:
    stored = admin.naming(victim.space).content("memory_store", content="Not in alice's own words.")
    memory_id = stored["memories"][0]["id"]
    key = f"memories/{victim.space}/{memory_id}/00000001.json"
    entry = json.loads(admin.s3.get_object(Bucket="bounds", Key=key)["Body"].read())
    assert (entry["by"], entry["space"]) == ("root", victim.space)


def test_the_log_says_which_space_a_call_was_about(
    admin: Door, victim: Door, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    admin.naming(victim.space).content("memory_overview")
    admin.naming(victim.space).document("GET", "status")
    calls = [vars(record) for record in caplog.records if record.message in ("Tool call", "API call")]
    assert [(call["principal"], call["space"]) for call in calls] == [("root", victim.space)] * 2
    assert calls[1]["path"] == "/api/memory/status"


@pytest.mark.parametrize("scopes", ["", "read", "write", "read write"])
@pytest.mark.parametrize("revision", REVISIONS)
def test_nobody_else_may_name_another_space_in_any_mcp_request(
    door: Door, victim: Door, scopes: str, revision: str, caplog: pytest.LogCaptureFixture
) -> None:
    for path in ("/mcp", "/mcp/memory", "/mcp/chroma"):
        thief = door.as_(scopes=scopes, revision=revision, path=path).naming(victim.space)
        for method, params in REQUESTS:
            answer = thief.send(thief.event(method, params))
            assert answer["statusCode"] == 403, (path, method)
            said = json.loads(answer["body"])["error"]["message"]
            assert SPACE_HEADER in said
            assert f"'admin'; this key has: {' '.join(scopes.split()).replace(' ', ', ') or 'none'}." in said
            assert "4711" not in answer["body"]
    refused = [vars(record) for record in caplog.records if record.message == "Space refused"]
    assert {(record["principal"], record["space"]) for record in refused} == {("mallory", victim.space)}
    assert len(refused) == 3 * len(REQUESTS)


@pytest.mark.parametrize("scopes", ["", "read", "write", "read write"])
def test_nobody_else_may_name_another_space_on_any_rest_route(door: Door, victim: Door, scopes: str) -> None:
    before = door.keys()
    for method, path, body in ROUTES:
        answer = door.as_(scopes=scopes).naming(victim.space).rest(method, path, body)
        assert answer["statusCode"] == 403, path
        assert SPACE_HEADER in json.loads(answer["body"])["detail"]
    assert door.keys() == before


def test_the_routes_that_are_tried_are_all_that_there_are() -> None:
    web = FastAPI()
    add_api(web, None)  # type: ignore[arg-type]
    there = {
        (method.upper(), path.removeprefix("/api/memory/").replace("{job_id}", "7h3kq9x2ma"))
        for path, methods in web.openapi()["paths"].items()
        for method in methods
    }
    assert there == {(method, path) for method, path, _ in ROUTES}


@pytest.mark.parametrize("name", NO_NAMES)
@pytest.mark.parametrize("scopes", ["read write", "admin read write"])
def test_what_is_no_name_of_a_space_is_refused_with_what_would_be(door: Door, name: str, scopes: str) -> None:
    caller = door.as_(scopes=scopes).naming(name)
    answer = caller.send(caller.event("tools/list"))
    assert answer["statusCode"] == 400
    assert "3 to 512 characters" in json.loads(answer["body"])["error"]["message"]
    rest = caller.rest("GET", "status")
    assert rest["statusCode"] == 400
    assert "3 to 512 characters" in json.loads(rest["body"])["detail"]
    assert len(answer["body"]) + len(rest["body"]) < 1_500


def test_an_empty_name_is_not_taken_for_none(door: Door) -> None:
    caller = door.naming("")
    assert caller.send(caller.event("tools/list"))["statusCode"] == 400


def test_two_names_are_refused_though_one_of_them_is_ones_own(door: Door, victim: Door) -> None:
    for names in ((door.space, victim.space), (victim.space, door.space), (door.space, door.space)):
        for scopes in ("read write", "admin read write"):
            caller = door.as_(scopes=scopes)
            request = caller.naming(names[-1]).event("tools/call", {"name": "memory_overview", "arguments": {}})
            request["multiValueHeaders"][SPACE_HEADER] = list(names)
            assert caller.send(request)["statusCode"] == 400


@pytest.mark.parametrize("scopes", ["", "read", "read write", "admin"])
def test_anyone_may_name_their_own_space(door: Door, scopes: str) -> None:
    caller = door.as_(scopes=scopes).naming(door.space)
    assert caller.send(caller.event("tools/list"))["statusCode"] == 200
    status = caller.rest("GET", "status")
    assert (status["statusCode"] == 200) == ("read" in scopes)


def test_another_spelling_of_ones_own_space_is_another_space(
    open_door: Door, new_space_name: Callable[[], str]
) -> None:
    mine = f"{new_space_name()}-Mine"
    caller = open_door.as_(space=mine).naming(mine.lower())
    assert caller.send(caller.event("tools/list"))["statusCode"] == 403


def test_naming_a_space_gives_no_scope_that_the_key_does_not_have(admin: Door, victim: Door) -> None:
    bare = admin.as_(scopes="admin").naming(victim.space)
    listed = {tool["name"] for tool in bare.message("tools/list")["result"]["tools"]}
    assert listed == {
        "chroma_create_database",
        "chroma_delete_database",
        "chroma_get_database",
        "chroma_list_databases",
        "chroma_reset",
    }
    assert "needs the scope 'read'" in bare.refusal("memory_search", query="alarm code")
    assert "needs the scope 'write'" in bare.refusal("memory_store", content="x")
    assert bare.message("resources/read", {"uri": "memory://recent"})["error"]["code"] == -32600
    for method, path, body in ROUTES:
        expected = 200 if path == "rebuild" else 403
        assert bare.rest(method, path, body)["statusCode"] == expected, path


def test_an_admin_who_names_no_space_works_in_their_own(admin: Door, victim: Door) -> None:
    assert admin.content("memory_overview")["memories"] == 0
    assert admin.document("GET", "status")["space"] == admin.space


def test_a_space_that_is_only_read_is_not_made(admin: Door) -> None:
    there = admin.naming(f"{admin.space}-misspelt")
    assert there.content("memory_overview")["memories"] == 0
    assert there.content("chroma_count_collections") == {"count": 0}
    assert there.refusal("chroma_get_database", database_name=f"{admin.space}-misspelt")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=20) | st.from_regex(r"[a-zA-Z0-9._-]*")
)
@example("abc\n")
@example("a" * 512)
@example("a" * 513)
def test_the_header_takes_exactly_the_names_that_a_principal_may_have(door: Door, name: str) -> None:
    caller = door.as_(scopes="admin").naming(name)
    try:
        StoredPrincipal.model_validate({"scopes": [], "space": name, "usage_key": "x" * 20})
        expected = 200
    except ValidationError:
        expected = 400
    assert caller.send(caller.event("tools/list"))["statusCode"] == expected
