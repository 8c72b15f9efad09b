"""The readiness check of the stack, with a real Chroma and a listener in S3's place."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from scripts.chroma import ready
from tests.support.chroma_server import ChromaServer

DEADLINE_SECONDS = 20


@dataclass
class Context:
    """What Lambda gives a handler, as far as it is read."""

    seconds: float = 60

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


@dataclass
class Listener:
    """Answers everything with one status and body, and remembers what was put."""

    status: int = 200
    body: bytes = b""
    received: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    port: int = 0


@contextmanager
def listening(listener: Listener) -> Iterator[Listener]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(listener.status)
            self.end_headers()
            self.wfile.write(listener.body)

        def do_PUT(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            listener.received.append((self.path, self.headers["Content-Type"], document))
            self.do_GET()

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield listener
    finally:
        server.shutdown()
        server.server_close()


def event(kind: str, url: str, bucket: Listener, **more: str) -> dict[str, Any]:
    return {
        "RequestType": kind,
        "ResponseURL": f"http://127.0.0.1:{bucket.port}/answer?signature=abc",
        "StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/remora/1",
        "RequestId": "r-1",
        "LogicalResourceId": "Ready",
        "ResourceProperties": {"Url": url},
        **more,
    }


@pytest.fixture
def bucket() -> Iterator[Listener]:
    with listening(Listener()) as listener:
        yield listener


def test_cloudformation_is_told_once_chroma_answers(bucket: Listener, tmp_path: Path) -> None:
    chroma = ChromaServer(tmp_path)
    later = threading.Timer(0.5, chroma.start)
    later.start()
    try:
        # It asks again and again: nothing answers at first.
        url = f"http://127.0.0.1:{chroma.port}/api/v2/heartbeat"
        assert ready.problem(url, time.monotonic() + DEADLINE_SECONDS, pause=0.05) == ""
        ready.handler(event("Create", url, bucket), Context())
    finally:
        later.join()
        chroma.stop()
    ((path, content_type, answer),) = bucket.received
    assert (path, content_type) == ("/answer?signature=abc", "")
    assert answer == {
        "Status": "SUCCESS",
        "Reason": "Chroma answers",
        "PhysicalResourceId": "chroma",
        "StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/remora/1",
        "RequestId": "r-1",
        "LogicalResourceId": "Ready",
    }


def test_what_the_bootstrap_says_is_the_reason_of_the_failure_at_once(bucket: Listener) -> None:
    with listening(Listener(503, b"vol-1 holds something else, and is left as it is")) as machine:
        url = f"http://127.0.0.1:{machine.port}/api/v2/heartbeat"
        ready.handler(event("Update", url, bucket, PhysicalResourceId="chroma"), Context(3600))
    ((_, _, answer),) = bucket.received
    assert answer["Status"] == "FAILED"
    assert answer["Reason"].endswith("vol-1 holds something else, and is left as it is")


def test_a_server_that_never_answers_fails_before_the_function_ends(bucket: Listener) -> None:
    with listening(Listener()) as gone:
        url = f"http://127.0.0.1:{gone.port}/api/v2/heartbeat"
    ready.handler(event("Create", url, bucket), Context(30.2))
    ((_, _, answer),) = bucket.received
    assert answer["Status"] == "FAILED"
    assert url in answer["Reason"]


def test_something_that_is_deleted_is_not_waited_for(bucket: Listener) -> None:
    with listening(Listener()) as gone:
        url = f"http://127.0.0.1:{gone.port}/api/v2/heartbeat"
    ready.handler(event("Delete", url, bucket, PhysicalResourceId="chroma"), Context(3600))
    ((_, _, answer),) = bucket.received
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", "chroma")
