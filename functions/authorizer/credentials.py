"""Which principal a credential stands for, and at which paths: keys by hash, access tokens by signature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from remora.auth.keys import KEY_PREFIX, Authenticated, Principals, Refusal, RefusedError, authenticate
from remora.aws import Aws
from remora.config import AuthorizerSettings
from remora.oauth.site import Site

if TYPE_CHECKING:
    from remora.auth.outside.issuer import OutsideIssuer
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
    """Judges credentials. What reads tokens is imported for the first one: a cold start with a key can do without.

    Args:
        settings: Whose tokens are accepted.
        aws: Where AWS clients come from.
        principals: Returns everyone who may come in.
    """

    def __init__(self, settings: AuthorizerSettings, aws: Aws, principals: Callable[[], Principals]) -> None:
        self._settings = settings
        self._principals = principals

        @lru_cache(maxsize=1)
        def token_keys(issuer: str) -> TokenKeys:
            from remora.oauth.signing import TokenKeys

            return TokenKeys(aws, settings.signing_secret, issuer)

        self._token_keys = token_keys

    def admit(self, credential: str, site: Site | None) -> Admission:
        """Return who a credential lets in.

        Args:
            credential: A bearer key, an access token of ours, or a token of the outside issuer.
            site: What the deployment is called; without a public URL it issues no tokens.

        Raises:
            RefusedError: It is no valid credential here.
            UnavailableError: The signing secret or the outside issuer's keys cannot be read.
        """
        if credential.startswith(KEY_PREFIX):
            return Admission(authenticate(credential, self._principals()))
        if self._settings.outside_issuer:
            from remora.auth.outside.tokens import issuer_of

            if issuer_of(credential) == self._settings.outside_issuer:
                return Admission(self._outside_issuer.authenticate(credential, self._principals()))
        if site is not None and self._settings.signing_secret:
            return self._admit_own(credential, site)
        raise RefusedError(Refusal.MALFORMED)

    def _admit_own(self, text: str, site: Site) -> Admission:
        from remora.auth.tokens import authenticate_token

        token = self._token_keys(site.issuer).verify(text)
        paths = site.paths(token.audience)
        if not paths:
            raise RefusedError(Refusal.AUDIENCE)
        return Admission(authenticate_token(token, self._principals()), paths)

    @cached_property
    def _outside_issuer(self) -> OutsideIssuer:
        from remora.auth.outside.issuer import OutsideIssuer

        return OutsideIssuer(self._settings)
