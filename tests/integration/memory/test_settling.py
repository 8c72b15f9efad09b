"""Faults: what was acknowledged is never lost, and reaches the index once Chroma is there again."""

from collections.abc import Callable

import pytest

from remora.chroma.deadline import Deadline
from remora.memory.models import MemoryChanges, MemoryFilter, NewMemory, NewTurn, SearchRequest
from remora.memory.service import MemoryService
from tests.integration.memory.conftest import MakeService
from tests.integration.memory.test_storing import content_of, soon, store
from tests.support.chroma_server import ChromaServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def own_service(make_service: MakeService, own_chroma_server: ChromaServer) -> MemoryService:
    """A memory on a Chroma server that the test may kill."""
    return make_service(port=own_chroma_server.port)


async def found(service: MemoryService, query: str) -> list[str]:
    """Return the ids that a search finds."""
    return [hit.id for hit in (await service.search(SearchRequest(query=query), deadline=soon())).hits]


async def test_a_store_while_chroma_is_down_is_kept_and_finished_by_the_next_write(
    own_service: MemoryService, own_chroma_server: ChromaServer
) -> None:
    await store(own_service, "Before the storm.")
    own_chroma_server.kill()
    result = await own_service.store([NewMemory(content="The lamp is in the cellar.")], deadline=Deadline.after(5))
    (stored,) = result.memories
    assert (stored.created, result.pending) == (True, 1)
    assert "upkeep" in (result.note or "")
    # It is there for whoever asks the journal, even now.
    own_chroma_server.start()
    assert await content_of(own_service, stored.id) == "The lamp is in the cellar."
    await store(own_service, "After the storm.")
    assert stored.id in await found(own_service, "Where is the lamp?")


async def test_the_upkeep_finishes_every_kind_of_write(
    own_service: MemoryService, own_chroma_server: ChromaServer
) -> None:
    edited, deleted, kept = await store(own_service, "Edited: red.", "Deleted: blue.", "Kept: green.")
    own_chroma_server.kill()
    update = await own_service.update(edited, MemoryChanges(content="Edited: orange."), deadline=Deadline.after(3))
    assert update.pending
    removal = await own_service.delete([deleted], deadline=Deadline.after(3))
    assert removal.pending == 1
    talk = await own_service.store_conversation(
        [NewTurn(content="Violet was said."), NewTurn(content="Indigo was answered.")], deadline=Deadline.after(3)
    )
    assert talk.pending == 2
    own_chroma_server.start()
    assert await own_service.finish_abandoned(deadline=soon()) == 4
    page = await own_service.page(MemoryFilter(), deadline=soon())
    assert {memory.id for memory in page.memories} == {edited, kept, *(turn.id for turn in talk.turns)}
    assert await content_of(own_service, edited) == "Edited: orange."
    # Exactly once: nothing is left to do.
    assert await own_service.finish_abandoned(deadline=soon()) == 0


async def test_storing_again_what_is_pending_returns_the_same_id(
    own_service: MemoryService, own_chroma_server: ChromaServer
) -> None:
    await store(own_service, "One.")
    own_chroma_server.kill()
    first = await own_service.store([NewMemory(content="Two.")], deadline=Deadline.after(3))
    own_chroma_server.start()
    again = await own_service.store([NewMemory(content="Two.")], deadline=soon())
    assert [memory.id for memory in again.memories] == [memory.id for memory in first.memories]
    assert (await own_service.page(MemoryFilter(), deadline=soon())).total == 2


async def test_settling_may_be_repeated_at_any_time(service: MemoryService) -> None:
    ids = await store(service, "First.", "Second.")
    await service.update(ids[0], MemoryChanges(content="First, again."), deadline=soon())
    for _ in range(3):
        await service.settle([*ids, "zzzzzzzzzz"], deadline=soon())
    page = await service.page(MemoryFilter(), deadline=soon())
    assert {memory.content for memory in page.memories} == {"First, again.", "Second."}


async def test_a_chroma_that_is_killed_in_mid_write_loses_nothing(
    own_service: MemoryService, own_chroma_server: ChromaServer, make_service: Callable[..., MemoryService]
) -> None:
    ids: list[str] = []
    pending = 0
    for round_ in range(3):
        contents = [f"Round {round_}, item {number}, colour {number % 7}." for number in range(30)]
        ids += await store(own_service, *contents[:10])
        own_chroma_server.kill()
        result = await own_service.store(
            [NewMemory(content=content) for content in contents[10:]], deadline=Deadline.after(3)
        )
        pending += result.pending
        ids += [memory.id for memory in result.memories]
        own_chroma_server.start()
        await own_service.update(ids[round_], MemoryChanges(tags=(f"round-{round_}",)), deadline=soon())
    assert pending == 60
    await own_service.finish_abandoned(deadline=soon())
    page = await own_service.page(MemoryFilter(), limit=500, max_tokens=50_000, deadline=soon())
    assert {memory.id for memory in page.memories} == set(ids)
    assert len(ids) == 90
