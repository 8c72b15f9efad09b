"""Access tokens: how the authorization server signs one, and how one is verified without asking anybody.

An access token is a JWT of the profile of RFC 9068 (`typ` is `at+jwt`), signed with Ed25519 (RFC 8037). It says
who allowed what to whom: the principal, its space and the scopes that were granted, the client, and the resources
that it is for (RFC 8707). Its bearer can read it, so it holds nothing secret: the principal's usage key is looked
up in the principals document when the token is used. That is also what ends it early: a principal that is
disabled, or whose key is revoked, is no longer there to be found.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Self

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from remora.auth.keys import Authenticated, PrincipalId, Principals, Refusal, RefusedError, StoredPrincipal
from remora.auth.keys import key_id as key_id
from remora.auth.principal import Principal, Scope

ALGORITHM: Final = "EdDSA"
"""The only algorithm that is signed with or accepted (RFC 8725, section 3.1)."""

TOKEN_TYPE: Final = "at+jwt"  # noqa: S105
"""RFC 9068, section 2.1: keeps any other JWT of this issuer from being taken for an access token."""

LIFETIME: Final = timedelta(minutes=15)
"""How long an access token lives; a revoked connection works for that much longer at most."""

GRANTABLE: Final = frozenset({Scope.READ, Scope.WRITE})
"""Scopes that a token may carry. `admin` takes the person's own key."""

