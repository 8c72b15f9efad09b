"""Signing in: a key that a person types becomes a session, and a session becomes the person again."""

import logging
from dataclasses import dataclass, field

from remora.auth.keys import RefusedError
from remora.auth.sessions import new_session
from remora.errors import PermissionDeniedError
from remora.oauth.people import People, SignedIn
from remora.oauth.signing import TokenKeys
from remora.oauth.throttling import SIGN_IN_BY_ADDRESS, Throttle

logger = logging.getLogger(__name__)


class KeyRefusedError(PermissionDeniedError):
    """The key that somebody signed in with is not good. Says nothing of why, nor of the key."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A session that has just begun.

    Attributes:
        person: Whose it is.
        text: The session, for the cookie.
    """

    person: SignedIn
    text: str = field(repr=False)


class Sessions:
    """Begins sessions and resumes them.

    Args:
        keys: Signs sessions.
        people: Who may sign in.
        throttle: Counts attempts.
    """

    def __init__(self, keys: TokenKeys, people: People, throttle: Throttle) -> None:
        self._keys = keys
        self._people = people
        self._throttle = throttle

    def begin(self, key: str, *, address: str) -> Begun:
        """Return the session of whoever holds a key.

        Args:
            key: The key that the person typed.
            address: The network that the request comes from.

        Raises:
            KeyRefusedError: The key is no good.
            ThrottledError: There were too many attempts from this network.
            UnavailableError: The table or a secret did not answer.
        """
        self._throttle.admit(SIGN_IN_BY_ADDRESS, address)
        try:
            person = self._people.sign_in(key.strip())
        except RefusedError as refused:
            logger.warning("Key refused", extra={"reason": refused.reason, "source_network": address})
            raise KeyRefusedError("This key is not valid here.") from refused
        logger.info("Signed in", extra={"principal_id": person.principal.id, "source_network": address})
        return Begun(person, self._keys.sign_session(new_session(person.principal.id, person.key_id)))

    def resume(self, text: str) -> SignedIn | None:
        """Return whose session this is, or None if it is none, or has ended.

        Args:
            text: The cookie's value; empty if there is none.

        Raises:
            UnavailableError: A secret cannot be read.
        """
        if not text:
            return None
        try:
            return self._people.resume(self._keys.verify_session(text))
        except RefusedError as refused:
            logger.info("Session refused", extra={"reason": refused.reason})
            return None
