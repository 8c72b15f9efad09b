"""Header smuggling into the authorizer's cache: what could be kept under an unchecked credential is refused."""

import importlib
import json
import sys
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from mypy_boto3_secretsmanager import SecretsManagerClient

from remora.auth.keys import generate_key, hash_key
from tests.support.lambda_event import Context

Pairs = list[tuple[str, str]]
Authorize = Callable[[Pairs], dict[str, Any]]

MINE, OTHERS = generate_key("mallory"), generate_key("alice")


@pytest.fixture
def authorize(secretsmanager: SecretsManagerClient, monkeypatch: pytest.MonkeyPatch) -> Authorize:
    """Ask the handler about a request with these headers, in their order, as API Gateway describes it."""
    stored = {
        name: {
            "scopes": ["read"],
            "space": f"{name}-space",
            "usage_key": f"usage-key-of-{name}-0123456789",
            "keys": [{"sha256": hash_key(key)}],
        }
        for name, key in (("mallory", MINE), ("alice", OTHERS))
    }
    secret = secretsmanager.create_secret(
        Name=f"principals-{uuid.uuid4()}", SecretString=json.dumps({"principals": stored})
    )
    monkeypatch.setenv("REMORA_PRINCIPALS_SECRET", secret["ARN"])
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "authorizer")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Remora")
    sys.modules.pop("authorizer.handler", None)
    handler = importlib.import_module("authorizer.handler").handler

    def call(pairs: Pairs) -> dict[str, Any]:
        several: dict[str, list[str]] = {}
        for name, value in pairs:
            several.setdefault(name, []).append(value)
        event = {
            "type": "REQUEST",
            "methodArn": "arn:aws:execute-api:eu-central-1:123456789012:api123/dev/POST/mcp",
            "resource": "/mcp",
            "path": "/mcp",
            "httpMethod": "POST",
            # The last value of each name, as API Gateway has it.
            "headers": {name: values[-1] for name, values in several.items()},
            "multiValueHeaders": several,
            "queryStringParameters": {},
            "pathParameters": {},
            "stageVariables": {},
            "requestContext": {"identity": {"sourceIp": "192.0.2.1"}, "stage": "dev", "apiId": "api123"},
        }
        answer: dict[str, Any] = handler(event, Context())
        return answer

    return call


def test_one_credential_is_its_own_principal(authorize: Authorize) -> None:
    assert authorize([("Authorization", f"Bearer {MINE}")])["principalId"] == "mallory"
    assert authorize([("authorization", f"bearer {OTHERS}")])["principalId"] == "alice"


@pytest.mark.parametrize(
    "pairs",
    [
        [("Authorization", f"Bearer {MINE}"), ("Authorization", "Bearer rmr_alice_guessed")],
        [("Authorization", "Bearer rmr_alice_guessed"), ("Authorization", f"Bearer {MINE}")],
        [("Authorization", f"Bearer {MINE}"), ("Authorization", f"Bearer {OTHERS}")],
        [("Authorization", f"Bearer {MINE}"), ("Authorization", f"Bearer {MINE}")],
        [("Authorization", f"Bearer {MINE}"), ("authorization", "Bearer x")],
        [("authorization", "Bearer x"), ("Authorization", f"Bearer {MINE}")],
        [("AUTHORIZATION", ""), ("Authorization", f"Bearer {MINE}")],
        [("Authorization", f"Bearer {MINE}, Bearer x")],
        [("Authorization", f"Bearer x,Bearer {MINE}")],
        [("Authorization", f"Bearer {MINE} x")],
        [("Authorization", f"Bearer {MINE}\tx")],
        [("Authorization", f"Bearer\t{MINE}")],
        [("Authorization", f"Bearer {MINE}\r\nX: y")],
        [("Authorization", f"Bearer {MINE}\u00a0")],
        [("Authorization", f"Bearer {MINE}é")],
        [("Authorization", "Bearer " + "é" * 100)],
        [("Authorization", f"Bearer {MINE}" + "A" * 9_000)],
        [("Authorization", "Bearer " + "A" * 1_000_000)],
        [("Authorization ", f"Bearer {MINE}")],
        [("X-Forwarded-Authorization", f"Bearer {MINE}")],
        [],
    ],
    ids=[
        "duplicate, the good one first",
        "duplicate, the good one last",
        "duplicate, two principals",
        "duplicate, the same",
        "differing case, the good one first",
        "differing case, the good one last",
        "differing case, one empty",
        "comma-joined, the good one first",
        "comma-joined, the good one last",
        "blank-joined",
        "tab-joined",
        "tab after the scheme",
        "line break",
        "no-break space",
        "non-ASCII after the key",
        "non-ASCII alone",
        "too long to be a key",
        "very long",
        "name with a blank",
        "another name",
        "no header",
    ],
)
def test_a_smuggled_credential_is_refused_so_that_nothing_is_kept_of_it(
    authorize: Authorize, pairs: Pairs, capsys: pytest.CaptureFixture[str]
) -> None:
    """`Unauthorized` is the one answer that API Gateway does not keep."""
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        authorize(pairs)
    printed = "".join(capsys.readouterr())
    assert MINE not in printed
    assert OTHERS not in printed
    assert "A" * 100 not in printed
    assert "RefusedCredentials" in printed
