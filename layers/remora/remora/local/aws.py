"""AWS's own services, served by moto on loopback, and the clients that speak to them."""

import logging
from types import TracebackType
from typing import TYPE_CHECKING, Self

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

from remora.local.deployment import REGION

if TYPE_CHECKING:
    from mypy_boto3_apigateway import APIGatewayClient
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

# moto accepts any credentials, and real ones must never be sent to it.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_SESSION_TOKEN": "local"}


class LocalAws:
    """A moto server in this process. Its state lives as long as it does.

    Attributes:
        endpoint: The base URL that AWS clients are pointed at.
    """

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        _, port = self._server.get_host_and_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self.session = boto3.Session(
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=CREDENTIALS["AWS_SESSION_TOKEN"],
        )
        # No proxy that the environment may name: the server is on this machine.
        self._config = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 1}, proxies={})

    def environment(self) -> dict[str, str]:
        """Return the variables that point an AWS SDK at this server and nowhere else."""
        return {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    @property
    def cloudformation(self) -> "CloudFormationClient":
        """A client for CloudFormation."""
        return self.session.client("cloudformation", endpoint_url=self.endpoint, config=self._config)

    @property
    def apigateway(self) -> "APIGatewayClient":
        """A client for API Gateway's control plane: usage plans and keys."""
        return self.session.client("apigateway", endpoint_url=self.endpoint, config=self._config)

    @property
    def secretsmanager(self) -> "SecretsManagerClient":
        """A client for Secrets Manager."""
        return self.session.client("secretsmanager", endpoint_url=self.endpoint, config=self._config)

    def stop(self) -> None:
        """Stop serving; everything that was stored is gone."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
