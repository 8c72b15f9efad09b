"""Adding, upserting and updating: everything, or exactly said what."""

import math
from collections.abc import Mapping
from typing import Any

import pytest

from remora.chroma.client import Database
from remora.chroma.wire import Filter
from remora.collections.models import Include, Space
from remora.collections.service import Collections
from remora.errors import InvalidArgumentError, NotFoundError, UnavailableError
from tests.integration.collections.conftest import WordHashEmbedder, soon

pytestmark = pytest.mark.anyio

EVERYTHING = tuple(Include)


async def stored(space: Collections, collection: str) -> dict[str, Mapping[str, Any]]:
    page = await space.get(collection, include=EVERYTHING, max_tokens=50_000, limit=1_000, deadline=soon())
    assert page.next_cursor is None
    return {record.id: record.model_dump() for record in page.records}


async def test_every_part_of_a_record_comes_back_as_it_was(space: Collections) -> None:
    await space.create("notes", deadline=soon())
    metadata = {
        "text": "żółw ☃ \u0000 'quoted' \"twice\"",
        "whole": 2**62,
        "negative": -(2**63),
        "part": 0.1,
        "yes": True,
        "texts": ["a", "ü", "a"],
        "wholes": [1, -2],
        "parts": [0.5, 2.0],
        "flags": [True, False],
        "ключ": "значение",
    }
    ids = ["plain", "日本語", "with space/slash?&#%", "x" * 512]
    documents = ["Grüße aus Köln", "東京タワー 🗼", "line\nbreak\ttab", "a" * 100_000]
    result = await space.add(
        "notes",
        ids=ids,
        documents=documents,
        metadatas=[metadata, None, {}, {"k": 1}],
        uris=["https://example.org/ü?q=1", None, None, "s3://bucket/key"],
        embeddings=[[0.25, -1.5, 3.0], [1, 2, 3], [4, 5, 6], [7, 8, 9]],
        deadline=soon(),
    )
    assert (result.stored, result.ids, result.reason) == (4, ids, None)
    found = await stored(space, "notes")
    assert list(found) == ids
    assert [found[record_id]["document"] for record_id in ids] == documents
    assert found["plain"]["metadata"] == metadata
    assert {key: type(value) for key, value in found["plain"]["metadata"].items()} == {
        key: type(value) for key, value in metadata.items()
    }
    assert "metadata" not in found["日本語"]
    assert found["plain"]["uri"] == "https://example.org/ü?q=1"
    assert found["plain"]["embedding"] == [0.25, -1.5, 3.0]


async def test_ids_are_made_and_returned_when_none_are_given(space: Collections) -> None:
    await space.create("notes", deadline=soon())
    result = await space.add("notes", documents=["one", "two"], deadline=soon())
    assert len(set(result.ids)) == 2
    assert list(await stored(space, "notes")) == result.ids
    assert all(len(record_id) <= 16 for record_id in result.ids)


async def test_add_leaves_ids_that_exist_alone_and_names_them(space: Collections, embedder: WordHashEmbedder) -> None:
    await space.create("notes", deadline=soon())
    await space.add("notes", ids=["a", "b"], documents=["first a", "first b"], deadline=soon())
    embedder.texts_embedded = 0
    result = await space.add("notes", ids=["b", "c"], documents=["second b", "first c"], deadline=soon())
    assert (result.stored, result.ids, result.already_existed) == (1, ["c"], ["b"])
    assert {key: value["document"] for key, value in (await stored(space, "notes")).items()} == {
        "a": "first a",
        "b": "first b",
        "c": "first c",
    }
    assert embedder.texts_embedded == 1, "what exists already is not embedded again"


async def test_upsert_changes_what_exists_and_adds_the_rest(space: Collections) -> None:
    await space.create("notes", deadline=soon())
    await space.add("notes", ids=["a"], documents=["old"], metadatas=[{"kept": 1}], deadline=soon())
    result = await space.upsert("notes", ids=["a", "b"], documents=["new", "fresh"], deadline=soon())
    assert (result.stored, result.ids) == (2, ["a", "b"])
    found = await stored(space, "notes")
    assert (found["a"]["document"], found["a"]["metadata"]) == ("new", {"kept": 1})
    (match,) = (await space.query("notes", texts=["new"], n_results=1, deadline=soon())).results
    assert match.hits[0].id == "a"


async def test_update_changes_parts_removes_keys_and_names_what_is_missing(space: Collections) -> None:
    await space.create("notes", deadline=soon())
    await space.add(
        "notes",
        ids=["a", "b"],
        documents=["apples", "bananas"],
        metadatas=[{"x": 1, "y": 2}, {"x": 3}],
        deadline=soon(),
    )
    result = await space.update(
        "notes",
        ids=["a", "nobody", "b"],
        documents=[None, "nothing", "cherries"],
        metadatas=[{"x": None, "z": [1, 2]}, None, None],
        uris=["file:///a", None, None],
        deadline=soon(),
    )
    assert (result.stored, result.ids, result.missing) == (2, ["a", "b"], ["nobody"])
    found = await stored(space, "notes")
    assert found["a"]["metadata"] == {"y": 2, "z": [1, 2]}
    assert (found["a"]["document"], found["a"]["uri"]) == ("apples", "file:///a")
    assert found["b"]["document"] == "cherries"
    (match,) = (await space.query("notes", texts=["cherries"], n_results=1, deadline=soon())).results
    assert match.hits[0].id == "b", "a new document has a new vector"
    assert set(found) == {"a", "b"}


