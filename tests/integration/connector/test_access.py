"""What a principal may do behind the edge: its scopes, its space, and nothing without a principal at all."""

import json
import uuid
from typing import Any

import pytest

from remora.auth.principal import Scope
from tests.integration.connector.conftest import Handle
from tests.support.lambda_event import event

WRITERS = {
    "chroma_add_documents",
    "chroma_create_collection",
    "chroma_delete_collection",
    "chroma_delete_documents",
    "chroma_fork_collection",
    "chroma_get_or_create_collection",
    "chroma_modify_collection",
    "chroma_update_documents",
    "chroma_upsert_documents",
    "memory_delete",
    "memory_ingest",
    "memory_store",
    "memory_store_conversation",
    "memory_update",
}
ADMINISTRATORS = {
    "chroma_create_database",
    "chroma_delete_database",
    "chroma_get_database",
    "chroma_list_databases",
    "chroma_reset",
}


def listed(handle: Handle, scopes: str) -> set[str]:
    """Return the names of the tools that a principal is shown."""
    answer = handle(event("tools/list", scopes=scopes))
    return {tool["name"] for tool in json.loads(answer["body"])["result"]["tools"]}


def call(handle: Handle, tool: str, arguments: dict[str, Any], *, scopes: str, space: str) -> dict[str, Any]:
    """Call a tool and return its result, error or not."""
    request = event("tools/call", {"name": tool, "arguments": arguments}, scopes=scopes, space=space)
    result: dict[str, Any] = json.loads(handle(request)["body"])["result"]
    return result


def test_a_principal_is_shown_the_tools_of_its_scopes_and_no_others(handle: Handle) -> None:
    everything = listed(handle, "admin read write")
    assert listed(handle, "write") == WRITERS
    assert listed(handle, "admin") == ADMINISTRATORS
    assert listed(handle, "read") == everything - WRITERS - ADMINISTRATORS
    assert listed(handle, "") == set()


@pytest.mark.parametrize("scope", list(Scope))
def test_no_tool_that_is_not_shown_can_be_called(handle: Handle, scope: Scope) -> None:
    for tool in listed(handle, "admin read write") - listed(handle, scope):
        result = call(handle, tool, {}, scopes=scope, space="nobody")
        assert result["isError"]
        assert "needs the scope" in result["content"][0]["text"]
        assert f"has: {scope}" in result["content"][0]["text"]


def test_a_principal_sees_its_own_space_alone(handle: Handle) -> None:
    mine, theirs = (f"space-{uuid.uuid4().hex}" for _ in range(2))
    created = call(handle, "chroma_create_collection", {"collection_name": "diary"}, scopes="read write", space=mine)
    assert not created["isError"]
    assert not call(handle, "chroma_get_collection_info", {"collection_name": "diary"}, scopes="read", space=mine)[
        "isError"
    ]
    for name in ("diary", created["structuredContent"]["id"], f"../../{mine}/collections/diary"):
        for tool in ("chroma_get_collection_info", "chroma_delete_collection", "chroma_peek_collection"):
            result = call(handle, tool, {"collection_name": name}, scopes="read write", space=theirs)
            assert result["isError"], (tool, name)
    assert call(handle, "chroma_count_collections", {}, scopes="read", space=theirs)["structuredContent"] == {
        "count": 0
    }
    assert call(handle, "chroma_count_collections", {}, scopes="read", space=mine)["structuredContent"] == {
        "count": 1
    }


@pytest.mark.parametrize(
    "authorizer", [None, {}, {"principal_id": "x"}, {"principal_id": "x", "scopes": "root", "space": "x"}]
)
def test_a_request_that_no_authorizer_vouched_for_is_refused(handle: Handle, authorizer: object) -> None:
    request = event("tools/list")
    request["requestContext"]["authorizer"] = authorizer
    assert handle(request)["statusCode"] == 401


def test_administration_reaches_databases_and_needs_its_confirmations(handle: Handle) -> None:
    def administer(tool: str, **arguments: Any) -> dict[str, Any]:
        return call(handle, tool, arguments, scopes="admin", space="nobody")

    name = f"database-{uuid.uuid4().hex}"
    assert not administer("chroma_create_database", database_name=name)["isError"]
    assert administer("chroma_create_database", database_name=name)["isError"]
    assert administer("chroma_get_database", database_name=name)["structuredContent"]["name"] == name
    names = {database["name"] for database in administer("chroma_list_databases")["structuredContent"]["databases"]}
    assert name in names
    assert administer("chroma_delete_database", database_name=name, confirm_name="other")["isError"]
    assert administer("chroma_reset", confirm="yes")["isError"]
    assert not administer("chroma_get_database", database_name=name)["isError"]
    assert not administer("chroma_delete_database", database_name=name, confirm_name=name)["isError"]
    assert administer("chroma_get_database", database_name=name)["isError"]


def test_neither_log_nor_metrics_hold_what_was_stored_or_asked(
    handle: Handle, capfd: pytest.CaptureFixture[str]
) -> None:
    space = f"space-{uuid.uuid4().hex}"
    collection = {"collection_name": "diary"}
    call(handle, "chroma_create_collection", collection, scopes="read write", space=space)
    call(
        handle,
        "chroma_add_documents",
        collection | {"documents": ["a secret thing"]},
        scopes="read write",
        space=space,
    )
    call(
        handle,
        "chroma_query_documents",
        collection | {"query_texts": ["a secret question"]},
        scopes="read write",
        space=space,
    )
    call(handle, "chroma_query_documents", {"query_texts": ["a secret mistake"]}, scopes="read write", space=space)
    call(handle, "memory_store", {"content": ["a secret memory"]}, scopes="read write", space=space)
    call(handle, "memory_search", {"query": "x", "when": "that secret day"}, scopes="read write", space=space)
    handle(event("resources/read", {"uri": "memory://no/secret"}))
    printed = "".join(capfd.readouterr())
    assert "secret" not in printed
    blobs = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    by_tool = {blob["tool"]: blob for blob in blobs if "ToolCalls" in blob and blob["outcome"] == "Success"}
    assert by_tool["chroma_query_documents"]["Duration"][0] > 0
    of_all = [blob for blob in blobs if "EmbedDuration" in blob]
    assert any(blob["EmbedDuration"][0] > 0 and blob["ChromaDuration"][0] > 0 for blob in of_all)
    assert not [blob for blob in of_all if "tool" in blob]
    assert any(blob.get("outcome") == "InvalidArgumentError" for blob in blobs)
