"""Faults in the middle: killed servers, interrupted functions, an S3 that refuses. Nothing is lost or doubled."""

import asyncio
import itertools
from pathlib import Path

import pytest

from remora.chroma.deadline import Deadline
from remora.errors import RemoraError, UnavailableError
from remora.memory import settling
from remora.memory.models import MemoryChanges, MemoryFilter, NewMemory, NewTurn
from remora.memory.service import MemoryService
from tests.integration.journal.s3_server import S3Server
from tests.integration.memory.conftest import MakeService, MakeTransfer
from tests.integration.memory.test_storing import content_of, soon, store
from tests.support.chroma_server import ChromaServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every unfinished write for abandoned, as after a minute: the tests end those who made them."""
    monkeypatch.setattr(settling, "STALE_SECONDS", 0)


async def contents(service: MemoryService) -> list[str]:
    """Return all contents, in order."""
    page = await service.page(MemoryFilter(), limit=500, max_tokens=50_000, deadline=soon())
    assert page.next_cursor is None
    return sorted(memory.content for memory in page.memories)


async def test_chroma_killed_in_the_middle_of_a_batch(
    make_service: MakeService, own_chroma_server: ChromaServer
) -> None:
    service = make_service(port=own_chroma_server.port)
    first = await store(service, "The first one.")
    wanted = [f"Batch item number {number}." for number in range(60)]
    storing = asyncio.ensure_future(
        service.store([NewMemory(content=content) for content in wanted], deadline=Deadline.after(10))
    )
    # Somewhere between the journal's first object and the index's last record.
    while not await service._space.journal.pending(deadline=soon()):
        pass
    own_chroma_server.kill()
    result = await storing
    own_chroma_server.start()
    await service.finish_abandoned(deadline=soon())
    assert await contents(service) == sorted([*wanted, "The first one."])
    assert len({memory.id for memory in result.memories} | set(first)) == 61
    again = await service.store([NewMemory(content=content) for content in wanted], deadline=soon())
    assert not any(memory.created for memory in again.memories)


@pytest.mark.parametrize("seconds", [0.02, 0.08, 0.2, 0.4])
async def test_a_function_killed_at_any_moment_leaves_a_write_that_can_be_finished_or_repeated(
    make_service: MakeService, impatient: None, seconds: float
) -> None:
    wanted = [f"Interrupted {number}." for number in range(20)]
    new = [NewMemory(content=content) for content in wanted]
    for attempt in (make_service(), make_service()):
        task = asyncio.ensure_future(attempt.store(new, deadline=soon()))
        await asyncio.wait({task}, timeout=seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    survivor = make_service()
    result = await survivor.store(new, deadline=soon())
    await survivor.finish_abandoned(deadline=soon())
    assert result.pending == 0
    assert await contents(survivor) == sorted(wanted)
    assert len({memory.id for memory in result.memories}) == 20


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.25])
async def test_a_conversation_interrupted_at_any_moment_has_each_turn_once(
    make_service: MakeService, impatient: None, seconds: float
) -> None:
    turns = [NewTurn(id=f"{number}", speaker="Ann", content=f"Sentence {number}.") for number in range(20)]
    task = asyncio.ensure_future(make_service().store_conversation(turns, conversation_id="cut", deadline=soon()))
    await asyncio.wait({task}, timeout=seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    survivor = make_service()
    result = await survivor.store_conversation(turns, conversation_id="cut", deadline=soon())
    await survivor.finish_abandoned(deadline=soon())
    assert (result.total, result.pending) == (20, 0)
    assert await contents(survivor) == sorted(turn.content for turn in turns)


@pytest.mark.parametrize("refused", range(1, 6))
async def test_an_s3_that_refuses_any_one_write_is_said_and_nothing_is_half_there(
    make_service: MakeService, s3_server: S3Server, impatient: None, refused: int
) -> None:
    service = make_service()
    (old,) = await store(service, "Old.")
    numbers = itertools.count(1)
    s3_server.decide = lambda method, _: "refuse" if method == "PUT" and next(numbers) == refused else "pass"
    try:
        (changed,) = (await service.store([NewMemory(content="New.")], deadline=soon())).memories
    except RemoraError:
        changed = None
    try:
        await service.update(old, MemoryChanges(content="Newer than old."), deadline=soon())
        updated = True
    except RemoraError:
        updated = False
    s3_server.decide = lambda _method, _target: "pass"
    await service.finish_abandoned(deadline=soon())
    held = await contents(service)
    # What was acknowledged is there; what was refused may be there or not, and once at most.
    assert held.count("New.") == 1 if changed is not None else held.count("New.") <= 1
    assert ("Newer than old." in held) or not updated
    assert len(held) == len(set(held))
    assert await store(service, "New.") == await store(service, "New.")
    assert (await contents(service)).count("New.") == 1


async def test_an_s3_that_is_down_is_an_error_and_stores_nothing(
    make_service: MakeService, s3_server: S3Server
) -> None:
    service = make_service()
    s3_server.decide = lambda _method, _target: "refuse"
    with pytest.raises(UnavailableError):
        await service.store([NewMemory(content="Lost?")], deadline=Deadline.after(5))
    s3_server.decide = lambda _method, _target: "pass"
    assert await contents(service) == []


async def test_chroma_killed_during_a_rebuild(
    make_service: MakeService, make_transfer: MakeTransfer, own_chroma_server: ChromaServer, tmp_path: Path
) -> None:
    service = make_service(port=own_chroma_server.port)
    ids = await store(service, *(f"Rebuilt {number}." for number in range(60)))
    await service.delete(ids[:5], deadline=soon())
    transfer = make_transfer(port=own_chroma_server.port)
    rebuilding = asyncio.ensure_future(transfer.rebuild(fresh=True, deadline=Deadline.after(5)))
    await asyncio.wait({rebuilding}, timeout=0.3)
    own_chroma_server.kill()
    await asyncio.gather(rebuilding, return_exceptions=True)
    own_chroma_server.start()
    cursor = None
    while True:
        progress = await transfer.rebuild(cursor, deadline=soon())
        cursor = progress.next_cursor
        if cursor is None:
            break
    assert await contents(service) == sorted(f"Rebuilt {number}." for number in range(5, 60))
    assert await content_of(service, ids[10]) == "Rebuilt 10."
