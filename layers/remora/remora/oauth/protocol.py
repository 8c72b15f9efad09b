"""The OAuth protocol on Authlib: the authorization endpoint and the token endpoint.

Authlib decides which requests are valid, in which order that is checked, and what each error is called. Here is what
it asks its surroundings for, and how it answers; the grants are in `remora.oauth.grants`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from authlib.common.urls import add_params_to_uri
from authlib.oauth2 import AuthorizationServer, OAuth2Error, OAuth2Request
from authlib.oauth2.rfc6749 import ClientMixin, InvalidClientError, InvalidRequestError

from remora.auth.principal import Scope
from remora.oauth.clients import Client
from remora.oauth.connections import Consent
from remora.oauth.grants import CodeGrant, RefreshGrant, RequestGrant, Revocation, S256Only
from remora.oauth.metadata import SCOPES
from remora.oauth.parameters import (
    AUTHORIZATION_PARAMETERS,
    TOKEN_PARAMETERS,
    Pairs,
    ProtocolRequest,
    client_authentication,
    read_parameters,
)
from remora.oauth.people import People, SignedIn
from remora.oauth.redirects import destination
from remora.oauth.signing import TokenKeys
from remora.oauth.site import AUTHORIZE, REVOKE, TOKEN, Site
from remora.oauth.store import Store


class FindClient(Protocol):
    """Returns the client of an id, or None."""

    def __call__(self, client_id: str) -> Client | None:
        """Find it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer.

    Attributes:
        status: HTTP status.
        body: JSON members; empty for a redirect.
        headers: HTTP headers.
    """

    status: int
    body: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A valid authorization request, for the person to decide upon.

    Attributes:
        client: Who asks.
        redirect_uri: Where the answer goes.
        scopes: What is asked for, of what can be granted at all.
        resources: The resources that it is asked for.
        parameters: The request itself.
    """

    client: Client
    redirect_uri: str
    scopes: frozenset[Scope]
    resources: tuple[str, ...]
    parameters: Pairs


