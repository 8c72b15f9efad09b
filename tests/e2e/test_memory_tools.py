"""The memory as an assistant meets it: tools, resources and prompts, by the official MCP client over the gateway."""

import base64
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, PromptReference, ResourceTemplateReference, TextContent, TextResourceContents

from tests.e2e.conftest import ConnectAs, error_of, structured, text_of
from tests.support.local_stack import LocalStack

pytestmark = pytest.mark.anyio

ERAS = pytest.mark.parametrize("era", ["legacy", "2026-07-28"])

FACTS = {
    "boat": "Ingrid bought a blue sailing boat named Tern in Bergen.",
    "allergy": "Ingrid is allergic to hazelnuts and carries an adrenaline pen.",
    "release": "The team decided to ship version 4.2 of the ledger on Fridays only.",
    "ticket": "Invoice INV-20417 from the shipyard is overdue.",
}
TURNS = [
    {"speaker": "Ana", "content": "Did you find a new flat yet?", "time": "2026-03-02T18:00", "id": "t1"},
    {"speaker": "Ben", "content": "Yes, on Elm Street, the one with the big balcony.", "time": "2026-03-02T18:01"},
    {"speaker": "Ana", "content": "How much is the rent?", "time": "2026-03-02T18:02"},
    {"speaker": "Ben", "content": "Nine hundred a month, heating included.", "time": "2026-03-02T18:03"},
]


def fresh(prefix: str) -> str:
    """Return a tag, or other name, that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool that has to succeed."""
    return structured(await client.call_tool(tool, arguments))


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """Call a tool that has to fail, and return what it says."""
    return error_of(await client.call_tool(tool, arguments))


async def remember(client: Client, tag: str) -> dict[str, str]:
    """Store the facts under a tag of the test's own; return their ids. Their words are made the test's own too."""
    stored = await call(
        client,
        "memory_store",
        memories=[{"content": f"{text} ({tag})", "tags": [key]} for key, text in FACTS.items()],
        tags=[tag],
        type="fact",
        metadata={"test": tag},
    )
    assert all(memory["created"] for memory in stored["memories"])
    return dict(zip(FACTS, (memory["id"] for memory in stored["memories"]), strict=True))


def ids_of(answer: dict[str, Any]) -> list[str]:
    """Return the ids of a search's hits or a listing's memories."""
    return [item["id"] for item in answer.get("hits", answer.get("memories", []))]


async def document(client: Client, uri: str) -> str:
    """Return the text of a resource."""
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    assert content.mime_type == "text/markdown"
    return content.text


@pytest.fixture
def connect_to(stack: LocalStack) -> Any:
    """Connect the official client to one of the URLs."""

    @asynccontextmanager
    async def connected(path: str) -> AsyncIterator[Client]:
        headers = {"Authorization": f"Bearer {stack.key}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(stack.stage_url + path, http_client=http)) as client,
        ):
            yield client

    return connected


@ERAS
async def test_every_tool_works_over_a_memorys_life(connect: ConnectAs, era: str) -> None:
    async with connect(era) as client:
        called: set[str] = set()

        async def use(tool: str, **arguments: Any) -> dict[str, Any]:
            called.add(tool)
            return await call(client, tool, **arguments)

        tag = fresh("life")
        stored = await use("memory_store", content=f"The library card number is 5519. ({tag})", tags=tag)
        (memory,) = stored["memories"]
        assert memory["created"]
        again = await use("memory_store", content=f"The library card number is 5519. ({tag})", tags=[tag, "other"])
        assert again["memories"] == [{"id": memory["id"], "created": False, "similar": []}]

        found = await use("memory_search", query="library card", tags=[tag])
        assert ids_of(found) == [memory["id"]]
        assert 0 < found["hits"][0]["score"] <= 1
        assert found["hits"][0]["whole"]

        updated = await use("memory_update", id=memory["id"], content=f"The library card number is 6620. ({tag})")
        assert (updated["id"], updated["version"], updated["changed"]) == (memory["id"], 2, ["content"])
        (detail,) = (await use("memory_get", ids=[memory["id"]], history=True))["memories"]
        assert [version["action"] for version in detail["history"]] == ["store", "update"]
        assert "5519" in detail["history"][0]["content"]
        assert "6620" in detail["memory"]["content"]
        assert detail["memory"]["tags"] == [tag]

        told = await use("memory_store_conversation", turns=[f"Hello, {tag}!"], tags=tag)
        assert (told["created"], told["total"]) == (1, 1)
        taken = await use("memory_ingest", source=f"{tag}.md", content="# Ferns\n\nFerns like shade.", tags=[tag])
        assert taken["status"] == "done"
        assert (await use("memory_list", tags=[tag]))["total"] >= 3
        overview = await use("memory_overview")
        assert overview["memories"] >= 3

        gone = await use("memory_delete", ids=[memory["id"]])
        assert (gone["done"], gone["count"]) == (True, 1)
        assert memory["id"] not in ids_of(await use("memory_search", query="library card", tags=[tag]))

        tools = {tool.name for tool in (await client.list_tools()).tools if tool.name.startswith("memory_")}
        assert called == tools


