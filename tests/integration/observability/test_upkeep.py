"""The upkeep on a real Chroma server and S3: unfinished writes, remains of purges, backups, and what there is."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

from remora.chroma.client import ChromaClient
from remora.chroma.deadline import Deadline
from remora.collections.models import Engine
from remora.embedding import MiniLM
from remora.errors import ConflictError, UnavailableError
from remora.memory.models import NewMemory
from remora.periods import BackupPeriod
from remora.spaces import Spaces
from remora.transfer.backups import Backup
from remora.transfer.lines import check_file
from remora.upkeep import Upkeep
from tests.integration.journal.conftest import bucket, s3, s3_server
from tests.integration.journal.s3_server import S3Server
from tests.support.chroma_server import ChromaServer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["bucket", "s3", "s3_server"]

pytestmark = pytest.mark.anyio
MONDAY = datetime(2026, 11, 16, 12, tzinfo=UTC)
MakeSpaces = Callable[[], Spaces]


def soon(seconds: float = 300) -> Deadline:
    """A deadline that healthy servers never reach; a backup wants more than a minute."""
    return Deadline.after(seconds)


@pytest.fixture
def make_spaces(own_chroma_server: ChromaServer, bucket: str, model_dir: Path) -> MakeSpaces:
    """Make the spaces as a new execution environment has them, on a Chroma server of the test's own."""

    def make() -> Spaces:
        chroma = ChromaClient(own_chroma_server.host, own_chroma_server.port)
        return Spaces(chroma, MiniLM(model_dir), engine=Engine.SINGLE_NODE, memory_bucket=bucket)

    return make


@pytest.fixture
def spaces(make_spaces: MakeSpaces) -> Spaces:
    """The spaces."""
    return make_spaces()


def upkeep(spaces: Spaces, backups: BackupPeriod = BackupPeriod.OFF, days: int = 0) -> Upkeep:
    return Upkeep(spaces, backups=backups, clock=lambda: MONDAY + timedelta(days=days))


async def store(spaces: Spaces, space: str, *contents: str) -> list[str]:
    new = [NewMemory(content=content) for content in contents]
    result = await spaces.memory(space, "alice").store(new, deadline=Deadline.after(5))
    return [memory.id for memory in result.memories]


def keys(s3: "S3Client", bucket: str, prefix: str) -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]


def kept(s3: "S3Client", bucket: str, prefix: str = "memories/") -> bytes:
    """Return everything that S3 holds under a prefix, earlier versions included."""
    versions = s3.list_object_versions(Bucket=bucket, Prefix=prefix).get("Versions", [])
    return b"".join(
        s3.get_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])["Body"].read() for each in versions
    )


async def test_nothing_to_do_is_nothing_done(spaces: Spaces) -> None:
    report = await upkeep(spaces).run(deadline=soon())
    assert (report.unfinished, report.finished, report.swept, report.backed_up, report.failures) == (0, 0, 0, 0, 0)


async def test_it_counts_what_chroma_holds(spaces: Spaces) -> None:
    before = (await upkeep(spaces).run(deadline=soon())).census
    await store(spaces, "home-one", "A lamp.", "A chair.")
    await store(spaces, "home-two", "A table.")
    after = (await upkeep(spaces).run(deadline=soon())).census
    assert before is not None
    assert after is not None
    assert after.databases - before.databases == 2
    assert after.vectors - before.vectors >= 3


async def test_it_says_that_chroma_is_down_and_finishes_the_writes_when_it_is_back(
    spaces: Spaces, own_chroma_server: ChromaServer
) -> None:
    await store(spaces, "home", "Before.")
    own_chroma_server.kill()
    await store(spaces, "home", "Meanwhile.")
    down = await upkeep(spaces).run(deadline=soon())
    assert (down.census, down.unfinished, down.finished, down.failures) == (None, 1, 0, 1)
    own_chroma_server.start()
    back = await upkeep(spaces).run(deadline=soon())
    assert (back.unfinished, back.finished, back.failures) == (1, 1, 0)
    assert (await upkeep(spaces).run(deadline=soon())).unfinished == 0


