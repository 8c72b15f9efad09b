"""The authorization server's routes: reads a request, calls `remora.oauth`, and answers with JSON or a page."""

from collections.abc import Callable

from aws_lambda_powertools import Logger
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from oauth.account import AccountRoutes
from oauth.browser import BrowserCookie, BrowserSafety, SessionCookie
from oauth.edge import ThroughTheEdge
from oauth.layout import Layout
from oauth.pages import decision_page, sign_in_page
from oauth.reading import BadRequestError, read_body, read_form
from oauth.steps import FOREIGN_FORM, RETRY_SECONDS, take
from remora.auth.edge import Edge
from remora.aws import Aws
from remora.errors import InvalidArgumentError, UnavailableError
from remora.oauth.metadata import authorization_server_metadata, openid_metadata, protected_resource_metadata
from remora.oauth.protocol import Answer
from remora.oauth.redirects import InvalidRedirectUriError
from remora.oauth.service import NOT_COVERED, AuthorizationService, Page
from remora.oauth.sessions import KeyRefusedError
from remora.oauth.settings import OAuthSettings
from remora.oauth.site import ACCOUNT, AUTHORIZE, JWKS, REGISTER, REVOKE, SIGN_IN, TOKEN, Site
from remora.oauth.throttling import ThrottledError, network

logger = Logger(child=True)

_DOCUMENT_CACHING = "public, max-age=300"


