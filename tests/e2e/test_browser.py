"""A real browser: a page of an allowed origin calls the connector and reads its answers, another page does not."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.support.local_stack import UNLIMITED, LocalStack, start_local_stack

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")

CALL = """
async ({url, headers, method}) => {
  const init = {method: method || "POST", headers: headers};
  if (init.method === "POST") {
    init.body = JSON.stringify({jsonrpc: "2.0", id: 1, method: "tools/list"});
  }
  try {
    const answer = await fetch(url, init);
    return {
      status: answer.status,
      challenge: answer.headers.get("WWW-Authenticate"),
      policy: answer.headers.get("Content-Security-Policy"),
      text: await answer.text(),
    };
  } catch (error) {
    return {error: String(error)};
  }
}
"""


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer an empty page."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>page</title>")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@contextmanager
def site() -> Iterator[str]:
    """Serve a page, and return its origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True)
class Sites:
    """A deployment and two pages.

    Attributes:
        stack: The deployment.
        allowed: A page whose origin may call it.
        other: A page of another origin.
    """

    stack: LocalStack
    allowed: Any
    other: Any

    def headers(self, key: str | None) -> dict[str, str]:
        """Return what an MCP client in a page sends."""
        headers = {
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "MCP-Protocol-Version": "2025-11-25",
            "Remora-Space": "local",
        }
        return headers | ({"Authorization": f"Bearer {key}"} if key is not None else {})


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory, model_dir: object) -> Iterator[Sites]:
    """Two pages in a browser, of which one may call."""
    from playwright.sync_api import sync_playwright

    with site() as allowed, site() as other:
        parameters = {**UNLIMITED, "AllowedOrigins": f"https://claude.ai,{allowed}"}
        with (
            start_local_stack(tmp_path_factory.mktemp("browser"), parameters=parameters) as stack,
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
            )
            pages = []
            for origin in (allowed, other):
                page = browser.new_context().new_page()
                page.goto(origin)
                pages.append(page)
            yield Sites(stack, *pages)
            browser.close()


def test_a_page_of_an_allowed_origin_calls_with_a_key(sites: Sites) -> None:
    answer = sites.allowed.evaluate(CALL, {"url": sites.stack.url, "headers": sites.headers(sites.stack.key)})
    assert answer.get("status") == 200, answer
    assert "memory_search" in answer["text"]


@pytest.mark.parametrize("key", [None, "rmr_local_" + "x" * 43], ids=["no key", "an unknown key"])
def test_a_page_of_an_allowed_origin_reads_the_challenge_of_a_401(sites: Sites, key: str | None) -> None:
    answer = sites.allowed.evaluate(CALL, {"url": sites.stack.url, "headers": sites.headers(key)})
    assert answer.get("status") == 401, answer
    assert answer["challenge"].startswith("Bearer ")
    assert "error" in answer["text"]


def test_a_page_of_an_allowed_origin_reads_errors_too(sites: Sites) -> None:
    headers = sites.headers(sites.stack.key)
    missing = sites.allowed.evaluate(
        CALL, {"url": f"{sites.stack.stage_url}/api/memory/jobs/7h3kq9x2ma", "headers": headers, "method": "GET"}
    )
    assert missing.get("status") == 404, missing
    refused = sites.allowed.evaluate(CALL, {"url": sites.stack.url, "headers": headers | {"Remora-Space": "a"}})
    assert refused.get("status") == 400, refused


def test_a_page_of_another_origin_can_neither_call_nor_read_the_challenge(sites: Sites) -> None:
    for key in (sites.stack.key, None, "rmr_local_" + "x" * 43):
        answer = sites.other.evaluate(CALL, {"url": sites.stack.url, "headers": sites.headers(key)})
        assert "Failed to fetch" in answer.get("error", ""), answer


def test_a_page_of_another_origin_cannot_read_what_takes_no_key_either(sites: Sites) -> None:
    request = {"url": f"{sites.stack.stage_url}/health", "headers": {}, "method": "GET"}
    assert sites.allowed.evaluate(CALL, request).get("status") == 200
    assert "Failed to fetch" in sites.other.evaluate(CALL, request).get("error", "")


def test_no_page_can_frame_an_answer(sites: Sites) -> None:
    framed = """
    async (url) => {
      const frame = document.createElement("iframe");
      frame.src = url;
      const loaded = new Promise((resolve) => { frame.onload = frame.onerror = resolve; });
      document.body.append(frame);
      await loaded;
      try { return frame.contentDocument === null ? "apart" : frame.contentDocument.body.innerText; }
      catch (error) { return "apart"; }
    }
    """
    for page in (sites.allowed, sites.other):
        refused: list[str] = []
        page.on("console", lambda message, refused=refused: refused.append(message.text))
        assert page.evaluate(framed, f"{sites.stack.stage_url}/health") in ("apart", "")
        assert any("frame" in text.lower() for text in refused), refused
