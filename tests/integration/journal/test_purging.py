"""Purging: nothing of the content is left, and nobody can bring it back by accident."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from remora.errors import NotFoundError, UnavailableError
from remora.journal import Journal, VersionConflictError
from tests.integration.journal.examples import NOW, entry, soon
from tests.integration.journal.s3_server import S3Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.anyio

SECRET = "tarte tatin"


def everything(s3: "S3Client", bucket: str) -> list[bytes]:
    """Return the body of each version of each object that the bucket has, current or not."""
    answer = s3.list_object_versions(Bucket=bucket)
    return [
        s3.get_object(Bucket=bucket, Key=found["Key"], VersionId=found["VersionId"])["Body"].read()
        for found in answer.get("Versions", [])
    ]


async def fill(journal: Journal) -> None:
    for version in range(1, 5):
        await journal.append(entry("abc", version, f"{SECRET} {version}"), deadline=soon())


async def test_a_purge_leaves_who_did_what_and_no_content_in_any_version(
    journal: Journal, s3: "S3Client", bucket: str
) -> None:
    await fill(journal)
    await journal.append(entry("other", content="stays"), deadline=soon())
    tombstone = await journal.purge("abc", by="bob", at=NOW, deadline=soon())
    assert (tombstone.action, tombstone.version, tombstone.by, tombstone.memory) == ("purge", 5, "bob", None)
    assert await journal.head("abc", deadline=soon()) == tombstone
    history = await journal.history("abc", deadline=soon())
    assert [(each.version, each.action, each.by, each.memory) for each in history] == [
        (1, "store", "alice", None),
        (2, "update", "alice", None),
        (3, "update", "alice", None),
        (4, "update", "alice", None),
        (5, "purge", "bob", None),
    ]
    bodies = everything(s3, bucket)
    assert len(bodies) == 6
    assert not any(SECRET.encode() in body for body in bodies)
    other = await journal.head("other", deadline=soon())
    assert other is not None
    assert other.memory is not None


async def test_purging_again_changes_nothing(journal: Journal, s3: "S3Client", bucket: str) -> None:
    await fill(journal)
    first = await journal.purge("abc", by="bob", at=NOW, deadline=soon())
    before = everything(s3, bucket)
    assert await journal.purge("abc", by="carol", at=NOW, deadline=soon()) == first
    assert everything(s3, bucket) == before
    with pytest.raises(NotFoundError, match="no memory nobody"):
        await journal.purge("nobody", by="bob", at=NOW, deadline=soon())


@pytest.mark.parametrize("survived", range(1, 8))
async def test_a_purge_that_dies_at_any_step_is_finished_by_the_next(
    journal: Journal, s3: "S3Client", bucket: str, s3_server: S3Server, survived: int
) -> None:
    await fill(journal)
    writes = iter(range(survived - 1))

    def die(method: str, target: str) -> str:
        changes = method in {"PUT", "DELETE"} or (method == "POST" and "?delete" in target)
        return "refuse" if changes and next(writes, None) is None else "pass"

    s3_server.decide = die
    died = False
    try:
        await journal.purge("abc", by="bob", at=NOW, deadline=soon())
    except UnavailableError:
        died = True
    # A tombstone, four entries to be redacted, one removal of what S3 kept.
    assert died == (survived <= 6)
    s3_server.decide = lambda _method, _target: "pass"
    tombstone = await journal.purge("abc", by="bob", at=NOW, deadline=soon())
    assert tombstone.version == 5
    assert not any(SECRET.encode() in body for body in everything(s3, bucket))
    assert len(everything(s3, bucket)) == 5


async def test_a_writer_who_read_the_memory_before_its_purge_is_told(journal: Journal) -> None:
    await fill(journal)
    await journal.purge("abc", by="bob", at=NOW, deadline=soon())
    for version in range(1, 6):
        with pytest.raises(VersionConflictError):
            await journal.append(entry("abc", version, SECRET), deadline=soon())


async def test_purges_and_updates_at_once_leave_no_content_below_a_tombstone(
    new_journal: Callable[[], Journal], s3: "S3Client", bucket: str
) -> None:
    journals = [new_journal() for _ in range(4)]
    await journals[0].append(entry("abc", 1, SECRET), deadline=soon())

    async def edit(journal: Journal) -> None:
        for _ in range(5):
            head = await journal.head("abc", deadline=soon())
            assert head is not None
            if head.action == "purge":
                return
            try:
                await journal.append(entry("abc", head.version + 1, SECRET), deadline=soon())
            except VersionConflictError:
                continue

    tombstones = await asyncio.gather(
        *(journal.purge("abc", by="bob", at=NOW, deadline=soon()) for journal in journals[:2]),
        *(edit(journal) for journal in journals[2:]),
    )
    assert tombstones[0] == tombstones[1]
    assert not any(SECRET.encode() in body for body in everything(s3, bucket))


async def test_what_is_stored_under_a_purged_id_is_new_and_can_be_purged_again(
    journal: Journal, s3: "S3Client", bucket: str
) -> None:
    await fill(journal)
    await journal.purge("abc", by="bob", at=NOW, deadline=soon())
    again = entry("abc", 6, f"{SECRET} again", action="store")
    await journal.append(again, deadline=soon())
    assert await journal.head("abc", deadline=soon()) == again
    assert (await journal.purge("abc", by="bob", at=NOW, deadline=soon())).version == 7
    assert not any(SECRET.encode() in body for body in everything(s3, bucket))