@ERAS
async def test_memories_are_found_by_meaning_and_by_their_exact_words(connect: ConnectAs, era: str) -> None:
    async with connect(era) as client:
        tag = fresh("find")
        ids = await remember(client, tag)
        for query, key in (
            ("What food must I keep away from her?", "allergy"),
            ("yacht", "boat"),
            ("inv-20417", "ticket"),
            ("on which weekday do we release?", "release"),
        ):
            answer = await client.call_tool("memory_search", {"query": query, "tags": [tag], "limit": 1})
            assert ids_of(structured(answer)) == [ids[key]], query
            assert ids[key] in text_of(answer)
            assert FACTS[key] in text_of(answer)


async def test_filters_hold_exactly_and_before_ranking(connect: ConnectAs) -> None:
    async with connect("legacy") as client:
        tag = fresh("filter")
        ids = await remember(client, tag)

        async def found(**filters: Any) -> set[str]:
            listed = set(ids_of(await call(client, "memory_list", **filters)))
            searched = set(ids_of(await call(client, "memory_search", query="anything at all", limit=50, **filters)))
            assert listed == searched
            return listed

        assert await found(tags=[tag]) == set(ids.values())
        assert await found(tags=[tag, "boat"], tag_match="all") == {ids["boat"]}
        assert await found(metadata={"test": tag}, tags=["boat", "ticket"]) == {ids["boat"], ids["ticket"]}
        assert await found(tags=[tag], type="decision") == set()
        assert await found(tags=[tag], source="nowhere") == set()
        assert await found(tags=[tag], when="past 10 minutes", timezone="Asia/Tokyo") == set(ids.values())
        assert await found(tags=[tag], when="until yesterday") == set()


async def test_the_interval_that_was_understood_is_echoed(connect: ConnectAs) -> None:
    async with connect("legacy") as client:
        answer = await client.call_tool(
            "memory_search", {"query": "x", "when": "2026-03-02", "timezone": "Europe/Zurich"}
        )
        assert "2026-03-02T00:00:00+01:00" in structured(answer)["when"]
        assert structured(answer)["when"] in text_of(answer)


async def test_pages_go_on_where_the_one_before_ended(connect: ConnectAs) -> None:
    async with connect("legacy") as client:
        tag = fresh("pages")
        await call(client, "memory_store", memories=[f"Bird number {n} of {tag}" for n in range(25)], tags=[tag])
        for tool, arguments in (
            ("memory_list", {"tags": [tag], "limit": 10}),
            ("memory_list", {"tags": [tag], "limit": 10, "when": "past 1 day"}),
            ("memory_search", {"query": "bird", "tags": [tag], "limit": 10, "when": "past 1 day"}),
            ("memory_list", {"tags": [tag], "limit": 100, "max_tokens": 600}),
        ):
            seen: list[str] = []
            cursor: dict[str, str] = {}
            while True:
                page = await call(client, tool, **arguments, **cursor)
                seen.extend(ids_of(page))
                if "next_cursor" not in page:
                    break
                cursor = {"cursor": page["next_cursor"]}
            assert len(seen) == len(set(seen)) == 25, (tool, arguments)


async def test_nothing_relevant_is_an_answer(connect: ConnectAs) -> None:
    async with connect("legacy") as client:
        tag = fresh("nothing")
        await remember(client, tag)
        answer = await client.call_tool(
            "memory_search", {"query": "quantum chromodynamics", "tags": [tag], "min_score": 0.9}
        )
        assert structured(answer)["hits"] == []
        assert "0.9" in structured(answer)["note"]


