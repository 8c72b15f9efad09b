"""What a person who has signed in may see and end: the connections of their own principal, and no other's."""

import logging
import re
from dataclasses import dataclass

from remora.auth.keys import RefusedError
from remora.auth.principal import Scope
from remora.oauth.connections import Connection
from remora.oauth.people import People, SignedIn
from remora.oauth.store import LISTED, Store

logger = logging.getLogger(__name__)

_CONNECTION_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ListedConnection:
    """A connection as its owner sees it.

    Attributes:
        id: Its id, by which it can be ended. Of no use to anybody else.
        connection: What was allowed, and when it was used.
        scopes: What it may do now. Nothing if the key that it was made with is gone, or the principal's space is
            another one: it ends when it is used next.
    """

    id: str
    connection: Connection
    scopes: frozenset[Scope]


@dataclass(frozen=True, slots=True)
class Listing:
    """A principal's connections.

    Attributes:
        connections: Those that have not ended, the one that was used last first.
        complete: Whether these are all.
    """

    connections: tuple[ListedConnection, ...]
    complete: bool


class Account:
    """Lists connections and ends them.

    Every method takes the person who has signed in, and reaches what is theirs by their principal's id alone.

    Args:
        store: Where connections are kept.
        people: Who may still be acted for.
    """

    def __init__(self, store: Store, people: People) -> None:
        self._store = store
        self._people = people

    def connections(self, person: SignedIn) -> Listing:
        """Return the person's connections.

        Raises:
            UnavailableError: The table or a secret did not answer.
        """
        found = self._store.list_connections(person.principal.id)
        listed = tuple(
            ListedConnection(identifier, connection, self._scopes(connection))
            for identifier, connection in found.items()
        )
        return Listing(listed, complete=len(found) < LISTED)

    def disconnect(self, person: SignedIn, connection_id: str) -> bool:
        """End one of the person's connections.

        Args:
            person: Who has signed in.
            connection_id: Which, as it was listed.

        Returns:
            Whether it was ended now; not if the person has no such connection, or it had ended.

        Raises:
            UnavailableError: The table did not answer.
        """
        if not _CONNECTION_ID.fullmatch(connection_id) or not self._store.revoke_own(
            connection_id, person.principal.id
        ):
            return False
        logger.info("Connection revoked", extra={"connection": connection_id, "principal_id": person.principal.id})
        return True

    def disconnect_all(self, person: SignedIn) -> int:
        """End all of the person's connections, and return how many there were.

        Raises:
            UnavailableError: The table did not answer; some may have ended.
        """
        ended = self._store.revoke_all(person.principal.id)
        logger.info("Connections revoked", extra={"connections": ended, "principal_id": person.principal.id})
        return ended

    def _scopes(self, connection: Connection) -> frozenset[Scope]:
        consent = connection.consent
        try:
            return self._people.still_allowed(
                consent.principal_id, consent.key_id, consent.space, consent.scopes
            ).scopes
        except RefusedError:
            return frozenset()
