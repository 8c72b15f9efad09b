"""What browsers need and what protects people in them: CORS where clients call, security headers everywhere."""

import re
import secrets

from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    # Nothing about the opener: a client that opened this page in a window waits for it to come back there, and
    # Cross-Origin-Opener-Policy would cut that tie for good.
    "Cross-Origin-Resource-Policy": "same-origin",
    # `no-referrer` would make browsers send `Origin: null` with the form, which then could not be checked.
    "Referrer-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_CROSS_ORIGIN_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Retry-After, WWW-Authenticate",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
_COOKIE_SECONDS = 3600
_COOKIE_VALUE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class BrowserSafety:
    """Wraps an ASGI application, and sets each security header that it has not set itself.

    Args:
        app: The application.
        pages: Paths of pages for people. All others are for clients, of which some run in a browser, on any site:
            they may be called from anywhere, because nothing there goes by a cookie.
    """

    def __init__(self, app: ASGIApp, *, pages: frozenset[str]) -> None:
        self._pages = pages
        self._page = app
        self._endpoint = CORSMiddleware(
            app,
            allow_origins=["*"],
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "MCP-Protocol-Version"],
            max_age=3600,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._page(scope, receive, send)
            return
        is_page = scope["path"] in self._pages

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                # Whether or not this caller is a browser: what a cache keeps may be for one.
                for name, value in ({} if is_page else _CROSS_ORIGIN_HEADERS).items():
                    headers[name] = value
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await (self._page if is_page else self._endpoint)(scope, receive, send_safely)


class BrowserCookie:
    """The cookie that ties a consent page to the browser that asked for it.

    Args:
        issuer: The public URL. With https the name carries the prefix that keeps other hosts from setting it (RFC
            6265bis, section 4.1.3.2).
    """

    def __init__(self, issuer: str) -> None:
        self._secure = issuer.startswith("https:")
        self._name = ("__Host-" if self._secure else "") + "remora-consent"

    def read(self, request: Request) -> str:
        """Return the cookie's value; empty if there is none."""
        value = request.cookies.get(self._name, "")
        return value if _COOKIE_VALUE.fullmatch(value) else ""

    def ensure(self, request: Request) -> str:
        """Return the cookie's value, a new one if there is none: pages in several tabs share it."""
        return self.read(request) or secrets.token_urlsafe(32)

    def set(self, response: Response, value: str) -> None:
        """Set the cookie. It comes along when the person is sent here again, but not with another site's forms."""
        response.set_cookie(
            self._name, value, max_age=_COOKIE_SECONDS, path="/", secure=self._secure, httponly=True, samesite="lax"
        )