@ERAS
async def test_a_conversation_is_kept_once_grows_and_answers_with_what_was_said_around(
    connect: ConnectAs, era: str
) -> None:
    async with connect(era) as client:
        conversation = fresh("talk")

        async def tell(turns: list[dict[str, str]]) -> dict[str, Any]:
            return await call(
                client,
                "memory_store_conversation",
                turns=turns,
                conversation_id=conversation,
                timezone="Europe/Zurich",
            )

        first = await tell(TURNS[:2])
        assert (first["created"], first["total"]) == (2, 2)
        assert first["turns"][0]["turn_id"] == "t1"
        second = await tell(TURNS)
        assert (second["created"], second["total"]) == (2, 4)
        assert [turn["id"] for turn in second["turns"][:2]] == [turn["id"] for turn in first["turns"]]

        answer = await client.call_tool(
            "memory_search", {"query": "monthly rent with heating", "conversation_id": conversation, "limit": 1}
        )
        (hit,) = structured(answer)["hits"]
        assert hit["turn"]["speaker"] == "Ben"
        assert hit["created_at"] == "2026-03-02T17:03:00.000Z"
        assert "Ben: Nine hundred a month" in text_of(answer)
        (detail,) = (await call(client, "memory_get", id=hit["id"]))["memories"]
        assert detail["before"]["content"] == "How much is the rent?"
        assert "after" not in detail


async def test_near_duplicates_are_stored_and_shown(connect: ConnectAs) -> None:
    async with connect("legacy") as client:
        tag = fresh("alike")
        (first,) = (await call(client, "memory_store", content=f"Ola lives in Oslo. {tag}"))["memories"]
        answer = await client.call_tool("memory_store", {"content": f"Ola lives in Oslo! {tag}"})
        (second,) = structured(answer)["memories"]
        assert second["created"]
        assert first["id"] in [similar["id"] for similar in second["similar"]]
        assert "similar (0.9" in text_of(answer) or "similar (1.0" in text_of(answer)


async def test_an_editor_who_is_late_is_told_and_changes_nothing(connect: ConnectAs) -> None:
    async with connect("legacy") as client:
        tag = fresh("edit")
        (memory,) = (await call(client, "memory_store", content=f"Draft of {tag}", metadata={"a": 1, "b": 2}))[
            "memories"
        ]
        await call(client, "memory_update", id=memory["id"], metadata={"a": None, "c": [1, 2]}, version=1)
        said = await refused(client, "memory_update", id=memory["id"], content="Late", version=1)
        assert "version 2" in said
        (detail,) = (await call(client, "memory_get", ids=memory["id"]))["memories"]
        assert detail["memory"]["metadata"] == {"b": 2, "c": [1, 2]}
        assert detail["memory"]["content"] == f"Draft of {tag}"


async def test_a_deletion_by_filter_is_previewed_done_undone_and_made_final(connect: ConnectAs) -> None:
    async with connect("legacy") as client:
        tag = fresh("delete")
        ids = await remember(client, tag)

        async def left() -> int:
            return int((await call(client, "memory_list", tags=[tag]))["total"])

        answer = await client.call_tool("memory_delete", {"tags": [tag]})
        preview = structured(answer)
        assert (preview["done"], preview["count"]) == (False, len(ids))
        assert "nothing done yet" in text_of(answer)
        assert await left() == len(ids)

        done = await call(client, "memory_delete", tags=[tag], confirm=True)
        assert set(done["ids"]) == set(ids.values())
        assert await left() == 0
        (detail,) = (await call(client, "memory_get", ids=[ids["boat"]]))["memories"]
        assert detail["deleted"]

        restored = await call(client, "memory_delete", ids=done["ids"], restore=True)
        assert restored["count"] == len(ids)
        assert await left() == len(ids)

        only_shown = await call(client, "memory_delete", ids=[ids["boat"]], purge=True)
        assert not only_shown["done"]
        purged = await call(client, "memory_delete", ids=[ids["boat"]], purge=True, confirm=True)
        assert (purged["done"], purged["count"]) == (True, 1)
        (detail,) = (await call(client, "memory_get", ids=[ids["boat"]], history=True))["memories"]
        assert "memory" not in detail
        assert FACTS["boat"] not in json.dumps(detail)


async def test_a_document_is_taken_in_found_by_passage_and_removed_by_its_name(connect: ConnectAs) -> None:
    async with connect("legacy") as client:
        name = f"{fresh('garden')}.md"
        text = "# Garden\n\n## Ferns\n\nFerns like deep shade.\n\n## Cacti\n\nCacti want no water in winter.\n"
        taken = await call(
            client,
            "memory_ingest",
            source=name,
            content=base64.b64encode(text.encode()).decode(),
            encoding="base64",
            tags=["garden"],
        )
        assert (taken["status"], taken["source"]) == ("done", name)
        assert taken["stored"] == taken["chunks"] >= 1
        (hit,) = (await call(client, "memory_search", query="watering a cactus", source=name, limit=1))["hits"]
        assert "no water in winter" in hit["passage"]
        removed = await call(client, "memory_delete", source=name, confirm=True)
        assert removed["count"] == taken["chunks"]
        assert (await call(client, "memory_list", source=name))["total"] == 0


