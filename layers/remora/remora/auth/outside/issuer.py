"""The one outside issuer that a deployment may trust: turns a token of it into a principal."""

import time
from collections.abc import Callable
from functools import partial

from remora.auth.keys import Authenticated, Principals, Refusal, RefusedError
from remora.auth.outside.keys import FETCH_SECONDS, MAXIMUM_BYTES, Fetch, IssuerKeys
from remora.auth.outside.mapping import principal_of
from remora.auth.outside.tokens import read, verify
from remora.config import AuthorizerSettings


class OutsideIssuer:
    """An issuer whose tokens are accepted. Keep one for as long as the execution environment lives.

    Args:
        settings: Which issuer, for which audiences, and which claims mean what.
        fetch: Fetches the issuer's documents; over the network unless given.
        clock: Tells the time in seconds, by which the issuer's keys age.
    """

    def __init__(
        self, settings: AuthorizerSettings, fetch: Fetch | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        # Only an issuer of this machine, in a local run, may be reached without TLS, or name an address here.
        local = settings.outside_issuer.startswith("http://")
        self._keys = IssuerKeys(settings.outside_issuer, fetch or partial(_fetch, local=local), clock)

    def authenticate(self, text: str, principals: Principals) -> Authenticated:
        """Return who comes with a token.

        Args:
            text: The token as presented.
            principals: Everyone who may come in.

        Raises:
            RefusedError: It is no valid token of this issuer for this deployment, or stands for nobody here.
            UnavailableError: The issuer's keys cannot be fetched.
        """
        token = read(text)
        if token.issuer != self._settings.outside_issuer:
            raise RefusedError(Refusal.UNKNOWN)
        key = self._keys.find(token.key_id, token.algorithm)
        if key is None:
            raise RefusedError(Refusal.UNKNOWN)
        claims = verify(token, key, issuer=self._settings.outside_issuer, audiences=self._settings.outside_audience)
        return principal_of(claims, principals, self._settings)


def _fetch(url: str, *, local: bool) -> bytes:
    # Imported when keys are fetched: most calls can do without.
    from remora.oauth.fetching import fetch_json

    return fetch_json(url, maximum_bytes=MAXIMUM_BYTES, seconds=FETCH_SECONDS, local=local)
