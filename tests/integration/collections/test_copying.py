"""Forking a collection on one node: a full copy, or none."""

import pytest

from remora.chroma.client import ChromaClient, Database
from remora.chroma.wire import Filter
from remora.collections.models import Engine, HnswSettings, Include, Space
from remora.collections.service import Collections
from remora.errors import AlreadyExistsError, NotFoundError, UnavailableError
from tests.integration.collections.conftest import WordHashEmbedder, soon
from tests.integration.collections.proxy import chroma_behind_proxy
from tests.support.chroma_server import ChromaServer

pytestmark = pytest.mark.anyio


async def test_a_copy_has_every_part_of_every_record_in_the_same_order(space: Collections) -> None:
    await space.create(
        "notes",
        space=Space.IP,
        hnsw=HnswSettings(ef_search=33, max_neighbors=9),
        metadata={"a": "ü"},
        embedding_function="none",
        deadline=soon(),
    )
    count = 1_203
    await space.add(
        "notes",
        ids=[f"r{number}" for number in range(count)],
        documents=[f"text {number} ☃" if number % 3 else None for number in range(count)],
        embeddings=[[number / 7, 0.1, -3.3] for number in range(count)],
        metadatas=[{"n": number, "tags": ["x", "y"]} if number % 2 else None for number in range(count)],
        uris=[f"s3://bucket/{number}" if number % 5 else None for number in range(count)],
        deadline=soon(),
    )
    fork = await space.fork("notes", "copy", deadline=soon())
    assert (fork.name, fork.records, fork.native, fork.note) == ("copy", count, False, None)
    source, copy = [await space.info(name, deadline=soon()) for name in ("notes", "copy")]
    assert copy == source.model_copy(update={"id": fork.id, "name": "copy"})
    pages = []
    for name in ("notes", "copy"):
        cursor = None
        records = []
        while True:
            page = await space.get(
                name, include=tuple(Include), limit=1_000, max_tokens=50_000, cursor=cursor, deadline=soon()
            )
            records += page.records
            if (cursor := page.next_cursor) is None:
                break
        pages.append(records)
    assert pages[0] == pages[1]
    await space.delete_documents("copy", ids=["r0"], deadline=soon())
    assert await space.count("notes", deadline=soon()) == count, "the source is untouched by changes to the copy"


async def test_a_copy_keeps_the_default_embedding_function(space: Collections) -> None:
    await space.create("notes", deadline=soon())
    await space.add("notes", ids=["a"], documents=["hello world"], deadline=soon())
    await space.fork("notes", "copy", deadline=soon())
    info = await space.info("copy", deadline=soon())
    assert (info.embedding_function, info.embeds_text) == ("default", True)
    (match,) = (await space.query("copy", texts=["hello"], deadline=soon())).results
    assert [hit.id for hit in match.hits] == ["a"]


async def test_an_empty_collection_can_be_forked(space: Collections) -> None:
    await space.create("notes", deadline=soon())
    assert (await space.fork("notes", "copy", deadline=soon())).records == 0


async def test_a_fork_to_a_taken_name_changes_nothing(space: Collections) -> None:
    await space.create("notes", deadline=soon())
    await space.create("copy", deadline=soon())
    await space.add("copy", documents=["kept"], deadline=soon())
    with pytest.raises(AlreadyExistsError, match="'copy' exists already"):
        await space.fork("notes", "copy", deadline=soon())
    assert await space.count("copy", deadline=soon()) == 1


async def test_a_fork_of_nothing_names_what_is_missing(space: Collections) -> None:
    with pytest.raises(NotFoundError, match="'notes'"):
        await space.fork("notes", "copy", deadline=soon())


async def test_a_copy_that_cannot_be_finished_is_removed_again(
    chroma_server: ChromaServer, space: Collections, space_name: str
) -> None:
    await space.create("notes", embedding_function="none", deadline=soon())
    await space.add(
        "notes",
        ids=[f"r{number}" for number in range(1_500)],
        embeddings=[[1.0, 2.0]] * 1_500,
        deadline=soon(),
    )
    async with chroma_behind_proxy(chroma_server) as proxy:
        client = ChromaClient(chroma_server.host, proxy.port)
        slow = Collections(client.database(space_name), WordHashEmbedder(), engine=Engine.SINGLE_NODE)
        adds = 0

        def stall_the_second_page(head: bytes) -> str:
            nonlocal adds
            adds += b"/add " in head
            return "stall" if b"/add " in head and adds == 2 else "pass"

        proxy.decide = stall_the_second_page
        with pytest.raises(UnavailableError, match="removed; the source is unchanged"):
            await slow.fork("notes", "copy", deadline=soon(4.0))
        await client.aclose()
    assert adds == 2
    assert [line.name for line in (await space.list_collections(deadline=soon())).collections] == ["notes"]
    assert await space.count("notes", deadline=soon()) == 1_500


async def test_records_written_to_the_source_meanwhile_are_brought_into_line(
    database: Database, space: Collections, monkeypatch: pytest.MonkeyPatch
) -> None:
    await space.create("notes", embedding_function="none", deadline=soon())
    ids = [f"r{number}" for number in range(900)]
    await space.add("notes", ids=ids, embeddings=[[1.0, 2.0]] * 900, deadline=soon())
    add = database.add
    pages = 0

    async def interrupted(*arguments: object, **more: object) -> None:
        nonlocal pages
        pages += 1
        await add(*arguments, **more)  # type: ignore[arg-type]
        if pages == 1:
            source = await database.get_collection("notes", deadline=soon())
            await database.delete(source.id, Filter(ids=ids[:50]), deadline=soon())

    monkeypatch.setattr(database, "add", interrupted)
    fork = await space.fork("notes", "copy", deadline=soon())
    monkeypatch.undo()
    assert fork.records == 850
    page = await space.get("copy", include=(), limit=1_000, max_tokens=50_000, deadline=soon())
    assert {record.id for record in page.records} == set(ids[50:])
