"""Tokens of an outside issuer: what a text says of itself, and what is true of it once its signature is good.

RFC 7519, RFC 8725 (best current practices) and the forms in which Cognito, Google, Entra ID, Auth0 and Okta write
their tokens, which are told in docs/outside-issuers.md.
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt

from remora.auth.keys import Refusal, RefusedError
from remora.auth.outside.keys import ALGORITHMS

MAXIMUM_LENGTH: Final = 10_240
"""The longest text that is looked at, in characters: API Gateway lets no more through in all headers together."""

_LEEWAY_SECONDS = 30
_MAXIMUM_KEY_ID = 256
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
# RFC 8725, section 3.11. The providers write JWT, at+jwt (Auth0 on request) or nothing (Cognito, Okta); any other
# type is of a token for something else.
_TYPES: Final = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})

Claims = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a text says of itself. Anybody can write that: it serves to find what to verify it with.

    Attributes:
        text: The text.
        issuer: Who it says signed it.
        algorithm: What with, one of `ALGORITHMS`.
        key_id: Which of the issuer's keys.
    """

    text: str
    issuer: str
    algorithm: str
    key_id: str


def issuer_of(text: str) -> str:
    """Return the issuer that a token names, to tell whose it is before anything is verified.

    Args:
        text: The token as presented.

    Raises:
        RefusedError: The text is no signed JWT, or names no issuer.
    """
    _, claims = _parts(text)
    return _text(claims, "iss")


def read(text: str) -> Unverified:
    """Return what a text says of itself.

    Args:
        text: The token as presented.

    Raises:
        RefusedError: It is no JWT of a form that is accepted.
    """
    header, claims = _parts(text)
    algorithm, key_id = _text(header, "alg"), _text(header, "kid")
    # RFC 8725, section 3.1: which algorithms are good is not the token's to say. No extensions are understood here,
    # so none may be critical (RFC 7515, section 4.1.11). `jku`, `jwk`, `x5u` and `x5c` are not looked at.
    if algorithm not in ALGORITHMS or len(key_id) > _MAXIMUM_KEY_ID or "crit" in header:
        raise RefusedError(Refusal.MALFORMED)
    kind = header.get("typ", "")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise RefusedError(Refusal.MALFORMED)
    return Unverified(text, _text(claims, "iss"), algorithm, key_id)


def verify(token: Unverified, key: jwt.PyJWK, *, issuer: str, audiences: Sequence[str]) -> Claims:
    """Return the claims of a token, if the issuer signed it for one of these audiences and it is valid now.

    Args:
        token: What the text says of itself.
        key: The issuer's key of the id and for the algorithm that it names.
        issuer: The issuer's identifier.
        audiences: Who it may be for.

    Raises:
        RefusedError: It is not, has expired, is from the future, or is a token for something else than calls.
    """
    try:
        claims: Claims = jwt.decode(
            token.text,
            key,
            algorithms=[token.algorithm],
            issuer=issuer,
            leeway=_LEEWAY_SECONDS,
            options={
                "require": ["iss", "exp", "iat"],
                # Checked below, because access tokens of Cognito have none.
                "verify_aud": False,
                "enforce_minimum_key_length": True,
            },
        )
    except jwt.ExpiredSignatureError:
        raise RefusedError(Refusal.EXPIRED) from None
    except (jwt.PyJWTError, ValueError):
        raise RefusedError(Refusal.UNKNOWN) from None
    if not _is_for(claims, audiences) or not _is_for_calls(claims):
        raise RefusedError(Refusal.UNKNOWN)
    return claims


def _is_for(claims: Claims, audiences: Sequence[str]) -> bool:
    if "aud" not in claims:
        # Cognito's access tokens, except where the client asked for a resource (RFC 8707), name the app client alone.
        return claims.get("token_use") == "access" and claims.get("client_id") in audiences
    audience = claims["aud"]
    named = [audience] if isinstance(audience, str) else audience
    return isinstance(named, list) and any(isinstance(one, str) and one in audiences for one in named)


def _is_for_calls(claims: Claims) -> bool:
    # Cognito says which of its tokens authorize calls. A token that is bound to a key of the client (RFC 7800) is no
    # bearer token, and whether the caller holds that key is not checked here.
    return claims.get("token_use", "access") == "access" and "cnf" not in claims


def _parts(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    if len(text) > MAXIMUM_LENGTH or not _JWT.fullmatch(text):
        raise RefusedError(Refusal.MALFORMED)
    header, claims, _ = text.split(".")
    return _object(header), _object(claims)


def _object(part: str) -> dict[str, Any]:
    try:
        decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()
        value = json.loads(decoded, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise RefusedError(Refusal.MALFORMED) from None
    if not isinstance(value, dict):
        raise RefusedError(Refusal.MALFORMED)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # RFC 7515, section 4, and RFC 7519, section 4: readers differ about which of two would count.
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("A name stands there twice")
    return value


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise RefusedError(Refusal.MALFORMED)
    return value