async def test_more_records_than_one_request_of_chroma_takes_are_stored_in_one_call(
    space: Collections, database: Database
) -> None:
    await space.create("notes", embedding_function="none", deadline=soon())
    ids = [f"r{number}" for number in range(5_461 + 39)]
    result = await space.add(
        "notes",
        ids=ids,
        embeddings=[[float(number), 1.0] for number in range(len(ids))],
        metadatas=[{"n": number} for number in range(len(ids))],
        deadline=soon(60),
    )
    assert (result.stored, result.ids, result.not_stored, result.reason) == (5_500, ids, [], None)
    collection = await database.get_collection("notes", deadline=soon())
    rows = await database.get(collection.id, Filter(), include=("metadatas",), deadline=soon())
    assert [(row.id, row.metadata) for row in rows] == [
        (record_id, {"n": number}) for number, record_id in enumerate(ids)
    ]
    again = await space.add("notes", ids=ids, embeddings=[[0.0, 1.0]] * len(ids), deadline=soon(60))
    assert (again.stored, again.already_existed) == (0, ids)


async def test_a_batch_larger_than_the_servers_body_limit_is_split(space: Collections) -> None:
    await space.create("notes", embedding_function="none", deadline=soon())
    count, dimension = 500, 16_384
    assert count * dimension * 4 * 4 / 3 > 40 * 1024 * 1024
    vector = [1.0, 0.5] * (dimension // 2)
    result = await space.add("notes", embeddings=[vector] * count, deadline=soon(60))
    assert (result.stored, result.reason) == (count, None)
    assert await space.count("notes", deadline=soon()) == count


async def test_a_document_of_a_megabyte_comes_back_as_it_was(space: Collections, database: Database) -> None:
    await space.create("notes", deadline=soon())
    text = " ".join(f"{number:x}-wörd" for number in range(100_000))
    assert len(text.encode()) > 1024 * 1024
    result = await space.add("notes", ids=["book"], documents=[text], deadline=soon())
    assert [cut.id for cut in result.truncated] == ["book"]
    collection = await database.get_collection("notes", deadline=soon())
    (row,) = await database.get(collection.id, Filter(), include=("documents",), deadline=soon())
    assert row.document == text
    (hit,) = (await space.query("notes", texts=["0 wörd"], deadline=soon())).results[0].hits
    assert (hit.document_truncated, hit.document_characters) == (True, len(text))


async def test_a_text_longer_than_the_window_is_stored_whole_and_said_to_be_embedded_in_part(
    space: Collections,
) -> None:
    await space.create("notes", deadline=soon())
    text = " ".join(f"word{number}" for number in range(400))
    result = await space.add("notes", ids=["short", "long"], documents=["short", text], deadline=soon())
    assert [(cut.id, cut.tokens, cut.embedded_tokens) for cut in result.truncated] == [("long", 402, 256)]
    assert (await stored(space, "notes"))["long"]["document"] == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "nothing to write"),
        ({"documents": []}, "empty"),
        ({"ids": ["a", "a"], "documents": ["x", "y"]}, "more than once: 'a'"),
        ({"ids": [""], "documents": ["x"]}, "is empty"),
        ({"ids": ["i" * 513], "documents": ["x"]}, "513 bytes"),
        ({"ids": ["a"], "documents": ["x", "y"]}, "1 ids, 2 documents"),
        ({"ids": "ab", "documents": ["x", "y"]}, "list of texts"),
        ({"ids": ["a"]}, "neither a document nor an embedding"),
        ({"ids": ["a"], "documents": [None]}, "neither a document nor an embedding"),
        ({"ids": ["a"], "uris": ["s3://x"]}, "neither a document nor an embedding"),
        ({"documents": ["x" * (2 * 1024 * 1024 + 1)]}, r"documents\[0\] has 2097153 bytes"),
        ({"documents": ["\ud800"]}, "surrogate"),
        ({"documents": [5]}, r"documents\[0\] is not a text"),
        ({"documents": "abc"}, "documents is a list"),
        ({"embeddings": [[]]}, "at least one number"),
        ({"embeddings": [[1, 2], [1, 2, 3]]}, r"embeddings\[1\] has 3 dimensions, the ones before it 2"),
        ({"embeddings": [[math.nan, 1]]}, "NaN"),
        ({"embeddings": [[math.inf, 1]]}, "infinity"),
        ({"embeddings": [[1e39, 1]]}, "too large"),
        ({"embeddings": [["1", "2"]]}, "not a number"),
        ({"embeddings": [[True, False]]}, "not a number"),
        ({"embeddings": [5]}, "not an embedding"),
        ({"embeddings": [[1, 2], None]}, r"embeddings\[1\] is missing"),
        ({"documents": ["x"], "metadatas": [5]}, r"metadatas\[0\] is not an object"),
        ({"documents": ["x"], "metadatas": [{"a": {"b": 1}}]}, r"metadatas\[0\]\.a is dict"),
        ({"documents": ["x"], "metadatas": [{"a": [1, "x"]}]}, "mixes kinds"),
        ({"documents": ["x"], "metadatas": [{"a": [True, 1]}]}, "mixes kinds"),
        ({"documents": ["x"], "metadatas": [{"a": []}]}, "empty list"),
        ({"documents": ["x"], "metadatas": [{"a": [[1]]}]}, r"a\[0\] is list"),
        ({"documents": ["x"], "metadatas": [{"chroma:document": "y"}]}, "chroma:document"),
        ({"documents": ["x"], "metadatas": [{"#document": "y"}]}, "#document"),
        ({"documents": ["x"], "metadatas": [{"$a": "y"}]}, r"\$a"),
        ({"documents": ["x"], "metadatas": [{"a": 2**63}]}, "whole number"),
        ({"documents": ["x"], "metadatas": [{"a": math.nan}]}, "finite"),
        ({"documents": ["x"], "metadatas": [{5: 1}]}, "key"),
        ({"documents": ["x"], "metadatas": [{"a": "x" * 70_000}]}, "70000 bytes"),
        ({"documents": ["x"], "uris": [5]}, r"uris\[0\] is not a text"),
        ({"documents": ["x"] * 10_001}, "up to 10000"),
    ],
)
async def test_what_cannot_be_stored_is_refused_before_anything_is(
    space: Collections, arguments: dict[str, Any], message: str
) -> None:
    await space.create("notes", deadline=soon())
    for write in (space.add, space.upsert):
        with pytest.raises(InvalidArgumentError, match=message):
            await write("notes", **arguments, deadline=soon())
    assert await space.count("notes", deadline=soon()) == 0
    assert (await space.add("notes", documents=["good"], deadline=soon())).stored == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"documents": ["x"]}, "ids are needed"),
        ({"ids": ["a"]}, "nothing to change"),
        ({"ids": ["a"], "metadatas": [{}]}, "nothing to change"),
        ({"ids": ["a", "a"], "documents": ["x", "y"]}, "more than once"),
    ],
)
async def test_an_update_that_changes_nothing_is_refused(
    space: Collections, arguments: dict[str, Any], message: str
) -> None:
    await space.create("notes", deadline=soon())
    with pytest.raises(InvalidArgumentError, match=message):
        await space.update("notes", **{"ids": None, **arguments}, deadline=soon())


