"""The grants of the protocol: what Authlib asks for at each step, and what is stricter here than in Authlib.

OAuth 2.1, MCP and RFC 9700 want on top of what Authlib checks: PKCE with S256 for every client, resource indicators,
and refresh tokens that work once.
"""

import logging
import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from authlib.oauth2 import OAuth2Error, OAuth2Request
from authlib.oauth2.rfc6749 import (
    AuthorizationCodeMixin,
    ClientMixin,
    InvalidGrantError,
    InvalidRequestError,
    TokenMixin,
)
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, BaseGrant, RefreshTokenGrant
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge

from remora.auth.keys import RefusedError
from remora.auth.principal import Principal, Scope
from remora.auth.tokens import LIFETIME, AccessToken
from remora.errors import ConflictError
from remora.oauth.connections import AuthorizationCode, Connection, Consent, RefreshToken
from remora.oauth.metadata import AUTH_METHODS, SCOPES
from remora.oauth.parameters import ProtocolRequest
from remora.oauth.store import code_expiry, connection_expiry

if TYPE_CHECKING:
    from remora.oauth.protocol import AuthorizationEndpoint, TokenEndpoint

_CHALLENGE_LENGTH: Final = 43  # base64url of a SHA-256 (RFC 7636, section 4.2)
_CODE_BYTES: Final = 48

_TokenAnswer = dict[str, str | int]
"""Members of the token endpoint's answer (RFC 6749, section 5.1)."""

logger = logging.getLogger(__name__)
# It writes issued tokens into its debugging records.
logging.getLogger("authlib").setLevel(logging.INFO)


class InvalidTargetError(OAuth2Error):
    """A resource indicator is not of this deployment, or not of this authorization (RFC 8707, section 2)."""

    error = "invalid_target"


class S256Only(CodeChallenge):
    """PKCE for every client, confidential ones too, with the method S256 alone (RFC 9700, section 2.1.1)."""

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]  # noqa: RUF012

    def validate_code_challenge(self, grant: BaseGrant, redirect_uri: str) -> None:
        """Refuse a request without a challenge of S256."""
        parameters = _parameters_of(grant.request)
        # Left out, the method means `plain` (RFC 7636, section 4.3): that is a downgrade, not a default.
        challenge, method = parameters.get("code_challenge", ""), parameters.get("code_challenge_method")
        if len(challenge) != _CHALLENGE_LENGTH or method != "S256":
            raise InvalidRequestError("PKCE is required: code_challenge with the code_challenge_method S256")
        super().validate_code_challenge(grant, redirect_uri)


class _Code(AuthorizationCodeMixin):
    """A stored code, as Authlib reads it, with its text."""

    code_challenge_method = "S256"

    def __init__(self, text: str, stored: AuthorizationCode) -> None:
        self.text = text
        self.stored = stored
        self.code_challenge = stored.code_challenge

    def get_redirect_uri(self) -> str:
        return self.stored.redirect_uri

    def get_scope(self) -> str:
        return " ".join(sorted(self.stored.consent.scopes))


class _Credential(TokenMixin):
    """A connection that a token belongs to, as Authlib reads it."""

    def __init__(self, connection_id: str, connection: Connection) -> None:
        self.connection_id = connection_id
        self.connection = connection

    def check_client(self, client: ClientMixin) -> bool:
        return self.connection.consent.client_id == client.get_client_id()

    def get_scope(self) -> str:
        return " ".join(sorted(self.connection.consent.scopes))


class _RefreshCredential(_Credential):
    """A connection, with the refresh token by which it was found."""

    def __init__(self, token: RefreshToken, connection: Connection) -> None:
        super().__init__(token.connection_id, connection)
        self.token = token


