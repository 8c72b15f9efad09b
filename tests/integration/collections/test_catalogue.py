"""Listing, creating, describing, changing and deleting collections."""

import pytest

from remora.chroma.client import ChromaClient
from remora.collections.models import Engine, HnswChanges, HnswSettings, Space
from remora.collections.service import Collections
from remora.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError, UnsupportedError
from tests.integration.collections.conftest import WordHashEmbedder, soon

pytestmark = pytest.mark.anyio


async def test_a_space_that_nothing_was_put_into_is_empty_rather_than_an_error(space: Collections) -> None:
    page = await space.list_collections(deadline=soon())
    assert (page.collections, page.total, page.next_cursor) == ([], 0, None)
    assert await space.count_collections(deadline=soon()) == 0


async def test_a_created_collection_is_described_with_its_settings(space: Collections) -> None:
    info = await space.create(
        "notes.2026",
        space=Space.COSINE,
        hnsw=HnswSettings(ef_search=50, max_neighbors=8, sync_threshold=500),
        metadata={"owner": "Zoë ☃", "public": False, "weight": 1.5, "year": 2026},
        deadline=soon(),
    )
    assert info.created is True
    assert info == (await space.info("notes.2026", deadline=soon())).model_copy(update={"created": True})
    assert (info.count, info.dimension, info.space) == (0, None, Space.COSINE)
    assert info.hnsw is not None
    assert (info.hnsw.ef_search, info.hnsw.max_neighbors, info.hnsw.sync_threshold) == (50, 8, 500)
    assert info.metadata == {"owner": "Zoë ☃", "public": False, "weight": 1.5, "year": 2026}
    assert (info.embedding_function, info.embeds_text) == ("default", True)


async def test_a_collection_for_own_vectors_names_no_embedding_function(space: Collections) -> None:
    info = await space.create("vectors", embedding_function="none", deadline=soon())
    assert info.embedding_function is None


async def test_creating_a_collection_twice_says_that_it_exists(space: Collections) -> None:
    await space.create("notes", deadline=soon())
    with pytest.raises(AlreadyExistsError, match="'notes' exists already"):
        await space.create("notes", deadline=soon())


async def test_get_or_create_says_which_it_did_and_leaves_what_exists_alone(space: Collections) -> None:
    first = await space.get_or_create("notes", metadata={"v": 1}, deadline=soon())
    second = await space.get_or_create("notes", metadata={"v": 2}, space=Space.IP, deadline=soon())
    assert (first.created, second.created) == (True, False)
    assert second.id == first.id
    assert (second.metadata, second.space) == ({"v": 1}, Space.L2)


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 513, "with space", "../x", "a/b", "-ab", "ab.", "名前です", "a%2Fb"]
)
async def test_a_name_that_is_none_is_refused_wherever_it_is_given(space: Collections, name: str) -> None:
    for call in (
        space.create(name, deadline=soon()),
        space.info(name, deadline=soon()),
        space.delete(name, deadline=soon()),
        space.get(name, deadline=soon()),
    ):
        with pytest.raises(InvalidArgumentError, match="3 to 512 characters"):
            await call


