"""The keys that access tokens and sessions are signed with: two versions of one secret, so that rotation overlaps.

The current version of the secret signs. The one before it still verifies, for as long as Secrets Manager keeps
it under `AWSPREVIOUS`, which is until the next rotation: rotate no more often than access tokens live, unless the
point is to end them all.
"""

import json
import secrets
import threading
import time
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from remora.auth.sessions import SESSION_TYPE, Session, sign_session, verify_session
from remora.auth.tokens import AccessToken, SigningKey, key_name, sign, verify
from remora.aws import Aws, Secret
from remora.errors import UnavailableError

SEED: Final = "seed"
"""The member of the secret's JSON document that holds the random text."""

_CACHE_SECONDS = 300
_REFETCH_SECONDS = 10


class TokenKeys:
    """Signs access tokens and sessions, and verifies them.

    Args:
        aws: Where AWS clients come from.
        secret: Name or ARN of the signing secret.
        issuer: Identifier of the authorization server.
    """

    def __init__(self, aws: Aws, secret: str, issuer: str) -> None:
        self._versions = tuple(
            Secret(aws, secret, seconds=_CACHE_SECONDS, stage=stage) for stage in ("AWSCURRENT", "AWSPREVIOUS")
        )
        self._issuer = issuer
        self._lock = threading.Lock()
        self._refetched_at = float("-inf")

    def published(self, *, fresh: bool = False) -> tuple[SigningKey, ...]:
        """Return the keys that tokens may be signed with, the current one first.

        Args:
            fresh: Whether to ask for them even if they are in memory.

        Raises:
            UnavailableError: The secret cannot be read, or holds no key.
        """
        texts = [version.text(fresh=fresh) for version in self._versions]
        keys = tuple(_read_key(text) for text in texts if text is not None)
        if not keys:
            raise UnavailableError("The authorization server has no key to sign with.")
        return keys

    def sign(self, token: AccessToken) -> str:
        """Return a token as a JWT, signed with the current key.

        Raises:
            UnavailableError: The secret cannot be read.
        """
        return sign(token, self.published()[0], self._issuer)

    def verify(self, text: str, *, expired: bool = False) -> AccessToken:
        """Return what a token says, if it was signed here and is valid now.

        Args:
            text: The token as presented.
            expired: Whether one that has expired is accepted too.

        Raises:
            RefusedError: It is no valid token of this issuer.
            UnavailableError: The secret cannot be read.
        """
        return verify(text, self._public_keys(key_name(text)), self._issuer, expired=expired)

    def sign_session(self, session: Session) -> str:
        """Return a session as a JWT, signed with the current key.

        Raises:
            UnavailableError: The secret cannot be read.
        """
        return sign_session(session, self.published()[0], self._issuer)

    def verify_session(self, text: str) -> Session:
        """Return what a session says, if it was signed here and is valid now.

        Args:
            text: The session as presented.

        Raises:
            RefusedError: It is no valid session of this issuer.
            UnavailableError: The secret cannot be read.
        """
        return verify_session(text, self._public_keys(key_name(text, SESSION_TYPE)), self._issuer)

    def _public_keys(self, wanted: str) -> dict[str, Ed25519PublicKey]:
        known = _public(self.published())
        # A key that is not in memory may be a new one: the secret is read again, but no oftener than every few
        # seconds, since anybody can name a key that does not exist.
        if wanted not in known and self._may_refetch():
            known = _public(self.published(fresh=True))
        return known

    def _may_refetch(self) -> bool:
        with self._lock:
            now = time.monotonic()
            if now - self._refetched_at < _REFETCH_SECONDS:
                return False
            self._refetched_at = now
            return True


def new_signing_secret() -> str:
    """Return the content of a signing secret with a new key: writing it to the secret rotates the key."""
    return json.dumps({SEED: secrets.token_urlsafe(48)})


def _read_key(text: str) -> SigningKey:
    try:
        return SigningKey.from_secret(str(json.loads(text)[SEED]))
    except (KeyError, TypeError, ValueError):
        raise UnavailableError("The signing secret holds no key.") from None


def _public(keys: tuple[SigningKey, ...]) -> dict[str, Ed25519PublicKey]:
    return {key.id: key.private.public_key() for key in keys}
