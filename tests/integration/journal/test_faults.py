"""S3 down, slow, throttling, refusing, or answering into the void: a clear answer in time, and nothing twice."""

import asyncio
import itertools
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable

import boto3
import pytest

from remora.chroma.deadline import Deadline
from remora.errors import UnavailableError
from remora.journal import Journal, JournalStore
from tests.integration.journal.examples import NOW, entry, soon
from tests.integration.journal.s3_server import S3Server

pytestmark = pytest.mark.anyio

Call = Callable[[Journal, Deadline], Awaitable[object]]


async def _all_ids(journal: Journal, deadline: Deadline) -> object:
    return [head async for head in journal.memory_ids(deadline=deadline)]


CALLS: dict[str, Call] = {
    "head": lambda journal, deadline: journal.head("abc", deadline=deadline),
    "heads": lambda journal, deadline: journal.heads(["abc", "abd"], deadline=deadline),
    "history": lambda journal, deadline: journal.history("abc", deadline=deadline),
    "append": lambda journal, deadline: journal.append(entry("abc"), deadline=deadline),
    "append_all": lambda journal, deadline: journal.append_all(
        [entry(f"m{n}") for n in range(50)], deadline=deadline
    ),
    "claim": lambda journal, deadline: journal.claim("salt", "abc", deadline=deadline),
    "forget": lambda journal, deadline: journal.forget("salt", "abc", deadline=deadline),
    "reserve": lambda journal, deadline: journal.reserve("talk", ["a"], deadline=deadline),
    "begin": lambda journal, deadline: journal.begin(["abc"], deadline=deadline),
    "pending": lambda journal, deadline: journal.pending(deadline=deadline),
    "memory_ids": _all_ids,
    "purge": lambda journal, deadline: journal.purge("abc", by="bob", at=NOW, deadline=deadline),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_bucket_that_does_not_answer_is_reported_within_the_deadline(
    journal: Journal, s3_server: S3Server, call: Call
) -> None:
    # The client is made before, which takes longer than the deadline.
    await journal.head("abc", deadline=soon())
    s3_server.decide = lambda _method, _target: "stall"
    async with asyncio.timeout(20):
        with pytest.raises(UnavailableError, match=r"did not answer within \d\.\d seconds.*safe to try again"):
            await call(journal, Deadline.after(1.5))


async def test_without_any_time_left_nothing_is_sent(journal: Journal, s3_server: S3Server) -> None:
    for call in CALLS.values():
        with pytest.raises(UnavailableError, match="No time was left"):
            await call(journal, Deadline.after(0))
    assert not [request for request in s3_server.requests if "space-one" in request]


async def test_a_bucket_that_cannot_be_reached_is_reported_without_its_name(
    monkeypatch: pytest.MonkeyPatch, s3_server: S3Server
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        journal = Journal(JournalStore("a-telling-name"), "space-one")
        with pytest.raises(UnavailableError, match="could not be reached") as caught:
            await journal.head("abc", deadline=soon())
    assert "telling" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


async def test_a_function_without_credentials_is_told_so_as_any_other_failure(
    monkeypatch: pytest.MonkeyPatch, journal: Journal
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # boto3 keeps the credentials that it found for the process.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with pytest.raises(UnavailableError, match=r"could not be reached \(NoCredentialsError\)"):
        await journal.head("abc", deadline=soon())


@pytest.mark.parametrize(
    ("bucket_name", "action", "message"),
    [
        ("no-such-bucket", "pass", "bucket does not exist"),
        ("any-bucket", "refuse", "refused the function's credentials"),
    ],
)
async def test_what_only_the_operator_can_correct_is_said_to_be_so(
    s3_server: S3Server, bucket_name: str, action: str, message: str
) -> None:
    s3_server.decide = lambda _method, _target: action
    journal = Journal(JournalStore(bucket_name), "space-one")
    for call in (journal.head("abc", deadline=soon()), journal.append(entry("abc"), deadline=soon())):
        with pytest.raises(UnavailableError, match=f"{message}.*operator") as caught:
            await call
        assert bucket_name not in str(caught.value)


async def test_throttled_requests_are_repeated(journal: Journal, s3_server: S3Server) -> None:
    s3_server.spoil_puts("slow down", "slow down")
    await journal.append(entry("abc"), deadline=soon())
    assert (await journal.head("abc", deadline=soon())) is not None


async def test_a_bucket_that_only_throttles_is_said_to_be_busy(journal: Journal, s3_server: S3Server) -> None:
    s3_server.decide = lambda _method, _target: "slow down"
    with pytest.raises(UnavailableError, match="limiting requests"):
        await journal.append(entry("abc"), deadline=soon())


async def test_a_put_that_another_one_disturbed_is_repeated(journal: Journal, s3_server: S3Server) -> None:
    s3_server.spoil_puts("conflict", "conflict", "conflict")
    one = entry("abc")
    await journal.append(one, deadline=soon())
    assert await journal.history("abc", deadline=soon()) == [one]


async def test_a_put_that_is_always_disturbed_ends(journal: Journal, s3_server: S3Server) -> None:
    s3_server.decide = lambda method, _target: "conflict" if method == "PUT" else "pass"
    with pytest.raises(UnavailableError, match="safe to try again"):
        await journal.append(entry("abc"), deadline=soon())


async def test_an_append_whose_answer_was_lost_is_neither_lost_nor_a_conflict(
    journal: Journal, s3_server: S3Server
) -> None:
    s3_server.spoil_puts("lose")
    one = entry("abc")
    await journal.append(one, deadline=soon())
    assert await journal.history("abc", deadline=soon()) == [one]
    assert len([request for request in s3_server.requests if "PUT" in request and "memories" in request]) == 2


async def test_a_request_is_not_repeated_after_its_call_has_ended(journal: Journal, s3_server: S3Server) -> None:
    await journal.head("abc", deadline=soon())
    s3_server.requests.clear()
    # Answers are lost until the call has ended; then there would be a repetition that succeeds.
    s3_server.decide = lambda _method, _target: "slow down"
    deadline = Deadline.after(0.3)
    with pytest.raises(UnavailableError):
        await journal.append(entry("abc"), deadline=deadline)
    s3_server.decide = lambda _method, _target: "pass"
    journal._store._executor.shutdown(wait=True)
    assert await Journal(JournalStore(journal._store._bucket), "space-one").head("abc", deadline=soon()) is None


async def test_a_journal_that_was_cut_off_works_again_with_the_next_call(
    journal: Journal, s3_server: S3Server
) -> None:
    await journal.head("abc", deadline=soon())
    s3_server.decide = lambda _method, _target: "slow down"
    with pytest.raises(UnavailableError):
        await journal.append_all([entry(f"m{number}") for number in range(40)], deadline=Deadline.after(1))
    s3_server.decide = lambda _method, _target: "pass"
    entries = [entry(f"m{number}") for number in range(40)]
    # Some may be there by now: what was cut off here may still have been on its way.
    await journal.append_all(entries, deadline=soon())
    found = await journal.heads([written.memory_id for written in entries], deadline=soon())
    assert {written.memory_id: 1 for written in entries} == {id_: head.version for id_, head in found.items()}


async def test_a_writer_killed_in_the_middle_of_a_batch_leaves_each_entry_whole_and_announced(
    journal: Journal, s3_server: S3Server
) -> None:
    program = (
        "import asyncio, sys; from remora.journal import Journal, JournalStore;"
        "from tests.integration.journal.examples import entry, soon;"
        "journal = Journal(JournalStore(sys.argv[1]), 'space-one'); ids = [f'm{n}' for n in range(60)]\n"
        "async def write():\n"
        "    intent = await journal.begin(ids, deadline=soon())\n"
        "    await journal.append_all([entry(id_) for id_ in ids], deadline=soon())\n"
        "    await journal.finish(intent, deadline=soon())\n"
        "asyncio.run(write())"
    )
    puts = itertools.count()

    def kill_after_twenty(method: str, target: str) -> str:
        if method == "PUT" and "/memories/" in target and next(puts) == 20:
            process.kill()
        return "pass"

    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, journal._store._bucket)
    s3_server.decide = kill_after_twenty
    assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
    (intent,) = await journal.pending(deadline=soon())
    heads = [head.memory_id async for head in journal.memory_ids(deadline=soon())]
    # Requests that were cut off wrote nothing.
    assert 0 < len(heads) < 60
    assert set(heads) <= set(intent.ids)
    entries = await journal.heads(intent.ids, deadline=soon())
    assert set(entries) == set(heads)
    # The same call again: what is there stays, what is missing is written.
    written = await journal.append_all([entry(id_) for id_ in intent.ids], deadline=soon())
    assert {id_ for id_, is_new in zip(intent.ids, written, strict=True) if not is_new} == set(heads)
