"""Conversations: each turn once, in its place, with the turns around it."""

import asyncio
from datetime import UTC, datetime

import pytest

from remora.errors import InvalidArgumentError
from remora.memory.models import MemoryFilter, NewTurn, SearchRequest
from remora.memory.service import MemoryService
from tests.integration.memory.conftest import MakeService
from tests.integration.memory.test_storing import soon

pytestmark = pytest.mark.anyio

TALK = [
    NewTurn(
        id="t1", speaker="Ann", content="Where did you put the ladder?", time=datetime(2026, 4, 1, 9, tzinfo=UTC)
    ),
    NewTurn(id="t2", speaker="Ben", content="Behind the greenhouse.", time=datetime(2026, 4, 1, 9, 1, tzinfo=UTC)),
    NewTurn(
        id="t3", speaker="Ann", content="Great, I will paint the gutter.", time=datetime(2026, 4, 1, 9, 2, tzinfo=UTC)
    ),
]


async def test_turns_keep_speaker_time_and_place(service: MemoryService) -> None:
    result = await service.store_conversation(TALK, conversation_id="garden", tags=("home",), deadline=soon())
    assert (result.conversation_id, result.created, result.total) == ("garden", 3, 3)
    page = await service.page(MemoryFilter(conversation_id="garden"), deadline=soon())
    said = [
        (memory.turn.id, memory.turn.speaker, memory.turn.position, memory.content, memory.created_at, memory.tags)
        for memory in reversed(page.memories)
        if memory.turn is not None
    ]
    assert said == [
        (turn.id, turn.speaker, position, turn.content, turn.time, ("home",)) for position, turn in enumerate(TALK)
    ]


async def test_a_turn_is_shown_with_the_turns_around_it(service: MemoryService) -> None:
    result = await service.store_conversation(TALK, conversation_id="garden", deadline=soon())
    (detail,) = (await service.get([result.turns[1].id], deadline=soon())).memories
    assert detail.before is not None
    assert detail.after is not None
    assert (detail.before.content, detail.after.content) == (TALK[0].content, TALK[2].content)


async def test_a_turn_is_found_by_what_the_turn_before_it_says(service: MemoryService) -> None:
    result = await service.store_conversation(TALK, conversation_id="garden", deadline=soon())
    found = await service.search(SearchRequest(query="Where is the ladder?"), deadline=soon())
    assert result.turns[1].id in [hit.id for hit in found.hits[:2]]


async def test_storing_a_conversation_again_changes_nothing(service: MemoryService) -> None:
    first = await service.store_conversation(TALK, conversation_id="garden", deadline=soon())
    again = await service.store_conversation(TALK, conversation_id="garden", deadline=soon())
    assert again.created == 0
    assert [turn.id for turn in again.turns] == [turn.id for turn in first.turns]
    assert (await service.page(MemoryFilter(), deadline=soon())).total == 3


async def test_turns_can_be_appended_and_overlap_with_what_is_there(service: MemoryService) -> None:
    await service.store_conversation(TALK[:2], conversation_id="garden", deadline=soon())
    result = await service.store_conversation(TALK[1:], conversation_id="garden", deadline=soon())
    assert [turn.created for turn in result.turns] == [False, True]
    assert result.total == 3
    (detail,) = (await service.get([result.turns[1].id], deadline=soon())).memories
    assert detail.before is not None
    assert detail.before.content == TALK[1].content


async def test_turns_without_ids_are_kept_as_often_as_they_were_said(service: MemoryService) -> None:
    turns = [
        NewTurn(speaker="Ann", content="Yes."),
        NewTurn(speaker="Ben", content="No."),
        NewTurn(speaker="Ann", content="Yes."),
    ]
    first = await service.store_conversation(turns, conversation_id="debate", deadline=soon())
    again = await service.store_conversation(turns, conversation_id="debate", deadline=soon())
    assert (first.created, again.created) == (3, 0)


async def test_a_conversation_without_a_name_gets_one_for_appending(service: MemoryService) -> None:
    first = await service.store_conversation([NewTurn(content="Hello")], deadline=soon())
    second = await service.store_conversation([NewTurn(content="Hello")], deadline=soon())
    assert first.conversation_id != second.conversation_id
    appended = await service.store_conversation(
        [NewTurn(content="More")], conversation_id=first.conversation_id, deadline=soon()
    )
    assert appended.total == 2


async def test_many_callers_appending_at_once_lose_no_turn(make_service: MakeService) -> None:
    services = [make_service() for _ in range(6)]
    await asyncio.gather(
        *(
            service.store_conversation(
                [
                    NewTurn(id=f"{caller}-{number}", content=f"Turn {number} of caller {caller}")
                    for number in range(4)
                ],
                conversation_id="crowd",
                deadline=soon(),
            )
            for caller, service in enumerate(services)
        )
    )
    page = await services[0].page(
        MemoryFilter(conversation_id="crowd"), limit=100, max_tokens=20_000, deadline=soon()
    )
    turns = [memory.turn for memory in page.memories if memory.turn is not None]
    assert sorted(turn.position for turn in turns) == list(range(24))
    assert len({turn.id for turn in turns}) == 24


async def test_two_turns_with_one_id_are_refused(service: MemoryService) -> None:
    with pytest.raises(InvalidArgumentError, match="same id"):
        await service.store_conversation(
            [NewTurn(id="a", content="one"), NewTurn(id="a", content="two")], deadline=soon()
        )
