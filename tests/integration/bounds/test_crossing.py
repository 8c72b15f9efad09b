"""Tries to reach another space with everything that a caller may name: ids, names, addresses, cursors, jobs."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from remora.memory.index.layout import PASSAGES, SEGMENTS
from tests.integration.bounds.conftest import BUCKET, REVISIONS, Door

_CHECK_BYTES = 6
_HEAD_BYTES = 10


def forged(cursor: str, position: bytes) -> str:
    """Return a cursor with another position and with digests that are right, as anyone can make one."""
    content = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[:_HEAD_BYTES] + position
    return urlsafe_b64encode(content + sha256(content).digest()[:_CHECK_BYTES]).rstrip(b"=").decode()


def memory_of(victim: Door) -> str:
    """Return the id of the victim's memory."""
    (memory,) = victim.content("memory_list")["memories"]
    memory_id: str = memory["id"]
    return memory_id


# ---- Names and ids ----


def test_a_memory_of_another_space_is_not_there_to_be_read_changed_or_destroyed(door: Door, victim: Door) -> None:
    memory_id = memory_of(victim)
    got = door.content("memory_get", ids=[memory_id], history=True)
    assert (got["memories"], got["missing"]) == ([], [memory_id])
    assert "no memory" in door.refusal("memory_update", id=memory_id, content="Mine now.").lower()
    for how in ({}, {"restore": True}, {"purge": True, "confirm": True}):
        outcome = door.content("memory_delete", ids=[memory_id], **how)
        assert (outcome["count"], outcome["missing"]) == (0, [memory_id])
    assert not door.content("memory_delete", ids=[memory_id], purge=True).get("preview")
    (kept,) = victim.content("memory_get", ids=[memory_id])["memories"]
    assert (kept["memory"]["content"], kept["memory"]["version"]) == ("The alarm code is 4711.", 1)


def test_nothing_of_another_space_is_found_listed_counted_or_completed(door: Door, victim: Door) -> None:
    for answered in (
        door.content("memory_search", query="The alarm code is 4711.", min_score=0),
        door.content("memory_list"),
        door.content("memory_overview"),
        door.content("chroma_list_collections"),
        door.message("resources/read", {"uri": "memory://recent"}),
        door.message("resources/read", {"uri": "memory://tags/home"}),
        door.message(
            "completion/complete",
            {"ref": {"type": "ref/prompt", "name": "recall"}, "argument": {"name": "tags", "value": ""}},
        ),
    ):
        assert "4711" not in json.dumps(answered)
        assert "home" not in json.dumps(answered).replace("memory://tags/home", "").replace("tagged home", "")
    assert "4711" not in door.rest("GET", "export")["body"]


def test_storing_what_another_space_holds_tells_nothing_of_it(door: Door, victim: Door) -> None:
    (stored,) = door.content("memory_store", content="The alarm code is 4711.")["memories"]
    assert stored["created"]
    assert stored["id"] != memory_of(victim)
    assert not stored.get("similar")


def test_a_conversation_of_the_same_id_in_another_space_is_another_conversation(door: Door, victim: Door) -> None:
    turn = {"content": "We meet at the old mill.", "id": "t1"}
    victim.content("memory_store_conversation", conversation_id="plans", turns=[turn])
    mine = door.content("memory_store_conversation", conversation_id="plans", turns=[turn])
    assert mine["conversation_id"] == "plans"
    read = door.message("resources/read", {"uri": "memory://conversations/plans"})["result"]["contents"][0]["text"]
    assert read.count("old mill") == 1
    door.content("memory_delete", conversation_id="plans", confirm=True)
    assert victim.content("memory_list", conversation_id="plans")["total"] == 1


