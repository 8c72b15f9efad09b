"""Chroma down, slow, restarted, or changed by others: a clear answer in time, and the next call works."""

import time
from collections.abc import AsyncIterator

import pytest

from remora.chroma.client import ChromaClient
from remora.collections.models import Engine
from remora.collections.service import Collections
from remora.errors import NotFoundError, UnavailableError
from tests.integration.collections.conftest import WordHashEmbedder, soon
from tests.integration.collections.proxy import Proxy, chroma_behind_proxy
from tests.support.chroma_server import ChromaServer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def proxy(chroma_server: ChromaServer) -> AsyncIterator[Proxy]:
    """A proxy before the shared server."""
    async with chroma_behind_proxy(chroma_server) as proxy:
        yield proxy


@pytest.fixture
async def shaky(proxy: Proxy, space_name: str) -> AsyncIterator[Collections]:
    """The service behind the proxy, in the same space as `space`, with ten records in `notes`."""
    client = ChromaClient("127.0.0.1", proxy.port)
    service = Collections(client.database(space_name), WordHashEmbedder(), engine=Engine.SINGLE_NODE)
    await service.create("notes", deadline=soon())
    ids = [f"r{number}" for number in range(10)]
    await service.add("notes", ids=ids, documents=[f"text {number}" for number in range(10)], deadline=soon())
    yield service
    await client.aclose()


async def test_a_server_that_is_not_there_is_reported_as_safe_to_try_again(
    own_chroma_server: ChromaServer, space_name: str
) -> None:
    client = ChromaClient(own_chroma_server.host, own_chroma_server.port)
    service = Collections(client.database(space_name), WordHashEmbedder(), engine=Engine.SINGLE_NODE)
    await service.create("notes", deadline=soon())
    own_chroma_server.kill()
    for call in (
        service.list_collections(deadline=soon()),
        service.count("notes", deadline=soon()),
        service.query("notes", texts=["x"], deadline=soon()),
        service.add("notes", documents=["x"], deadline=soon()),
        service.delete("notes", deadline=soon()),
        service.server_info(deadline=soon()),
    ):
        with pytest.raises(UnavailableError, match=r"could not be reached.*safe to try again"):
            await call
    own_chroma_server.start()
    assert (await service.add("notes", documents=["x"], deadline=soon())).stored == 1
    await client.aclose()


async def test_a_restart_between_two_calls_goes_unnoticed(own_chroma_server: ChromaServer, space_name: str) -> None:
    client = ChromaClient(own_chroma_server.host, own_chroma_server.port)
    service = Collections(client.database(space_name), WordHashEmbedder(), engine=Engine.SINGLE_NODE)
    await service.create("notes", deadline=soon())
    for number, end in enumerate((own_chroma_server.stop, own_chroma_server.kill)):
        assert (await service.add("notes", documents=[f"text {number}"], deadline=soon())).stored == 1
        end()
        own_chroma_server.start()
        (match,) = (await service.query("notes", texts=["text"], deadline=soon())).results
        assert len(match.hits) == number + 1
    end()
    own_chroma_server.start()
    assert (await service.upsert("notes", documents=["last"], deadline=soon())).stored == 1
    assert await service.count("notes", deadline=soon()) == 3
    await client.aclose()


async def test_paging_goes_on_over_a_restart(own_chroma_server: ChromaServer, space_name: str) -> None:
    client = ChromaClient(own_chroma_server.host, own_chroma_server.port)
    service = Collections(client.database(space_name), WordHashEmbedder(), engine=Engine.SINGLE_NODE)
    await service.create("notes", embedding_function="none", deadline=soon())
    ids = [f"r{number}" for number in range(2_500)]
    await service.add("notes", ids=ids, embeddings=[[1.0, 2.0]] * 2_500, deadline=soon())
    page = await service.get("notes", include=(), limit=1_000, max_tokens=50_000, deadline=soon())
    own_chroma_server.stop()
    own_chroma_server.start()
    seen = [record.id for record in page.records]
    while page.next_cursor is not None:
        page = await service.get(
            "notes", include=(), limit=1_000, max_tokens=50_000, cursor=page.next_cursor, deadline=soon()
        )
        seen += [record.id for record in page.records]
    assert seen == ids
    await client.aclose()


async def test_a_slow_server_is_given_up_at_the_deadline_and_the_next_call_works(
    proxy: Proxy, shaky: Collections
) -> None:
    proxy.decide = lambda head: "stall" if b"/query " in head else "pass"
    began = time.monotonic()
    with pytest.raises(UnavailableError, match=r"did not answer within 0\.\d seconds"):
        await shaky.query("notes", texts=["text 3"], deadline=soon(0.5))
    assert time.monotonic() - began < 5.0
    proxy.decide = lambda _head: "pass"
    (match,) = (await shaky.query("notes", texts=["text 3"], n_results=1, deadline=soon())).results
    assert match.hits[0].id == "r3"


