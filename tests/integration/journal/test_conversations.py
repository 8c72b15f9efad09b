"""Conversations: each turn gets one position, each position one turn, without gaps."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from remora.errors import ConflictError
from remora.journal import Journal
from remora.journal.conversations import Manifest
from tests.integration.journal.examples import soon
from tests.integration.journal.s3_server import S3Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.anyio


async def test_turns_are_placed_in_the_order_of_their_arrival_and_stay_there(journal: Journal) -> None:
    assert await journal.conversation("talk", deadline=soon()) is None
    first = await journal.reserve("talk", ["b", "a"], deadline=soon())
    assert first.positions == {"b": 0, "a": 1}
    second = await journal.reserve("talk", ["c", "a", "d", "c"], deadline=soon())
    assert second.positions == {"b": 0, "a": 1, "c": 2, "d": 3}
    assert await journal.conversation("talk", deadline=soon()) == second


async def test_reserving_what_is_known_writes_nothing(journal: Journal, s3_server: S3Server) -> None:
    await journal.reserve("talk", ["a", "b"], deadline=soon())
    s3_server.requests.clear()
    await journal.reserve("talk", ["b"], deadline=soon())
    assert [request.split()[0] for request in s3_server.requests] == ["GET"]


async def test_many_who_append_at_once_give_each_turn_one_position_without_gaps(
    new_journal: Callable[[], Journal],
) -> None:
    writers = [new_journal() for _ in range(6)]
    # Neighbours bring turns in common.
    batches = [[f"turn {number}" for number in range(start * 3, start * 3 + 5)] for start in range(12)]
    given = await asyncio.gather(
        *(writers[number % 6].reserve("talk", batch, deadline=soon()) for number, batch in enumerate(batches))
    )
    manifest = await writers[0].conversation("talk", deadline=soon())
    assert manifest is not None
    assert sorted(manifest.positions.values()) == list(range(len({turn for batch in batches for turn in batch})))
    for batch, answer in zip(batches, given, strict=True):
        assert {turn: answer.positions[turn] for turn in batch} == {turn: manifest.positions[turn] for turn in batch}


async def test_a_reservation_whose_answer_was_lost_is_not_made_twice(journal: Journal, s3_server: S3Server) -> None:
    for turns in (["a", "b"], ["c"]):
        s3_server.spoil_puts("lose")
        await journal.reserve("talk", turns, deadline=soon())
    manifest = await journal.conversation("talk", deadline=soon())
    assert manifest is not None
    assert manifest.turn_ids == ("a", "b", "c")


async def test_two_conversations_with_one_key_are_noticed(journal: Journal, s3: "S3Client", bucket: str) -> None:
    await journal.reserve("talk", ["a"], deadline=soon())
    (found,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    other = Manifest(conversation_id="another talk", turn_ids=("x",))
    s3.put_object(Bucket=bucket, Key=found["Key"], Body=other.to_bytes())
    with pytest.raises(ConflictError, match="another conversation"):
        await journal.reserve("talk", ["a"], deadline=soon())


@pytest.mark.parametrize("name", ["../x", "a/b", "ü 👩‍👩‍👧‍👦", "x" * 256, " "])
async def test_a_conversation_may_have_any_name(journal: Journal, s3: "S3Client", bucket: str, name: str) -> None:
    manifest = await journal.reserve(name, ["a"], deadline=soon())
    assert await journal.conversation(name, deadline=soon()) == manifest
    (found,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert found["Key"].startswith("conversations/space-one/")
    assert found["Key"].count("/") == 2
