"""How often somebody may try: counters in the table, in windows of fixed length."""

import ipaddress
import time
from dataclasses import dataclass
from typing import Final

from remora.errors import RemoraError
from remora.oauth.store import Store


@dataclass(frozen=True, slots=True)
class Limit:
    """So many times in so many seconds.

    Attributes:
        name: What is limited; part of the counter's name.
        times: How often it may happen in one window.
        seconds: Length of a window.
    """

    name: str
    times: int
    seconds: int


SIGN_IN_BY_ADDRESS: Final = Limit("sign-in-address", 20, 900)
SIGN_IN_BY_REQUEST: Final = Limit("sign-in-request", 5, 900)
DECISION_BY_REQUEST: Final = Limit("decision-request", 5, 900)  # Some people click twice.
REGISTRATION_BY_ADDRESS: Final = Limit("registration-address", 20, 3600)
REGISTRATION: Final = Limit("registration", 300, 3600)
DOCUMENT_BY_ADDRESS: Final = Limit("document-address", 30, 900)
DOCUMENT: Final = Limit("document", 300, 3600)


class ThrottledError(RemoraError):
    """Somebody tried too often; nothing was done.

    Attributes:
        retry_after: Seconds after which it may be tried again.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many attempts. Try again in {max(1, retry_after // 60)} minutes.")
        self.retry_after = retry_after


class Throttle:
    """Counts attempts and refuses when there were too many.

    Every attempt counts, successful or not, and before it is looked at: so nothing is learnt from one too many,
    and two at the same time are two.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def admit(self, limit: Limit, subject: str) -> None:
        """Count an attempt.

        Args:
            limit: What is limited.
            subject: Whose attempts are counted together.

        Raises:
            ThrottledError: There were too many in this window.
            UnavailableError: The table did not answer.
        """
        now = int(time.time())
        window = now // limit.seconds
        ends_at = (window + 1) * limit.seconds
        if self._store.count(f"{limit.name} {subject} {window}", ends_at + 60) > limit.times:
            raise ThrottledError(ends_at - now)


def network(address: str) -> str:
    """Return what an address counts as: an IPv6 host has all of its /64 to itself (RFC 4291, section 2.5.4)."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)
    return str(parsed)