def test_a_resource_address_leads_to_no_memory_of_another_space(door: Door, victim: Door) -> None:
    memory_id = memory_of(victim)
    assert "4711" in json.dumps(victim.message("resources/read", {"uri": f"memory://memories/{memory_id}"}))
    for uri in (
        f"memory://memories/{memory_id}",
        f"memory://memories/..%2F{victim.space}%2F{memory_id}",
        f"memory://memories/../{victim.space}/{memory_id}",
        f"memory://{victim.space}/memories/{memory_id}",
        f"memory://{victim.space}@memories/{memory_id}",
        f"memory://recent?space={victim.space}",
        f"memory://tags/home?cursor=&space={victim.space}",
        f"s3://{BUCKET}/memories/{victim.space}/{memory_id}/00000001.json",
        f"file:///memories/{victim.space}/{memory_id}/00000001.json",
    ):
        answered = door.message("resources/read", {"uri": uri})
        assert "4711" not in json.dumps(answered), uri


@pytest.mark.parametrize("tool", ["memory_get", "memory_update", "memory_delete", "memory_ingest"])
def test_an_id_is_never_part_of_a_path(door: Door, victim: Door, tool: str) -> None:
    memory_id = memory_of(victim)
    for traversal in (
        f"../{victim.space}/{memory_id}",
        f"..%2f{victim.space}%2f{memory_id}",
        f"../../memories/{victim.space}/{memory_id}",
        f"{memory_id}/../../{victim.space}/{memory_id}",
        f"{memory_id}\x00",
        f"{memory_id}/",
        "*",
        "",
    ):
        arguments = {"memory_get": {"ids": [traversal]}, "memory_delete": {"ids": [traversal]}}.get(
            tool, {"id": traversal} | ({"content": "x"} if tool == "memory_update" else {})
        )
        result = door.tool(tool, **arguments)
        assert result["isError"], (traversal, result)
        assert "4711" not in json.dumps(result)
        assert "failed inside" not in json.dumps(result)


def test_a_collection_of_another_space_is_reached_by_no_spelling_of_it(door: Door, victim: Door) -> None:
    held = victim.content("chroma_get_collection_info", collection_name="diary")
    for name in (
        "diary",
        held["id"],
        f"../../{victim.space}/collections/diary",
        f"..%2f..%2f{victim.space}%2fcollections%2fdiary",
        f"default_tenant:{victim.space}:diary",
        f"{victim.space}/diary",
        f"diary?database={victim.space}",
        "diary#",
    ):
        for tool, more in (
            ("chroma_get_collection_info", {}),
            ("chroma_get_documents", {}),
            ("chroma_query_documents", {"query_texts": ["alarm"]}),
            ("chroma_delete_documents", {"ids": ["d1"]}),
            ("chroma_upsert_documents", {"ids": ["d1"], "documents": ["x"]}),
            ("chroma_fork_collection", {"new_collection_name": "stolen"}),
            ("chroma_delete_collection", {}),
        ):
            result = door.tool(tool, collection_name=name, **more)
            assert result["isError"], (tool, name)
            assert "4711" not in json.dumps(result)
    import_ = door.rest("POST", "import-collection", {"collection": held["id"]})
    assert import_["statusCode"] in (400, 404)
    assert victim.content("chroma_get_collection_count", collection_name="diary") == {"count": 1}


def test_a_new_name_takes_no_collection_into_another_space(door: Door, victim: Door) -> None:
    door.content("chroma_create_collection", collection_name="mine")
    for name in (f"../../{victim.space}/collections/planted", f"{victim.space}/planted", f"{victim.space}:planted"):
        for tool, arguments in (
            ("chroma_create_collection", {"collection_name": name}),
            ("chroma_modify_collection", {"collection_name": "mine", "new_name": name}),
            ("chroma_fork_collection", {"collection_name": "mine", "new_collection_name": name}),
        ):
            assert door.tool(tool, **arguments)["isError"], (tool, name)
    assert victim.content("chroma_count_collections") == {"count": 1}


def test_the_index_of_ones_own_memory_is_no_collection_either(door: Door, victim: Door) -> None:
    door.content("memory_store", content="Something to index.")
    listed = door.content("chroma_list_collections", limit=100)["collections"]
    assert listed == []
    for name in (PASSAGES, SEGMENTS):
        assert "reserved" in door.refusal("chroma_get_documents", collection_name=name)
        assert "reserved" in door.refusal("chroma_delete_collection", collection_name=name)