_LEEWAY_SECONDS = 5
_SECRET_MINIMUM = 43  # characters of at least 6 bits each make up 256 bits
_CLAIMS = ("iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair that access tokens are signed with.

    Attributes:
        private: The Ed25519 private key.
        id: Its `kid`: the thumbprint of the public key (RFC 7638).
    """

    private: Ed25519PrivateKey
    id: str

    @classmethod
    def from_secret(cls, secret: str) -> Self:
        """Return the key pair that a secret stands for.

        An Ed25519 private key is 32 random bytes (RFC 8032, section 5.1.5); the hash makes them of a random
        text, which CloudFormation can generate, so that no key has to be made by hand.

        Args:
            secret: Random text of 256 bits or more.

        Raises:
            ValueError: The text is too short to hold so much.
        """
        if len(secret) < _SECRET_MINIMUM:
            raise ValueError(f"A signing secret has at least {_SECRET_MINIMUM} random characters")
        private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(secret.encode()).digest())
        return cls(private, _thumbprint(private.public_key()))

    def public_jwk(self) -> dict[str, str]:
        """Return the public key as a JSON Web Key (RFC 8037, section 2)."""
        members = _key_members(self.private.public_key())
        return members | {"kid": self.id, "alg": ALGORITHM, "use": "sig"}

    def derive(self, purpose: str) -> bytes:
        """Return a 32-byte symmetric key for another purpose, from which this key cannot be found."""
        return hmac.digest(self.private.private_bytes_raw(), f"remora {purpose}".encode(), "sha256")


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What an access token says.

    Attributes:
        principal_id: Whose authority it carries.
        key_id: The principal's key that the person signed in with, as `key_id()` names it.
        client_id: The client that it was issued to.
        scopes: What was granted; never `admin`.
        space: The space that the person saw when they consented.
        audience: The resources that it may be used at.
        connection: The connection that it belongs to, by which it can be revoked with its refresh token.
        id: Unique for each token.
        issued_at: When it was signed.
        expires_at: When it ceases to be valid.
    """

    principal_id: str
    key_id: str
    client_id: str
    scopes: frozenset[Scope]
    space: str
    audience: tuple[str, ...]
    connection: str
    id: str
    issued_at: datetime
    expires_at: datetime


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class _Claims(BaseModel):
    """The claims of an access token, once its signature is known to be good."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    sub: PrincipalId
    key_id: str = Field(pattern=r"^[0-9a-f]{16}$")
    client_id: str = Field(min_length=1)
    scope: str
    space: str
    aud: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = Field(min_length=1)
    sid: str
    jti: str
    iat: int
    exp: int


def sign(token: AccessToken, key: SigningKey, issuer: str) -> str:
    """Return the token as a signed JWT.

    Args:
        token: What it says.
        key: The key to sign with.
        issuer: Identifier of the authorization server.
    """
    claims = {
        "iss": issuer,
        "sub": token.principal_id,
        # One resource is a plain string: some readers know no other form (RFC 7519, section 4.1.3).
        "aud": token.audience[0] if len(token.audience) == 1 else list(token.audience),
        "exp": int(token.expires_at.timestamp()),
        "iat": int(token.issued_at.timestamp()),
        "jti": token.id,
        "client_id": token.client_id,
        "scope": " ".join(sorted(token.scopes)),
        "space": token.space,
        "key_id": token.key_id,
        "sid": token.connection,
    }
    return jwt.encode(claims, key.private, algorithm=ALGORITHM, headers={"kid": key.id, "typ": TOKEN_TYPE})


def key_name(text: str, token_type: str = TOKEN_TYPE) -> str:
    """Return the id of the key that a token claims to be signed with, so that it can be fetched.

    Args:
        text: The token as presented.
        token_type: What its `typ` must be: a token of one kind is never taken for another.

    Raises:
        RefusedError: The text is no token of that type, or names another algorithm.
    """
    try:
        header = jwt.get_unverified_header(text)
    except (jwt.InvalidTokenError, UnicodeError, ValueError):
        raise RefusedError(Refusal.MALFORMED) from None
    # RFC 8725, sections 3.1 and 3.11: the algorithm and the type are ours to decide, not the token's.
    if header.get("alg") != ALGORITHM or str(header.get("typ")).lower() not in {
        token_type,
        f"application/{token_type}",
    }:
        raise RefusedError(Refusal.MALFORMED)
    name = header.get("kid")
    if not isinstance(name, str):
        raise RefusedError(Refusal.MALFORMED)
    return name


def verify(text: str, keys: Mapping[str, Ed25519PublicKey], issuer: str, *, expired: bool = False) -> AccessToken:
    """Return what a token says, if this issuer signed it and it is valid now.

    Whether it may be used at the resource that was called is the caller's to check, against `audience`.

    Args:
        text: The token as presented.
        keys: The issuer's public keys by `kid`.
        issuer: Identifier of the authorization server.
        expired: Whether a token that has expired is accepted too, to revoke what it belongs to.

    Raises:
        RefusedError: It is malformed, of another issuer or key, has expired or is from the future.
    """
    key = keys.get(key_name(text))
    if key is None:
        raise RefusedError(Refusal.UNKNOWN)
    try:
        decoded = jwt.decode(
            text,
            key,
            algorithms=[ALGORITHM],
            issuer=issuer,
            leeway=_LEEWAY_SECONDS,
            options={"require": list(_CLAIMS), "verify_aud": False, "verify_exp": not expired},
        )
        claims = _Claims.model_validate(decoded)
        scopes = frozenset(Scope(name) for name in claims.scope.split())
        issued_at, expires_at = (datetime.fromtimestamp(moment, UTC) for moment in (claims.iat, claims.exp))
    except jwt.ExpiredSignatureError:
        raise RefusedError(Refusal.EXPIRED) from None
    except jwt.InvalidTokenError:
        raise RefusedError(Refusal.UNKNOWN) from None
    except (ValidationError, ValueError, OverflowError, OSError):
        raise RefusedError(Refusal.MALFORMED) from None
    return AccessToken(
        principal_id=claims.sub,
        key_id=claims.key_id,
        client_id=claims.client_id,
        scopes=scopes,
        space=claims.space,
        audience=claims.aud,
        connection=claims.sid,
        id=claims.jti,
        issued_at=issued_at,
        expires_at=expires_at,
    )


def key_holder(principal_id: str, key: str, principals: Principals, now: datetime | None = None) -> StoredPrincipal:
    """Return the principal that once signed in with a key, if that key is still good.

    Args:
        principal_id: Who signed in.
        key: The key that they signed in with, as `key_id()` names it.
        principals: Everyone who may come in.
        now: The time to judge expiry by; the current time unless given.

    Raises:
        RefusedError: The principal or the key is gone.
    """
    stored = principals.principals.get(principal_id)
    if stored is None:
        raise RefusedError(Refusal.UNKNOWN)
    if stored.disabled:
        raise RefusedError(Refusal.DISABLED)
    held = [candidate for candidate in stored.keys if key_id(candidate.sha256) == key]
    if not held:
        raise RefusedError(Refusal.UNKNOWN)
    moment = now or datetime.now(UTC)
    if all(candidate.expires_at is not None and candidate.expires_at <= moment for candidate in held):
        raise RefusedError(Refusal.EXPIRED)
    return stored


def still_allowed(
    principal_id: str,
    key: str,
    space: str,
    scopes: frozenset[Scope],
    principals: Principals,
    now: datetime | None = None,
) -> Authenticated:
    """Return what a principal that once consented may be acted for now.

    A connection lives no longer than the key that the person signed in with: revoking the key ends every
    connection that was made with it. It reaches no further than what the person saw: another space ends it too.

    Args:
        principal_id: Who consented.
        key: The key that they signed in with, as `key_id()` names it.
        space: The space that they saw.
        scopes: What they granted.
        principals: Everyone who may come in.
        now: The time to judge expiry by; the current time unless given.

    Raises:
        RefusedError: The principal or the key is gone, or the space is another one now.
    """
    stored = key_holder(principal_id, key, principals, now)
    if stored.space != space:
        raise RefusedError(Refusal.UNKNOWN)
    allowed = scopes & stored.scopes & GRANTABLE
    if not allowed:
        raise RefusedError(Refusal.UNKNOWN)
    return Authenticated(
        principal=Principal(id=principal_id, scopes=allowed, space=space), usage_key=stored.usage_key
    )


def authenticate_token(token: AccessToken, principals: Principals, now: datetime | None = None) -> Authenticated:
    """Return whose authority a verified token carries now.

    Args:
        token: What `verify` made of it.
        principals: Everyone who may come in.
        now: The time to judge expiry by; the current time unless given.

    Raises:
        RefusedError: The principal that it was issued for, or the key that they signed in with, is gone.
    """
    return still_allowed(token.principal_id, token.key_id, token.space, token.scopes, principals, now)


def _key_members(key: Ed25519PublicKey) -> dict[str, str]:
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"crv": "Ed25519", "kty": "OKP", "x": base64.urlsafe_b64encode(raw).decode().rstrip("=")}


def _thumbprint(key: Ed25519PublicKey) -> str:
    # RFC 7638, section 3: the required members in alphabetical order, without white space.
    text = json.dumps(_key_members(key), separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
