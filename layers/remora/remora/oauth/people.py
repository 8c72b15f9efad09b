"""Who may consent: the principals document, looked up by the key that a person signs in with."""

from dataclasses import dataclass

from remora.auth.keys import Principals, Refusal, RefusedError, authenticate, hash_key
from remora.auth.principal import Principal, Scope
from remora.auth.tokens import GRANTABLE, key_id, still_allowed
from remora.aws import Aws, Secret
from remora.errors import UnavailableError


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person who has shown their key.

    Attributes:
        principal: Who they are, with the scopes that they may grant.
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
            RefusedError: Nobody does, or they may grant nothing.
            UnavailableError: The principals document cannot be read.
        """
        principal = authenticate(key, self._read()).principal
        scopes = principal.scopes & GRANTABLE
        if not scopes:
            raise RefusedError(Refusal.DISABLED)
        return SignedIn(Principal(principal.id, scopes, principal.space), key_id(hash_key(key)))

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
