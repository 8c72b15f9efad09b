"""Storing: every content once, whoever stores it how often, and nothing lost."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remora.chroma.deadline import Deadline
from remora.errors import InvalidArgumentError
from remora.memory.models import MemoryChanges, MemoryFilter, NewMemory, SearchRequest
from remora.memory.service import MemoryService
from tests.integration.memory.conftest import MakeService

pytestmark = pytest.mark.anyio

UNICODE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=600).filter(
    lambda text: bool(text.strip())
)


def soon() -> Deadline:
    """Return a deadline that a call keeps easily."""
    return Deadline.after(60)


async def store(service: MemoryService, *contents: str) -> list[str]:
    """Store contents and return their ids."""
    result = await service.store([NewMemory(content=content) for content in contents], deadline=soon())
    assert result.pending == 0, result.note
    return [memory.id for memory in result.memories]


async def content_of(service: MemoryService, memory_id: str) -> str:
    """Return what a memory says."""
    (detail,) = (await service.get([memory_id], max_tokens=50_000, deadline=soon())).memories
    assert detail.memory is not None
    return detail.memory.content


async def test_a_stored_memory_can_be_read_and_found(service: MemoryService) -> None:
    (id_,) = await store(service, "The harbour master's name is Ingrid Solberg.")
    assert await content_of(service, id_) == "The harbour master's name is Ingrid Solberg."
    found = await service.search(SearchRequest(query="Who runs the harbour?"), deadline=soon())
    assert [hit.id for hit in found.hits] == [id_]


async def test_storing_again_returns_the_first_id(service: MemoryService) -> None:
    (first,) = await store(service, "Kettle descaled.")
    result = await service.store(
        [NewMemory(content="Kettle descaled.", tags=("other",)), NewMemory(content="Kettle descaled.")],
        deadline=soon(),
    )
    assert [(memory.id, memory.created) for memory in result.memories] == [(first, False), (first, False)]


async def test_contents_that_differ_in_case_or_spaces_are_different(service: MemoryService) -> None:
    ids = await store(service, "polish the brass", "Polish the brass", "polish the brass ", "polish  the brass")
    assert len(set(ids)) == 4
    assert [await content_of(service, id_) for id_ in ids] == [
        "polish the brass",
        "Polish the brass",
        "polish the brass ",
        "polish  the brass",
    ]


async def test_the_same_content_twice_in_one_call_is_one_memory(service: MemoryService) -> None:
    result = await service.store([NewMemory(content="Twice"), NewMemory(content="Twice")], deadline=soon())
    first, second = result.memories
    assert first.id == second.id
    assert (first.created, second.created) == (True, False)


async def test_the_same_call_made_ten_times_at_once_leaves_one_memory(make_service: MakeService) -> None:
    services = [make_service() for _ in range(10)]
    new = [NewMemory(content="The tenth of the tenth at ten."), NewMemory(content="And another.")]
    results = await asyncio.gather(*(service.store(new, deadline=soon()) for service in services))
    for position in range(2):
        assert len({result.memories[position].id for result in results}) == 1
        assert sum(result.memories[position].created for result in results) == 1
    page = await services[0].page(MemoryFilter(), deadline=soon())
    assert page.total == 2


async def test_near_duplicates_are_stored_and_named(service: MemoryService) -> None:
    (first,) = await store(service, "Maria's flight to Lisbon leaves at 9:40 on Friday.")
    result = await service.store(
        [NewMemory(content="Maria's flight to Lisbon leaves at 9:45 on Friday.")], deadline=soon()
    )
    (stored,) = result.memories
    assert stored.created
    assert stored.id != first
    assert [similar.id for similar in stored.similar] == [first]
    assert stored.similar[0].similarity > 0.9


async def test_unrelated_memories_are_not_called_similar(service: MemoryService) -> None:
    await store(service, "Maria's flight to Lisbon leaves at 9:40 on Friday.")
    result = await service.store([NewMemory(content="The boiler needs a new valve.")], deadline=soon())
    assert result.memories[0].similar == ()


async def test_content_that_was_edited_away_is_stored_anew(service: MemoryService) -> None:
    (first,) = await store(service, "A")
    await service.update(first, MemoryChanges(content="B"), deadline=soon())
    (second,) = await store(service, "A")
    assert second != first
    assert await store(service, "B") == [first]
    await service.update(first, MemoryChanges(content="A"), deadline=soon())
    assert await content_of(service, first) == "A"
    # Two memories say A now; storing it again finds one of them and makes no third.
    assert (await store(service, "A"))[0] in {first, second}
    assert (await service.page(MemoryFilter(), deadline=soon())).total == 2


async def test_a_to_b_to_a_keeps_the_id_and_the_history(service: MemoryService) -> None:
    (id_,) = await store(service, "A")
    await service.update(id_, MemoryChanges(content="B"), deadline=soon())
    await service.update(id_, MemoryChanges(content="A"), deadline=soon())
    assert await store(service, "A") == [id_]
    (detail,) = (await service.get([id_], history=True, deadline=soon())).memories
    assert detail.history is not None
    assert [(version.version, version.action, version.content) for version in detail.history] == [
        (1, "store", "A"),
        (2, "update", "B"),
        (3, "update", "A"),
    ]


async def test_content_that_was_deleted_is_stored_anew_and_the_old_one_can_come_back(service: MemoryService) -> None:
    (first,) = await store(service, "Gone and come again.")
    await service.delete([first], deadline=soon())
    (second,) = await store(service, "Gone and come again.")
    assert second != first
    await service.restore([first], deadline=soon())
    assert await content_of(service, first) == await content_of(service, second)
    assert await store(service, "Gone and come again.") == [second]


@pytest.mark.parametrize(
    ("new", "said"),
    [
        (NewMemory(content=" \n "), "empty"),
        (NewMemory(content="x" * 100_001), "memory_ingest"),
        (NewMemory(content="nul\0"), "NUL"),
        (NewMemory(content="ok", tags=("a" * 129,)), "tag"),
        (NewMemory(content="ok", tags=tuple(f"t{number}" for number in range(33))), "32"),
        (NewMemory(content="ok", metadata={"k": float("nan")}), "finite"),
        (NewMemory(content="ok", metadata={"k": 2**63}), "64 bits"),
        (NewMemory(content="ok", metadata={f"k{number}": 1 for number in range(33)}), "32"),
        (NewMemory(content="ok", type="two\nlines"), "type"),
    ],
)
async def test_what_cannot_be_stored_is_refused_and_nothing_is(
    service: MemoryService, new: NewMemory, said: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=said):
        await service.store([NewMemory(content="a good one"), new], deadline=soon())
    assert (await service.page(MemoryFilter(), deadline=soon())).total == 0


async def test_too_many_memories_are_refused(service: MemoryService) -> None:
    with pytest.raises(InvalidArgumentError, match="1 to 100"):
        await service.store([NewMemory(content=f"{number}") for number in range(101)], deadline=soon())
    with pytest.raises(InvalidArgumentError, match="1 to 100"):
        await service.store([], deadline=soon())


def test_content_of_any_unicode_comes_back_as_it_was(make_service: MakeService) -> None:
    service = make_service()

    async def round_trip(content: str) -> None:
        (id_,) = await store(service, content)
        assert await content_of(service, id_) == content

    # One loop for all examples, as connections belong to one.
    with asyncio.Runner() as runner:

        @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(content=UNICODE)
        def comes_back(content: str) -> None:
            runner.run(round_trip(content))

        comes_back()


async def test_a_long_memory_is_found_by_its_middle_and_read_whole(service: MemoryService) -> None:
    paragraphs = [f"Paragraph {number} is about the {number}th lighthouse on the coast." for number in range(200)]
    paragraphs[101] = "The password of the old printer is written on the bottom of the stapler."
    content = "\n\n".join(paragraphs)
    (id_,) = await store(service, content)
    found = await service.search(SearchRequest(query="Where is the printer password?"), deadline=soon())
    assert [hit.id for hit in found.hits] == [id_]
    assert "stapler" in found.hits[0].passage
    assert not found.hits[0].whole
    assert await content_of(service, id_) == content
