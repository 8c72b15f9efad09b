"""Which calls came through the edge: the origin secret in Secrets Manager, and what the authorizer makes of it."""

import importlib
import json
import sys
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from mypy_boto3_secretsmanager import SecretsManagerClient

from remora.auth.edge import Edge
from remora.auth.keys import RefusedError, generate_key, hash_key
from remora.aws import Aws
from remora.errors import UnavailableError
from tests.support.lambda_event import Context

CONNECTION = "192.0.2.1"
VIEWER = "203.0.113.7"


@pytest.fixture
def secret(secretsmanager: SecretsManagerClient) -> str:
    """The ARN of an origin secret whose one version is `first`."""
    return secretsmanager.create_secret(Name=f"origin-{uuid.uuid4()}", SecretString="first")["ARN"]


def through(secret: str, **more: str) -> dict[str, str]:
    return {"x-remora-origin": secret, "x-remora-viewer": VIEWER, **more}


def accepts(edge: Edge, headers: dict[str, str]) -> bool:
    try:
        return edge.caller_address(headers, CONNECTION) == VIEWER
    except RefusedError:
        return False


@pytest.mark.parametrize("headers", [{}, {"x-remora-viewer": VIEWER}, through(""), through("guess"), through("firs")])
def test_a_call_that_does_not_show_the_secret_came_around(secret: str, headers: dict[str, str]) -> None:
    assert not accepts(Edge(secret, Aws()), headers)


def test_the_current_and_the_previous_secret_are_accepted_and_no_older_one(
    secret: str, secretsmanager: SecretsManagerClient
) -> None:
    assert accepts(Edge(secret, Aws()), through("first"))
    secretsmanager.put_secret_value(SecretId=secret, SecretString="second")
    assert accepts(Edge(secret, Aws()), through("first"))
    assert accepts(Edge(secret, Aws()), through("second"))
    secretsmanager.put_secret_value(SecretId=secret, SecretString="third")
    assert not accepts(Edge(secret, Aws()), through("first"))
    assert accepts(Edge(secret, Aws()), through("third"))


def test_a_new_secret_is_accepted_by_an_environment_that_knows_the_old_one(
    secret: str, secretsmanager: SecretsManagerClient
) -> None:
    edge = Edge(secret, Aws())
    assert accepts(edge, through("first"))
    secretsmanager.put_secret_value(SecretId=secret, SecretString="second")
    assert accepts(edge, through("second"))
    assert accepts(edge, through("first"))


def test_guessing_does_not_ask_secrets_manager_again_and_again(
    secret: str, secretsmanager: SecretsManagerClient
) -> None:
    edge = Edge(secret, Aws())
    assert not accepts(edge, through("guess"))
    # If the next guess were looked up, it would be found.
    secretsmanager.put_secret_value(SecretId=secret, SecretString="guess")
    assert not accepts(edge, through("guess"))


@pytest.mark.parametrize("viewer", ["", "not an address", "203.0.113.7, 198.51.100.1"])
def test_an_address_that_is_none_is_not_repeated(secret: str, viewer: str) -> None:
    headers = through("first", **{"x-remora-viewer": viewer})
    assert Edge(secret, Aws()).caller_address(headers, CONNECTION) == CONNECTION


def test_without_a_distribution_the_connection_says_who_is_calling() -> None:
    assert Edge("", Aws()).caller_address(through("first"), CONNECTION) == CONNECTION


@pytest.mark.usefixtures("aws_environment")
def test_when_the_secret_cannot_be_read_nobody_gets_in() -> None:
    with pytest.raises(UnavailableError):
        Edge("no-such-secret", Aws()).caller_address(through("first"), CONNECTION)


Authorize = Callable[[dict[str, str]], dict[str, Any]]


@pytest.fixture
def authorize(secretsmanager: SecretsManagerClient, secret: str, monkeypatch: pytest.MonkeyPatch) -> Authorize:
    """Call the authorizer with alice's key and some headers, in a new execution environment."""
    key = generate_key("alice")
    alice = {"scopes": ["read"], "space": "alice", "usage_key": "u" * 20, "keys": [{"sha256": hash_key(key)}]}
    principals = secretsmanager.create_secret(
        Name=f"principals-{uuid.uuid4()}", SecretString=json.dumps({"principals": {"alice": alice}})
    )
    monkeypatch.setenv("REMORA_PRINCIPALS_SECRET", principals["ARN"])
    monkeypatch.setenv("REMORA_ORIGIN_SECRET", secret)
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "authorizer")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Remora")
    sys.modules.pop("authorizer.handler", None)
    handler = importlib.import_module("authorizer.handler").handler

    def call(headers: dict[str, str], authorization: str = f"Bearer {key}") -> dict[str, Any]:
        event = {
            "type": "REQUEST",
            "methodArn": "arn:aws:execute-api:eu-central-1:123456789012:api123/dev/POST/mcp",
            "resource": "/mcp",
            "path": "/mcp",
            "httpMethod": "POST",
            "headers": {"Authorization": authorization, **headers},
            "requestContext": {"identity": {"sourceIp": CONNECTION}, "stage": "dev", "apiId": "api123"},
        }
        answer: dict[str, Any] = handler(event, Context())
        return answer

    return call


def test_a_good_key_that_came_through_is_allowed(authorize: Authorize) -> None:
    assert authorize(through("first"))["principalId"] == "alice"


def refusals(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return why calls were refused, and the addresses that the log gives for them."""
    fields = [vars(record) for record in caplog.records if record.message == "Credential refused"]
    return [(str(record["reason"]), record["source_ip"]) for record in fields]


def test_a_good_key_that_came_around_is_refused_and_counted(
    authorize: Authorize, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        authorize(through("guess"))
    assert refusals(caplog) == [("around_the_edge", CONNECTION)]
    assert '"reason":"around_the_edge"' in capsys.readouterr().out.replace(": ", ":")
    assert "guess" not in caplog.text


def test_who_came_through_with_a_bad_key_is_logged_with_their_own_address(
    authorize: Callable[..., dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        authorize(through("first"), "Bearer nonsense")
    assert refusals(caplog) == [("malformed", VIEWER)]