async def test_a_dimension_that_does_not_fit_is_named_with_the_one_that_would(space: Collections) -> None:
    await space.create("notes", embedding_function="none", space=Space.COSINE, deadline=soon())
    await space.add("notes", embeddings=[[1.0, 2.0, 3.0]], deadline=soon())
    for write in (space.add, space.upsert):
        with pytest.raises(InvalidArgumentError, match="have 2 dimensions, collection 'notes' has 3"):
            await write("notes", embeddings=[[1.0, 2.0]], deadline=soon())
    with pytest.raises(InvalidArgumentError, match="has 2 dimensions, collection 'notes' has 3"):
        await space.query("notes", embeddings=[[1.0, 2.0]], deadline=soon())


async def test_writing_to_a_collection_that_is_not_there_names_it(space: Collections) -> None:
    with pytest.raises(NotFoundError, match="no collection named 'nowhere'"):
        await space.add("nowhere", documents=["x"], deadline=soon())


async def test_a_deadline_in_the_middle_of_embedding_stores_a_part_and_names_the_rest(
    space: Collections, embedder: WordHashEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await space.create("notes", deadline=soon())
    deadline = soon()
    embed = embedder.embed

    def slow(texts: list[str]) -> object:
        # After 288 texts the time is as good as over.
        if embedder.texts_embedded >= 256:
            object.__setattr__(deadline, "at", deadline.at - 29.0)
        return embed(texts)

    monkeypatch.setattr(embedder, "embed", slow)
    ids = [f"r{number}" for number in range(400)]
    result = await space.add("notes", ids=ids, documents=[f"text {i}" for i in ids], deadline=deadline)
    assert result.reason is not None
    assert "time limit" in result.reason
    assert 256 <= result.stored < 400
    assert result.ids == ids[: result.stored]
    assert result.not_stored == ids[result.stored :]
    assert list(await _all_ids(space)) == result.ids


async def _all_ids(space: Collections) -> list[str]:
    page = await space.get("notes", include=(), limit=1_000, max_tokens=50_000, deadline=soon())
    return [record.id for record in page.records]


async def test_a_deadline_before_anything_is_stored_is_an_error(space: Collections) -> None:
    await space.create("notes", deadline=soon())
    with pytest.raises(UnavailableError, match="time limit"):
        await space.add("notes", documents=["x"], deadline=soon(1.0))
    assert await space.count("notes", deadline=soon()) == 0