async def test_what_a_purge_has_left_is_removed_once_a_day(spaces: Spaces, s3: "S3Client", bucket: str) -> None:
    (first,) = await store(spaces, "home", "The secret of the cellar.")
    await store(spaces, "home", "The lamp stays.")
    (entry,) = keys(s3, bucket, f"memories/home/{first}/")
    content = json.loads(s3.get_object(Bucket=bucket, Key=entry)["Body"].read())
    # A purge that died behind its tombstone and half of its work: S3 keeps what was written over.
    tombstone = content | {"version": 2, "action": "purge", "memory": None}
    s3.put_object(Bucket=bucket, Key=entry.replace("00000001", "00000002"), Body=json.dumps(tombstone))
    s3.put_object(Bucket=bucket, Key=entry, Body=json.dumps(content | {"memory": None}))
    assert b"secret of the cellar" in kept(s3, bucket)
    assert (await upkeep(spaces).run(deadline=soon())).swept == 1
    assert b"secret of the cellar" not in kept(s3, bucket)
    assert b"The lamp stays." in kept(s3, bucket)
    assert (await upkeep(spaces, days=1).run(deadline=soon())).swept == 0


async def test_a_memory_that_somebody_wrote_over_by_hand_keeps_its_earlier_version(
    spaces: Spaces, s3: "S3Client", bucket: str
) -> None:
    (id_,) = await store(spaces, "home", "As it was.")
    (entry,) = keys(s3, bucket, f"memories/home/{id_}/")
    body = s3.get_object(Bucket=bucket, Key=entry)["Body"].read()
    s3.put_object(Bucket=bucket, Key=entry, Body=body.replace(b"As it was.", b"Spoiled..."))
    assert (await upkeep(spaces).run(deadline=soon())).swept == 0
    assert b"As it was." in kept(s3, bucket)


async def test_it_sweeps_once_a_day(spaces: Spaces, s3: "S3Client", s3_server: S3Server, bucket: str) -> None:
    await store(spaces, "home", "A lamp.")
    for day, lists in ((0, True), (0, False), (1, True)):
        s3_server.requests.clear()
        await upkeep(spaces, days=day).run(deadline=soon())
        assert any("versions" in target for target in s3_server.requests) is lists
    assert keys(s3, bucket, "upkeep/") == ["upkeep/swept-2026-11-16.json", "upkeep/swept-2026-11-17.json"]


async def test_every_space_is_backed_up_once_in_a_period_as_a_file_that_can_be_imported(
    spaces: Spaces, s3: "S3Client", bucket: str, tmp_path: Path
) -> None:
    for space in ("home", "work"):
        await store(spaces, space, f"The lamp of {space}.")
    assert (await upkeep(spaces, BackupPeriod.WEEKLY).run(deadline=soon())).backed_up == 2
    assert (await upkeep(spaces, BackupPeriod.WEEKLY, days=6).run(deadline=soon())).backed_up == 0
    assert (await upkeep(spaces, BackupPeriod.WEEKLY, days=7).run(deadline=soon())).backed_up == 2
    assert keys(s3, bucket, "backups/work/") == [
        "backups/work/2026-11-16/backup.json",
        "backups/work/2026-11-16/memory-00001.jsonl",
        "backups/work/2026-11-23/backup.json",
        "backups/work/2026-11-23/memory-00001.jsonl",
    ]
    file = tmp_path / "memory.jsonl"
    file.write_bytes(s3.get_object(Bucket=bucket, Key="backups/home/2026-11-16/memory-00001.jsonl")["Body"].read())
    assert b"The lamp of home." in file.read_bytes()
    with file.open("rb") as opened:
        assert check_file(opened).memories == 1
    lines = file.read_text().splitlines()
    report = await spaces.transfer("elsewhere", "alice").import_lines(lines[1:-1], deadline=soon())
    assert report.created == 1


async def test_nothing_is_backed_up_where_nobody_asks_for_it(spaces: Spaces, s3: "S3Client", bucket: str) -> None:
    await store(spaces, "home", "A lamp.")
    await upkeep(spaces, BackupPeriod.OFF).run(deadline=soon())
    assert keys(s3, bucket, "backups/") == []


