"""The edge in front of the API: tells which calls came through it, and from which address.

The distribution adds the origin secret to every request, and its function says who is calling. Whoever calls the API
directly knows no such secret, so what such a call says of its address is not believed, and the call is refused.
"""

import hmac
import ipaddress
import time
from collections.abc import Mapping
from typing import Final

from remora.auth.keys import Refusal, RefusedError
from remora.aws import Aws, Secret

ORIGIN_HEADER: Final = "x-remora-origin"
"""Header in which the distribution shows the origin secret."""
VIEWER_HEADER: Final = "x-remora-viewer"
"""Header in which the distribution's function gives the caller's address."""

_CACHE_SECONDS = 300
# A wrong header may be a new secret that is not in memory yet, or somebody trying: then Secrets Manager is spared.
_SECONDS_BETWEEN_LOOKS = 10


class Edge:
    """The distribution, as the functions behind it see it.

    While the secret is rotated, the version before the current one is accepted too, because CloudFront takes minutes
    to change a header everywhere.
    """

    def __init__(self, origin_secret: str, aws: Aws) -> None:
        """Prepare; nothing is read yet.

        Args:
            origin_secret: Name or ARN of the secret that the distribution shows; empty if there is no distribution.
            aws: Where AWS clients come from.
        """
        stages = ("AWSCURRENT", "AWSPREVIOUS") if origin_secret else ()
        self._versions = [Secret(aws, origin_secret, seconds=_CACHE_SECONDS, stage=stage) for stage in stages]
        self._next_look = 0.0

    def caller_address(self, headers: Mapping[str, str], connection_address: str) -> str:
        """Return the address of whoever is calling.

        Args:
            headers: The request's headers, found by name in any case.
            connection_address: Address that the request came from; the caller's, if there is no distribution.

        Raises:
            RefusedError: There is a distribution, and the request did not come through it.
            UnavailableError: The secret cannot be read.
        """
        if not self._versions:
            return connection_address
        if not self._shows_secret(headers.get(ORIGIN_HEADER, "")):
            raise RefusedError(Refusal.AROUND_THE_EDGE)
        try:
            return str(ipaddress.ip_address(headers.get(VIEWER_HEADER, "")))
        except ValueError:
            return connection_address

    def _shows_secret(self, presented: str) -> bool:
        if not presented:
            return False
        if self._is_version(presented, fresh=False):
            return True
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + _SECONDS_BETWEEN_LOOKS
        return self._is_version(presented, fresh=True)

    def _is_version(self, presented: str, *, fresh: bool) -> bool:
        # The version before is read only for a request that does not show the current one.
        return any(
            text and hmac.compare_digest(text.encode(), presented.encode())
            for text in (version.text(fresh=fresh) for version in self._versions)
        )
