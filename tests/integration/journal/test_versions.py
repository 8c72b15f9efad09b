"""Entries in S3: each version once, whoever writes it at the same time, and all of them found again."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remora.errors import ConflictError, UnavailableError
from remora.journal import Head, Journal, VersionConflictError
from remora.journal.store import JournalStore
from tests.integration.journal.examples import NOW, entry, soon
from tests.integration.journal.s3_server import S3Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.anyio


async def test_what_was_appended_is_read_again_newest_first_by_head_and_oldest_first_by_history(
    journal: Journal,
) -> None:
    written = [entry("abc"), entry("abc", 2, "the sea is wide"), entry("abc", 3, "gone", action="delete")]
    for each in written:
        await journal.append(each, deadline=soon())
    assert await journal.head("abc", deadline=soon()) == written[2]
    assert await journal.history("abc", deadline=soon()) == written
    assert await journal.entry("abc", 2, deadline=soon()) == written[1]
    assert await journal.entry("abc", 4, deadline=soon()) is None


@pytest.mark.parametrize(
    "nothing", ["abc", "ab", "abcd", "", "../space-two", "a/b", "abc\n", "ä", "x" * 2_000, "\ud800"]
)
async def test_an_id_that_nothing_has_is_answered_with_nothing(journal: Journal, nothing: str) -> None:
    await journal.append(entry("abc-1"), deadline=soon())
    assert await journal.head(nothing, deadline=soon()) is None
    assert await journal.history(nothing, deadline=soon()) == []
    assert await journal.entry(nothing, 1, deadline=soon()) is None


async def test_ids_that_begin_alike_are_kept_apart(journal: Journal) -> None:
    ids = ["abc", "abc-1", "abc-10", "abcd", "ab"]
    await journal.append_all([entry(id_, content=id_) for id_ in ids], deadline=soon())
    heads = await journal.heads([*ids, "abc", "nobody"], deadline=soon())
    assert {id_: head.memory.content for id_, head in heads.items() if head.memory} == {id_: id_ for id_ in ids}


async def test_spaces_do_not_see_each_other(bucket: str, journal: Journal) -> None:
    other = Journal(JournalStore(bucket), "space-one.more")
    await journal.append(entry("abc"), deadline=soon())
    assert await other.head("abc", deadline=soon()) is None
    assert [head async for head in other.memory_ids(deadline=soon())] == []
    with pytest.raises(ValueError, match="another space"):
        await other.append(entry("abc"), deadline=soon())


async def test_of_twenty_who_write_one_version_at_once_one_wins_and_the_others_are_told(
    new_journal: Callable[[], Journal],
) -> None:
    writers = [new_journal() for _ in range(4)]
    attempts = [entry("abc", content=f"by writer {number}") for number in range(20)]
    outcomes = await asyncio.gather(
        *(writers[number % 4].append(each, deadline=soon()) for number, each in enumerate(attempts)),
        return_exceptions=True,
    )
    won = [each for each, outcome in zip(attempts, outcomes, strict=True) if outcome is None]
    assert len(won) == 1
    assert all(isinstance(outcome, VersionConflictError) for outcome in outcomes if outcome is not None)
    assert await writers[0].history("abc", deadline=soon()) == won


async def test_two_editors_of_one_version_are_told_apart_and_nothing_is_overwritten(journal: Journal) -> None:
    await journal.append(entry("abc"), deadline=soon())
    await journal.append(entry("abc", 2, "first"), deadline=soon())
    with pytest.raises(ConflictError, match=r"version 2 of abc.*nothing was changed"):
        await journal.append(entry("abc", 2, "second"), deadline=soon())
    head = await journal.head("abc", deadline=soon())
    assert head is not None
    assert head.memory is not None
    assert head.memory.content == "first"


async def test_appending_the_same_entry_again_succeeds_and_leaves_one_version(
    journal: Journal, s3: "S3Client", bucket: str
) -> None:
    one = entry("abc")
    await journal.append(one, deadline=soon())
    await journal.append(one, deadline=soon())
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 1


async def test_each_entry_of_many_says_whether_it_was_written(journal: Journal) -> None:
    await journal.append(entry("taken"), deadline=soon())
    entries = [entry(id_) for id_ in ("one", "taken", "two")]
    assert await journal.append_all(entries, deadline=soon()) == [True, False, True]
    assert set(await journal.heads(["one", "two"], deadline=soon())) == {"one", "two"}


async def test_one_refusal_among_many_is_raised_after_all_others_were_written(
    journal: Journal, s3_server: S3Server
) -> None:
    s3_server.decide = lambda method, target: "refuse" if method == "PUT" and "/bad/" in target else "pass"
    entries = [entry("bad"), *(entry(f"good-{number}") for number in range(40))]
    with pytest.raises(UnavailableError, match="credentials"):
        await journal.append_all(entries, deadline=soon())
    # Nothing goes on behind the caller's back.
    assert len([request for request in s3_server.requests if "PUT" in request and "/memories/" in request]) == 41
    assert len(await journal.heads((each.memory_id for each in entries), deadline=soon())) == 40


async def test_only_a_purge_is_written_without_a_memory(journal: Journal) -> None:
    with pytest.raises(ValueError, match="only a purge"):
        await journal.append(entry("abc").redacted(), deadline=soon())


async def test_all_memories_are_gone_through_once_and_resumed_behind_any_of_them(
    journal: Journal, s3: "S3Client", bucket: str
) -> None:
    versions = {f"m{number:03d}": 1 + number % 4 for number in range(30)} | {"m005-1": 2, "m005-10": 1}
    for id_, newest in versions.items():
        for version in range(1, newest + 1):
            await journal.append(entry(id_, version), deadline=soon())
    s3.put_object(Bucket=bucket, Key="memories/space-one/stray.txt", Body=b"no entry")
    heads = [head async for head in journal.memory_ids(deadline=soon())]
    assert {head.memory_id: head.version for head in heads} == versions
    for number, head in enumerate(heads):
        rest = [later async for later in journal.memory_ids(after=head.memory_id, deadline=soon())]
        assert rest == heads[number + 1 :]


async def test_more_versions_than_s3_lists_at_once_are_found(
    journal: Journal, s3: "S3Client", bucket: str, s3_server: S3Server
) -> None:
    s3_server.page = 50
    for version in range(1, 53):
        key = f"memories/space-one/many/{version:08d}.json"
        s3.put_object(Bucket=bucket, Key=key, Body=entry("many", version).to_bytes())
    await journal.append(entry("next"), deadline=soon())
    head = await journal.head("many", deadline=soon())
    assert head is not None
    assert head.version == 52
    heads = [head async for head in journal.memory_ids(deadline=soon())]
    assert heads == [Head("many", 52), Head("next", 1)]


@pytest.mark.parametrize("page", [1, 2, 3, 7])
async def test_nothing_is_missed_between_two_pages_of_a_listing(
    journal: Journal, s3: "S3Client", bucket: str, s3_server: S3Server, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remora.journal.store._DELETED_AT_ONCE", page)
    s3_server.page = page
    for version in range(1, 7):
        await journal.append(entry("abc", version, "secret"), deadline=soon())
    await journal.append(entry("next"), deadline=soon())
    intents = [await journal.begin([f"m{number}"], deadline=soon()) for number in range(7)]
    assert len(await journal.pending(deadline=soon())) == len(intents)
    assert [each.version for each in await journal.history("abc", deadline=soon())] == [1, 2, 3, 4, 5, 6]
    assert [head async for head in journal.memory_ids(deadline=soon())] == [Head("abc", 6), Head("next", 1)]
    tombstone = await journal.purge("abc", by="bob", at=NOW, deadline=soon())
    assert await journal.head("abc", deadline=soon()) == tombstone
    s3_server.page = None
    versions = s3.list_object_versions(Bucket=bucket, Prefix="memories/space-one/abc/")["Versions"]
    assert len(versions) == 7
    assert max(found["Size"] for found in versions) < len(entry("abc", 1, "").to_bytes())


async def test_an_object_that_holds_another_memory_than_its_key_says_is_damaged(
    journal: Journal, s3: "S3Client", bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="memories/space-one/abc/00000001.json", Body=entry("other").to_bytes())
    with pytest.raises(UnavailableError, match="damaged"):
        await journal.head("abc", deadline=soon())


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(contents=st.lists(st.text(), min_size=1, max_size=3))
def test_any_text_comes_back_from_the_bucket_as_it_went(
    new_journal: Callable[[], Journal], contents: list[str]
) -> None:
    journal = new_journal()

    async def round_trip() -> None:
        id_ = f"m{abs(hash(tuple(contents)))}"
        written = [entry(id_, version, content) for version, content in enumerate(contents, start=1)]
        for each in written:
            # An example that hypothesis tries again was written before.
            if await journal.entry(id_, each.version, deadline=soon()) is None:
                await journal.append(each, deadline=soon())
        read = await journal.history(id_, deadline=soon())
        assert [each.memory.content for each in read if each.memory] == contents

    asyncio.run(round_trip())


async def test_contents_are_in_bodies_only(
    journal: Journal, s3: "S3Client", bucket: str, s3_server: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    secret = "tarte-tatin"
    intent = await journal.begin(["abc"], deadline=soon())
    await journal.claim(secret, "abc", deadline=soon())
    await journal.append(entry("abc", content=secret), deadline=soon())
    await journal.history("abc", deadline=soon())
    await journal.finish(intent, deadline=soon())
    keys = [found["Key"] for found in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert len(keys) == 2
    for key in keys:
        answer = s3.get_object(Bucket=bucket, Key=key)
        assert answer["Metadata"] == {}
        assert s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == []
    assert secret not in "".join([*keys, *s3_server.requests])
    assert secret not in caplog.text