async def test_every_call_ends_in_time_when_nothing_answers(proxy: Proxy, shaky: Collections) -> None:
    proxy.decide = lambda _head: "stall"
    calls = (
        lambda: shaky.list_collections(deadline=soon(0.2)),
        lambda: shaky.info("notes", deadline=soon(0.2)),
        lambda: shaky.create("other", deadline=soon(0.2)),
        lambda: shaky.get("notes", deadline=soon(0.2)),
        lambda: shaky.add("notes", documents=["x"], deadline=soon(0.2)),
        lambda: shaky.delete_documents("notes", ids=["r1"], deadline=soon(0.2)),
        lambda: shaky.fork("notes", "copy", deadline=soon(0.2)),
        lambda: shaky.server_info(deadline=soon(0.2)),
    )
    for call in calls:
        began = time.monotonic()
        with pytest.raises(UnavailableError):
            await call()
        assert time.monotonic() - began < 5.0


async def test_no_time_at_all_is_said_without_asking_the_server(proxy: Proxy, shaky: Collections) -> None:
    proxy.requests.clear()
    with pytest.raises(UnavailableError, match="no time was left"):
        await shaky.count("notes", deadline=soon(0.0))
    assert proxy.requests == []


async def test_a_read_is_repeated_once_when_a_kept_connection_turns_out_dead(
    proxy: Proxy, shaky: Collections
) -> None:
    broken = 0

    def close_once(head: bytes) -> str:
        nonlocal broken
        if b"/count " in head and broken == 0:
            broken += 1
            return "close"
        return "pass"

    proxy.decide = close_once
    assert await shaky.count("notes", deadline=soon()) == 10
    proxy.decide = lambda head: "close" if b"/count " in head else "pass"
    proxy.requests.clear()
    with pytest.raises(UnavailableError, match="closed the connection"):
        await shaky.count("notes", deadline=soon())
    assert sum("/count " in request for request in proxy.requests) == 2


async def test_a_write_whose_answer_is_lost_is_reported_as_uncertain_and_not_repeated(
    proxy: Proxy, shaky: Collections
) -> None:
    proxy.decide = lambda head: "lose" if b"/add " in head else "pass"
    proxy.requests.clear()
    result = await shaky.add("notes", documents=["one", "two"], deadline=soon())
    assert (result.stored, len(result.uncertain), result.not_stored) == (0, 2, [])
    assert result.reason is not None
    assert "may or may not" in result.reason
    assert sum("/add " in request for request in proxy.requests) == 1
    # It was stored after all; writing the same ids again says so and doubles nothing.
    proxy.decide = lambda _head: "pass"
    again = await shaky.add("notes", ids=result.uncertain, documents=["one", "two"], deadline=soon())
    assert (again.stored, again.already_existed) == (0, result.uncertain)
    assert await shaky.count("notes", deadline=soon()) == 12


async def test_a_write_that_breaks_in_the_middle_says_what_became_of_each_record(
    proxy: Proxy, shaky: Collections
) -> None:
    adds = 0

    def stall_the_third(head: bytes) -> str:
        nonlocal adds
        adds += b"/add " in head
        return "stall" if b"/add " in head and adds == 3 else "pass"

    await shaky.create("vectors", embedding_function="none", deadline=soon())
    proxy.decide = stall_the_third
    ids = [f"v{number}" for number in range(4_000)]
    result = await shaky.add("vectors", ids=ids, embeddings=[[1.0, 2.0]] * 4_000, deadline=soon(8.0))
    assert (result.stored, result.ids) == (2_000, ids[:2_000])
    assert result.uncertain == ids[2_000:3_000]
    assert result.not_stored == ids[3_000:]
    assert result.reason is not None
    proxy.decide = lambda _head: "pass"
    assert await shaky.count("vectors", deadline=soon()) == 2_000


async def test_a_deletion_that_breaks_in_the_middle_says_how_much_is_left(proxy: Proxy, shaky: Collections) -> None:
    await shaky.create("vectors", embedding_function="none", deadline=soon())
    ids = [f"v{number}" for number in range(2_500)]
    await shaky.add("vectors", ids=ids, embeddings=[[1.0, 2.0]] * 2_500, deadline=soon())
    deletes = 0

    def close_the_second(head: bytes) -> str:
        nonlocal deletes
        deletes += b"/delete " in head
        return "close" if b"/delete " in head and deletes == 2 else "pass"

    proxy.decide = close_the_second
    result = await shaky.delete_documents("vectors", ids=ids, deadline=soon())
    assert (result.deleted, result.remaining) == (1_000, 1_500)
    assert result.reason is not None
    proxy.decide = lambda _head: "pass"
    assert await shaky.count("vectors", deadline=soon()) == 1_500


