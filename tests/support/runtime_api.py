"""Lambda's runtime API for one function, which runs in AWS's own runtime client as a process of its own.

It is what the runtime emulator serves too, and besides what SnapStart needs: an environment may be started as the one
that a snapshot is taken of, which then waits to be restored.
API: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

REPOSITORY = Path(__file__).parents[2]
_PATHS = ("functions", "layers/remora")
_WAIT_SECONDS = 60.0
_INVOCATION_SECONDS = 900.0


class FunctionProcess:
    """An execution environment of a function.

    Attributes:
        log: File that holds what it has written.
    """

    def __init__(self, handler: str, environment: Mapping[str, str], *, log: Path, snap_start: bool = False) -> None:
        """Prepare it; entering it starts it.

        Args:
            handler: `package.module.function`.
            environment: Its environment variables; nothing of this process' environment reaches it but PATH.
            log: Where its output goes.
            snap_start: Whether a snapshot is taken when it is ready; then it has to be restored.
        """
        self.log = log
        self._handler = handler
        self._snapshot, self._restored = threading.Event(), threading.Event()
        self._events: queue.Queue[str] = queue.Queue()
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._requests())
        self._server.daemon_threads = True
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(str(REPOSITORY / path) for path in _PATHS),
            "PYTHONUNBUFFERED": "1",
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}",
            "AWS_LAMBDA_FUNCTION_NAME": handler.split(".")[0],
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start" if snap_start else "on-demand",
            "LAMBDA_TASK_ROOT": str(REPOSITORY / "functions"),
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "awslambdaric", self._handler],
                cwd=REPOSITORY / "functions",
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._server.shutdown()
        self._server.server_close()

    def wait_for_snapshot(self) -> None:
        """Wait until it has done what it does before a snapshot is taken of it."""
        assert self._snapshot.wait(_WAIT_SECONDS), self.log.read_text()

    def restore(self) -> None:
        """Go on from the snapshot."""
        self._restored.set()

    def invoke(self, event: Mapping[str, Any]) -> dict[str, Any] | None:
        """Invoke the function and return what it answers; an error is a document with `errorType`."""
        self._events.put(json.dumps(event))
        try:
            answer: dict[str, Any] | None = self._answers.get(timeout=_WAIT_SECONDS)
        except queue.Empty:
            raise AssertionError(self.log.read_text()) from None
        return answer

    def lines(self) -> list[dict[str, Any]]:
        """Return the JSON objects that it has written."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def _requests(self) -> type[BaseHTTPRequestHandler]:
        process = self

        class Requests(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path.endswith("/restore/next"):
                    process._snapshot.set()
                    process._restored.wait(_WAIT_SECONDS)
                    self._answer(200)
                    return
                deadline = str(int((time.time() + _INVOCATION_SECONDS) * 1000))
                self._answer(
                    200,
                    process._events.get(),
                    {
                        "Lambda-Runtime-Aws-Request-Id": "00000000-0000-0000-0000-000000000000",
                        "Lambda-Runtime-Deadline-Ms": deadline,
                        "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:123456789012:function:f",
                        "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000;Sampled=0",
                    },
                )

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self._answer(202)
                process._answers.put(json.loads(body))

            def _answer(self, status: int, body: str = "", headers: Mapping[str, str] | None = None) -> None:
                content = body.encode()
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                # The runtime client reads it without looking whether it is there.
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                return

        return Requests
