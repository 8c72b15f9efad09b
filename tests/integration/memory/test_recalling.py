"""Searching as callers do it: pages, budgets, nothing relevant, and walls between spaces."""

from datetime import UTC, datetime, timedelta

import pytest

from remora.errors import InvalidArgumentError, NotFoundError
from remora.memory.models import Interval, MemoryChanges, MemoryFilter, NewMemory, SearchMode, SearchRequest
from remora.memory.service import MemoryService
from tests.integration.memory.conftest import MakeService
from tests.integration.memory.test_storing import soon, store

pytestmark = pytest.mark.anyio


async def test_pages_of_a_search_hold_every_hit_once(service: MemoryService) -> None:
    ids = await store(service, *(f"The {colour} boat number {n}" for n in range(8) for colour in ("red", "blue")))
    request = SearchRequest(query="red boat", limit=5)
    seen: list[str] = []
    cursor = None
    while True:
        page = await service.search(request, cursor=cursor, deadline=soon())
        seen += [hit.id for hit in page.hits]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(seen) == len(set(seen))
    assert set(seen) == set(ids)
    scores = [hit.score for hit in (await service.search(SearchRequest(query="red boat"), deadline=soon())).hits]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


async def test_a_cursor_of_another_query_is_refused(service: MemoryService) -> None:
    await store(service, "one boat", "two boats", "three boats")
    page = await service.search(SearchRequest(query="boat", limit=1), deadline=soon())
    assert page.next_cursor is not None
    with pytest.raises(InvalidArgumentError, match="other arguments"):
        await service.search(SearchRequest(query="ship", limit=1), cursor=page.next_cursor, deadline=soon())
    with pytest.raises(InvalidArgumentError, match="damaged"):
        await service.search(SearchRequest(query="boat", limit=1), cursor="nonsense", deadline=soon())


async def test_hits_are_cut_to_the_budget_and_go_on_behind_it(service: MemoryService) -> None:
    await store(service, *(f"Entry {n}: " + "the sail is torn and must be mended. " * 12 for n in range(10)))
    request = SearchRequest(query="torn sail", limit=10)
    page = await service.search(request, max_tokens=900, deadline=soon())
    assert 1 <= len(page.hits) < 10
    assert len(page.model_dump_json(exclude_none=True)) / 3 <= 900
    rest = await service.search(request, cursor=page.next_cursor, max_tokens=20_000, deadline=soon())
    assert {hit.id for hit in page.hits}.isdisjoint(hit.id for hit in rest.hits)
    assert len(page.hits) + len(rest.hits) == 10


async def test_nothing_relevant_is_an_answer(service: MemoryService) -> None:
    await store(service, "Grandmother's lasagne needs nutmeg.", "The tram to work is line 11.")
    found = await service.search(SearchRequest(query="orbital mechanics of comets", min_score=0.2), deadline=soon())
    assert found.hits == ()
    assert "Nothing relevant" in (found.note or "")


@pytest.mark.parametrize("mode", list(SearchMode))
async def test_filters_hold_in_every_mode(service: MemoryService, mode: SearchMode) -> None:
    await service.store(
        [
            NewMemory(content=f"Ferry timetable {n}", tags=("a",) if n % 2 else ("a", "b"), type=f"t{n % 3}")
            for n in range(12)
        ],
        deadline=soon(),
    )
    selection = MemoryFilter(tags=("a", "b"), tag_match="all", type="t0")
    found = await service.search(SearchRequest(query="ferry timetable", mode=mode, filter=selection), deadline=soon())
    assert sorted(hit.passage for hit in found.hits) == ["Ferry timetable 0", "Ferry timetable 6"]


async def test_recency_prefers_what_is_newer(service: MemoryService) -> None:
    now = service.now()
    await service.store(
        [
            NewMemory(content="The wifi password is heron.", created_at=now - timedelta(days=400)),
            NewMemory(content="The wifi password is egret.", created_at=now - timedelta(days=1)),
        ],
        deadline=soon(),
    )
    request = SearchRequest(query="wifi password heron", recency_half_life_days=None)
    assert "heron" in (await service.search(request, deadline=soon())).hits[0].passage
    request = SearchRequest(query="what is the wifi password", recency_half_life_days=30)
    found = await service.search(request, deadline=soon())
    assert "egret" in found.hits[0].passage
    assert found.hits[0].signals.recency is not None


async def test_time_restricts_exactly(service: MemoryService) -> None:
    days = [datetime(2024, 2, day, 12, tzinfo=UTC) for day in (1, 2, 3)]
    await service.store([NewMemory(content=f"Log of day {day.day}", created_at=day) for day in days], deadline=soon())
    when = Interval(asked="2024-02-02/2024-02-03", start=days[1], end=days[2], understood="…")
    page = await service.page(MemoryFilter(when=when), deadline=soon())
    assert [memory.content for memory in page.memories] == ["Log of day 2"]
    found = await service.search(SearchRequest(query="log", filter=MemoryFilter(when=when)), deadline=soon())
    assert [hit.passage for hit in found.hits] == ["Log of day 2"]


async def test_a_space_sees_nothing_of_another(make_service: MakeService) -> None:
    here, there = make_service(), make_service(space="elsewhere")
    (id_,) = await store(here, "A secret of this space.")
    assert (await there.get([id_], deadline=soon())).missing == (id_,)
    assert (await there.search(SearchRequest(query="secret"), deadline=soon())).hits == ()
    with pytest.raises(NotFoundError):
        await there.update(id_, MemoryChanges(content="Changed."), deadline=soon())
    assert (await there.delete([id_], purge=True, confirm=True, deadline=soon())).count == 0
    (other,) = await store(there, "A secret of this space.")
    assert other != id_


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (SearchRequest(query=" "), "query is empty"),
        (SearchRequest(query="x" * 4001), "4000"),
        (SearchRequest(query="x", limit=0), "1 to 100"),
        (SearchRequest(query="x", min_score=1.5), "0 to 1"),
        (SearchRequest(query="x", recency_half_life_days=0), "36500"),
    ],
)
async def test_a_search_that_cannot_be_meant_is_refused(
    service: MemoryService, request_: SearchRequest, said: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=said):
        await service.search(request_, deadline=soon())