class _TokenGrant(BaseGrant):
    """What both token grants do: look at the consent again, and issue tokens by it."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS
    server: "TokenEndpoint"
    request: ProtocolRequest
    consent: Consent
    principal: Principal
    refresh_token: RefreshToken

    def audience(self, consent: Consent) -> tuple[str, ...]:
        """Return the resources that the token is for: those asked for now, or else all that were consented to.

        Raises:
            InvalidTargetError: The person did not consent to one that is asked for (RFC 8707, section 2.2).
        """
        wanted = [self.server.site.resource(identifier) for identifier in self.request.values("resource")]
        if any(resource not in consent.resources for resource in wanted):
            raise InvalidTargetError("The resource is not one that was authorized")
        return tuple(resource for resource in consent.resources if resource in wanted) or consent.resources

    def look_again(self, connection_id: str, consent: Consent) -> Principal:
        """Return the principal, as far as it may still be acted for.

        Raises:
            InvalidGrantError: It may no longer be; the connection has ended.
        """
        try:
            principal = self.server.people.still_allowed(
                consent.principal_id, consent.key_id, consent.space, consent.scopes
            )
        except RefusedError as refused:
            logger.warning("Connection ended", extra={"reason": refused.reason, "principal_id": consent.principal_id})
            self.server.store.revoke(connection_id)
            raise InvalidGrantError("The key that this was authorized with is no longer valid") from None
        self.consent = consent
        self.principal = principal
        return principal

    def issue(self, connection_id: str, refresh_token: RefreshToken, scope: str | None) -> _TokenAnswer:
        """Return the answer with both tokens; `save_token` keeps what has to be kept of it."""
        scopes = self.principal.scopes & {Scope(name) for name in (scope or "").split()}
        if not scopes:
            raise InvalidGrantError("None of the scopes may be granted any longer")
        self.refresh_token = refresh_token
        now = datetime.now(UTC)
        access_token = AccessToken(
            principal_id=self.principal.id,
            key_id=self.consent.key_id,
            client_id=self.consent.client_id,
            scopes=scopes,
            space=self.consent.space,
            audience=self.audience(self.consent),
            connection=connection_id,
            id=secrets.token_urlsafe(16),
            issued_at=now,
            expires_at=now + LIFETIME,
        )
        answer: _TokenAnswer = {
            "access_token": self.server.keys.sign(access_token),
            "token_type": "Bearer",
            "expires_in": int(LIFETIME.total_seconds()),
            "scope": " ".join(name for name in SCOPES if name in scopes),
        }
        if self.client.check_grant_type("refresh_token"):
            answer["refresh_token"] = str(refresh_token)
        return answer


class RequestGrant(AuthorizationCodeGrant):
    """The authorization endpoint's half of the code grant."""

    server: "AuthorizationEndpoint"
    request: ProtocolRequest

    @staticmethod
    def validate_authorization_redirect_uri(request: OAuth2Request, client: ClientMixin) -> str:
        """Return the redirect URI, if it is the client's."""
        # Authlib would repeat the URI in its message, and it is a stranger's.
        requested = _parameters_of(request).get("redirect_uri") or client.get_default_redirect_uri()
        if not requested or not client.check_redirect_uri(requested):
            raise InvalidRequestError("The redirect URI is not one that the application registered")
        return requested

    def validate_authorization_request(self) -> str:
        """Return the redirect URI of a valid request, with resources of this deployment alone."""
        redirect_uri = super().validate_authorization_request()
        if any(self.server.site.resource(identifier) is None for identifier in self.request.values("resource")):
            raise InvalidTargetError(
                f"A resource is one of {', '.join(self.server.site.resources)}", redirect_uri=redirect_uri
            )
        return redirect_uri

    def generate_authorization_code(self) -> str:
        """Return a new code."""
        return secrets.token_urlsafe(_CODE_BYTES)

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        """Keep a code with what it stands for."""
        consent = request.user
        if not isinstance(consent, Consent):
            raise TypeError("A code stands for a consent")
        stored = AuthorizationCode(
            consent=consent,
            redirect_uri=self.redirect_uri,
            code_challenge=_parameters_of(request)["code_challenge"],
            connection_id=RefreshToken.first(code).connection_id,
            expires_at=code_expiry(time.time()),
        )
        self.server.store.put_code(code, stored)


