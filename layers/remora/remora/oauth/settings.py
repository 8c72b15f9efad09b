"""What the authorization server reads from its environment."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from remora.config import _EnvironmentModel

_ORIGIN = re.compile(r"(https://[a-z0-9.-]+|http://(localhost|127\.0\.0\.1|\[::1\]))(:\d{1,5})?", re.ASCII)


def _origin(value: str) -> str:
    # It becomes the issuer, which clients compare as a plain string (RFC 8414, section 3.3).
    trimmed = value.removesuffix("/")
    if not _ORIGIN.fullmatch(trimmed):
        raise ValueError(
            "must be an https:// URL of a lower-case host without a path (http:// for this machine alone)"
        )
    return trimmed


class OAuthSettings(_EnvironmentModel):
    """The authorization server's settings.

    Attributes:
        public_url: The URL that clients know this deployment by, without a path: it is the issuer and the start
            of every resource's identifier.
        oauth_table: Name of the DynamoDB table for registrations, codes, connections and counters.
        principals_secret: Name or ARN of the secret that holds the principals.
        principals_cache_seconds: How long that secret is kept in memory.
        signing_secret: Name or ARN of the secret that access tokens are signed with.
        origin_secret: Name or ARN of the secret that the distribution shows; empty if there is no distribution.
    """

    public_url: Annotated[str, AfterValidator(_origin)]
    oauth_table: str = Field(min_length=3)
    principals_secret: str = Field(min_length=1)
    principals_cache_seconds: int = Field(default=30, ge=0, le=300)
    signing_secret: str = Field(min_length=1)
    origin_secret: str = ""
