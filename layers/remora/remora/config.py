"""What a function reads from its environment: one typed, frozen model for each function, checked at start."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from remora.periods import BackupPeriod

_PREFIX = "REMORA_"

# https on the usual port, as it will be fetched; http for this machine alone, for a local run.
_ISSUER = r"^((https://[a-z0-9.-]+|http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?)(/[A-Za-z0-9._~/-]*)?)?$"

_ClaimName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_:./#-]{0,64}$")]
_Audience = Annotated[str, StringConstraints(pattern=r"^[^\s,]{1,256}$")]


def _split_on_commas(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


class EnvironmentModel(BaseModel):
    """A model whose field `some_name` is read from the environment variable `REMORA_SOME_NAME`."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    @classmethod
    def environment_names(cls) -> frozenset[str]:
        """Return the names of the environment variables that this model reads."""
        return frozenset(_PREFIX + name.upper() for name in cls.model_fields)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read and check the settings.

        Args:
            environment: The variables to read; other variables in it are ignored.

        Raises:
            ValueError: A variable is missing or holds what its setting does not accept. The message names
                the variables and never their values, as some settings may one day be secret.
        """
        given = {
            name: environment[_PREFIX + name.upper()]
            for name in cls.model_fields
            if environment.get(_PREFIX + name.upper(), "") != ""
        }
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            problems = "; ".join(
                f"{_PREFIX}{str(problem['loc'][0]).upper()}: {problem['msg']}"
                for problem in error.errors(include_input=False, include_url=False)
            )
            raise ValueError(f"The function's environment is not usable: {problems}") from None


class MemorySettings(EnvironmentModel):
    """What every function needs that works with memories.

    Attributes:
        chroma_host: Host name or address of the Chroma server.
        chroma_port: Its port.
        chroma_ssl: Whether it speaks TLS.
        chroma_tenant: The Chroma tenant that holds the spaces.
        chroma_secret: Name or ARN of the secret that holds the token which Chroma asks for; empty for none.
        memory_bucket: Name of the S3 bucket that holds the journal and the files of jobs.
        embedding_threads: Threads that one embedding call may use.
        model_dir: Folder of the embedding model's layer.
    """

    chroma_host: str = Field(min_length=1)
    chroma_port: int = Field(default=8000, ge=1, le=65535)
    chroma_ssl: bool = False
    chroma_tenant: str = Field(default="default_tenant", min_length=1)
    chroma_secret: str = ""
    memory_bucket: str = Field(min_length=3)
    embedding_threads: int = Field(default=1, ge=1, le=16)
    model_dir: Path = Path("/opt/embedding-model")


class ConnectorSettings(MemorySettings):
    """The connector's settings.

    Attributes:
        chroma_engine: `single-node`, or `distributed` for an engine that also has the Search API, native
            forks and indexing status; tools for these are offered only there.
        database_administration: Whether the tools that create, list and delete databases are offered to
            principals with the scope `admin`.
        allowed_origins: Origins whose browsers may call; requests without an Origin are not from a browser.
    """

    chroma_engine: Literal["single-node", "distributed"] = "single-node"
    database_administration: bool = False
    allowed_origins: Annotated[tuple[str, ...], BeforeValidator(_split_on_commas)] = ()


class IngestSettings(MemorySettings):
    """The settings of the ingest function."""


class UpkeepSettings(MemorySettings):
    """The settings of the upkeep function.

    Attributes:
        backups: How often each space is written to S3 as an export file.
    """

    backups: BackupPeriod = BackupPeriod.OFF


class WatchSettings(EnvironmentModel):
    """The settings of the watch function.

    Attributes:
        principals_secret: Name or ARN of the secret that holds the principals.
        chroma_volume: Id of the EBS volume that holds Chroma's data; empty if that is not on a volume of this stack.
    """

    principals_secret: str = Field(min_length=1)
    chroma_volume: str = Field(default="", pattern=r"^(vol-[0-9a-f]+)?$")


class AuthorizerSettings(EnvironmentModel):
    """The authorizer's settings.

    Attributes:
        principals_secret: Name or ARN of the Secrets Manager secret that holds the principals.
        principals_cache_seconds: How long the secret is kept in memory; a revoked key may work that much
            longer, on top of API Gateway's own authorizer cache.
        signing_secret: Name or ARN of the secret that access tokens are signed with; empty if there are none.
        origin_secret: Name or ARN of the secret that the distribution shows; empty if there is no distribution.
        outside_issuer: Identifier of an outside issuer whose tokens are accepted, exactly as they say it; empty
            for none.
        outside_audience: What such a token must be for: any one of these.
        outside_principal_claim: The claim that is looked up among the principals' identities.
        outside_scopes_claim: The claim that a principal's scopes are cut down to; empty for none.
        outside_space_claim: The claim that says the space of people who have no entry of their own; empty for
            the space of the entry that stands for all of them.
    """

    principals_secret: str = Field(min_length=1)
    principals_cache_seconds: int = Field(default=30, ge=0, le=300)
    signing_secret: str = ""
    origin_secret: str = ""
    outside_issuer: str = Field(default="", pattern=_ISSUER)
    outside_audience: Annotated[tuple[_Audience, ...], BeforeValidator(_split_on_commas), Field(max_length=10)] = (
        Field(default=(), validate_default=True)
    )
    outside_principal_claim: Annotated[_ClaimName, Field(min_length=1)] = "sub"
    outside_scopes_claim: _ClaimName = ""
    outside_space_claim: _ClaimName = ""

    @field_validator("outside_audience")
    @classmethod
    def _audience_of_an_issuer(cls, audience: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        # Without it, a token that the issuer made for any other service would be good here.
        if info.data.get("outside_issuer") and not audience:
            raise ValueError("must be given with REMORA_OUTSIDE_ISSUER")
        return audience
