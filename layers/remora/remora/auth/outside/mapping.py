"""Who comes with an outside issuer's token: the principal that its claims stand for, with which scopes and space.

The principals document decides; a token can only take away, with one exception that the operator has to name: the
space of people who have no entry of their own. Whatever is missing, doubled or odd is refused.
"""

import base64
import hashlib
import json
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from remora.auth.keys import Authenticated, Principals, Refusal, RefusedError, SpaceName, StoredPrincipal
from remora.auth.outside.tokens import Claims
from remora.auth.principal import Principal, Scope
from remora.config import AuthorizerSettings

EVERYBODY: Final = "*"
"""The identity of the principal that stands for everybody who has no entry of their own."""

SCOPE_PREFIX: Final = "remora"
"""What may stand before a scope's name, besides an audience."""

_MAXIMUM_IDENTITY = 255  # OpenID Connect Core 1.0, section 2, of `sub`
_SEPARATORS = "/:."
_SPACE_NAME: Final[TypeAdapter[str]] = TypeAdapter(SpaceName)
_NAME_LENGTH = 11
_DIGEST_LENGTH = 20  # characters of base 32: 100 bits, and with the name and a hyphen the 32 that an id may have


def principal_of(claims: Claims, principals: Principals, settings: AuthorizerSettings) -> Authenticated:
    """Return the principal that verified claims stand for.

    Args:
        claims: The claims of a token that `verify` accepted.
        principals: Everyone who may come in.
        settings: Which claims mean what.

    Raises:
        RefusedError: Nobody, more than one, or a disabled one; or nothing is left that they may do.
    """
    identity = _identity(claims, settings.outside_principal_claim)
    own = _holders(identity, principals)
    found = own or _holders(EVERYBODY, principals)
    # Two who claim the same person is a mistake, and guessing could open the wrong space.
    if len(found) != 1:
        raise RefusedError(Refusal.UNKNOWN)
    ((principal_id, stored),) = found.items()
    if stored.disabled:
        raise RefusedError(Refusal.DISABLED)

    scopes = _scopes(claims, stored, settings)
    space = stored.space
    if not own:
        # What may reach other people's spaces is given to people by name.
        scopes -= {Scope.ADMIN}
        if settings.outside_space_claim:
            space = _claimed_space(claims.get(settings.outside_space_claim), principal_id, principals)
        principal_id = _derived_id(principal_id, settings.outside_issuer, identity)
        if principal_id in principals.principals:
            raise RefusedError(Refusal.UNKNOWN)
    if not scopes:
        raise RefusedError(Refusal.UNKNOWN)
    return Authenticated(principal=Principal(id=principal_id, scopes=scopes, space=space), usage_key=stored.usage_key)


def _identity(claims: Claims, name: str) -> str:
    value = claims.get(name)
    # `*` as an issuer's name for somebody would be an entry of everybody.
    if not isinstance(value, str) or not 0 < len(value) <= _MAXIMUM_IDENTITY or value == EVERYBODY:
        raise RefusedError(Refusal.MALFORMED)
    # An address that nobody has verified is whatever its owner typed. Entra ID never says that one is.
    if name == "email" and claims.get("email_verified") is not True:
        raise RefusedError(Refusal.UNKNOWN)
    return value


def _holders(identity: str, principals: Principals) -> dict[str, StoredPrincipal]:
    return {name: stored for name, stored in principals.principals.items() if identity in stored.identities}


def _scopes(claims: Claims, stored: StoredPrincipal, settings: AuthorizerSettings) -> frozenset[Scope]:
    if not settings.outside_scopes_claim:
        return stored.scopes - {Scope.ADMIN}
    prefixes = (SCOPE_PREFIX, *settings.outside_audience)
    accepted = {scope.value: scope for scope in Scope} | {
        prefix + separator + scope: scope for prefix in prefixes for separator in _SEPARATORS for scope in Scope
    }
    names = _names(claims.get(settings.outside_scopes_claim))
    return stored.scopes & {accepted[name] for name in names if name in accepted}


def _names(value: Any) -> list[str]:  # noqa: ANN401 - whatever the issuer wrote
    if isinstance(value, str):
        return value.split(" ")  # RFC 6749, section 3.3
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _claimed_space(value: Any, everybody: str, principals: Principals) -> str:  # noqa: ANN401
    try:
        space = _SPACE_NAME.validate_python(value, strict=True)
    except ValidationError:
        raise RefusedError(Refusal.MALFORMED) from None
    # Whoever may choose what the claim says would otherwise choose somebody else's space.
    taken = {stored.space.casefold() for name, stored in principals.principals.items() if name != everybody}
    if space.casefold() in taken:
        raise RefusedError(Refusal.UNKNOWN)
    return space


def _derived_id(principal_id: str, issuer: str, identity: str) -> str:
    """Return an id of somebody's own: always the same, and nobody else's."""
    digest = hashlib.sha256(json.dumps([principal_id, issuer, identity]).encode()).digest()
    suffix = base64.b32encode(digest).decode().lower()[:_DIGEST_LENGTH]
    return f"{principal_id[:_NAME_LENGTH]}-{suffix}"
