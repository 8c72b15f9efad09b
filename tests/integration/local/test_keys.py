"""The command `remora key` against a running `remora dev`: from a new key to its last 401, and across a restart."""

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.local_stack import UNLIMITED, LocalStack, start_local_stack

# Nothing is cached, so that what was revoked is refused at once.
PARAMETERS = {
    **UNLIMITED,
    "AuthorizerCacheSeconds": "0",
    "PrincipalsCacheSeconds": "0",
    "LightLimits": "1,2,1000",
}
REMEMBER = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "chroma_list_collections", "arguments": {}},
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> Iterator[LocalStack]:
    with start_local_stack(tmp_path_factory.mktemp("keys"), parameters=PARAMETERS) as stack:
        yield stack


def run(stack: LocalStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "REMORA_STACK"}
    return subprocess.run(
        [sys.executable, "-m", "remora", "key", *arguments, "--data", str(stack.data_dir)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        env=environment,
    )


def done(stack: LocalStack, *arguments: str) -> str:
    finished = run(stack, *arguments)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


def refused(stack: LocalStack, *arguments: str) -> str:
    finished = run(stack, *arguments)
    assert finished.returncode == 1
    assert finished.stdout == ""
    return finished.stderr


def call(stack: LocalStack, key: str) -> httpx2.Response:
    """Call a tool with a key."""
    headers = {"Authorization": f"Bearer {key}", "Accept": "application/json, text/event-stream"}
    return httpx2.post(stack.url, json=REMEMBER, headers=headers)


def listed(stack: LocalStack) -> dict[str, dict[str, object]]:
    return {entry["id"]: entry for entry in json.loads(done(stack, "list", "--json"))["principals"]}


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_key_from_its_making_to_its_end(stack: LocalStack) -> None:
    old = done(stack, "create", "alice", "--name", "Alice's laptop")
    assert call(stack, old).json()["result"]["isError"] is False

    new = done(stack, "rotate", "alice", "--overlap", "1m")
    assert new != old
    assert [call(stack, key).status_code for key in (old, new)] == [200, 200]

    newest = done(stack, "rotate", "alice", "--overlap", "0")
    assert [call(stack, key).status_code for key in (old, new, newest)] == [401, 401, 200]

    (current,) = [
        key["id"] for key in json.loads(done(stack, "show", "alice", "--json"))["keys"] if not key["expired"]
    ]
    done(stack, "revoke", "alice", "--key", current, "--yes")
    assert call(stack, newest).status_code == 401
    done(stack, "revoke", "alice", "--yes")
    assert "alice" not in listed(stack)


def test_an_overlap_that_is_over_ends_the_old_key(stack: LocalStack) -> None:
    old = done(stack, "create", "hasty")
    soon = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 4))
    new = done(stack, "rotate", "hasty", "--overlap", "0", "--expires", soon)
    assert call(stack, old).status_code == 401
    assert within(10, lambda: call(stack, new).status_code == 401)


def test_a_key_is_printed_alone_and_kept_nowhere(stack: LocalStack) -> None:
    finished = run(stack, "create", "quiet", "--scope", "read", "--space", "quiet-space", "--expires", "90d")
    key = finished.stdout.strip()
    assert finished.stdout == f"{key}\n"
    assert key.startswith("rmr_quiet_")
    assert "scopes read, space quiet-space, tier standard, a key that expires in 90 days" in finished.stderr
    assert key not in finished.stderr
    for path in stack.data_dir.rglob("*"):
        if path.is_file():
            assert key.encode() not in path.read_bytes(), path


def test_a_tier_decides_how_much_a_principal_may_ask(stack: LocalStack) -> None:
    light, standard = done(stack, "create", "light-one", "--tier", "light"), done(stack, "create", "standard-one")
    answers = [call(stack, light) for _ in range(8)]
    assert answers[0].status_code == 200
    throttled = [answer for answer in answers if answer.status_code == 429]
    assert throttled
    assert int(throttled[0].headers["Retry-After"]) >= 1
    assert {call(stack, standard).status_code for _ in range(8)} == {200}

    done(stack, "set", "light-one", "--tier", "heavy")
    assert {call(stack, light).status_code for _ in range(8)} == {200}
    assert listed(stack)["light-one"]["tier"] == "heavy"