@pytest.mark.parametrize("name", ["collections", "by-id", "query", "a" * 512, "A-1_b.C"])
async def test_every_name_that_chroma_accepts_works(space: Collections, name: str) -> None:
    await space.create(name, deadline=soon())
    assert (await space.info(name, deadline=soon())).name == name


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"tags": ["a"]}, r"metadata\.tags is list"),
        ({"a": {"b": 1}}, r"metadata\.a is dict"),
        ({"a": None}, r"metadata\.a is NoneType"),
        ({"chroma:document": "x"}, "chroma:document"),
        ({"": 1}, "at least one character"),
        ({"n": 2**63}, "whole number outside"),
        ({"n": float("nan")}, "not a finite number"),
        ({"hnsw:space": "euclid"}, "l2, cosine, ip"),
    ],
)
async def test_metadata_that_chroma_cannot_hold_is_refused_by_key(
    space: Collections, metadata: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        await space.create("notes", metadata=metadata, deadline=soon())
    assert await space.count_collections(deadline=soon()) == 0


@pytest.mark.parametrize(
    "hnsw",
    [
        HnswSettings(ef_search=0),
        HnswSettings(max_neighbors=100_000),
        HnswSettings(resize_factor=1.0),
        HnswSettings(sync_threshold=0),
        HnswSettings(ef_construction=-1),
    ],
)
async def test_index_settings_that_cannot_work_are_refused(space: Collections, hnsw: HnswSettings) -> None:
    with pytest.raises(InvalidArgumentError, match="it may be"):
        await space.create("notes", hnsw=hnsw, deadline=soon())


async def test_an_embedding_function_of_others_cannot_be_created(space: Collections) -> None:
    with pytest.raises(UnsupportedError, match=r"'openai'.*'default'.*'none'"):
        await space.create("notes", embedding_function="openai", deadline=soon())


async def test_collections_are_paged_by_name_with_counts_while_others_come_and_go(space: Collections) -> None:
    names = [f"notes-{number:02}" for number in range(25)]
    for name in reversed(names):
        await space.create(name, deadline=soon())
    await space.add("notes-03", documents=["one", "two"], deadline=soon())
    first = await space.list_collections(limit=10, deadline=soon())
    assert [line.name for line in first.collections] == names[:10]
    assert [line.count for line in first.collections] == [0, 0, 0, 2, 0, 0, 0, 0, 0, 0]
    assert first.total == 25
    await space.delete("notes-09", deadline=soon())
    await space.delete("notes-02", deadline=soon())
    await space.create("aaa", deadline=soon())
    second = await space.list_collections(limit=10, cursor=first.next_cursor, deadline=soon())
    third = await space.list_collections(limit=10, cursor=second.next_cursor, deadline=soon())
    assert [line.name for line in (*second.collections, *third.collections)] == names[10:]
    assert third.next_cursor is None


async def test_a_list_keeps_to_its_token_budget_and_goes_on_with_the_rest(space: Collections) -> None:
    for number in range(6):
        await space.create(f"notes-{number}", metadata={"about": "x" * 500}, deadline=soon())
    seen: list[str] = []
    cursor = None
    while True:
        page = await space.list_collections(max_tokens=500, cursor=cursor, deadline=soon())
        assert len(page.model_dump_json()) <= 500 * 3
        seen += [line.name for line in page.collections]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == [f"notes-{number}" for number in range(6)]


async def test_modify_changes_what_is_given_and_nothing_else(space: Collections) -> None:
    before = await space.create("notes", metadata={"a": 1}, deadline=soon())
    await space.add("notes", ids=["x"], documents=["kept"], deadline=soon())
    after = await space.modify("notes", new_name="diary", hnsw=HnswChanges(ef_search=42), deadline=soon())
    assert (after.id, after.name, after.count, after.metadata) == (before.id, "diary", 1, {"a": 1})
    assert after.hnsw is not None
    assert after.hnsw.ef_search == 42
    changed = await space.modify("diary", metadata={"b": "two"}, deadline=soon())
    assert changed.metadata == {"b": "two"}
    with pytest.raises(NotFoundError, match="'notes'"):
        await space.info("notes", deadline=soon())


async def test_a_rename_to_a_taken_name_is_refused_and_changes_nothing(space: Collections) -> None:
    await space.create("notes", deadline=soon())
    await space.create("diary", deadline=soon())
    with pytest.raises(AlreadyExistsError, match="'diary' exists already"):
        await space.modify("notes", new_name="diary", metadata={"a": 1}, deadline=soon())
    assert (await space.info("notes", deadline=soon())).metadata is None


async def test_modify_without_a_change_is_refused(space: Collections) -> None:
    await space.create("notes", deadline=soon())
    with pytest.raises(InvalidArgumentError, match="Nothing is to be changed"):
        await space.modify("notes", metadata={}, deadline=soon())


async def test_delete_says_how_many_records_went(space: Collections) -> None:
    await space.create("notes", deadline=soon())
    await space.add("notes", documents=["one", "two", "three"], deadline=soon())
    gone = await space.delete("notes", deadline=soon())
    assert (gone.name, gone.deleted_records) == ("notes", 3)
    with pytest.raises(NotFoundError, match="no collection named 'notes'"):
        await space.delete("notes", deadline=soon())


async def test_one_space_does_not_see_another(client: ChromaClient, space: Collections, space_name: str) -> None:
    other = Collections(client.database(f"{space_name}-other"), WordHashEmbedder(), engine=Engine.SINGLE_NODE)
    await space.create("notes", deadline=soon())
    assert await other.count_collections(deadline=soon()) == 0
    with pytest.raises(NotFoundError):
        await other.info("notes", deadline=soon())
    await other.create("notes", deadline=soon())
    await other.delete("notes", deadline=soon())
    assert await space.count_collections(deadline=soon()) == 1


async def test_the_server_is_described(space: Collections, space_name: str) -> None:
    info = await space.server_info(deadline=soon())
    assert (info.max_batch_size, info.tenant, info.database) == (5461, "default_tenant", space_name)
    assert info.engine is Engine.SINGLE_NODE
    assert info.clock.startswith("20")
    assert info.heartbeat_ns > 1_700_000_000 * 10**9


async def test_what_only_a_distributed_engine_can_is_refused_on_one_node(space: Collections) -> None:
    await space.create("notes", deadline=soon())
    for call in (
        space.search("notes", [{}], deadline=soon()),
        space.indexing_status("notes", deadline=soon()),
        space.fork_count("notes", deadline=soon()),
    ):
        with pytest.raises(UnsupportedError, match="distributed"):
            await call
