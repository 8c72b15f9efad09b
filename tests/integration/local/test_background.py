"""What outlives a run of `remora dev`, and the functions that it invokes without anybody waiting."""

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.local_stack import LocalStack, descendants, start_local_stack

TEMPLATE = Path(__file__).parent / "fixture" / "objects.yaml"


def start(data_dir: Path) -> LocalStack:
    return start_local_stack(data_dir, template=TEMPLATE, parameters={})


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with start(tmp_path_factory.mktemp("objects")) as stack:
        yield stack


def kill(stack: LocalStack) -> None:
    """End a run without its having a say, and without what it left for clients, which the next start waits for."""
    stack.process.kill()
    stack.process.wait()
    (stack.data_dir / "connection.json").unlink()


def put(stack: LocalStack, key: str, text: str = "tea") -> None:
    answer = httpx2.put(f"{stack.stage_url}/objects", params={"key": key}, content=text.encode(), timeout=30)
    assert answer.status_code == 200, answer.text


def get(stack: LocalStack, key: str) -> dict[str, Any] | None:
    answer = httpx2.get(f"{stack.stage_url}/objects", params={"key": key}, timeout=30)
    if answer.status_code == 404:
        return None
    document: dict[str, Any] = answer.json()
    return document


def keys(stack: LocalStack, prefix: str) -> list[str]:
    found: list[str] = httpx2.get(f"{stack.stage_url}/objects", params={"prefix": prefix}, timeout=30).json()
    return found


def signed(stack: LocalStack, operation: str, key: str) -> str:
    parameters = {"operation": operation, "key": key}
    return httpx2.post(f"{stack.stage_url}/objects", params=parameters, timeout=30).text


def wait_for(stack: LocalStack, prefix: str, count: int = 1) -> list[str]:
    """Return the keys below a prefix as soon as there are so many."""
    deadline = time.monotonic() + 30
    while len(found := keys(stack, prefix)) < count:
        assert time.monotonic() < deadline, f"{found}\n{stack.output()}"
        time.sleep(0.05)
    return found


def settled(stack: LocalStack) -> None:
    """Wait until every event so far has been handled."""
    deadline = time.monotonic() + 30
    with contextlib.closing(sqlite3.connect(stack.data_dir / "s3" / "objects.sqlite3")) as database:
        while database.execute("SELECT count(*) FROM events").fetchone() != (0,):
            assert time.monotonic() < deadline, stack.output()
            time.sleep(0.05)


def event(stack: LocalStack, key: str) -> dict[str, Any]:
    found = get(stack, key)
    assert found is not None
    document: dict[str, Any] = json.loads(found["text"])
    return document


def test_an_acknowledged_object_outlives_a_run_that_is_killed(tmp_path: Path) -> None:
    key, text = "memories/a space/ümläut ☕ %2F+&?#=.json", "träge\u0000 Tiere\n☕"
    with start(tmp_path) as stack:
        put(stack, key, text)
        kill(stack)
    with start(tmp_path) as stack:
        assert get(stack, key) == {"text": text, "type": "text/x-tea", "metadata": {"leaf": "green"}}


def test_an_event_whose_handling_was_cut_short_is_handled_by_the_next_run(tmp_path: Path) -> None:
    with start(tmp_path) as stack:
        put(stack, "uploads/slow")
        wait_for(stack, "seen/uploads/slow/")
        kill(stack)
    with start(tmp_path) as stack:
        wait_for(stack, "seen/uploads/slow/", 2)
        settled(stack)
    with start(tmp_path) as stack:
        put(stack, "uploads/next")
        wait_for(stack, "seen/uploads/next/")
        assert len(keys(stack, "seen/uploads/slow/")) == 2


def test_a_function_is_given_the_event_of_an_object_that_its_pattern_names(objects: LocalStack) -> None:
    put(objects, "uploads/a b/ü+%20", "four")
    (seen,) = wait_for(objects, "seen/uploads/a b/ü+%20/")
    told = event(objects, seen)
    assert (told["source"], told["detail-type"]) == ("aws.s3", "Object Created")
    assert told["detail"]["bucket"] == {"name": "remora-local-bucket"}
    described = told["detail"]["object"]
    # As it is: unlike S3's own notifications, those through EventBridge do not encode keys.
    assert described["key"] == "uploads/a b/ü+%20"
    assert described["size"] == 4
    assert described["etag"] == "8cbad96aced40b3838dd9f07f6ef5772"
    assert described["version-id"]
    assert told["detail"]["reason"] == "PutObject"


def test_a_function_is_not_given_the_events_of_other_objects(objects: LocalStack) -> None:
    put(objects, "jobs/one/job.json")
    put(objects, "exports/one/file")
    put(objects, "jobs/one/request-1.json")
    wait_for(objects, "seen/jobs/one/request-1.json/")
    assert [key.split("/")[1] for key in keys(objects, "seen/jobs/one/")] == ["jobs"]
    assert keys(objects, "seen/exports/") == []


def test_an_event_that_a_function_cannot_handle_is_tried_again_and_then_told_of(objects: LocalStack) -> None:
    put(objects, "uploads/broken")
    (told,) = wait_for(objects, "given-up/uploads/broken")
    assert len(keys(objects, "seen/uploads/broken/")) == 2
    record = event(objects, told)
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["requestContext"]["functionArn"].endswith(":function:ListenerFunction:$LATEST")
    assert record["requestPayload"]["detail"]["object"]["key"] == "uploads/broken"
    assert record["responsePayload"]["errorType"] == "ValueError"
    assert "ListenerFunction failed 2 times and gives up: ValueError" in objects.output()


def test_a_schedule_runs_once_at_the_start(objects: LocalStack) -> None:
    (tick,) = wait_for(objects, "ticks/")
    told = event(objects, tick)
    assert (told["source"], told["detail-type"]) == ("aws.events", "Scheduled Event")
    assert told["resources"][0].startswith("arn:aws:events:")


@pytest.mark.parametrize("content_type", [None, "application/pdf", "application/x-www-form-urlencoded"])
def test_a_file_can_be_sent_to_a_signed_url_and_starts_its_function(objects: LocalStack, content_type: str) -> None:
    key = f"uploads/{content_type}/ä b"
    content = "a=1&b=☕\n".encode()
    headers = {} if content_type is None else {"Content-Type": content_type}
    sent = httpx2.put(signed(objects, "put_object", key), content=content, headers=headers)
    assert sent.status_code == 200, sent.text
    assert httpx2.get(signed(objects, "get_object", key)).content == content
    (seen,) = wait_for(objects, f"seen/{key}/")
    assert event(objects, seen)["detail"]["object"]["size"] == len(content)


def test_a_stranger_is_refused(objects: LocalStack) -> None:
    url = signed(objects, "get_object", "uploads/x")
    put(objects, "memories/secret")
    plain = url.partition("?")[0].replace("uploads/x", "memories/secret")
    assert httpx2.get(plain).status_code == 403
    assert httpx2.get(plain.rpartition("/memories")[0]).status_code == 403
    assert httpx2.post(f"{httpx2.URL(url).copy_with(path='/moto-api/reset', query=b'')}").status_code == 403


def test_a_function_that_is_not_called_through_the_api_starts_with_its_first_event(tmp_path: Path) -> None:
    with start(tmp_path) as fresh:
        assert "objects.serve" in " ".join(descendants(fresh.process.pid).values())
        assert "objects.listen" not in " ".join(descendants(fresh.process.pid).values())
        put(fresh, "uploads/first")
        wait_for(fresh, "seen/uploads/first/")
        assert "objects.listen" in " ".join(descendants(fresh.process.pid).values())
