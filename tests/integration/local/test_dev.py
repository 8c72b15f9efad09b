"""The command `remora dev` as a process: start, stop, restart, and everything that can be in its way."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import chromadb
import httpx2
import numpy as np
import pytest

from tests.integration.local.conftest import FIXTURE
from tests.support.local_stack import LocalStack, descendants, is_alive, launch, start_local_stack


def start(data_dir: Path, **parameters: str) -> LocalStack:
    return start_local_stack(data_dir, template=FIXTURE, parameters=parameters)


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def failure(process: subprocess.Popen[bytes], data_dir: Path) -> str:
    """Wait for a start that fails, and return what it said."""
    assert process.wait(30) == 1
    return (data_dir / "output.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_and_is_no_failure(tmp_path: Path, number: signal.Signals) -> None:
    stack = start(tmp_path)
    family = descendants(stack.process.pid)
    assert len(family) >= 3, "Chroma and an environment for each function"
    assert stack.stop(number) == 0
    assert not [command for pid, command in family.items() if is_alive(pid)]
    assert not (tmp_path / "connection.json").exists()


@pytest.mark.parametrize("step", ["Starting Chroma", "Reading", "Starting the functions"])
def test_a_signal_during_the_start_stops_everything_too(tmp_path: Path, step: str) -> None:
    process = launch(tmp_path, template=FIXTURE)
    assert within(30, lambda: step in (tmp_path / "output.log").read_text())
    family = descendants(process.pid)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert not [command for pid, command in family.items() if is_alive(pid)]


def test_nothing_outlives_a_run_that_is_killed(tmp_path: Path) -> None:
    stack = start(tmp_path)
    family = descendants(stack.process.pid)
    stack.process.kill()
    stack.process.wait()
    assert within(10, lambda: not any(is_alive(pid) for pid in family))
    with start(tmp_path) as again:
        assert again.key == stack.key


def test_the_key_and_the_data_stay_between_runs(tmp_path: Path) -> None:
    with start(tmp_path) as first:
        collection = chromadb.HttpClient(port=first.chroma()[1]).create_collection("kept")
        collection.add(ids=["1"], embeddings=np.array([[1, 2]], dtype=np.float32))
    with start(tmp_path) as second:
        assert second.key == first.key
        assert chromadb.HttpClient(port=second.chroma()[1]).get_collection("kept").count() == 1


def test_connection_json_holds_what_is_printed(stack: LocalStack) -> None:
    document = json.loads((stack.data_dir / "connection.json").read_text())
    assert document == {"url": stack.url, "stage_url": stack.stage_url, "key": stack.key}
    printed = stack.output()
    assert f"URL  {stack.url}" in printed
    assert f"Key  {stack.key}" in printed


@pytest.mark.parametrize("name", ["connection.json", "principal.json"])
def test_what_holds_the_key_is_for_its_owner_only(stack: LocalStack, name: str) -> None:
    assert stat.S_IMODE((stack.data_dir / name).stat().st_mode) == 0o600


def test_it_prints_how_to_connect(stack: LocalStack) -> None:
    printed = stack.output()
    header = f"--header 'Authorization: Bearer {stack.key}'"
    assert f"claude mcp add --transport http --scope user remora {stack.url} {header}" in printed
    assert "~/.cursor/mcp.json" in printed
    assert "code --add-mcp" in printed
    assert f"npx @modelcontextprotocol/inspector --cli {stack.url} --transport http {header}" in printed


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = failure(launch(tmp_path, template=FIXTURE, port=port), tmp_path)
    assert f"Port {port} is taken" in said
    assert "--port" in said


def test_a_data_directory_serves_one_run_at_a_time(stack: LocalStack) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "remora", "dev", "--port", "0", "--data", str(stack.data_dir)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1
    assert f"in use by another `remora dev` (process {stack.process.pid})" in second.stderr
    assert (stack.data_dir / "connection.json").exists()


def test_a_key_file_that_cannot_be_read_is_said_without_showing_it(tmp_path: Path) -> None:
    (tmp_path / "principal.json").write_text('{"key": "rmr_local_broken"')
    said = failure(launch(tmp_path, template=FIXTURE), tmp_path)
    assert "principal.json cannot be read" in said
    assert "rmr_local_broken" not in said


def test_a_chroma_that_dies_is_said_and_started_again_on_its_data(tmp_path: Path) -> None:
    with start(tmp_path) as stack:
        pid, port = stack.chroma()
        chromadb.HttpClient(port=port).create_collection("kept")
        os.kill(pid, signal.SIGKILL)
        assert within(20, lambda: "Chroma answers again" in stack.output())
        assert "Chroma died" in stack.output()
        assert stack.chroma()[0] != pid
        assert chromadb.HttpClient(port=port).get_collection("kept").count() == 0


def test_a_chroma_that_keeps_dying_ends_the_run(tmp_path: Path) -> None:
    with start(tmp_path) as stack:
        (tmp_path / "chroma" / "chroma.sqlite3").write_bytes(b"this is no database")
        os.kill(stack.chroma()[0], signal.SIGKILL)
        assert stack.process.wait(60) == 1
        assert "Chroma died 3 times in a row" in stack.output()
        assert "chroma.log" in stack.output()


def test_limits_of_the_usage_plan_hold_for_the_principal(tmp_path: Path) -> None:
    with start(tmp_path, ThrottleRate="1", ThrottleBurst="2", QuotaRequests="100") as stack:
        answers = [
            httpx2.get(f"{stack.stage_url}/guarded", headers={"Authorization": f"allow-{number}"})
            for number in range(5)
        ]
    statuses = [answer.status_code for answer in answers]
    assert statuses[:2] == [200, 200]
    assert 429 in statuses[2:]
    refused = answers[statuses.index(429)]
    assert refused.headers["retry-after"] == "1"
    assert refused.json() == {"message": "Too Many Requests"}


def test_a_quota_holds_for_the_principal_whatever_its_identity(tmp_path: Path) -> None:
    with start(tmp_path, QuotaRequests="2") as stack:
        answers = [
            httpx2.get(f"{stack.stage_url}/guarded", headers={"Authorization": f"allow-{number}"})
            for number in range(3)
        ]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "3600"
    assert answers[2].json() == {"message": "Limit Exceeded"}


def test_changed_code_is_used_without_a_restart(tmp_path: Path) -> None:
    deployment = tmp_path / "deployment"
    deployment.mkdir()
    (deployment / "template.yaml").write_text(FIXTURE.read_text())
    functions = deployment / "functions"
    functions.mkdir()
    for module in (FIXTURE.parent / "functions").glob("*.py"):
        (functions / module.name).write_text(module.read_text())
    with start_local_stack(tmp_path / "data", template=deployment / "template.yaml", parameters={}) as stack:
        address = f"{stack.stage_url}/answers/text"
        assert httpx2.get(address).text == "tea ☕"
        module = functions / "answers.py"
        module.write_text(module.read_text().replace("tea ☕", "coffee"))
        assert within(20, lambda: httpx2.get(address).text == "coffee")


def test_code_that_cannot_be_imported_is_said_and_answers_an_error(tmp_path: Path) -> None:
    deployment = tmp_path / "deployment"
    (deployment / "functions").mkdir(parents=True)
    (deployment / "template.yaml").write_text(FIXTURE.read_text())
    (deployment / "functions" / "answers.py").write_text("import no_such_module")
    (deployment / "functions" / "gatekeeper.py").write_text("def handler(event, context): ...")
    with start_local_stack(tmp_path / "data", template=deployment / "template.yaml", parameters={}) as stack:
        assert "No module named 'no_such_module'" in stack.output()
        assert httpx2.get(f"{stack.stage_url}/echo").status_code == 500


def test_overrides_reach_the_template(tmp_path: Path) -> None:
    with start(tmp_path, Colour="red", Stage="crimson-stage") as stack:
        assert stack.url.endswith("/crimson-stage/mcp")
        variables = httpx2.get(f"{stack.stage_url}/answers/environment").json()
    assert variables["COLOUR"] == "red"
    assert variables["SHADE"] == "crimson"
    assert variables["UNSET"] == "red"


def test_an_override_that_the_template_does_not_have_is_said(tmp_path: Path) -> None:
    said = failure(launch(tmp_path, template=FIXTURE, parameters={"Color": "red"}), tmp_path)
    assert "no parameter Color" in said
    assert "Colour" in said


def test_a_template_that_is_not_there_is_said(tmp_path: Path) -> None:
    said = failure(launch(tmp_path, template=tmp_path / "none.yaml"), tmp_path)
    assert "none.yaml cannot be read" in said
    assert "--template" in said
