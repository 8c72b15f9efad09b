"""AWS for tests: one moto server a run, and one fixture a service, each a real boto3 client of it."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from mypy_boto3_secretsmanager import SecretsManagerClient
from werkzeug.serving import make_server

REGION = "eu-central-1"


class _Services(DomainDispatcherApplication):
    """moto's, which otherwise looks on the disk with each request what services there are: a quarter of its time."""

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        self._found: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        if host not in self._found:
            self._found[host] = super().get_backend_for_host(host)
        return self._found[host]


class _Handler(MotoRequestHandler):
    """moto's, which otherwise ends the connection after each request."""

    protocol_version = "HTTP/1.1"


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """The URL of the run's moto server."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, _Services(), threaded=True, request_handler=_Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


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
