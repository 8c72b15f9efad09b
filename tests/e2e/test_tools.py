"""Every Chroma tool, called by the official MCP client over the gateway, in both protocol eras."""

import uuid
from typing import Any

import pytest
from mcp.client.client import Client

from tests.e2e.conftest import ConnectAs, error_of, structured, text_of

pytestmark = pytest.mark.anyio

ERAS = pytest.mark.parametrize("era", ["legacy", "2026-07-28"])

RECIPES = {
    "bread": "Knead flour, water, yeast and salt; let the dough rise and bake it in a hot oven.",
    "pasta": "Boil the spaghetti in salted water and toss it with tomato sauce and basil.",
    "engine": "The diesel motor needs an oil change every fifteen thousand kilometres.",
    "ticket": "Invoice INV-20417 for Ms Ødegård is overdue since March.",
}


def fresh(prefix: str) -> str:
    """Return a collection name that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool that has to succeed."""
    return structured(await client.call_tool(tool, arguments))


async def filled_collection(client: Client) -> str:
    """Make a collection that holds the recipes."""
    name = fresh("recipes")
    await call(client, "chroma_create_collection", collection_name=name)
    await call(
        client,
        "chroma_add_documents",
        collection_name=name,
        ids=list(RECIPES),
        documents=list(RECIPES.values()),
        metadatas=[
            {"length": len(text), "tags": ["food"] if key in ("bread", "pasta") else ["other"]}
            for key, text in RECIPES.items()
        ],
    )
    return name


@ERAS
async def test_documents_are_found_by_meaning(connect: ConnectAs, era: str) -> None:
    async with connect(era) as client:
        name = await filled_collection(client)
        answer = await call(
            client,
            "chroma_query_documents",
            collection_name=name,
            query_texts=["How do I make a loaf?", "looking after a car"],
            n_results=2,
        )
    first, second = answer["results"]
    assert first["hits"][0]["id"] == "bread"
    assert second["hits"][0]["id"] == "engine"
    assert 1 >= first["hits"][0]["score"] > first["hits"][1]["score"] >= 0


@ERAS
async def test_hybrid_mode_finds_an_identifier_that_meaning_alone_cannot(connect: ConnectAs, era: str) -> None:
    async with connect(era) as client:
        name = await filled_collection(client)
        answer = await call(
            client,
            "chroma_query_documents",
            collection_name=name,
            query_texts=["inv-20417"],
            mode="hybrid",
            n_results=1,
        )
        assert answer["results"][0]["hits"][0]["id"] == "ticket"


@ERAS
async def test_every_tool_works_over_a_collections_life(connect: ConnectAs, era: str) -> None:
    async with connect(era) as client:
        called: set[str] = set()

        async def use(tool: str, **arguments: Any) -> dict[str, Any]:
            called.add(tool)
            return await call(client, tool, **arguments)

        name, copy, renamed = fresh("life"), fresh("copy"), fresh("renamed")
        created = await use("chroma_create_collection", collection_name=name, metadata={"about": "everything"})
        assert created["embeds_text"]
        again = await use("chroma_get_or_create_collection", collection_name=name)
        assert again["id"] == created["id"]

        added = await use("chroma_add_documents", collection_name=name, documents=list(RECIPES.values()))
        assert added["stored"] == len(RECIPES) == len(set(added["ids"]))
        await use("chroma_upsert_documents", collection_name=name, ids=["extra"], documents=["A pinch of salt"])
        await use(
            "chroma_update_documents", collection_name=name, ids=["extra"], metadatas=[{"tags": ["spice", "tiny"]}]
        )
        found = await use("chroma_get_documents", collection_name=name, where={"tags": {"$contains": "spice"}})
        assert found["records"] == [
            {"id": "extra", "document": "A pinch of salt", "metadata": {"tags": ["spice", "tiny"]}}
        ]

        assert (await use("chroma_get_collection_count", collection_name=name))["count"] == len(RECIPES) + 1
        assert (await use("chroma_peek_collection", collection_name=name, limit=2))["records"]
        info = await use("chroma_get_collection_info", collection_name=name)
        assert (info["dimension"], info["space"], info["count"]) == (384, "cosine", len(RECIPES) + 1)
        hits = await use("chroma_query_documents", collection_name=name, query_texts=["seasoning"], n_results=1)
        assert hits["results"][0]["hits"][0]["id"] == "extra"

        fork = await use("chroma_fork_collection", collection_name=name, new_collection_name=copy)
        assert fork["records"] == len(RECIPES) + 1
        await use(
            "chroma_modify_collection", collection_name=copy, new_name=renamed, new_metadata={"about": "a copy"}
        )
        listed = await use("chroma_list_collections")
        assert {name, renamed} <= {collection["name"] for collection in listed["collections"]}
        assert (await use("chroma_count_collections"))["count"] == listed["total"]

        would_go = await use("chroma_delete_documents", collection_name=name, ids=["extra"], dry_run=True)
        assert (would_go["deleted"], would_go["dry_run"]) == (1, True)
        assert (await use("chroma_delete_documents", collection_name=name, ids=["extra"]))["deleted"] == 1
        for doomed, records in ((name, len(RECIPES)), (renamed, len(RECIPES) + 1)):
            assert (await use("chroma_delete_collection", collection_name=doomed))["deleted_records"] == records
        assert (await use("chroma_server_info"))["database"]

        offered = {tool.name for tool in (await client.list_tools()).tools if tool.name.startswith("chroma_")}
        assert called == offered


