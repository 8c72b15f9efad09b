"""Which principal a credential stands for, and at which paths: keys by hash, access tokens by signature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from remora.auth.keys import KEY_PREFIX, Authenticated, Principals, Refusal, RefusedError, authenticate
from remora.aws import Aws
from remora.oauth.site import Site

if TYPE_CHECKING:
    from remora.oauth.signing import TokenKeys


@dataclass(frozen=True, slots=True)
class Admission:
    """Somebody who may come in.

    Attributes:
        authenticated: Who it is.
        paths: The paths that the credential is good for; None is every path.
    """

    authenticated: Authenticated
    paths: tuple[str, ...] | None = None


class Credentials:
    """Judges credentials.

    Args:
        aws: Where AWS clients come from.
        principals: Returns everyone who may come in.
        signing_secret: Name or ARN of the secret that access tokens are signed with; empty if there are none.
    """

    def __init__(self, aws: Aws, principals: Callable[[], Principals], signing_secret: str) -> None:
        self._principals = principals
        self._signing_secret = signing_secret

        @lru_cache(maxsize=1)
        def token_keys(issuer: str) -> TokenKeys:
            # Cryptography takes longer to import than everything else here, and keys can do without.
            from remora.oauth.signing import TokenKeys

            return TokenKeys(aws, signing_secret, issuer)

        self._token_keys = token_keys

    def admit(self, credential: str, site: Site | None) -> Admission:
        """Return who a credential lets in.

        Args:
            credential: A bearer key or an access token.
            site: What the deployment is called; without a public URL it issues no tokens.

        Raises:
            RefusedError: It is no valid credential here.
            UnavailableError: The signing secret cannot be read.
        """
        if credential.startswith(KEY_PREFIX):
            return Admission(authenticate(credential, self._principals()))
        if site is None or not self._signing_secret:
            raise RefusedError(Refusal.MALFORMED)
        return self._admit_token(credential, site)

    def _admit_token(self, text: str, site: Site) -> Admission:
        from remora.auth.tokens import authenticate_token

        token = self._token_keys(site.issuer).verify(text)
        paths = site.paths(token.audience)
        if not paths:
            raise RefusedError(Refusal.AUDIENCE)
        return Admission(authenticate_token(token, self._principals()), paths)
