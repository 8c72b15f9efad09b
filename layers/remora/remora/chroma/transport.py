"""Sends one request to Chroma and brings back its answer, within a deadline, over connections that are kept.

It speaks through httpcore2, the engine beneath httpx2: of a request's cost on the client's side that leaves 0.6 ms
instead of 1.1, and a query is two requests. Nothing of what httpx2 adds (redirects, cookies, authentication,
decoding by charset) is of use here.
"""

import asyncio
from collections.abc import Mapping
from ssl import create_default_context
from typing import Any
from urllib.parse import urlencode

import httpcore2
from pydantic_core import from_json, to_json

from remora.chroma.deadline import Deadline
from remora.chroma.failures import no_answer, not_sent, refusal
from remora.chroma.token import HEADER, Token
from remora.chroma.wire import Json
from remora.observability.timing import measured

_ROOT = "/api/v2"
_CONNECT_SECONDS = 3.0
# Well under the 350 s after which AWS forgets an idle TCP connection without telling either end.
_KEEP_ALIVE_SECONDS = 60.0
_MAX_CONNECTIONS = 32

# The connection broke: not a timeout, and not a connection that could not be opened.
_BROKEN = (httpcore2.RemoteProtocolError, httpcore2.ReadError, httpcore2.WriteError)
_NEVER_SENT = (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.PoolTimeout)


class Transport:
    """A pool of connections to one Chroma server."""

    def __init__(self, host: str, port: int, *, ssl: bool, token: Token | None, timeout_seconds: float) -> None:
        """Make the pool; nothing is connected yet.

        Args:
            host: Host name or address.
            port: Port.
            ssl: Whether to speak TLS.
            token: What every request shows; never logged.
            timeout_seconds: Longest that one request may take, whatever its deadline.
        """
        self._timeout_seconds = timeout_seconds
        self._token = token
        self._scheme = b"https" if ssl else b"http"
        self._host = host.encode("idna") if not host.isascii() else host.encode()
        self._port = port
        named = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._headers = [(b"host", named.encode()), (b"accept", b"application/json")]
        self._pool = httpcore2.AsyncConnectionPool(
            # Reading the system's certificates takes 70 ms of a cold start, so only where TLS needs them.
            ssl_context=create_default_context() if ssl else None,
            max_connections=_MAX_CONNECTIONS,
            max_keepalive_connections=_MAX_CONNECTIONS,
            keepalive_expiry=_KEEP_ALIVE_SECONDS,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, int] | None = None,
        repeatable: bool,
        deadline: Deadline,
    ) -> Json:
        """Send a request and return the decoded JSON of its answer.

        Args:
            method: HTTP method.
            path: Path below `/api/v2`, its segments percent-encoded.
            body: JSON body.
            params: Query parameters.
            repeatable: Whether the request changes nothing. Only such a request is sent again (once) when the
                connection breaks, as a kept one does when Chroma was restarted since it was last used.
            deadline: When the answer must be there.

        Raises:
            RemoraError: Chroma could not be reached, did not answer in time, or refused (see `failures`).
        """
        query = f"?{urlencode(params)}" if params else ""
        content = None if body is None else to_json(body)
        with measured("chroma"):
            response = await self._send(
                method, f"{_ROOT}{path}{query}", content, repeatable=repeatable, deadline=deadline
            )
        if not 200 <= response.status < 300:
            raise refusal(response.status, response.content, repeatable=repeatable)
        try:
            return from_json(response.content) if response.content else None
        except ValueError:
            raise no_answer("sent an answer that is not JSON", repeatable=repeatable) from None

    async def _send(
        self, method: str, target: str, content: bytes | None, *, repeatable: bool, deadline: Deadline
    ) -> httpcore2.Response:
        headers = self._headers
        if self._token is not None:
            headers = [*headers, (HEADER, await self._token.read())]
        seconds = min(self._timeout_seconds, deadline.remaining())
        if seconds <= 0:
            raise not_sent("no time was left for the request")
        url = httpcore2.URL(scheme=self._scheme, host=self._host, port=self._port, target=target.encode("ascii"))
        if content is not None:
            length = str(len(content)).encode()
            headers = [*headers, (b"content-type", b"application/json"), (b"content-length", length)]
        # The total is bounded by `asyncio.timeout`; connecting has a bound of its own.
        limits = {"connect": min(_CONNECT_SECONDS, seconds), "pool": seconds}

        async def send() -> httpcore2.Response:
            return await self._pool.request(
                method, url, headers=headers, content=content, extensions={"timeout": limits}
            )

        try:
            async with asyncio.timeout(seconds):
                try:
                    return await send()
                except _BROKEN:
                    if not repeatable:
                        raise
                    return await send()
        except _NEVER_SENT as error:
            refused = isinstance(error, httpcore2.ConnectError)
            raise not_sent("no connection" if refused else "connecting took too long") from None
        except (TimeoutError, httpcore2.TimeoutException):
            raise no_answer(f"did not answer within {seconds:.1f} seconds", repeatable=repeatable) from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError):
            raise no_answer("closed the connection without an answer", repeatable=repeatable) from None
