"""Intents: what a call is about to write can be found by others until it is finished."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from remora.errors import UnavailableError
from remora.journal import Journal
from tests.integration.journal.examples import soon
from tests.integration.journal.s3_server import S3Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.anyio


async def test_intents_are_pending_oldest_first_until_they_are_finished(
    journal: Journal, s3: "S3Client", bucket: str
) -> None:
    assert await journal.pending(deadline=soon()) == []
    begun = [await journal.begin([f"m{number}", "shared"], deadline=soon()) for number in range(3)]
    pending = await journal.pending(deadline=soon())
    assert sorted(pending, key=lambda intent: intent.ids) == begun
    assert [intent.at for intent in pending] == sorted(intent.at for intent in begun)
    for intent in begun:
        await journal.finish(intent, deadline=soon())
        await journal.finish(intent, deadline=soon())
    assert await journal.pending(deadline=soon()) == []
    answer = s3.list_object_versions(Bucket=bucket)
    assert "Versions" not in answer
    assert "DeleteMarkers" not in answer


async def test_only_old_and_released_intents_are_anyones(journal: Journal) -> None:
    running = await journal.begin(["one"], deadline=soon())
    left = await journal.release(await journal.begin(["two"], deadline=soon()), deadline=soon())
    assert left.released
    now = datetime.now(UTC)
    an_hour_ago = await journal.pending(older_than=now - timedelta(hours=1), deadline=soon())
    assert [intent.ids for intent in an_hour_ago] == [("two",)]
    all_of_them = await journal.pending(older_than=now + timedelta(hours=1), deadline=soon())
    assert {intent.ids for intent in all_of_them} == {("one",), ("two",)}
    assert len(await journal.pending(deadline=soon())) == 2
    assert await journal.release(left, deadline=soon()) == left
    for intent in (running, left):
        await journal.finish(intent, deadline=soon())
    assert await journal.pending(deadline=soon()) == []


async def test_an_intent_found_by_another_process_is_finished_by_it(journal: Journal) -> None:
    await journal.begin(["one", "two"], deadline=soon())
    (found,) = await journal.pending(deadline=soon())
    assert found.ids == ("one", "two")
    await journal.finish(found, deadline=soon())
    assert await journal.pending(deadline=soon()) == []


async def test_a_release_that_dies_half_way_leaves_the_memories_announced(
    journal: Journal, s3_server: S3Server
) -> None:
    intent = await journal.begin(["one"], deadline=soon())
    s3_server.decide = lambda method, _target: "refuse" if method == "DELETE" else "pass"
    with pytest.raises(UnavailableError):
        await journal.release(intent, deadline=soon())
    assert {each.ids for each in await journal.pending(deadline=soon())} == {("one",)}


async def test_an_intent_whose_answer_was_lost_leaves_nothing_behind_when_it_is_finished(
    journal: Journal, s3_server: S3Server, s3: "S3Client", bucket: str
) -> None:
    s3_server.spoil_puts("lose")
    intent = await journal.begin(["one"], deadline=soon())
    await journal.finish(intent, deadline=soon())
    assert "Versions" not in s3.list_object_versions(Bucket=bucket)
