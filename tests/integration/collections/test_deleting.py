"""Deleting records: what was there is counted, and nothing given is never everything."""

import pytest

from remora.collections.service import Collections
from remora.errors import InvalidArgumentError
from tests.integration.collections.conftest import soon

pytestmark = pytest.mark.anyio


async def fruit(space: Collections) -> None:
    await space.create("fruit", deadline=soon())
    await space.add(
        "fruit",
        ids=["a", "b", "c", "d"],
        documents=["red apple", "yellow banana", "red cherry", "blue date"],
        metadatas=[{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}],
        deadline=soon(),
    )


async def left(space: Collections) -> list[str]:
    page = await space.get("fruit", include=(), limit=1_000, max_tokens=50_000, deadline=soon())
    return [record.id for record in page.records]


async def test_ids_that_do_not_exist_are_named_and_not_counted(space: Collections) -> None:
    await fruit(space)
    result = await space.delete_documents("fruit", ids=["b", "zz", "a"], deadline=soon())
    assert (result.deleted, result.ids, result.missing) == (2, ["a", "b"], ["zz"])
    assert await left(space) == ["c", "d"]


async def test_filters_and_ids_select_together(space: Collections) -> None:
    await fruit(space)
    result = await space.delete_documents(
        "fruit",
        ids=["a", "b", "c"],
        where={"n": {"$gte": 2}},
        where_document={"$contains": "red"},
        deadline=soon(),
    )
    assert (result.deleted, result.ids, result.missing) == (1, ["c"], ["a", "b"])
    assert await left(space) == ["a", "b", "d"]


async def test_a_dry_run_says_what_would_go_and_leaves_it(space: Collections) -> None:
    await fruit(space)
    preview = await space.delete_documents("fruit", where={"n": {"$lt": 3}}, dry_run=True, deadline=soon())
    assert (preview.dry_run, preview.deleted, preview.ids) == (True, 2, ["a", "b"])
    assert await left(space) == ["a", "b", "c", "d"]
    done = await space.delete_documents("fruit", where={"n": {"$lt": 3}}, deadline=soon())
    assert (done.dry_run, done.deleted, done.ids) == (False, 2, ["a", "b"])


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"ids": []},
        {"where": {}},
        {"where_document": {}},
        {"where": {}, "where_document": {}},
        {"where": {"$and": []}},
        {"where": {"$or": []}},
        {"where_document": {"$and": []}},
        {"where_document": {"$contains": ""}},
        {"where_document": {"$regex": ""}},
    ],
)
async def test_nothing_said_is_never_everything(space: Collections, arguments: dict[str, object]) -> None:
    await fruit(space)
    with pytest.raises(InvalidArgumentError):
        await space.delete_documents("fruit", deadline=soon(), **arguments)  # type: ignore[arg-type]
    assert await left(space) == ["a", "b", "c", "d"]


async def test_thousands_of_records_go_in_one_call(space: Collections) -> None:
    await space.create("fruit", embedding_function="none", deadline=soon())
    ids = [f"r{number}" for number in range(2_500)]
    await space.add(
        "fruit",
        ids=ids,
        embeddings=[[1.0, 2.0]] * 2_500,
        metadatas=[{"n": number} for number in range(2_500)],
        deadline=soon(60),
    )
    result = await space.delete_documents("fruit", where={"n": {"$gte": 10}}, deadline=soon(60))
    assert (result.deleted, result.reason) == (2_490, None)
    assert (len(result.ids), result.ids_cut) == (100, True)
    assert await left(space) == ids[:10]