@ERAS
async def test_pages_follow_one_another_without_gaps_or_repeats(connect: ConnectAs, era: str) -> None:
    async with connect(era) as client:
        name = fresh("pages")
        await call(client, "chroma_create_collection", collection_name=name)
        ids = [f"record-{number}" for number in range(40)]
        await call(
            client,
            "chroma_add_documents",
            collection_name=name,
            ids=ids,
            documents=[f"Page turner number {number}. " * 8 for number in range(40)],
        )
        seen: list[str] = []
        arguments: dict[str, Any] = {"collection_name": name, "max_tokens": 600}
        while True:
            page = await call(client, "chroma_get_documents", **arguments)
            seen += [record["id"] for record in page["records"]]
            if "next_cursor" not in page:
                break
            arguments["cursor"] = page["next_cursor"]
        assert sorted(seen) == sorted(ids)
        assert len(seen) == len(set(seen))


@ERAS
async def test_unicode_comes_back_as_it_went_in(connect: ConnectAs, era: str) -> None:
    text = "Zürich 東京 🐙 \u202eعربى e\u0301 \U0001f469\u200d\U0001f52c\nsecond line\ttab"
    async with connect(era) as client:
        name = fresh("unicode")
        await call(client, "chroma_create_collection", collection_name=name)
        await call(
            client,
            "chroma_add_documents",
            collection_name=name,
            ids=["ключ/🔑 with space"],
            documents=[text],
            metadatas=[{"название": text, "列": ["東", "京"]}],
        )
        (record,) = (await call(client, "chroma_get_documents", collection_name=name))["records"]
        assert record == {
            "id": "ключ/🔑 with space",
            "document": text,
            "metadata": {"название": text, "列": ["東", "京"]},
        }


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("chroma_get_collection_count", {}, "`collection_name` is required"),
        ("chroma_get_collection_count", {"collection_name": 5}, "string"),
        ("chroma_get_collection_count", {"collection_name": "no-such"}, "no-such"),
        ("chroma_query_documents", {"collection_name": "{name}"}, "query"),
        ("chroma_query_documents", {"collection_name": "{name}", "query_texts": []}, "0 entries"),
        ("chroma_query_documents", {"collection_name": "{name}", "query_embeddings": [[1, 2, 3]]}, "384"),
        (
            "chroma_query_documents",
            {"collection_name": "{name}", "query_texts": ["x"], "where": {"a": {"$near": 1}}},
            "$near",
        ),
        ("chroma_get_documents", {"collection_name": "{name}", "cursor": "bm90IGEgY3Vyc29y"}, "cursor"),
        ("chroma_add_documents", {"collection_name": "{name}", "ids": ["a", "a"], "documents": ["x", "y"]}, "a"),
        ("chroma_add_documents", {"collection_name": "{name}", "documents": []}, "at least one record"),
        ("chroma_add_documents", {"collection_name": "{name}", "ids": ["n"], "embeddings": [[0.5, 0.5]]}, "384"),
        ("chroma_delete_documents", {"collection_name": "{name}"}, "ids"),
        ("chroma_create_collection", {"collection_name": "x"}, "3"),
        ("chroma_create_collection", {"collection_name": "abc", "space": "manhattan"}, "cosine"),
        ("chroma_create_collection", {"collection_name": "{name}"}, "exists"),
    ],
)
async def test_bad_input_is_a_tool_error_that_says_what_would_do(
    connect: ConnectAs, tool: str, arguments: dict[str, Any], says: str
) -> None:
    async with connect("legacy") as client:
        name = await filled_collection(client)
        given = {
            key: value.format(name=name) if isinstance(value, str) else value for key, value in arguments.items()
        }
        message = error_of(await client.call_tool(tool, given))
        assert says in message
        assert (await call(client, "chroma_get_collection_count", collection_name=name))["count"] == len(RECIPES)


async def test_a_long_document_is_stored_whole_and_its_short_vector_is_said(connect: ConnectAs) -> None:
    megabyte = "A long story about the sea. " * 37_500
    async with connect("legacy") as client:
        name = fresh("long")
        await call(client, "chroma_create_collection", collection_name=name)
        answer = await client.call_tool(
            "chroma_add_documents", {"collection_name": name, "ids": ["novel"], "documents": [megabyte]}
        )
        (truncated,) = structured(answer)["truncated"]
        assert truncated["tokens"] > truncated["embedded_tokens"]
        assert "vector covers only the first" in text_of(answer)
        (record,) = (await call(client, "chroma_get_documents", collection_name=name))["records"]
        assert record["document_truncated"]
        assert record["document_characters"] == len(megabyte)
        assert megabyte.startswith(record["document"])


async def test_a_batch_larger_than_chromas_limit_is_stored_whole(connect: ConnectAs) -> None:
    async with connect("legacy") as client:
        name = fresh("batch")
        await call(client, "chroma_create_collection", collection_name=name, embedding_function="none")
        ids = [f"r{number}" for number in range(6_000)]
        answer = await call(
            client,
            "chroma_add_documents",
            collection_name=name,
            ids=ids,
            embeddings=[[float(number % 7), 1.0] for number in range(6_000)],
        )
        assert answer["stored"] == 6_000
        assert (await call(client, "chroma_get_collection_count", collection_name=name))["count"] == 6_000
