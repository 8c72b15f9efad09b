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
        viewer_address_header: Header in which the edge passes on the caller's address; only where the edge sets
            it on every request. Unless given, the address is the connection's.
    """

    oauth_table: str = Field(min_length=3)
    principals_secret: str = Field(min_length=1)
    principals_cache_seconds: int = Field(default=30, ge=0, le=300)
    signing_secret: str = Field(min_length=1)
    viewer_address_header: str = Field(default="", pattern=r"^[A-Za-z0-9-]*$")
