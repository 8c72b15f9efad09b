"""The authorization server as its face sees it: each thing that somebody may ask, as one method."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import UnsupportedResponseTypeError

from remora.auth.principal import Scope
from remora.aws import Aws
from remora.oauth.account import Account
from remora.oauth.clients import Client
from remora.oauth.documents import ClientDocuments, Fetch, UnknownDocumentError, bare_client, is_client_url
from remora.oauth.forms import ConsentForm, FormError, Forms
from remora.oauth.people import People, SignedIn
from remora.oauth.protocol import Answer, AuthorizationEndpoint, AuthorizationRequest, TokenEndpoint
from remora.oauth.registration import Registered, Registrar
from remora.oauth.sessions import Begun, KeyRefusedError, Sessions
from remora.oauth.settings import OAuthSettings
from remora.oauth.signing import TokenKeys
from remora.oauth.site import Site
from remora.oauth.store import Store
from remora.oauth.throttling import DECISION_BY_REQUEST, SIGN_IN_BY_REQUEST, Throttle

NOT_COVERED = "This key may not allow what the application asks for."
"""Said of a key that is good, but covers none of the scopes that are asked for."""


_CODES_ALONE = "The application asks for something else than an authorization code: response_type must be code."


class RejectedRequestError(Exception):
    """An authorization request is not valid.

    Attributes:
        reason: Why, for the person who is looking.
        return_to: URL by which the client learns of it, if it is known to be the client's own. It is for the person
            to follow: a server that redirects by itself upon an error can be made to send people anywhere by
            whoever registers a client (RFC 9700, section 4.11.2).
    """

    def __init__(self, reason: str, return_to: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.return_to = return_to


@dataclass(frozen=True, slots=True)
class Page:
    """What a consent page shows.

    Attributes:
        request: What is asked for.
        form: The sealed form that goes with the next step.
        person: Who has signed in, or None before.
        granted: The scopes that the person would grant. None before they have signed in, and if their key covers
            nothing of what is asked for: then they need another key to go on.
    """

    request: AuthorizationRequest
    form: str
    person: SignedIn | None = None
    granted: frozenset[Scope] = frozenset()


class AuthorizationService:
    """The authorization server.

    Attributes:
        site: What the deployment is called.
        keys: What it signs with.
        sessions: How people sign in.
        account: What they see and end once they have.

    Args:
        settings: What the environment says.
        site: What the deployment is called.
        aws: Where AWS clients come from.
        fetch: Returns the JSON document at a URL that a stranger chose, or raises `FetchError`.
    """

    def __init__(self, settings: OAuthSettings, site: Site, aws: Aws, fetch: Fetch) -> None:
        self.site = site
        self.keys = TokenKeys(aws, settings.signing_secret, self.site.issuer)
        self._store = Store(aws, settings.oauth_table)
        self._throttle = Throttle(self._store)
        self._registrar = Registrar(self._store, self._throttle)
        self._documents = ClientDocuments(self._store, self._throttle, fetch)
        self._people = People(aws, settings.principals_secret, seconds=settings.principals_cache_seconds)
        self._forms = Forms(self.keys)
        self.sessions = Sessions(self.keys, self._people, self._throttle)
        self.account = Account(self._store, self._people)

    def begin(self, pairs: Sequence[tuple[str, str]], *, session: str, browser: str, address: str) -> Page:
        """Return the first page of an authorization request: for a person who has signed in, the decision.

        Args:
            pairs: Parameters of the query, decoded.
            session: The person's session; empty if they have none.
            browser: Value of the browser's cookie.
            address: The network that the request comes from.

        Raises:
            RejectedRequestError: The request is not valid.
            ThrottledError: Too many clients' URLs were asked for.
            UnavailableError: The table or a secret did not answer.
        """
        request = self._check(pairs, address)
        form, person = ConsentForm.begin(request.parameters), self.sessions.resume(session)
        return self._show(request, form, browser) if person is None else self._ask(request, form, person, browser)

    def sign_in(self, form: str, key: str, *, browser: str, address: str) -> tuple[Page, Begun]:
        """Return the second page, on which the person decides, and the session that they have now.

        Args:
            form: The first page's sealed form.
            key: The key that the person typed.
            browser: Value of the browser's cookie.
            address: The network that the request comes from.

        Raises:
            FormError: The form is no good.
            KeyRefusedError: The key is no good.
            RejectedRequestError: The request has become invalid.
            ThrottledError: There were too many attempts.
            UnavailableError: The table or a secret did not answer.
        """
        opened = self._forms.open(form, browser)
        self._throttle.admit(SIGN_IN_BY_REQUEST, opened.id)
        begun = self.sessions.begin(key, address=address)
        page = self._ask(self._check(opened.parameters, address), opened, begun.person, browser)
        if not page.granted:
            raise KeyRefusedError(NOT_COVERED)
        return page, begun

    def switch(self, form: str, *, browser: str, address: str) -> Page:
        """Return the page on which somebody who has signed in may type another key.

        Args:
            form: The second page's sealed form.
            browser: Value of the browser's cookie.
            address: The network that the request comes from.

        Raises:
            FormError: The form is no good.
            RejectedRequestError: The request has become invalid.
            UnavailableError: The table or a secret did not answer.
        """
        opened = self._forms.open(form, browser)
        return self._show(self._check(opened.parameters, address), opened.signed_out(), browser)

    def reopen(self, form: str, *, browser: str, address: str) -> Page:
        """Return the page that a form came from, to show it again.

        Args:
            form: The sealed form.
            browser: Value of the browser's cookie.
            address: The network that the request comes from.

        Raises:
            FormError: The form is no good.
            RejectedRequestError: The request has become invalid.
            UnavailableError: The table or a secret did not answer.
        """
        opened = self._forms.open(form, browser)
        return Page(self._check(opened.parameters, address), form)

    def allow(self, form: str, *, session: str, browser: str, address: str) -> Answer:
        """Return the redirect that tells the client that the person said yes.

        Args:
            form: The second page's sealed form.
            session: The person's session.
            browser: Value of the browser's cookie.
            address: The network that the request comes from.

        Raises:
            FormError: The form is no good.
            RejectedRequestError: The request has become invalid.
            ThrottledError: The form was used too often.
            UnavailableError: The table or a secret did not answer.
        """
        opened = self._forms.open(form, browser)
        person = opened.person
        if person is None:
            raise FormError("Sign in first.")
        # Who pressed the button must still be who saw it: a page that was left open outlives signing out.
        now = self.sessions.resume(session)
        if now is None or (now.principal.id, now.key_id) != (person.principal.id, person.key_id):
            raise FormError(
                "You have signed out, or in with another key, since this page was opened. Start again from the "
                "application."
            )
        self._throttle.admit(DECISION_BY_REQUEST, opened.id)
        endpoint = self._authorization_endpoint(address)
        request = _check(endpoint, opened.parameters)
        self._registrar.keep(request.client)
        return endpoint.allow(request, person)

    def deny(self, form: str, *, browser: str, address: str) -> Answer:
        """Return the redirect that tells the client that the person said no.

        Args:
            form: Either page's sealed form.
            browser: Value of the browser's cookie.
            address: The network that the request comes from.

        Raises:
            FormError: The form is no good.
            RejectedRequestError: The request has become invalid.
            UnavailableError: The table or a secret did not answer.
        """
        opened = self._forms.open(form, browser)
        endpoint = self._authorization_endpoint(address)
        return endpoint.deny(_check(endpoint, opened.parameters))

    def register(self, body: bytes, *, address: str) -> Registered:
        """Register a client; see `Registrar.register`."""
        return self._registrar.register(body, address)

    def token(self, pairs: Sequence[tuple[str, str]], authorization: str | None) -> Answer:
        """Answer a token request; see `TokenEndpoint.token`."""
        return self._token_endpoint.token(pairs, authorization)

    def revoke(self, pairs: Sequence[tuple[str, str]], authorization: str | None) -> Answer:
        """Answer a revocation request; see `TokenEndpoint.revoke`."""
        return self._token_endpoint.revoke(pairs, authorization)

    @cached_property
    def _token_endpoint(self) -> TokenEndpoint:
        return TokenEndpoint(self.site, self._store, self._find_for_token, self._people, self.keys)

    def _find_for_token(self, client_id: str) -> Client | None:
        if is_client_url(client_id):
            return bare_client(client_id)
        client = self._registrar.find(client_id)
        if client is not None:
            self._registrar.keep(client)
        return client

    def _authorization_endpoint(self, address: str) -> AuthorizationEndpoint:
        @cache  # One request asks for its client several times.
        def find(client_id: str) -> Client | None:
            if is_client_url(client_id):
                return self._documents.find(client_id, address)
            return self._registrar.find(client_id)

        return AuthorizationEndpoint(self.site, self._store, find)

    def _show(self, request: AuthorizationRequest, form: ConsentForm, browser: str) -> Page:
        return Page(request, self._forms.seal(form, browser))

    def _ask(self, request: AuthorizationRequest, form: ConsentForm, person: SignedIn, browser: str) -> Page:
        granted = person.principal.scopes & request.scopes
        kept = form.signed_in(person) if granted else form
        return Page(request, self._forms.seal(kept, browser), person, granted)

    def _check(self, pairs: Sequence[tuple[str, str]], address: str) -> AuthorizationRequest:
        return _check(self._authorization_endpoint(address), pairs)


def _check(endpoint: AuthorizationEndpoint, pairs: Sequence[tuple[str, str]]) -> AuthorizationRequest:
    try:
        return endpoint.check(pairs)
    except UnknownDocumentError as error:
        raise RejectedRequestError(str(error)) from None
    except OAuth2Error as error:
        # Authlib wraps one message of its own in another here.
        unsupported = isinstance(error, UnsupportedResponseTypeError)
        reason = _CODES_ALONE if unsupported else str(error.get_error_description() or error.error)
        if error.redirect_uri is None:
            raise RejectedRequestError(reason) from None
        raise RejectedRequestError(reason, return_to=endpoint.error_location(error)) from None
