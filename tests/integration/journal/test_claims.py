"""Claims: an idempotency key has one owner, whoever asks at the same time."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from remora.journal import Journal
from tests.integration.journal.examples import soon
from tests.integration.journal.s3_server import S3Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.anyio


async def test_the_first_to_claim_a_key_owns_it(journal: Journal) -> None:
    first = await journal.claim("salt", "one", deadline=soon())
    second = await journal.claim("salt", "two", deadline=soon())
    other = await journal.claim("Salt", "two", deadline=soon())
    assert (first.memory_id, first.made) == ("one", True)
    assert (second.memory_id, second.made) == ("one", False)
    assert (other.memory_id, other.made) == ("two", True)


async def test_of_ten_who_claim_a_key_at_once_one_owns_it_and_all_know_who(
    new_journal: Callable[[], Journal],
) -> None:
    writers = [new_journal() for _ in range(5)]
    claims = await asyncio.gather(
        *(writers[number % 5].claim("salt", f"m{number}", deadline=soon()) for number in range(10))
    )
    (winner,) = [claim for claim in claims if claim.made]
    assert {claim.memory_id for claim in claims} == {winner.memory_id}


async def test_of_ten_who_take_a_claim_over_at_once_one_gets_it(new_journal: Callable[[], Journal]) -> None:
    writers = [new_journal() for _ in range(5)]
    old = await writers[0].claim("salt", "old", deadline=soon())
    claims = await asyncio.gather(
        *(writers[number % 5].take_over(old, f"m{number}", deadline=soon()) for number in range(10))
    )
    (winner,) = [claim for claim in claims if claim.made]
    assert {claim.memory_id for claim in claims} == {winner.memory_id}


async def test_an_owner_who_came_back_is_not_taken_for_the_one_that_left(journal: Journal) -> None:
    old = await journal.claim("salt", "one", deadline=soon())
    newer = await journal.take_over(old, "two", deadline=soon())
    await journal.take_over(newer, "one", deadline=soon())
    late = await journal.take_over(old, "three", deadline=soon())
    assert (late.memory_id, late.made) == ("one", False)


async def test_a_claim_whose_answer_was_lost_is_known_as_ones_own(journal: Journal, s3_server: S3Server) -> None:
    s3_server.spoil_puts("lose")
    claim = await journal.claim("salt", "one", deadline=soon())
    assert claim.made
    s3_server.spoil_puts("lose")
    assert (await journal.take_over(claim, "two", deadline=soon())).made
    assert (await journal.claim("salt", "three", deadline=soon())).memory_id == "two"


async def test_a_forgotten_claim_leaves_no_trace_and_can_be_made_again(
    journal: Journal, s3: "S3Client", bucket: str
) -> None:
    claim = await journal.claim("salt", "one", deadline=soon())
    await journal.take_over(claim, "two", deadline=soon())
    await journal.forget("salt", "one", deadline=soon())
    assert (await journal.claim("salt", "three", deadline=soon())).memory_id == "two"
    await journal.forget("salt", "two", deadline=soon())
    answer = s3.list_object_versions(Bucket=bucket)
    assert "Versions" not in answer
    assert "DeleteMarkers" not in answer
    await journal.forget("salt", "two", deadline=soon())
    assert (await journal.claim("salt", "three", deadline=soon())).made


async def test_a_claim_that_died_half_forgotten_is_free_and_forgotten_by_the_next_attempt(
    journal: Journal, s3: "S3Client", bucket: str, s3_server: S3Server
) -> None:
    for then in ("forget", "claim"):
        await journal.claim("salt", "one", deadline=soon())
        s3_server.decide = lambda method, target: "refuse" if method == "DELETE" or "?delete" in target else "pass"
        with pytest.raises(Exception, match="credentials"):
            await journal.forget("salt", "one", deadline=soon())
        s3_server.decide = lambda _method, _target: "pass"
        if then == "claim":
            assert (await journal.claim("salt", "two", deadline=soon())).made
        else:
            await journal.forget("salt", "one", deadline=soon())
            assert "Versions" not in s3.list_object_versions(Bucket=bucket)


async def test_forgetting_takes_no_claim_away_that_is_made_meanwhile(
    new_journal: Callable[[], Journal],
) -> None:
    one, two = new_journal(), new_journal()
    for round_ in range(10):
        key = f"salt {round_}"
        await one.claim(key, "one", deadline=soon())
        _, claim = await asyncio.gather(
            one.forget(key, "one", deadline=soon()), two.claim(key, "two", deadline=soon())
        )
        owner = (await one.claim(key, "three", deadline=soon())).memory_id
        assert owner == ("two" if claim.made else "three")