class CodeGrant(_TokenGrant, AuthorizationCodeGrant):
    """Redeems a code."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    def query_authorization_code(self, code: str, client: ClientMixin) -> _Code | None:
        """Return a code that can still be redeemed by this client."""
        stored = self.server.store.get_code(code)
        if stored is None or stored.consent.client_id != client.get_client_id():
            return None
        if stored.used:
            self._replayed(stored)
            return None
        return _Code(code, stored) if stored.expires_at > time.time() else None

    def validate_token_request(self) -> None:
        """Check the request, and that its resources are among those consented to."""
        super().validate_token_request()
        self.audience(self._code.stored.consent)

    def authenticate_user(self, authorization_code: _Code) -> Principal:
        """Return whom the tokens will act for."""
        return self.look_again(authorization_code.stored.connection_id, authorization_code.stored.consent)

    def generate_token(
        self,
        user: Principal | None = None,
        scope: str | None = None,
        grant_type: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,
    ) -> _TokenAnswer:
        """Return the token answer."""
        return self.issue(self._code.stored.connection_id, RefreshToken.first(self._code.text), scope)

    def save_token(self, token: _TokenAnswer) -> None:
        """Keep what the answer promises, and use up what it was given for."""
        code = self._code
        now = time.time()
        connection = Connection(
            consent=self.consent,
            refresh_sha256=self.refresh_token.sha256,
            expires_at=connection_expiry(now),
            created_at=int(now),
            used_at=int(now),
        )
        try:
            self.server.store.redeem(code.text, code.stored.connection_id, connection)
        except ConflictError:
            self._replayed(code.stored)
            raise InvalidGrantError("The code was used already") from None
        logger.info(
            "Connection opened",
            extra={
                "connection": code.stored.connection_id,
                "principal_id": self.consent.principal_id,
                "client_id": self.consent.client_id,
            },
        )

    def delete_authorization_code(self, authorization_code: _Code) -> None:
        """Do nothing: it was used up together with opening the connection, and is kept to notice a replay."""

    @property
    def _code(self) -> _Code:
        code = self.request.authorization_code
        if not isinstance(code, _Code):
            raise TypeError("The code has not been looked up")
        return code

    def _replayed(self, stored: AuthorizationCode) -> None:
        # RFC 6749, section 4.1.2: whoever redeemed it first may have stolen it.
        logger.warning("Code replayed", extra={"client_id": stored.consent.client_id})
        self.server.store.revoke(stored.connection_id)


class RefreshGrant(_TokenGrant, RefreshTokenGrant):
    """Replaces a refresh token."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> _RefreshCredential:
        """Return the connection of a refresh token that is good now."""
        token = RefreshToken.parse(refresh_token)
        connection = None if token is None else self.server.store.get_connection(token.connection_id)
        if token is None or connection is None or connection.revoked:
            raise InvalidGrantError("The refresh token is not valid")
        credential = _RefreshCredential(token, connection)
        # Before anything is ended because of it: nobody else's client can end this connection.
        if not credential.check_client(self.client):
            raise InvalidGrantError("The refresh token is not valid")
        if not secrets.compare_digest(connection.refresh_sha256, token.sha256):
            raise self._reused(credential)
        return credential

    def validate_token_request(self) -> None:
        """Check the request, and that its resources are among those consented to."""
        super().validate_token_request()
        self.audience(self._credential.connection.consent)

    def authenticate_user(self, refresh_token: _RefreshCredential) -> Principal:
        """Return whom the tokens will act for."""
        return self.look_again(refresh_token.connection_id, refresh_token.connection.consent)

    def generate_token(
        self,
        user: Principal | None = None,
        scope: str | None = None,
        grant_type: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,
    ) -> _TokenAnswer:
        """Return the token answer."""
        return self.issue(self._credential.connection_id, self._credential.token.next(), scope)

    def save_token(self, token: _TokenAnswer) -> None:
        """Keep what the answer promises, and use up what it was given for."""
        credential = self._credential
        now = time.time()
        renewed = credential.connection.model_copy(
            update={
                "refresh_sha256": self.refresh_token.sha256,
                "expires_at": connection_expiry(now),
                "used_at": int(now),
            }
        )
        try:
            self.server.store.rotate(credential.connection_id, renewed, old=credential.token.sha256)
        except ConflictError:
            raise self._reused(credential) from None

    def revoke_old_credential(self, refresh_token: TokenMixin) -> None:
        """Do nothing: the new token took its place."""

    @property
    def _credential(self) -> _RefreshCredential:
        credential = self.request.refresh_token
        if not isinstance(credential, _RefreshCredential):
            raise TypeError("The refresh token has not been looked up")
        return credential

    def _reused(self, credential: _RefreshCredential) -> InvalidGrantError:
        # RFC 9700, section 4.14.2: which of the two is the thief cannot be told, so both are shut out.
        logger.warning("Refresh token reused", extra={"principal_id": credential.connection.consent.principal_id})
        self.server.store.revoke(credential.connection_id)
        return InvalidGrantError("The refresh token was used already")


class Revocation(RevocationEndpoint):
    """Ends a connection by either of its tokens (RFC 7009)."""

    CLIENT_AUTH_METHODS = AUTH_METHODS
    server: "TokenEndpoint"

    def query_token(self, token_string: str, token_type_hint: str | None) -> _Credential | None:
        """Return the connection of a token, of either kind."""
        refresh_token = RefreshToken.parse(token_string)
        if refresh_token is not None:
            return self._find(refresh_token.connection_id)
        try:
            return self._find(self.server.keys.verify(token_string, expired=True).connection)
        except RefusedError:
            return None

    def revoke_token(self, token: _Credential, request: OAuth2Request) -> None:
        """End the connection."""
        self.server.store.revoke(token.connection_id)
        logger.info("Connection revoked", extra={"connection": token.connection_id})

    def _find(self, connection_id: str) -> _Credential | None:
        connection = self.server.store.get_connection(connection_id)
        return None if connection is None else _Credential(connection_id, connection)


def _parameters_of(request: OAuth2Request) -> dict[str, str]:
    return {} if request.payload is None else request.payload.data
