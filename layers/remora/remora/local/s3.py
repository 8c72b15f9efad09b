"""S3 that loses nothing: moto's, one request at a time, each on disk before its answer leaves."""

import io
import json
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.test import run_wsgi_app

from remora.errors import UnavailableError
from remora.local.buckets import Changes, StoredBackend
from remora.local.events import Event, object_created
from remora.local.objects import ObjectTable

logger = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Receivers = Callable[[Event], Iterable[str]]

_FORM = "application/x-www-form-urlencoded"
_FAILURE = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>InternalError</Code><Message>We encountered an internal error. Please try again.</Message></Error>"
)
_INCOMPLETE = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>IncompleteBody</Code>'
    b"<Message>You did not provide the number of bytes specified by the Content-Length HTTP header.</Message></Error>"
)


class S3:
    """A WSGI application.

    One request at a time: moto checks the condition of a conditional write before it writes, and nothing may come
    between. A write that cannot be put on disk is undone, and answered as S3 answers its own failures.
    """

    def __init__(self, table: ObjectTable) -> None:
        """Take the place of moto's S3 in this process, until `close`.

        Args:
            table: Where the objects are.
        """
        self._table = table
        self._backend = StoredBackend(table)
        self._backend.install()
        self._app = create_backend_app("s3")
        self._buckets: frozenset[str] = frozenset()
        self._receivers: Receivers = lambda _: ()
        self._on_event: Callable[[], None] = lambda: None

    def notify(self, buckets: frozenset[str], receivers: Receivers, on_event: Callable[[], None]) -> None:
        """Tell functions of objects that are created from now on.

        Args:
            buckets: Names of the buckets that tell of theirs.
            receivers: Returns the names of the functions that are to handle an event.
            on_event: Called, from any thread, when there are new pending events in the table.
        """
        self._buckets, self._receivers, self._on_event = buckets, receivers, on_event

    def close(self) -> None:
        """Leave S3 to an empty moto."""
        self._backend.uninstall()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        # All of it before others have to wait: a client may be slow.
        sent = _body(environ)
        if sent is None:
            start_response("400 Bad Request", [("Content-Type", "application/xml")])
            return [_INCOMPLETE]
        environ["wsgi.input"] = io.BytesIO(sent)
        if environ.get("CONTENT_TYPE", "").startswith(_FORM):
            # moto would take the fields of a form for the object.
            environ["CONTENT_TYPE"] = "application/octet-stream"
        with self._table.lock:
            try:
                body, status, headers = run_wsgi_app(self._app, environ, buffered=True)
                content = b"".join(body)
                # What a refused request has changed before it was refused is forgotten.
                refused = int(status.split()[0]) >= HTTPStatus.BAD_REQUEST
                told = False if refused else self._keep(environ)
            except UnavailableError as error:
                logger.error("S3 could not keep %s: %s", environ.get("PATH_INFO"), error)
                start_response("500 Internal Server Error", [("Content-Type", "application/xml")])
                return [_FAILURE]
            finally:
                self._backend.settle()
        if told:
            self._on_event()
        start_response(status, list(headers))
        return [content]

    def _keep(self, environ: Environ) -> bool:
        """Write what a request has changed; return whether there are events about it."""
        changes = self._backend.changes()
        events = self._events(environ, changes)
        if changes.added or changes.removed:
            self._table.apply(added=changes.added, removed=changes.removed, events=events)
        return bool(events)

    def _events(self, environ: Environ, changes: Changes) -> list[tuple[str, str]]:
        events = []
        for created in changes.created:
            if created.bucket not in self._buckets:
                continue
            event = object_created(created, reason=_reason(environ), at=datetime.now(UTC))
            events += [(function, json.dumps(event)) for function in self._receivers(event)]
        return events


def _body(environ: Environ) -> bytes | None:
    """Return what was sent; None if the client went away before it had sent everything."""
    stream = environ["wsgi.input"]
    try:
        if environ.get("wsgi.input_terminated"):
            return bytes(stream.read())
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = bytes(stream.read(length))
    except OSError:
        return None
    return body if len(body) == length else None


def _reason(environ: Environ) -> str:
    """Return what S3 calls the request that created an object."""
    if "HTTP_X_AMZ_COPY_SOURCE" in environ:
        return "CopyObject"
    if "uploadId" in parse_qs(environ.get("QUERY_STRING", "")):
        return "CompleteMultipartUpload"
    return "POST Object" if environ["REQUEST_METHOD"] == "POST" else "PutObject"