async def test_a_large_document_gets_an_address_to_be_sent_to(connect: ConnectAs) -> None:
    async with connect("legacy") as client:
        answer = await client.call_tool("memory_ingest", {"source": "manual.pdf"})
        waiting = structured(answer)
        assert waiting["status"] == "awaiting_upload"
        assert waiting["upload"]["method"] == "PUT"
        assert waiting["upload"]["url"] in text_of(answer)
        assert (await call(client, "memory_ingest", id=waiting["id"]))["status"] == "awaiting_upload"


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("memory_store", {}, "content, for one memory, or memories"),
        ("memory_store", {"content": "  "}, "empty"),
        ("memory_store", {"content": "x", "memories": ["y"]}, "either content"),
        ("memory_store", {"content": "x" * 2_000_000}, "2000000 characters"),
        ("memory_store", {"content": "x" * 200_000}, "memory_ingest"),
        ("memory_store", {"content": "x", "tags": [f"t{n}" for n in range(10_000)]}, "10000 tags"),
        ("memory_store", {"content": "x", "metadata": {"a": {"b": 1}}}, "'a' cannot be stored"),
        ("memory_store", {"content": "x", "metadata": {"a": 2**70}}, "64 bits"),
        ("memory_store", {"content": "x", "time": "yesterday"}, "ISO 8601"),
        ("memory_store_conversation", {"turns": []}, "0 turns"),
        ("memory_store_conversation", {"turns": [{"content": "x", "time": "noon"}]}, "turns[0].time"),
        ("memory_search", {"query": ""}, "query is empty"),
        ("memory_search", {"query": "x", "when": "the other day, I think"}, "past 3 days"),
        ("memory_search", {"query": "x", "when": "from 5 May 2026 to 1 May 2026"}, "ends before it begins"),
        ("memory_search", {"query": "x", "when": "today", "timezone": "Mars/Olympus"}, "Europe/"),
        ("memory_search", {"query": "x", "cursor": "bm90IGEgY3Vyc29y"}, "cursor"),
        ("memory_get", {"ids": []}, "1 to 100"),
        ("memory_update", {"id": "0123456789"}, "Nothing to change"),
        ("memory_update", {"id": "0123456789", "content": "x"}, "no memory 0123456789"),
        ("memory_delete", {}, "either ids, or a filter"),
        ("memory_delete", {"ids": ["0123456789"], "tags": ["x"]}, "either ids, or a filter"),
        ("memory_delete", {"tags": ["x"], "restore": True}, "restore takes ids"),
        ("memory_ingest", {}, "source names the document"),
        ("memory_ingest", {"source": "a.pdf", "content": "%%%", "encoding": "base64"}, "not base64"),
        ("memory_ingest", {"id": "nope"}, "nope"),
    ],
)
async def test_bad_input_is_a_tool_error_that_says_what_would_do(
    connect: ConnectAs, tool: str, arguments: dict[str, Any], says: str
) -> None:
    async with connect("legacy") as client:
        assert says in await refused(client, tool, **arguments)


async def test_a_cursor_of_another_query_is_refused(connect: ConnectAs) -> None:
    async with connect("legacy") as client:
        tag = fresh("cursor")
        await remember(client, tag)
        page = await call(client, "memory_search", query="Ingrid", tags=[tag], limit=1)
        said = await refused(client, "memory_search", query="boat", tags=[tag], limit=1, cursor=page["next_cursor"])
        assert "other arguments" in said


async def test_unicode_comes_back_as_it_went_in(connect: ConnectAs) -> None:
    text = f"Zürich 東京 🐙 \u202eعربى e\u0301 \U0001f469\u200d\U0001f52c\nsecond line\ttab {uuid.uuid4()}"
    async with connect("legacy") as client:
        (stored,) = (await call(client, "memory_store", content=text, tags=["ключ 🔑"], metadata={"名": [text]}))[
            "memories"
        ]
        (detail,) = (await call(client, "memory_get", id=stored["id"]))["memories"]
        assert detail["memory"]["content"] == text
        assert detail["memory"]["tags"] == ["ключ 🔑"]
        assert detail["memory"]["metadata"] == {"名": [text]}