class AuthorizationServer:
    """The routes.

    Args:
        service: What they call.
        edge: What is in front of them.
    """

    def __init__(self, service: AuthorizationService, edge: Edge) -> None:
        self._service = service
        self._edge = edge
        self._cookie = BrowserCookie(service.site.issuer)
        self._session = SessionCookie(service.site.issuer)
        self._layout = Layout(service.site.issuer)

    def application(self) -> BrowserSafety:
        """Return the ASGI application."""
        documents = [
            ("/.well-known/oauth-protected-resource", self.protected_resource),
            ("/.well-known/oauth-authorization-server", self.authorization_server),
            ("/.well-known/openid-configuration", self.openid_configuration),
        ]
        routes = [
            Route(JWKS, self.jwks, methods=["GET"]),
            Route(AUTHORIZE, self.show_request, methods=["GET"]),
            Route(AUTHORIZE, self.take_step, methods=["POST"]),
            Route(TOKEN, self.token, methods=["POST"]),
            Route(REGISTER, self.register, methods=["POST"]),
            Route(REVOKE, self.revoke, methods=["POST"]),
            *AccountRoutes(self._service, self._session, self._layout, self._address).routes(),
        ]
        for path, document in documents:
            # Clients insert the resource's path after the well-known one (RFC 9728, section 3.1; RFC 8414, section
            # 3.1) or put it before (OpenID discovery, section 4), or leave it out.
            routes += [
                Route(pattern, document, methods=["GET"])
                for pattern in (path, path + "/{resource:path}", "/{resource:path}" + path)
            ]
        application = Starlette(
            routes=routes,
            exception_handlers={
                HTTPException: self._http_error,
                BadRequestError: self._bad_request,
                ThrottledError: self._throttled,
                UnavailableError: self._unavailable,
                Exception: self._failed,
            },
        )
        safe = ThroughTheEdge(application, self._edge)
        return BrowserSafety(safe, pages=frozenset({AUTHORIZE, SIGN_IN, ACCOUNT}))

    # ---- Discovery ----

    async def protected_resource(self, request: Request) -> Response:
        """Answer RFC 9728 metadata."""
        document = protected_resource_metadata(self._service.site, self._resource_path(request))
        if document is None:
            raise HTTPException(404)
        return _document(document)

    async def authorization_server(self, request: Request) -> Response:
        """Answer RFC 8414 metadata."""
        self._check_resource_path(request)
        return _document(authorization_server_metadata(self._service.site))

    async def openid_configuration(self, request: Request) -> Response:
        """Answer the same at the OpenID path."""
        self._check_resource_path(request)
        return _document(openid_metadata(self._service.site))

    async def jwks(self, request: Request) -> Response:
        """Answer the public keys (RFC 7517, section 5)."""
        keys = await run_in_threadpool(self._service.keys.published)
        return JSONResponse(
            {"keys": [key.public_jwk() for key in keys]}, headers={"Cache-Control": _DOCUMENT_CACHING}
        )

    # ---- The person ----

    async def show_request(self, request: Request) -> Response:
        """Show what a client asks for, and ask the person to sign in, or to decide if they have."""
        browser, session = self._cookie.ensure(request), self._session.read(request)
        pairs, address = list(request.query_params.multi_items()), self._address(request)
        response = await take(
            self._layout,
            lambda: self._show(self._service.begin(pairs, session=session, browser=browser, address=address)),
        )
        self._cookie.set(response, browser)
        return response

    async def take_step(self, request: Request) -> Response:
        """Take the step that the person has chosen on a page."""
        origin = request.headers.get("origin")
        if origin is not None and origin != self._service.site.issuer:
            return self._layout.problem(FOREIGN_FORM, status=403)
        fields = dict(await read_form(request))
        browser, session, address = self._cookie.read(request), self._session.read(request), self._address(request)
        form, service = fields.get("form", ""), self._service
        steps: dict[str, Callable[[], Response]] = {
            "sign-in": lambda: self._sign_in(form, fields.get("key", ""), browser, address),
            "switch": lambda: self._show(service.switch(form, browser=browser, address=address)),
            "allow": lambda: _redirect(service.allow(form, session=session, browser=browser, address=address)),
            "deny": lambda: _redirect(service.deny(form, browser=browser, address=address)),
        }
        step = steps.get(fields.get("action", ""))
        if step is None:
            return self._layout.problem("Start again from the application.", status=400)
        return await take(self._layout, step)

    def _show(self, page: Page) -> Response:
        if page.granted:
            return decision_page(self._layout, page)
        return sign_in_page(self._layout, page, problem="" if page.person is None else NOT_COVERED)

    def _sign_in(self, form: str, key: str, browser: str, address: str) -> Response:
        try:
            page, begun = self._service.sign_in(form, key, browser=browser, address=address)
        except KeyRefusedError as refused:
            again = self._service.reopen(form, browser=browser, address=address)
            return sign_in_page(self._layout, again, problem=str(refused), status=403)
        response = decision_page(self._layout, page)
        self._session.set(response, begun.text)
        return response

    # ---- The client ----

    async def token(self, request: Request) -> Response:
        """Redeem a code or a refresh token."""
        pairs = await read_form(request)
        return _json(await run_in_threadpool(self._service.token, pairs, request.headers.get("authorization")))

    async def revoke(self, request: Request) -> Response:
        """Revoke a token (RFC 7009)."""
        pairs = await read_form(request)
        return _json(await run_in_threadpool(self._service.revoke, pairs, request.headers.get("authorization")))

    async def register(self, request: Request) -> Response:
        """Register a client (RFC 7591)."""
        body = await read_body(request)
        address = self._address(request)
        try:
            registered = await run_in_threadpool(lambda: self._service.register(body, address=address))
        except InvalidRedirectUriError as error:
            return _error(400, "invalid_redirect_uri", str(error))
        except InvalidArgumentError as error:
            return _error(400, "invalid_client_metadata", str(error))
        return JSONResponse(registered.model_dump(exclude_none=True), status_code=201)

    # ---- Requests and errors ----

    def _address(self, request: Request) -> str:
        return network(request.client.host if request.client else "")

    def _resource_path(self, request: Request) -> str:
        path: str = request.path_params.get("resource", "")
        return "/" + path if path else ""

    def _check_resource_path(self, request: Request) -> None:
        if protected_resource_metadata(self._service.site, self._resource_path(request)) is None:
            raise HTTPException(404)

    async def _http_error(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = error.headers if isinstance(error, HTTPException) else None
        description = {404: "There is nothing at this address.", 405: "This address does not take this method."}
        response = _error(status, "invalid_request", description.get(status, "The request cannot be served."))
        response.headers.update(headers or {})
        return response

    async def _bad_request(self, request: Request, error: Exception) -> Response:
        return _error(400, "invalid_request", str(error))

    async def _throttled(self, request: Request, error: Exception) -> Response:
        seconds = error.retry_after if isinstance(error, ThrottledError) else 60
        return _error(429, "temporarily_unavailable", str(error), {"Retry-After": str(seconds)})

    async def _unavailable(self, request: Request, error: Exception) -> Response:
        logger.error("Request failed", exc_info=error)
        return _error(503, "temporarily_unavailable", "Try again in a moment.", {"Retry-After": RETRY_SECONDS})

    async def _failed(self, request: Request, error: Exception) -> Response:
        return _error(500, "server_error", "The server failed. The request may be tried again.")


def create_app(settings: OAuthSettings, site: Site, aws: Aws, fetch: Callable[[str], bytes]) -> BrowserSafety:
    """Return the authorization server.

    Args:
        settings: What the environment says.
        site: What the deployment is called.
        aws: Where AWS clients come from.
        fetch: Returns the JSON document at a client's URL, or raises `FetchError`.
    """
    edge = Edge(settings.origin_secret, aws)
    return AuthorizationServer(AuthorizationService(settings, site, aws, fetch), edge).application()


def _document(document: BaseModel) -> Response:
    return JSONResponse(document.model_dump(mode="json"), headers={"Cache-Control": _DOCUMENT_CACHING})


def _json(answer: Answer) -> Response:
    return JSONResponse(dict(answer.body), status_code=answer.status, headers=dict(answer.headers))


def _redirect(answer: Answer) -> Response:
    return RedirectResponse(answer.headers["Location"], status_code=answer.status)


def _error(status: int, error: str, description: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": error, "error_description": description}, status_code=status, headers=headers)
