"""AWS for tests: one moto server a run, and one fixture a service, each a real boto3 client of it."""

from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer
from mypy_boto3_secretsmanager import SecretsManagerClient

REGION = "eu-central-1"


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """The URL of the run's moto server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws_environment(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Environment variables with which code under test reaches moto instead of AWS; set for this process too."""
    environment = {
        "AWS_ENDPOINT_URL": moto_url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


@pytest.fixture(scope="session")
def aws_session() -> boto3.Session:
    """What clients are made by; making one takes long enough to be shared."""
    return boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION)


@pytest.fixture(scope="session")
def shared_secretsmanager(aws_session: boto3.Session, moto_url: str) -> SecretsManagerClient:
    """Secrets Manager, one client for all tests."""
    return aws_session.client("secretsmanager", endpoint_url=moto_url)


@pytest.fixture
def secretsmanager(
    aws_environment: dict[str, str], shared_secretsmanager: SecretsManagerClient
) -> SecretsManagerClient:
    """Secrets Manager, for code under test too."""
    return shared_secretsmanager