async def test_a_write_to_a_dead_server_in_the_middle_is_not_half_stored_in_silence(
    own_chroma_server: ChromaServer, space_name: str
) -> None:
    client = ChromaClient(own_chroma_server.host, own_chroma_server.port)
    embedder = WordHashEmbedder()
    service = Collections(client.database(space_name), embedder, engine=Engine.SINGLE_NODE)
    await service.create("notes", deadline=soon())
    ids = [f"r{number}" for number in range(600)]
    embed = embedder.embed

    def kill_in_the_middle(texts: list[str]) -> object:
        if embedder.texts_embedded == 288:
            own_chroma_server.kill()
        return embed(texts)

    embedder.embed = kill_in_the_middle  # type: ignore[method-assign, assignment]
    result = await service.add("notes", ids=ids, documents=[f"text {i}" for i in ids], deadline=soon())
    assert result.reason is not None
    assert (result.ids, result.stored) == (ids[:256], 256)
    assert result.not_stored + result.uncertain == ids[256:]
    own_chroma_server.start()
    page = await service.get("notes", include=(), limit=1_000, max_tokens=50_000, deadline=soon())
    assert [record.id for record in page.records] == ids[:256]
    rest = await service.add("notes", ids=ids, documents=[f"text {i}" for i in ids], deadline=soon())
    assert (rest.stored, rest.already_existed) == (344, ids[:256])
    await client.aclose()


async def test_a_collection_deleted_and_made_anew_by_another_client_is_never_confused_with_the_old(
    space: Collections, shaky: Collections
) -> None:
    assert await shaky.count("notes", deadline=soon()) == 10
    await space.delete("notes", deadline=soon())
    await space.create("notes", embedding_function="none", deadline=soon())
    await space.add("notes", ids=["new"], embeddings=[[1.0, 2.0]], deadline=soon())
    assert await shaky.count("notes", deadline=soon()) == 1
    page = await shaky.get("notes", deadline=soon())
    assert [record.id for record in page.records] == ["new"]
    (match,) = (await shaky.query("notes", embeddings=[[1.0, 2.0]], deadline=soon())).results
    assert [hit.id for hit in match.hits] == ["new"]
    assert (await shaky.add("notes", ids=["more"], embeddings=[[1.0, 3.0]], deadline=soon())).stored == 1


async def test_a_collection_deleted_by_another_client_is_not_found(space: Collections, shaky: Collections) -> None:
    assert await shaky.count("notes", deadline=soon()) == 10
    await space.delete("notes", deadline=soon())
    for call in (
        shaky.count("notes", deadline=soon()),
        shaky.get("notes", deadline=soon()),
        shaky.query("notes", texts=["x"], deadline=soon()),
        shaky.add("notes", documents=["x"], deadline=soon()),
    ):
        with pytest.raises(NotFoundError, match="no collection named 'notes'"):
            await call


async def test_a_collection_renamed_by_another_client_does_not_answer_to_its_old_name(
    space: Collections, shaky: Collections
) -> None:
    assert await shaky.count("notes", deadline=soon()) == 10
    await space.modify("notes", new_name="diary", deadline=soon())
    with pytest.raises(NotFoundError):
        await shaky.count("notes", deadline=soon())
    assert await shaky.count("diary", deadline=soon()) == 10


async def test_a_read_of_a_known_collection_waits_for_no_lookup(proxy: Proxy, shaky: Collections) -> None:
    assert await shaky.count("notes", deadline=soon()) == 10
    proxy.decide = lambda head: "stall" if head.startswith(b"GET") and b"/collections/notes " in head else "pass"
    proxy.requests.clear()
    # Without the lookup's answer there is none either: it never acts on what it only remembers.
    with pytest.raises(UnavailableError):
        await shaky.count("notes", deadline=soon(0.3))
    assert any("/count " in request for request in proxy.requests)


async def test_a_database_deleted_by_another_client_is_made_again(
    client: ChromaClient, shaky: Collections, space_name: str
) -> None:
    await client.delete_database(space_name, deadline=soon())
    assert await shaky.count_collections(deadline=soon()) == 0
    with pytest.raises(NotFoundError):
        await shaky.count("notes", deadline=soon())
    assert (await shaky.create("notes", deadline=soon())).created is True
