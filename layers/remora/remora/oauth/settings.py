"""What the authorization server reads from its environment."""

from pydantic import Field

from remora.config import EnvironmentModel


class OAuthSettings(EnvironmentModel):
    """The authorization server's settings.

    Attributes:
        oauth_table: Name of the DynamoDB table for registrations, codes, connections and counters.
        principals_secret: Name or ARN of the secret that holds the principals.
        principals_cache_seconds: How long that secret is kept in memory.
        signing_secret: Name or ARN of the secret that access tokens are signed with.
        origin_secret: Name or ARN of the secret that the distribution shows; empty if there is no distribution.
    """

    oauth_table: str = Field(min_length=3)
    principals_secret: str = Field(min_length=1)
    principals_cache_seconds: int = Field(default=30, ge=0, le=300)
    signing_secret: str = Field(min_length=1)
    origin_secret: str = ""