class _Endpoint(AuthorizationServer):
    """What Authlib's server needs to know of its surroundings."""

    def __init__(self, site: Site, store: Store, find_client: FindClient) -> None:
        super().__init__()
        self.site = site
        self.store = store
        self._find_client = find_client

    def query_client(self, client_id: str) -> ClientMixin:
        # Authlib asks whether there is one; its stubs do not say so.
        return self._find_client(client_id)  # type: ignore[return-value]

    def create_oauth2_request(self, request: object) -> ProtocolRequest:
        if not isinstance(request, ProtocolRequest):
            raise TypeError("A checked request is wanted")
        return request

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Do nothing: nobody listens."""

    def handle_response(
        self, status: int, body: Mapping[str, object] | str, headers: Mapping[str, str] | Iterable[tuple[str, str]]
    ) -> Answer:
        kept = dict(headers)
        if "Location" in kept:
            # RFC 9207, section 2: in every authorization response, errors too, against mix-up.
            kept["Location"] = add_params_to_uri(kept["Location"], [("iss", self.site.issuer)])
            # RFC 9700, section 4.12: 303, so that what a form sent is not sent on.
            status = 303
        return Answer(status, {} if isinstance(body, str) else body, kept)

    def handle_error_response(self, request: OAuth2Request | None, error: OAuth2Error) -> Answer:
        if isinstance(error, InvalidClientError):
            # Clients take a 401 for a lost registration, and register again.
            error.status_code = 401
        answer = self.handle_response(*error(None))
        headers = dict(answer.headers)
        if request is None or not (request.headers or {}).get("Authorization"):
            # RFC 6749, section 5.2: only a client that tried Basic is challenged. A browser would ask for a password.
            headers.pop("WWW-Authenticate", None)
        return Answer(answer.status, answer.body, headers)


class AuthorizationEndpoint(_Endpoint):
    """Checks authorization requests, and answers them once a person has decided.

    Args:
        site: The deployment.
        store: Where codes are kept.
        find_client: Finds clients with their redirect URIs.
    """

    def __init__(self, site: Site, store: Store, find_client: FindClient) -> None:
        super().__init__(site, store, find_client)
        self.register_grant(RequestGrant, [S256Only()])

    def check(self, pairs: Sequence[tuple[str, str]]) -> AuthorizationRequest:
        """Return the request that parameters make, if it is valid.

        Args:
            pairs: Parameters of the query, decoded.

        Raises:
            OAuth2Error: It is not. `redirect_uri` is set if the client may be told, and is known to be its own.
        """
        parameters = read_parameters(pairs, AUTHORIZATION_PARAMETERS)
        grant = self._grant(parameters)
        wanted = {Scope(name) for name in (grant.request.payload.scope or "").split()}
        resources = (self.site.resource(identifier) for identifier in grant.request.values("resource"))
        return AuthorizationRequest(
            client=grant.client,
            redirect_uri=grant.redirect_uri,
            scopes=frozenset(wanted or {Scope(name) for name in SCOPES}),
            # A client that names no resource knows of none: what it gets is for any of this deployment's.
            resources=tuple(dict.fromkeys(filter(None, resources))) or self.site.resources,
            parameters=parameters,
        )

    def error_location(self, error: OAuth2Error) -> str:
        """Return the URL by which a client learns of an error in its request; its `redirect_uri` must be set."""
        return self.handle_error_response(None, error).headers["Location"]

    def allow(self, request: AuthorizationRequest, person: SignedIn) -> Answer:
        """Return the redirect that carries a code to the client.

        Args:
            request: What was asked for.
            person: Who allowed it.

        Raises:
            UnavailableError: The table did not answer.
        """
        consent = Consent(
            client_id=request.client.id,
            principal_id=person.principal.id,
            key_id=person.key_id,
            space=person.principal.space,
            scopes=person.principal.scopes & request.scopes,
            resources=request.resources,
            client_name=request.client.name,
            client_host=request.client.host or "",
            sent_to=destination(request.redirect_uri),
        )
        return self._decide(request, consent)

    def deny(self, request: AuthorizationRequest) -> Answer:
        """Return the redirect that tells the client that the person said no."""
        return self._decide(request, None)

    def _decide(self, request: AuthorizationRequest, consent: Consent | None) -> Answer:
        grant = self._grant(request.parameters)
        return _ours(self.create_authorization_response(grant.request, grant_user=consent, grant=grant))

    def _grant(self, parameters: Pairs) -> RequestGrant:
        request = ProtocolRequest("GET", self.site.endpoint(AUTHORIZE), parameters, {})
        grant: RequestGrant = self.get_consent_grant(request)  # type: ignore[no-untyped-call]
        return grant


class TokenEndpoint(_Endpoint):
    """Redeems codes and refresh tokens, and revokes.

    Args:
        site: The deployment.
        store: Where codes and connections are kept.
        find_client: Finds clients with their credentials.
        people: Who may still be acted for.
        keys: Signs access tokens.
    """

    def __init__(self, site: Site, store: Store, find_client: FindClient, people: People, keys: TokenKeys) -> None:
        super().__init__(site, store, find_client)
        self.people = people
        self.keys = keys
        self.register_grant(CodeGrant, [S256Only()])
        self.register_grant(RefreshGrant)
        self.register_endpoint(Revocation)

    def token(self, pairs: Sequence[tuple[str, str]], authorization: str | None) -> Answer:
        """Answer a token request.

        Args:
            pairs: Parameters of the form, decoded.
            authorization: The Authorization header.

        Raises:
            UnavailableError: The table or a secret did not answer.
        """
        try:
            request = self._request(TOKEN, pairs, authorization)
            if "grant_type" not in request.form:
                raise InvalidRequestError("grant_type is missing")
        except OAuth2Error as error:
            return self.handle_error_response(None, error)
        return _ours(self.create_token_response(request))

    def revoke(self, pairs: Sequence[tuple[str, str]], authorization: str | None) -> Answer:
        """Answer a revocation request.

        Args:
            pairs: Parameters of the form, decoded.
            authorization: The Authorization header.

        Raises:
            UnavailableError: The table or a secret did not answer.
        """
        # A hint that is not known may be ignored (RFC 7009, section 2.1); Authlib would refuse it.
        hints = Revocation.SUPPORTED_TOKEN_TYPES
        kept = [(name, value) for name, value in pairs if name != "token_type_hint" or value in hints]
        try:
            request = self._request(REVOKE, kept, authorization)
        except OAuth2Error as error:
            return self.handle_error_response(None, error)
        return _ours(self.create_endpoint_response(Revocation.ENDPOINT_NAME, request))  # type: ignore[no-untyped-call]

    def _request(self, path: str, pairs: Sequence[tuple[str, str]], authorization: str | None) -> ProtocolRequest:
        parameters = read_parameters(pairs, TOKEN_PARAMETERS)
        return ProtocolRequest("POST", self.site.endpoint(path), parameters, client_authentication(authorization))


def _ours(answer: object) -> Answer:
    if not isinstance(answer, Answer):
        raise TypeError("Authlib answered past handle_response")
    return answer
