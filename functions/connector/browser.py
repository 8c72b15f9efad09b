"""What browsers need and what protects them: CORS, the Origin check, security headers, on every answer."""

import json
import re
from collections.abc import Mapping, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

# Read by MCP clients that run in a browser; without them a 401 cannot start OAuth and a 429 cannot be waited out.
_EXPOSED_HEADERS = (
    "MCP-Protocol-Version",
    "Mcp-Session-Id",
    "Remora-Next-Cursor",
    "Retry-After",
    "WWW-Authenticate",
    "x-amzn-RequestId",
)
_REQUEST_HEADERS = (
    "Accept",
    "Authorization",
    "Content-Type",
    "Last-Event-ID",
    "MCP-Protocol-Version",
    "Mcp-Method",
    "Mcp-Name",
    "Mcp-Session-Id",
    "Remora-Space",
    # Other ways to present a key, which the distribution turns into Authorization.
    "X-Api-Key",
    "X-Auth-Token",
)
_PREFLIGHT_SECONDS = 3600


def _origin_pattern(allowed: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern that matches the allowed origins; `http://localhost:*` stands for any port."""
    alternatives = (
        re.escape(origin.removesuffix(":*")) + r"(:\d{1,5})?" if origin.endswith(":*") else re.escape(origin)
        for origin in allowed
    )
    return re.compile("|".join(alternatives) or r"(?!)")


class BrowserSafety:
    """Wraps an ASGI application for callers that are browsers.

    A request that carries an Origin comes from a browser, and its page must be one of the allowed origins:
    otherwise any page could reach a server that the browser can (DNS rebinding; MCP specification, Streamable
    HTTP transport, security warning). Requests without an Origin are not a browser's and pass.
    """

    def __init__(self, app: ASGIApp, allowed_origins: Sequence[str]) -> None:
        self._allowed = _origin_pattern(allowed_origins)
        self._app = CORSMiddleware(
            app,
            allow_origin_regex=self._allowed.pattern,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_EXPOSED_HEADERS,
            max_age=_PREFLIGHT_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        origin = Headers(scope=scope).get("origin")
        if origin is not None and not self._allowed.fullmatch(origin):
            await refusal(403, "This Origin may not call this server; its owner can allow it (AllowedOrigins).")(
                scope, receive, send_safely
            )
            return
        await self._app(scope, receive, send_safely)


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an HTTP error whose body is a JSON-RPC error, so that MCP clients can show its message."""
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": message}}
    return Response(json.dumps(body), status_code=status, headers=headers, media_type="application/json")
