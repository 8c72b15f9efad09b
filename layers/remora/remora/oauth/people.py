"""Who may sign in: the principals document, looked up by the key that a person types, or typed before."""

from dataclasses import dataclass

from remora.auth.keys import Principals, authenticate, hash_key
from remora.auth.principal import Principal, Scope
from remora.auth.sessions import Session
from remora.auth.tokens import GRANTABLE, key_holder, key_id, still_allowed
from remora.aws import Aws, Secret
from remora.errors import UnavailableError


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person who has shown their key.

    Attributes:
        principal: Who they are, with the scopes that they may grant; none if they only administrate.
        key_id: The key, as `remora.auth.tokens.key_id` names it.
    """

    principal: Principal
    key_id: str


class People:
    """Reads the principals document.

    Args:
        aws: Where AWS clients come from.
        secret: Name or ARN of the principals secret.
        seconds: How long it is kept in memory.
    """

    def __init__(self, aws: Aws, secret: str, *, seconds: float) -> None:
        self._secret = Secret(aws, secret, seconds=seconds)

    def sign_in(self, key: str) -> SignedIn:
        """Return who holds a key.

        Raises:
            RefusedError: Nobody does.
            UnavailableError: The principals document cannot be read.
        """
        principal = authenticate(key, self._read()).principal
        grantable = Principal(principal.id, principal.scopes & GRANTABLE, principal.space)
        return SignedIn(grantable, key_id(hash_key(key)))

    def resume(self, session: Session) -> SignedIn:
        """Return who signed in before, as they are now.

        Args:
            session: Their session, verified.

        Raises:
            RefusedError: The principal or the key is gone.
            UnavailableError: The principals document cannot be read.
        """
        stored = key_holder(session.principal_id, session.key_id, self._read())
        grantable = Principal(session.principal_id, stored.scopes & GRANTABLE, stored.space)
        return SignedIn(grantable, session.key_id)

    def still_allowed(self, principal_id: str, key: str, space: str, scopes: frozenset[Scope]) -> Principal:
        """Return what a principal that once consented may be acted for now.

        Args:
            principal_id: Who consented.
            key: The key that they signed in with, as `key_id()` names it.
            space: The space that they saw.
            scopes: What they granted.

        Raises:
            RefusedError: The principal or the key is gone, or the space is another one now.
            UnavailableError: The principals document cannot be read.
        """
        return still_allowed(principal_id, key, space, scopes, self._read()).principal

    def _read(self) -> Principals:
        text = self._secret.text()
        if text is None:
            raise UnavailableError("The authorization server has no principals.")
        return Principals.model_validate_json(text)