@ERAS
async def test_the_memory_can_be_read_as_resources(connect: ConnectAs, era: str) -> None:
    async with connect(era) as client:
        tag = f"{fresh('read')}/ä b"
        ids = await remember(client, tag)
        await call(client, "memory_store_conversation", turns=TURNS, conversation_id=tag)
        listed = [resource.uri for resource in (await client.list_resources()).resources]
        assert listed == ["memory://overview", "memory://recent"]
        templates = [
            template.uri_template for template in (await client.list_resource_templates()).resource_templates
        ]
        assert len(templates) == 3

        assert "memories" in await document(client, "memory://overview")
        assert ids["boat"] in await document(client, "memory://recent")
        assert FACTS["boat"] in await document(client, f"memory://memories/{ids['boat']}")
        tagged = await document(client, f"memory://tags/{tag.replace('/', '%2F').replace(' ', '%20')}")
        assert all(id_ in tagged for id_ in ids.values())
        spoken = await document(client, f"memory://conversations/{tag.replace('/', '%2F').replace(' ', '%20')}")
        assert "Ben: Nine hundred a month" in spoken
        for unknown in ("memory://memories/0000000000", "memory://nothing"):
            with pytest.raises(MCPError) as error:
                await client.read_resource(unknown)
            assert error.value.code == INVALID_PARAMS


async def test_a_long_resource_names_the_address_of_its_next_page(connect: ConnectAs) -> None:
    async with connect("legacy") as client:
        tag = fresh("long")
        await call(client, "memory_store", memories=[f"Stone number {n} of {tag}" for n in range(60)], tags=[tag])
        first = await document(client, f"memory://tags/{tag}")
        address = first.rpartition("More: ")[2]
        assert address.startswith(f"memory://tags/{tag}?cursor=")
        second = await document(client, address)
        assert "More: " not in second
        assert all(f"Stone number {n} of" in first + second for n in range(60))


async def test_what_a_person_types_is_completed(connect: ConnectAs) -> None:
    async with connect("legacy") as client:
        tag = fresh("type")
        ids = await remember(client, tag)

        async def completed(ref: PromptReference | ResourceTemplateReference, name: str, typed: str) -> list[str]:
            answer = await client.complete(ref, {"name": name, "value": typed})
            return answer.completion.values

        tags = ResourceTemplateReference(uri="memory://tags/{tag}{?cursor}")
        assert await completed(tags, "tag", tag[:-2]) == [tag]
        assert await completed(tags, "tag", "no tag begins like this") == []
        memories = ResourceTemplateReference(uri="memory://memories/{id}")
        assert ids["boat"] in await completed(memories, "id", ids["boat"][:6])
        assert await completed(PromptReference(name="recall"), "tags", f"work, {tag[:-2]}") == [f"work, {tag}"]
        assert await completed(PromptReference(name="recall"), "topic", "a") == []


@ERAS
async def test_prompts_are_written_with_their_arguments(connect: ConnectAs, era: str) -> None:
    async with connect(era) as client:
        names = [prompt.name for prompt in (await client.list_prompts()).prompts]
        assert names == ["recall", "remember", "review"]
        answer = await client.get_prompt("recall", {"topic": "the boat in Bergen", "tags": "family"})
        (message,) = answer.messages
        assert isinstance(message.content, TextContent)
        assert "the boat in Bergen" in message.content.text
        assert "memory_search" in message.content.text


async def test_each_url_offers_its_part(connect_to: Any) -> None:
    async with connect_to("/mcp/memory") as client:
        assert {tool.name.partition("_")[0] for tool in (await client.list_tools()).tools} == {"memory"}
        tag = fresh("url")
        ids = await remember(client, tag)
        assert ids["boat"] in ids_of(await call(client, "memory_search", query="boat", tags=[tag]))
    async with connect_to("/mcp/chroma") as client:
        assert {tool.name.partition("_")[0] for tool in (await client.list_tools()).tools} == {"chroma"}
        assert (await client.list_prompts()).prompts == []


async def test_the_chroma_tools_do_not_see_where_the_memory_is_kept(connect: ConnectAs) -> None:
    async with connect("legacy") as client:
        await remember(client, fresh("hidden"))
        listed = await call(client, "chroma_list_collections", limit=1000)
        assert not [each for each in listed["collections"] if each["name"].startswith("remora.")]
        for tool, arguments in (
            ("chroma_get_documents", {}),
            ("chroma_delete_collection", {}),
            ("chroma_create_collection", {}),
            ("chroma_query_documents", {"query_texts": ["boat"]}),
        ):
            for name in ("remora.memory.passages", "remora.memory.contexts"):
                assert "reserved for the memory" in await refused(client, tool, collection_name=name, **arguments)