async def test_a_backup_that_is_interrupted_goes_on_where_it_was(
    make_spaces: MakeSpaces, s3: "S3Client", s3_server: S3Server, bucket: str, tmp_path: Path
) -> None:
    contents = [f"Number {number}: {'word ' * 60}" for number in range(40)]
    await store(make_spaces(), "home", *contents)
    day, part = date(2026, 11, 16), 1
    parts_put = 0

    def decide(method: str, target: str) -> str:
        nonlocal parts_put
        if method != "PUT" or "/backups/" not in target:
            return "pass"
        parts_put += 1
        # Every third write fails for good, whichever it is.
        return "refuse" if parts_put % 3 == 0 else "pass"

    s3_server.decide = decide
    for _ in range(50):
        backups = make_spaces().backups("home", "upkeep")
        backups._transfer = _SmallPages(backups._transfer)  # type: ignore[assignment]
        try:
            backup, _ = await backups.carry_on(day, part_bytes=part, deadline=soon())
        except UnavailableError:
            continue
        if backup.done:
            break
    assert backup.done
    assert backup.parts > 5
    file = tmp_path / "memory.jsonl"
    names = [key for key in keys(s3, bucket, "backups/home/") if key.endswith(".jsonl")]
    assert len(names) == backup.parts
    file.write_bytes(b"".join(s3.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names))
    with file.open("rb") as opened:
        summary = check_file(opened)
    assert (summary.memories, summary.lines) == (40, backup.lines)


class _SmallPages:
    """A transfer service whose pages are small, so that a small space has several."""

    def __init__(self, transfer: object) -> None:
        self._transfer = transfer

    async def export_page(self, cursor: str | None, *, deadline: Deadline) -> object:
        return await self._transfer.export_page(cursor, max_bytes=2_000, deadline=deadline)  # type: ignore[attr-defined]


async def test_a_backup_begins_nothing_when_there_is_no_time_to_end_it(spaces: Spaces) -> None:
    await store(spaces, "home", "A lamp.")
    backup, written = await spaces.backups("home", "upkeep").carry_on(date(2026, 11, 16), deadline=soon(30))
    assert (backup.parts, backup.done, written) == (0, False, False)
    backup, written = await spaces.backups("home", "upkeep").carry_on(date(2026, 11, 16), deadline=soon())
    assert (backup.parts, backup.done, written) == (1, True, True)


async def test_two_upkeeps_do_not_write_one_backup(spaces: Spaces, s3: "S3Client", bucket: str) -> None:
    await store(spaces, "home", "A lamp.")
    backups = spaces.backups("home", "upkeep")
    export = backups._transfer.export_page

    async def overtaken(*arguments: object, **named: object) -> object:
        page = await export(*arguments, **named)  # type: ignore[arg-type]
        now = datetime.now(UTC)
        other = Backup(space="home", parts=1, created_at=now, updated_at=now)
        s3.put_object(Bucket=bucket, Key="backups/home/2026-11-16/backup.json", Body=other.to_bytes())
        return page

    backups._transfer.export_page = overtaken  # type: ignore[method-assign, assignment]
    with pytest.raises(ConflictError):
        await backups.carry_on(date(2026, 11, 16), deadline=soon())


async def test_one_spaces_trouble_is_not_anothers(spaces: Spaces, s3: "S3Client", bucket: str) -> None:
    for space in ("broken", "whole"):
        await store(spaces, space, "A lamp.")
    (entry,) = keys(s3, bucket, "memories/broken/")
    s3.put_object(Bucket=bucket, Key=entry, Body=b"no entry")
    report = await upkeep(spaces, BackupPeriod.DAILY).run(deadline=soon())
    assert report.backed_up == 1
    assert report.failures >= 1
    assert keys(s3, bucket, "backups/whole/2026-11-16/memory")


@pytest.mark.parametrize(
    ("period", "day", "first"),
    [
        (BackupPeriod.DAILY, date(2026, 11, 21), date(2026, 11, 21)),
        (BackupPeriod.WEEKLY, date(2026, 11, 16), date(2026, 11, 16)),
        (BackupPeriod.WEEKLY, date(2026, 11, 22), date(2026, 11, 16)),
        (BackupPeriod.WEEKLY, date(2027, 1, 1), date(2026, 12, 28)),
    ],
)
async def test_a_period_is_named_by_its_first_day(period: BackupPeriod, day: date, first: date) -> None:
    assert period.first_day(day) == first


async def test_folders_are_listed_page_by_page(
    spaces: Spaces, s3: "S3Client", s3_server: S3Server, bucket: str
) -> None:
    for number in range(7):
        boto3.client("s3").put_object(Bucket=bucket, Key=f"memories/space-{number}/a/00000001.json", Body=b"{}")
    s3_server.page = 2
    assert await spaces.names(deadline=soon()) == [f"space-{number}" for number in range(7)]