@pytest.mark.parametrize("suffix", ["-alice", ".alice", "_2", "2"])
def test_a_space_whose_name_goes_on_from_anothers_shares_nothing_with_it(
    open_door: Door, new_space_name: Callable[[], str], suffix: str
) -> None:
    """S3 lists by the beginning of a key, so a name must not be the beginning of another one's keys."""
    short = open_door.as_(space=new_space_name() + "x")
    long = open_door.as_(space=short.space + suffix)
    long.content("memory_store", content="The alarm code is 4711.")
    assert "4711" not in short.rest("GET", "export")["body"]
    assert short.as_(scopes="admin").document("POST", "rebuild", {"fresh": True})["total"] == 0
    assert long.content("memory_overview")["memories"] == 1


def test_spaces_that_differ_in_case_alone_share_nothing(open_door: Door, new_space_name: Callable[[], str]) -> None:
    name = new_space_name()
    lower, upper = open_door.as_(space=f"{name}-anna"), open_door.as_(space=f"{name}-Anna")
    lower.content("memory_store", content="The alarm code is 4711.")
    lower.content("chroma_create_collection", collection_name="diary")
    assert upper.content("memory_overview")["memories"] == 0
    assert upper.content("chroma_count_collections") == {"count": 0}
    assert upper.content("memory_search", query="alarm code", min_score=0)["hits"] == []


# ---- Jobs and signed URLs ----


def test_a_job_of_another_space_is_not_there(door: Door, victim: Door) -> None:
    ingestion = victim.content("memory_ingest", source="secret-plan.pdf")
    imported = victim.document("POST", "imports", {"name": "memory.jsonl"})
    for job in (ingestion["id"], imported["id"]):
        assert victim.rest("GET", f"jobs/{job}")["statusCode"] == 200
        answer = door.rest("GET", f"jobs/{job}")
        assert answer["statusCode"] == 404
        assert "upload" not in answer["body"]
        assert "no job" in door.refusal("memory_ingest", id=job)


def test_a_job_id_is_never_part_of_a_path(door: Door, victim: Door) -> None:
    job = victim.document("POST", "imports", {"name": "memory.jsonl"})["id"]
    for traversal in (
        f"../{victim.space}/{job}",
        f"..%2F{victim.space}%2F{job}",
        f"%2e%2e/{victim.space}/{job}",
        f"{job}/../../{victim.space}/{job}",
        f"{job}%00",
        f"{job}/",
        f"/{job}",
    ):
        answer = door.rest("GET", f"jobs/{traversal}")
        assert answer["statusCode"] in (400, 404), traversal
        assert "upload" not in answer["body"]


def test_an_upload_is_signed_for_one_object_in_ones_own_space(door: Door, victim: Door) -> None:
    for name in (f"../{victim.space}/x.pdf", f"..%2f{victim.space}%2fx.pdf", "a/b/c.pdf", "x.pdf?versionId=1"):
        asked = door.content("memory_ingest", source=name)
        path, _, query = asked["upload"]["url"].partition("?")
        assert path.endswith(f"/uploads/{door.space}/{asked['id']}/file")
        assert "X-Amz-Signature=" in query
        imported = door.document("POST", "imports", {"name": name})
        assert f"/uploads/{door.space}/{imported['id']}/file?" in imported["upload_url"]


def test_whoever_may_only_read_is_not_shown_where_to_upload(door: Door) -> None:
    for job in (door.content("memory_ingest", source="x.pdf"), door.document("POST", "imports", {"name": "x.jsonl"})):
        shown = door.as_(scopes="read").document("GET", f"jobs/{job['id']}")
        assert shown["status"] == "awaiting_upload"
        assert shown["upload_url"] is None


# ---- Cursors ----


def filled(door: Door) -> Door:
    """Put enough into a caller's space that everything has a second page."""
    door.content("memory_store", memories=[{"content": f"The code of door {n} is {n}{n}."} for n in range(6)])
    for name in ("aaa", "bbb", "ccc"):
        door.content("chroma_create_collection", collection_name=name)
    documents = [f"The code of door {n} is {n}{n}." for n in range(6)]
    door.content("chroma_add_documents", collection_name="aaa", ids=list("abcdef"), documents=documents)
    return door


LISTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "memories": ("memory_list", {"limit": 2}),
    "hits": ("memory_search", {"query": "code of a door", "limit": 2, "min_score": 0}),
    "hits of a time": ("memory_search", {"query": "code", "limit": 2, "min_score": 0, "when": "past 3 days"}),
    "collections": ("chroma_list_collections", {"limit": 1}),
    "records": ("chroma_get_documents", {"collection_name": "aaa", "limit": 2}),
    "matches": (
        "chroma_query_documents",
        {"collection_name": "aaa", "query_texts": ["code of a door"], "n_results": 6, "max_tokens": 200},
    ),
}


def cursor_of(door: Door, listing: str) -> str:
    """Return the cursor to the second page of a listing."""
    tool, arguments = LISTINGS[listing]
    content = door.content(tool, **arguments)
    cursor: str = content.get("next_cursor") or content["results"][0]["next_cursor"]
    return cursor


def export_cursor(door: Door) -> str:
    """Return a cursor of an export, which goes on even behind the end."""
    memory_id = door.content("memory_list")["memories"][0]["id"]
    from remora.collections.cursors import CursorKind, encode_cursor
    from remora.transfer.exporting import _Place

    arguments = {"operation": "export", "embeddings": False, "space": door.space}
    return encode_cursor(CursorKind.MEMORIES, arguments, _Place(lines=1, memory_id=memory_id).to_bytes())


def rebuild_cursor(door: Door) -> str:
    """Return a cursor of a rebuild at its beginning."""
    from remora.transfer.rebuilding import _Place

    return _Place(0, 6, "", door.space).to_cursor()


@pytest.mark.parametrize("listing", LISTINGS)
def test_a_cursor_of_another_space_is_refused(door: Door, victim: Door, listing: str) -> None:
    filled(door)
    cursor = cursor_of(filled(victim), listing)
    tool, arguments = LISTINGS[listing]
    assert "belongs to a call with other arguments" in door.refusal(tool, **arguments, cursor=cursor)
    victim.content(tool, **arguments, cursor=cursor)


def test_a_cursor_of_another_spaces_export_or_rebuild_is_refused(door: Door, victim: Door) -> None:
    filled(door)
    exported, rebuilt = export_cursor(victim), rebuild_cursor(victim)
    answer = door.rest("GET", "export", cursor=exported)
    assert answer["statusCode"] == 400
    assert "4711" not in answer["body"]
    admin = door.as_(scopes="admin")
    assert admin.rest("POST", "rebuild", {"cursor": rebuilt})["statusCode"] == 400
    assert victim.rest("GET", "export", cursor=exported)["statusCode"] == 200
    assert victim.as_(scopes="admin").rest("POST", "rebuild", {"cursor": rebuilt})["statusCode"] == 200


@pytest.mark.parametrize("listing", LISTINGS)
def test_a_cursor_of_another_tool_is_refused(door: Door, listing: str) -> None:
    filled(door)
    others = {name: cursor_of(door, name) for name in LISTINGS if name != listing}
    tool, arguments = LISTINGS[listing]
    for name, cursor in others.items():
        assert "cursor belongs to" in door.refusal(tool, **arguments, cursor=cursor), name
    for cursor in others.values():
        assert door.rest("GET", "export", cursor=cursor)["statusCode"] == 400


def test_a_cursor_goes_on_for_another_principal_of_the_same_space_who_may_read(door: Door) -> None:
    """It is a place, not a permission: whoever may not read gets nothing with it."""
    filled(door)
    cursor = cursor_of(door, "memories")
    colleague = door.as_(id="bob", scopes="read")
    assert colleague.content("memory_list", limit=2, cursor=cursor)["memories"]
    assert "needs the scope 'read'" in door.as_(scopes="write").refusal("memory_list", limit=2, cursor=cursor)


