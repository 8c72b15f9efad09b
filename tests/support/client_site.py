"""A client's own site on a loopback port: where a person begins, and where the browser comes back to."""

import contextlib
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

SECONDS = 15


@dataclass
class ClientSite:
    """A site that is another one than the authorization server's: `localhost`, where that is `127.0.0.1`.

    Attributes:
        url: Its address.
        pages: HTML of its pages, by path.
    """

    url: str
    pages: dict[str, str] = field(default_factory=dict)
    _answers: queue.Queue[dict[str, str]] = field(default_factory=queue.Queue)

    @property
    def callback(self) -> str:
        """The redirect URI."""
        return self.url + "/callback"

    def publish(self, path: str, body: str) -> str:
        """Publish a page, and return its URL."""
        self.pages[path] = f"<!DOCTYPE html><html lang=en><title>Client</title><body>{body}"
        return self.url + path

    def link(self, url: str) -> str:
        """Publish a page with a link, and return its URL."""
        return self.publish("/start", f'<a href="{escape(url)}">Connect</a>')

    def answer(self) -> dict[str, str]:
        """Wait for the next answer at the callback, and return its parameters."""
        return self._answers.get(timeout=SECONDS)

    def get(self, target: str) -> str | None:
        """Answer the browser."""
        parts = urlsplit(target)
        if parts.path == "/callback":
            self._answers.put({name: values[0] for name, values in parse_qs(parts.query).items()})
            return "<!DOCTYPE html><html lang=en><title>Client</title><h1>Back at the client</h1>"
        return self.pages.get(parts.path)


@contextlib.contextmanager
def client_site() -> Iterator[ClientSite]:
    """Serve a client's site."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = site.get(self.path)
            self.send_response(200 if page is not None else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write((page or "").encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site = ClientSite(f"http://localhost:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield site
        server.shutdown()
        thread.join(timeout=10)
