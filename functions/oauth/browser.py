"""What browsers need and what protects people in them: CORS where clients call, security headers everywhere."""

import re
import secrets
from datetime import timedelta

from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from remora.auth.sessions import LIFETIME

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
_COOKIE_LIFETIME = timedelta(hours=1)
_COOKIE_VALUE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_SESSION_VALUE = re.compile(r"[A-Za-z0-9_.-]{1,1000}", re.ASCII)


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


class _Cookie:
    """A cookie of this host alone.

    It is `SameSite=Lax`: it comes along when another site sends the person here, which is how every authorization
    begins (an assistant's page leads to `/authorize`; with `Strict` nobody would ever be signed in there), but not
    with another site's forms, frames, images or scripts. Scripts cannot read it, not even ours: there are none.

    Args:
        issuer: The public URL. With https the name carries the prefix that keeps other hosts from setting it (RFC
            6265bis, section 4.1.3.2).
        name: The name, without the prefix.
        value: What a value of it looks like.
        lifetime: How long the browser keeps it.
    """

    def __init__(self, issuer: str, name: str, value: re.Pattern[str], lifetime: timedelta) -> None:
        self._secure = issuer.startswith("https:")
        self._name = ("__Host-" if self._secure else "") + name
        self._value = value
        self._seconds = int(lifetime.total_seconds())

    def read(self, request: Request) -> str:
        """Return the cookie's value; empty if there is none."""
        value = request.cookies.get(self._name, "")
        return value if self._value.fullmatch(value) else ""

    def set(self, response: Response, value: str) -> None:
        """Set the cookie."""
        response.set_cookie(
            self._name, value, max_age=self._seconds, path="/", secure=self._secure, httponly=True, samesite="lax"
        )

    def clear(self, response: Response) -> None:
        """Make the browser forget the cookie."""
        response.delete_cookie(self._name, path="/", secure=self._secure, httponly=True, samesite="lax")


class BrowserCookie(_Cookie):
    """The cookie that ties a consent page to the browser that asked for it."""

    def __init__(self, issuer: str) -> None:
        super().__init__(issuer, "remora-consent", _COOKIE_VALUE, _COOKIE_LIFETIME)

    def ensure(self, request: Request) -> str:
        """Return the cookie's value, a new one if there is none: pages in several tabs share it."""
        return self.read(request) or secrets.token_urlsafe(32)


class SessionCookie(_Cookie):
    """The cookie that keeps a person signed in: a session as `remora.auth.sessions` signs it."""

    def __init__(self, issuer: str) -> None:
        super().__init__(issuer, "remora-session", _SESSION_VALUE, LIFETIME)


def sent_by_this_site(request: Request, issuer: str) -> bool:
    """Return whether a page of this host sent a form.

    Browsers say with every form where it comes from, and no page can make them say anything else. This alone stops
    forged requests, the sending of a stranger's key among them, where there is no session yet that `SameSite` could
    keep back. Sites below the same domain share its cookies' site, so that needs it too.

    Args:
        request: A POST request.
        issuer: The public URL.
    """
    return request.headers.get("origin") == issuer
