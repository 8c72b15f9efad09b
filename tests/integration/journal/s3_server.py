"""S3 for the journal's tests: moto over real HTTP, atomic as S3 is, and failing as a test says."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

Answer = Iterable[bytes]
Decide = Callable[[str, str], str]

_ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>as the test says</Message></Error>'
_REFUSALS = {
    "slow down": ("503 Slow Down", "SlowDown"),
    "refuse": ("403 Forbidden", "AccessDenied"),
    "conflict": ("409 Conflict", "ConditionalRequestConflict"),
    "lose": ("500 Internal Server Error", "InternalError"),
}


@dataclass
class S3Server:
    """A server whose behaviour can change at any time.

    moto looks whether an object exists and writes it in two steps, with nothing to keep another request out between
    them; S3 does both at once. So one request is served at a time.

    Attributes:
        decide: Given a request's method and target, what to do with it: `pass`, `stall` (answer nothing until the
            server stops), `slow down`, `refuse`, `conflict` (refuse it as S3 does under load), or `lose` (do it, and
            answer that it failed).
        page: Most keys that a listing answers with at once, as S3 may answer with fewer than were asked for.
        requests: Method and target of the requests it saw.
    """

    decide: Decide = lambda _method, _target: "pass"
    page: int | None = None
    requests: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _server: BaseWSGIServer | None = None

    def start(self) -> None:
        """Serve on a free port."""
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def spoil_puts(self, *actions: str) -> None:
        """Do this with the next PUTs, one after the other, and let the rest pass."""
        left = iter(actions)
        self.decide = lambda method, _target: next(left, "pass") if method == "PUT" else "pass"

    @property
    def url(self) -> str:
        """Its URL."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Stop serving."""
        assert self._server is not None
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Answer:
        query = f"?{environ['QUERY_STRING']}" if environ["QUERY_STRING"] else ""
        method, target = environ["REQUEST_METHOD"], environ["PATH_INFO"] + query
        self.requests.append(f"{method} {target}")
        action = self.decide(method, target)
        if self.page is not None and "prefix=" in query:
            environ["QUERY_STRING"] += f"&max-keys={self.page}"
        if action == "stall":
            self._stopping.wait()
        if action in {"pass", "lose"}:
            with self._lock:
                answer: Answer = list(self._app(environ, start_response if action == "pass" else _ignore))
            if action == "pass":
                return answer
        status, code = _REFUSALS.get(action, _REFUSALS["refuse"])
        body = _ERROR.format(code=code).encode()
        start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]


def _ignore(*_: object) -> Callable[[bytes], object]:
    return lambda _written: None
