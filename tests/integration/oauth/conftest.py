"""An authorization server for each test, with a table and secrets of its own."""

import threading
import uuid
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from moto.dynamodb.models import DynamoDBBackend
from mypy_boto3_dynamodb import DynamoDBClient
from mypy_boto3_secretsmanager import SecretsManagerClient

from remora.aws import Aws
from remora.oauth.settings import OAuthSettings
from remora.oauth.signing import new_signing_secret
from tests.integration.oauth.deployment import ISSUER, Deployment, Web
from tests.template.deployed import source


@pytest.fixture(scope="session")
def shared_dynamodb(aws_session: boto3.Session, moto_url: str) -> DynamoDBClient:
    """DynamoDB, one client for all tests."""
    return aws_session.client("dynamodb", endpoint_url=moto_url)


@pytest.fixture(scope="session")
def aws() -> Aws:
    """The clients of every authorization server here, made by the first that needs them."""
    return Aws()


@pytest.fixture
def dynamodb(
    aws_environment: dict[str, str], shared_dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch
) -> DynamoDBClient:
    """DynamoDB, which judges a condition and writes in one step: moto does so only for one caller at a time."""
    for name in ("update_item", "transact_write_items"):
        monkeypatch.setattr(DynamoDBBackend, name, _one_at_a_time(getattr(DynamoDBBackend, name)))
    return shared_dynamodb


_writing = threading.RLock()


def _one_at_a_time(write: Callable[..., Any]) -> Callable[..., Any]:
    def wait_and_write(*args: Any, **kwargs: Any) -> Any:
        with _writing:
            return write(*args, **kwargs)

    return wait_and_write


@pytest.fixture
def new_settings(dynamodb: DynamoDBClient, secretsmanager: SecretsManagerClient) -> Callable[[], OAuthSettings]:
    """Make a table and secrets, and return the settings of an authorization server that uses them."""

    def make() -> OAuthSettings:
        name = f"oauth-{uuid.uuid4()}"
        # The template's table, so that what works here works there.
        table = source()["Resources"]["OAuthTable"]["Properties"]
        dynamodb.create_table(
            TableName=name,
            KeySchema=table["KeySchema"],
            AttributeDefinitions=table["AttributeDefinitions"],
            GlobalSecondaryIndexes=table["GlobalSecondaryIndexes"],
            BillingMode=table["BillingMode"],
        )
        secretsmanager.create_secret(Name=f"{name}-principals", SecretString='{"principals": {}}')
        secretsmanager.create_secret(Name=f"{name}-signing", SecretString=new_signing_secret())
        return OAuthSettings(
            oauth_table=name,
            principals_secret=f"{name}-principals",
            principals_cache_seconds=0,
            signing_secret=f"{name}-signing",
        )

    return make


@pytest.fixture
def deployment(
    new_settings: Callable[[], OAuthSettings], aws: Aws, secretsmanager: SecretsManagerClient
) -> Deployment:
    """An authorization server whose one principal is alice."""
    made = Deployment(new_settings(), ISSUER, Web(), aws, secretsmanager)
    made.write_principals()
    return made
