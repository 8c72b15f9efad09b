"""What the deployment is called: its issuer, its endpoints, and the identifiers of its resources."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

RESOURCE_PATHS: Final = ("/mcp", "/mcp/memory", "/mcp/chroma")
"""Paths that are resources of their own (RFC 8707): an access token is for the one that the client asked for."""

AUTHORIZE: Final = "/authorize"
TOKEN: Final = "/token"  # noqa: S105
REGISTER: Final = "/register"
REVOKE: Final = "/revoke"
# At the root, because some clients append these paths to the host and ignore the metadata (claude-ai-mcp 82).

JWKS: Final = "/.well-known/jwks.json"


@dataclass(frozen=True, slots=True)
class Site:
    """The identifiers that follow from the public URL, and from nothing that a request says.

    Attributes:
        issuer: The public URL without a trailing slash.
    """

    issuer: str

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
