"""AWS for functions that a caller waits for: impatient clients, made on first use, and secrets, kept for a while."""

import threading
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from remora.errors import UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient


@dataclass(frozen=True, slots=True)
class _Kept:
    text: str | None
    until: float


# Clients may be used by several threads at once; the session that makes them may not.
_making = threading.Lock()


class Aws:
    """One boto3 client a service."""

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """DynamoDB."""
        client: DynamoDBClient = self._make("dynamodb")
        return client

    @cached_property
    def secretsmanager(self) -> "SecretsManagerClient":
        """Secrets Manager."""
        client: SecretsManagerClient = self._make("secretsmanager")
        return client

    def _make(self, service: str) -> Any:  # noqa: ANN401
        # Imported here: documents and pages are answered without AWS, and need not wait for a quarter of a second.
        import boto3
        from botocore.config import Config

        with _making:
            return boto3.client(
                service,  # type: ignore[call-overload]
                config=Config(
                    connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2}
                ),
            )


class Secret:
    """The text of a secret, kept in memory for a while.

    Args:
        aws: Where AWS clients come from.
        name: Name or ARN of the secret.
        seconds: How long its text is kept.
        stage: Which of its versions: `AWSCURRENT`, or `AWSPREVIOUS` for the one before.
    """

    def __init__(self, aws: Aws, name: str, *, seconds: float, stage: str = "AWSCURRENT") -> None:
        self._aws = aws
        self._name = name
        self._seconds = seconds
        self._stage = stage
        self._kept: _Kept | None = None

    def text(self, *, fresh: bool = False) -> str | None:
        """Return the text, or None if the secret has no such version.

        Args:
            fresh: Whether to ask even if the text is in memory.

        Raises:
            UnavailableError: Secrets Manager did not answer.
        """
        kept = self._kept
        if kept is not None and not fresh and time.monotonic() < kept.until:
            return kept.text
        text = self._read()
        self._kept = _Kept(text, time.monotonic() + self._seconds)
        return text

    def _read(self) -> str | None:
        from botocore.exceptions import BotoCoreError, ClientError

        client = self._aws.secretsmanager
        try:
            return client.get_secret_value(SecretId=self._name, VersionStage=self._stage)["SecretString"]
        except ClientError as error:
            if self._stage != "AWSCURRENT" and error.response["Error"]["Code"] == "ResourceNotFoundException":
                return None
            raise UnavailableError("A secret cannot be read just now; try again.") from error
        except BotoCoreError as error:
            raise UnavailableError("A secret cannot be read just now; try again.") from error
