"""Sessions: how a person who has typed their key on a page stays signed in, without the key and without a table.

A session is a JWT in a cookie, signed with the same key as access tokens (Ed25519, RFC 8037). Its type and its
audience are its own, so that neither is ever taken for the other (RFC 8725, sections 3.9 and 3.11): a session opens
pages of this host and nothing else. It names the principal and the key that was typed, and says nothing of what they
may do: that is looked up each time. So revoking the key, or disabling the principal, ends it.

Nothing is kept of it. Signing out makes the browser forget it; a copy that somebody took before would be good until
it expires, unless the key is revoked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from remora.auth.keys import PrincipalId, Refusal, RefusedError
from remora.auth.tokens import ALGORITHM, SigningKey, key_name

SESSION_TYPE: Final = "remora-session+jwt"
"""Explicit typing (RFC 8725, section 3.11)."""

LIFETIME: Final = timedelta(hours=12)
"""How long a person stays signed in: a working day. It is not extended by use."""

_LEEWAY_SECONDS = 5
_CLAIMS = ("iss", "sub", "aud", "exp", "iat")


@dataclass(frozen=True, slots=True)
class Session:
    """A person who has signed in.

    Attributes:
        principal_id: Who.
        key_id: The key that they typed, as `remora.auth.tokens.key_id` names it.
        issued_at: When they typed it.
        expires_at: When they will have to again.
    """

    principal_id: str
    key_id: str
    issued_at: datetime
    expires_at: datetime


class _Claims(BaseModel):
    """The claims of a session, once its signature is known to be good."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    sub: PrincipalId
    key_id: str = Field(pattern=r"^[0-9a-f]{16}$")
    iat: int
    exp: int


def new_session(principal_id: str, key: str) -> Session:
    """Return the session of a person who signs in now.

    Args:
        principal_id: Who.
        key: The key that they typed, as `remora.auth.tokens.key_id` names it.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    return Session(principal_id, key, now, now + LIFETIME)


def sign_session(session: Session, key: SigningKey, issuer: str) -> str:
    """Return the session as a signed JWT.

    Args:
        session: What it says.
        key: The key to sign with.
        issuer: Identifier of the authorization server.
    """
    claims = {
        "iss": issuer,
        "sub": session.principal_id,
        "aud": _audience(issuer),
        "exp": int(session.expires_at.timestamp()),
        "iat": int(session.issued_at.timestamp()),
        "key_id": session.key_id,
    }
    return jwt.encode(claims, key.private, algorithm=ALGORITHM, headers={"kid": key.id, "typ": SESSION_TYPE})


def verify_session(text: str, keys: Mapping[str, Ed25519PublicKey], issuer: str) -> Session:
    """Return what a session says, if this issuer signed it and it is valid now.

    Whether its person and key are still there is the caller's to check: `remora.auth.tokens.key_holder`.

    Args:
        text: The cookie's value.
        keys: The issuer's public keys by `kid`.
        issuer: Identifier of the authorization server.

    Raises:
        RefusedError: It is malformed, of another issuer, key or type, has expired or is from the future.
    """
    key = keys.get(key_name(text, SESSION_TYPE))
    if key is None:
        raise RefusedError(Refusal.UNKNOWN)
    try:
        decoded = jwt.decode(
            text,
            key,
            algorithms=[ALGORITHM],
            issuer=issuer,
            audience=_audience(issuer),
            leeway=_LEEWAY_SECONDS,
            options={"require": list(_CLAIMS)},
        )
        claims = _Claims.model_validate(decoded)
        issued_at, expires_at = (datetime.fromtimestamp(moment, UTC) for moment in (claims.iat, claims.exp))
    except jwt.ExpiredSignatureError:
        raise RefusedError(Refusal.EXPIRED) from None
    except jwt.InvalidTokenError:
        raise RefusedError(Refusal.UNKNOWN) from None
    except (ValidationError, ValueError, OverflowError, OSError):
        raise RefusedError(Refusal.MALFORMED) from None
    return Session(claims.sub, claims.key_id, issued_at, expires_at)


def _audience(issuer: str) -> str:
    # The pages of this host; no resource that an access token could be for.
    return issuer + "/account"