@pytest.mark.parametrize("listing", LISTINGS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.binary(max_size=120))
@example(position=b"")
@example(position=b"\xff" * 64)
@example(position=b"\x7f" * 8 + b"\x00" * 40)
def test_a_forged_cursor_reaches_nothing_else_and_breaks_nothing(
    open_door: Door, chroma_server: object, listing: str, position: bytes
) -> None:
    door = open_door.as_(space="space-of-forged-cursors")
    if door.content("memory_overview")["memories"] == 0:
        filled(door)
    tool, arguments = LISTINGS[listing]
    result = door.tool(tool, **arguments, cursor=forged(cursor_of(door, listing), position))
    said = json.dumps(result)
    assert "failed inside" not in said
    assert "The code of door" in said or "cursor" in said or not result["isError"]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.binary(max_size=120), place=st.sampled_from(["", "../x/y", "a", "~", "\x00", "é", "7h3kq9x2ma"]))
@example(position=b"\xff" * 60, place="")
@example(position=b"\x00" * 32 + b"\xff" * 28, place="7h3kq9x2ma")
def test_a_forged_cursor_of_an_export_or_a_rebuild_is_a_place_or_is_refused(
    open_door: Door, position: bytes, place: str
) -> None:
    door = open_door.as_(space="space-of-forged-places", scopes="admin read write")
    if door.content("memory_overview")["memories"] == 0:
        filled(door)
    for content in (position, position[:60].ljust(60, b"\x00") + place.encode()):
        exported = door.rest("GET", "export", cursor=forged(export_cursor(door), content))
        assert exported["statusCode"] in (200, 400)
    for content in (position, position[:16].ljust(16, b"\x00") + place.encode()):
        rebuilt = door.rest("POST", "rebuild", {"cursor": forged(rebuild_cursor(door), content)})
        assert rebuilt["statusCode"] in (200, 400)


# ---- Who is calling, as the body or a header might say ----


@pytest.mark.parametrize("revision", REVISIONS)
def test_nothing_that_a_caller_sends_makes_them_somebody_else(door: Door, victim: Door, revision: str) -> None:
    claims = {"principal_id": victim.id, "scopes": "admin read write", "space": victim.space}
    headers = {
        "x-remora-principal": json.dumps(claims),
        "x-amzn-requestcontext": json.dumps({"authorizer": claims}),
        "x-apigateway-event": quote(json.dumps({"requestContext": {"authorizer": claims}})),
        "space": victim.space,
        "x-remora-space": victim.space,
        "remora_space": victim.space,
        "x-chroma-database": victim.space,
        "scopes": "admin",
        "cookie": f"space={victim.space}",
    }
    caller = door.as_(headers=headers, revision=revision)
    request = caller.event("tools/call", {"name": "memory_overview", "arguments": {}, **claims})
    body = json.loads(request["body"])
    body |= claims | {"requestContext": {"authorizer": claims}}
    body["params"].setdefault("_meta", {}).update(claims)
    request |= {"body": json.dumps(body), "stageVariables": claims, "queryStringParameters": claims}
    answered = json.loads(caller.send(request)["body"])
    assert answered["result"]["structuredContent"]["memories"] == 0
    for name in ("space", "database", "tenant", "principal_id"):
        assert "is not an argument" in caller.refusal("memory_overview", **{name: victim.space})


def test_no_argument_of_a_rest_route_names_a_space(door: Door, victim: Door) -> None:
    assert json.loads(door.rest("GET", "status", space=victim.space)["body"])["space"] == door.space
    assert "4711" not in door.rest("GET", "export", space=victim.space)["body"]
    for path, body in (
        ("exports", {}),
        ("imports", {"name": "x.jsonl"}),
        ("import-collection", {"collection": "diary"}),
    ):
        answer = door.rest("POST", path, body | {"space": victim.space})
        assert answer["statusCode"] == 400, path


def test_an_import_cannot_say_whose_space_it_is_for(door: Door, victim: Door) -> None:
    exported = victim.rest("GET", "export")["body"]
    assert victim.space in exported.splitlines()[0]
    taken = door.rest("POST", "import", exported)
    assert taken["statusCode"] == 200, taken
    assert door.content("memory_overview")["memories"] == 1
    door.content("memory_delete", ids=[memory_of(door)], purge=True, confirm=True)
    assert victim.content("memory_overview")["memories"] == 1
