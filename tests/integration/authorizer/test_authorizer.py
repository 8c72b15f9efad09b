"""The authorizer's handler, given API Gateway's event, with the principals in Secrets Manager."""

import importlib
import json
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mypy_boto3_secretsmanager import SecretsManagerClient

from remora.auth.keys import generate_key, hash_key
from tests.support.emf import refusal_reason

USAGE_KEY = "usage-key-of-alice-0123456789"
METHOD_ARN = "arn:aws:execute-api:eu-central-1:123456789012:api123/dev/POST/mcp"


@dataclass
class Context:
    """Lambda's context, as far as Powertools reads it."""

    function_name: str = "authorizer"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:authorizer"
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))


Authorize = Callable[[str | None], dict[str, Any]]


@pytest.fixture
def secret(secretsmanager: SecretsManagerClient) -> str:
    """The ARN of an empty principals secret."""
    created = secretsmanager.create_secret(Name=f"principals-{uuid.uuid4()}", SecretString='{"principals": {}}')
    return created["ARN"]


@pytest.fixture
def authorize(secret: str, monkeypatch: pytest.MonkeyPatch) -> Authorize:
    """Call the handler with an Authorization header, in a new execution environment."""
    monkeypatch.setenv("REMORA_PRINCIPALS_SECRET", secret)
    monkeypatch.setenv("REMORA_PRINCIPALS_CACHE_SECONDS", "0")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "authorizer")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Remora")
    sys.modules.pop("authorizer.handler", None)
    handler = importlib.import_module("authorizer.handler").handler

    def call(authorization: str | None) -> dict[str, Any]:
        headers = {"authorization": authorization} if authorization is not None else {}
        event = {
            "type": "REQUEST",
            "methodArn": METHOD_ARN,
            "resource": "/mcp",
            "path": "/mcp",
            "httpMethod": "POST",
            "headers": headers,
            "requestContext": {"identity": {"sourceIp": "192.0.2.1"}, "stage": "dev", "apiId": "api123"},
        }
        answer: dict[str, Any] = handler(event, Context())
        return answer

    return call


def store(
    secretsmanager: SecretsManagerClient,
    secret: str,
    key: str,
    *,
    disabled: bool = False,
    expires_at: str | None = None,
) -> None:
    """Make alice the only principal, with one key."""
    alice = {
        "scopes": ["read", "write"],
        "space": "alice-space",
        "usage_key": USAGE_KEY,
        "disabled": disabled,
        "keys": [{"sha256": hash_key(key), "expires_at": expires_at}],
    }
    secretsmanager.put_secret_value(SecretId=secret, SecretString=json.dumps({"principals": {"alice": alice}}))


def test_a_good_key_is_allowed_on_the_whole_stage_with_its_principal(
    authorize: Authorize, secretsmanager: SecretsManagerClient, secret: str
) -> None:
    key = generate_key("alice")
    store(secretsmanager, secret, key)
    answer = authorize(f"Bearer {key}")
    assert answer["principalId"] == "alice"
    assert answer["context"] == {"principal_id": "alice", "scopes": "read write", "space": "alice-space"}
    assert answer["usageIdentifierKey"] == USAGE_KEY
    (statement,) = answer["policyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"
    assert statement["Resource"] == ["arn:aws:execute-api:eu-central-1:123456789012:api123/dev/*/*"]
    assert key not in json.dumps(answer)


@pytest.mark.parametrize(
    ("reason", "stored"),
    [
        ("disabled", {"disabled": True}),
        ("expired", {"expires_at": (datetime.now(UTC) - timedelta(seconds=1)).isoformat()}),
    ],
)
def test_a_key_that_is_no_longer_good_is_refused_and_counted_by_its_reason(
    authorize: Authorize,
    secretsmanager: SecretsManagerClient,
    secret: str,
    capsys: pytest.CaptureFixture[str],
    reason: str,
    stored: dict[str, Any],
) -> None:
    key = generate_key("alice")
    store(secretsmanager, secret, key, **stored)
    assert refused_for(authorize, f"Bearer {key}", capsys) == reason


@pytest.mark.parametrize(
    ("reason", "authorization"),
    [
        ("missing", None),
        ("malformed", "Bearer not-a-key"),
        ("malformed", "Basic " + "cm1yX2FsaWNlOnNlY3JldA=="),
        ("unknown", f"Bearer {generate_key('alice')}"),
        ("unknown", f"Bearer {generate_key('mallory')}"),
    ],
    ids=["none", "no key", "basic", "wrong secret", "nobody"],
)
def test_a_credential_of_nobody_is_refused_and_counted_by_its_reason(
    authorize: Authorize,
    secretsmanager: SecretsManagerClient,
    secret: str,
    capsys: pytest.CaptureFixture[str],
    reason: str,
    authorization: str | None,
) -> None:
    store(secretsmanager, secret, generate_key("alice"))
    assert refused_for(authorize, authorization, capsys) == reason


def test_a_revoked_key_is_refused_by_an_environment_that_accepted_it(
    authorize: Authorize, secretsmanager: SecretsManagerClient, secret: str
) -> None:
    key = generate_key("alice")
    store(secretsmanager, secret, key)
    authorize(f"Bearer {key}")
    store(secretsmanager, secret, generate_key("alice"))
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        authorize(f"Bearer {key}")


def test_a_broken_secret_is_a_failure_and_not_a_refusal_and_is_not_shown(
    authorize: Authorize, secretsmanager: SecretsManagerClient, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    secretsmanager.put_secret_value(SecretId=secret, SecretString='{"principals": {"alice": "not-to-be-seen"}}')
    with pytest.raises(ValueError, match="validation error") as error:
        authorize(f"Bearer {generate_key('alice')}")
    assert "not-to-be-seen" not in str(error.value) + "".join(capsys.readouterr())


def refused_for(authorize: Authorize, authorization: str | None, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the reason that the metric counts, after checking that the caller and the log see no credential."""
    capsys.readouterr()
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        authorize(authorization)
    printed = "".join(capsys.readouterr())
    if authorization is not None:
        assert authorization.split()[-1] not in printed
    return refusal_reason(printed)
