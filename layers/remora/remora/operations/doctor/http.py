"""Calls a deployment as a client does: bounded in time and size, without following redirects."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import urllib3

from remora import __version__
from remora.errors import UnavailableError

_CONNECT_SECONDS, _READ_SECONDS = 10.0, 60.0
_MOST_BYTES: Final = 4 * 1024 * 1024
_PROTOCOL: Final = "2025-11-25"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    Attributes:
        status: Its status.
        headers: Its headers, by name in lower case.
        body: Its body, as far as 4 MB.
        seconds: Seconds that it took.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    def document(self) -> Mapping[str, Any]:
        """Return the JSON object that the body is, or an empty one if it is none."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}


class Http:
    """A client of one deployment."""

    def __init__(self) -> None:
        """Prepare; nothing is sent yet."""
        timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS)
        self._pool = urllib3.PoolManager(timeout=timeout, retries=False)

    def get(self, url: str) -> Answer:
        """Ask for a document.

        Raises:
            UnavailableError: There was no answer.
        """
        return self._call("GET", url, {}, None)

    def rpc(
        self, url: str, method: str, params: Mapping[str, Any], key: str | None, space: str | None = None
    ) -> Answer:
        """Call a method of MCP.

        Args:
            url: URL of the endpoint.
            method: The method.
            params: Its parameters.
            key: The key to send; None for none.
            space: The space to work in, for a key that may name one.

        Raises:
            UnavailableError: There was no answer.
        """
        headers = {
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "MCP-Protocol-Version": _PROTOCOL,
        }
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        if space is not None:
            headers["Remora-Space"] = space
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        return self._call("POST", url, headers, body.encode())

    def _call(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        started = time.monotonic()
        try:
            answer = self._pool.request(
                method,
                url,
                headers={"User-Agent": f"remora-doctor/{__version__}", **headers},
                body=body,
                redirect=False,
                preload_content=False,
            )
            data = answer.read(_MOST_BYTES)
            answer.release_conn()
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise UnavailableError(f"{url} gave no answer ({type(reason).__name__}).") from None
        seconds = time.monotonic() - started
        return Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, data, seconds)
