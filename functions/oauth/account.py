"""The routes of the account: signing in and out, and a person's connections."""

from collections.abc import Callable
from html import escape

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from oauth.account_pages import Notice, account_page, sign_in_page
from oauth.browser import SessionCookie, sent_by_this_site
from oauth.layout import Layout
from oauth.reading import read_form
from oauth.steps import take
from remora.oauth.people import SignedIn
from remora.oauth.service import AuthorizationService
from remora.oauth.sessions import KeyRefusedError
from remora.oauth.site import ACCOUNT, SIGN_IN

_FOREIGN_FORM = "This form was sent by another site, or by a browser that does not say where it comes from."
_OTHER_PERSON = "You have signed in as somebody else since this page was opened."
_OUT_OF_DATE = "This page is out of date."
_DONE = "done"


class AccountRoutes:
    """The routes.

    Each form is answered with a redirect, so that going back or loading again does nothing twice.

    Args:
        service: What they call.
        cookie: Where the session is.
        layout: The frame of the pages.
        address: Returns the network that a request comes from.
    """

    def __init__(
        self,
        service: AuthorizationService,
        cookie: SessionCookie,
        layout: Layout,
        address: Callable[[Request], str],
    ) -> None:
        self._sessions = service.sessions
        self._account = service.account
        self._issuer = service.site.issuer
        self._cookie = cookie
        self._layout = layout
        self._address = address

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(SIGN_IN, self.show_sign_in, methods=["GET"]),
            Route(SIGN_IN, self.sign_in, methods=["POST"]),
            Route(ACCOUNT, self.show, methods=["GET"]),
            Route(ACCOUNT, self.change, methods=["POST"]),
        ]

    async def show_sign_in(self, request: Request) -> Response:
        """Ask for the key, unless the person has signed in."""
        session, notice = self._cookie.read(request), _notice(request)

        def step() -> Response:
            if self._sessions.resume(session) is not None:
                return self._go(ACCOUNT)
            return sign_in_page(self._layout, notice=notice)

        return await take(self._layout, step)

    async def sign_in(self, request: Request) -> Response:
        """Begin a session."""
        if not sent_by_this_site(request, self._issuer):
            return self._open_again(_FOREIGN_FORM, status=403)
        fields, address = dict(await read_form(request)), self._address(request)

        def step() -> Response:
            try:
                begun = self._sessions.begin(fields.get("key", ""), address=address)
            except KeyRefusedError as refused:
                return sign_in_page(self._layout, problem=str(refused), status=403)
            response = self._go(ACCOUNT)
            self._cookie.set(response, begun.text)
            return response

        return await take(self._layout, step)

    async def show(self, request: Request) -> Response:
        """Show the person's connections."""
        session, notice = self._cookie.read(request), _notice(request)

        def step() -> Response:
            person = self._sessions.resume(session)
            if person is None:
                return self._go(SIGN_IN)
            return account_page(self._layout, person, self._account.connections(person), notice=notice)

        return await take(self._layout, step)

    async def change(self, request: Request) -> Response:
        """Do what the person has chosen."""
        if not sent_by_this_site(request, self._issuer):
            return self._open_again(_FOREIGN_FORM, status=403)
        fields, session = dict(await read_form(request)), self._cookie.read(request)
        if fields.get("action") == "sign-out":
            # Whatever the session is worth: there is no reason to keep anybody signed in.
            response = self._go(SIGN_IN, Notice.SIGNED_OUT)
            self._cookie.clear(response)
            return response

        def step() -> Response:
            person = self._sessions.resume(session)
            if person is None:
                return self._go(SIGN_IN)
            return self._change(person, fields)

        return await take(self._layout, step)

    def _change(self, person: SignedIn, fields: dict[str, str]) -> Response:
        if fields.get("principal") != person.principal.id:
            # Another tab may have signed in as somebody else, whose connections this page has not shown.
            return self._open_again(_OTHER_PERSON, status=409)
        if fields.get("action") == "disconnect":
            ended = self._account.disconnect(person, fields.get("connection", ""))
            return self._go(ACCOUNT, Notice.DISCONNECTED if ended else Notice.NOT_CONNECTED)
        if fields.get("action") == "disconnect-all":
            self._account.disconnect_all(person)
            return self._go(ACCOUNT, Notice.ALL_DISCONNECTED)
        return self._open_again(_OUT_OF_DATE, status=400)

    def _open_again(self, problem: str, *, status: int) -> Response:
        link = f'<p><a href="{escape(self._issuer + ACCOUNT)}">Open your account</a></p>'
        return self._layout.problem(problem, status=status, way_on=link)

    def _go(self, path: str, notice: Notice | None = None) -> Response:
        query = "" if notice is None else f"?{_DONE}={notice}"
        # 303, so that the browser asks for the page and does not send the form again (RFC 9110, section 15.4.4).
        return RedirectResponse(self._issuer + path + query, status_code=303)


def _notice(request: Request) -> Notice | None:
    # One of our own sentences, whatever a link to here says.
    try:
        return Notice(request.query_params.get(_DONE, ""))
    except ValueError:
        return None