def test_a_disabled_principal_is_refused_and_comes_back(stack: LocalStack) -> None:
    key = done(stack, "create", "sleeper")
    done(stack, "set", "sleeper", "--disable")
    assert call(stack, key).status_code == 401
    done(stack, "set", "sleeper", "--enable", "--name", "Sleeper")
    assert call(stack, key).status_code == 200


def test_the_list_says_who_there_is(stack: LocalStack) -> None:
    done(stack, "create", "listed", "--name", "On the list", "--identity", "google|1", "--no-key")
    table = done(stack, "list")
    assert table.splitlines()[0].split() == ["ID", "NAME", "SCOPES", "SPACE", "TIER", "KEYS", "EXPIRY", "AGE"]
    (row,) = [line for line in table.splitlines() if line.startswith("listed ")]
    assert "On the list" in row
    assert "no key" in row
    assert listed(stack)["listed"]["identities"] == ["google|1"]
    assert "google|1" in done(stack, "show", "listed")
    assert set(listed(stack)) >= {"local", "listed"}


@pytest.mark.parametrize(
    "arguments", [("revoke", "local", "--yes"), ("rotate", "local"), ("set", "local", "--disable")]
)
def test_the_local_principal_stays_as_it_is(stack: LocalStack, arguments: tuple[str, ...]) -> None:
    assert "belongs to the local run" in refused(stack, *arguments)
    assert call(stack, stack.key).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "nobody"), "no principal nobody"),
        (("rotate", "nobody"), "no principal nobody"),
        (("revoke", "nobody", "--yes"), "no principal nobody"),
        (("set", "nobody", "--name", "x"), "no principal nobody"),
        (("set", "local"), "Say what is to be different"),
        (("create", "local"), "There is a principal local already"),
        (("create", "someone", "--expires", "yesterday"), "90d"),
        (("rotate", "local", "--overlap", "long"), "24h"),
    ],
)
def test_what_cannot_be_done_is_said(stack: LocalStack, arguments: tuple[str, ...], said: str) -> None:
    assert said in refused(stack, *arguments)


def test_what_leads_to_the_local_aws_is_for_its_owner_only(stack: LocalStack) -> None:
    done(stack, "create", "owner")
    for name in ("aws.json", "principals.json"):
        assert stat.S_IMODE((stack.data_dir / name).stat().st_mode) == 0o600


def test_principals_outlive_a_restart_and_a_kill(tmp_path: Path, model_dir: Path) -> None:
    with start_local_stack(tmp_path, parameters=PARAMETERS) as first:
        kept = done(first, "create", "kept", "--tier", "light")
        gone = done(first, "create", "gone")
        done(first, "revoke", "gone", "--yes")
    assert not (tmp_path / "aws.json").exists()
    with start_local_stack(tmp_path, parameters=PARAMETERS) as second:
        assert call(second, kept).status_code == 200
        assert call(second, gone).status_code == 401
        assert listed(second)["kept"]["tier"] == "light"
        later = done(second, "rotate", "kept")
        second.process.kill()
        second.process.wait()
        assert "does not answer" in refused(second, "list")
    (tmp_path / "connection.json").unlink()  # the next run withdraws it too; who waits for it must not be faster
    with start_local_stack(tmp_path, parameters=PARAMETERS) as third:
        assert call(third, later).status_code == 200
        assert set(listed(third)) == {"local", "kept"}
        done(third, "revoke", "kept", "--yes")
        assert call(third, later).status_code == 401


def test_principals_that_cannot_be_read_are_said_and_not_overwritten(tmp_path: Path, model_dir: Path) -> None:
    (tmp_path / "principals.json").write_text('{"principals": {"alice": "not-to-be-seen"}}')
    with pytest.raises(AssertionError, match=r"principals\.json cannot be read") as error:
        start_local_stack(tmp_path, parameters=PARAMETERS)
    assert "not-to-be-seen" not in str(error.value)
    assert "not-to-be-seen" in (tmp_path / "principals.json").read_text()
