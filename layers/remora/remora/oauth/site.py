"""What the deployment is called: its issuer, its endpoints, and the identifiers of its resources."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

RESOURCE_PATHS: Final = ("/mcp", "/mcp/memory", "/mcp/chroma")
"""Paths that are resources of their own (RFC 8707): an access token is for the one that the client asked for."""

AUTHORIZE: Final = "/authorize"
TOKEN: Final = "/token"  # noqa: S105
REGISTER: Final = "/register"
REVOKE: Final = "/revoke"
# At the root, because some clients append these paths to the host and ignore the metadata (claude-ai-mcp 82).

SIGN_IN: Final = "/sign-in"
ACCOUNT: Final = "/account"
JWKS: Final = "/.well-known/jwks.json"

PUBLIC_URL: Final = "publicUrl"
"""The stage variable that holds the public URL. Functions cannot be told it in their environment: it is that of the
distribution, which needs the API, which needs the functions. Nobody who calls can set a stage variable."""

_ORIGIN = re.compile(r"(https://[a-z0-9.-]+|http://(localhost|127\.0\.0\.1|\[::1\]))(:\d{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Site:
    """The identifiers that follow from the public URL, and from nothing that a request says.

    Attributes:
        issuer: The public URL without a trailing slash.
    """

    issuer: str

    @classmethod
    def of_url(cls, public_url: str) -> Self:
        """Return the site at a public URL.

        Raises:
            ValueError: It could be no issuer: clients compare that as a plain string (RFC 8414, section 3.3).
        """
        issuer = public_url.removesuffix("/")
        if not _ORIGIN.fullmatch(issuer):
            raise ValueError(
                "The public URL must be an https:// URL of a lower-case host without a path (http:// for this "
                "machine alone)"
            )
        return cls(issuer)

    @classmethod
    def of_event(cls, event: Mapping[str, Any]) -> Self | None:
        """Return the site that an event of API Gateway came to, or None if the deployment has no public URL.

        Raises:
            ValueError: The public URL could be no issuer.
        """
        public_url = (event.get("stageVariables") or {}).get(PUBLIC_URL)
        # `sam local start-api` hands an expression of the template on as it is, which is no URL.
        return cls.of_url(public_url) if public_url and isinstance(public_url, str) else None

    @property
    def resources(self) -> tuple[str, ...]:
        """The canonical identifiers of all resources."""
        return tuple(self.issuer + path for path in RESOURCE_PATHS)

    def endpoint(self, path: str) -> str:
        """Return the URL of a path."""
        return self.issuer + path

    def resource(self, identifier: str) -> str | None:
        """Return the canonical identifier of a resource, or None if it is not of this deployment.

        People type a URL with and without a trailing slash, and clients repeat what was typed; scheme and host
        are the same in any case (RFC 3986, section 6.2.2).
        """
        try:
            parts = urlsplit(identifier)
        except ValueError:
            return None
        if parts.query or parts.fragment or "?" in identifier or "#" in identifier:
            return None
        canonical = f"{parts.scheme.lower()}://{parts.netloc.lower()}{parts.path.removesuffix('/')}"
        return canonical if canonical in self.resources else None

    def paths(self, audience: Iterable[str]) -> tuple[str, ...]:
        """Return the paths of the resources that a token is for, for the policy that lets it through.

        The authorizer's answer is cached for the token and applied to every route, so it is the policy that has to
        name them, not the check of one request. Other deployments' resources have no path here.

        Args:
            audience: The token's audience.
        """
        wanted = {self.resource(identifier) for identifier in audience}
        return tuple(path for path in RESOURCE_PATHS if self.issuer + path in wanted)
