"""The authorizer's handler with an outside issuer: tokens and keys side by side, and what is answered and counted."""

import importlib
import json
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from mypy_boto3_secretsmanager import SecretsManagerClient

from remora.auth.keys import generate_key, hash_key
from remora.errors import UnavailableError
from tests.support.emf import refusal_reason
from tests.support.issuer import Issuer, Key, rsa_key, serving_issuer

KEY = generate_key("alice")
PRINCIPALS = {
    "alice": {
        "scopes": ["read", "write", "admin"],
        "space": "alice-space",
        "usage_key": "usage-key-of-alice-0123456789",
        "keys": [{"sha256": hash_key(KEY)}],
        "identities": ["alice-at-issuer"],
    },
    "everybody": {
        "scopes": ["read"],
        "space": "everybodys-space",
        "usage_key": "usage-key-of-everybody-0123456789",
        "identities": ["*"],
    },
}
SIGNING_KEY = rsa_key()

Call = Callable[[str], dict[str, Any]]
Start = Callable[..., Call]


@dataclass
class Context:
    """Lambda's context, as far as Powertools reads it."""

    function_name: str = "authorizer"
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:authorizer"
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer of this machine."""
    with serving_issuer(SIGNING_KEY) as served:
        yield served


@pytest.fixture
def start(secretsmanager: SecretsManagerClient, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start a new execution environment; its result calls the handler with a bearer credential."""
    created = secretsmanager.create_secret(
        Name=f"principals-{uuid.uuid4()}", SecretString=json.dumps({"principals": PRINCIPALS})
    )

    def starting(**environment: str) -> Call:
        monkeypatch.setenv("REMORA_PRINCIPALS_SECRET", created["ARN"])
        monkeypatch.setenv("REMORA_PRINCIPALS_CACHE_SECONDS", "0")
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "authorizer")
        monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Remora")
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        sys.modules.pop("authorizer.handler", None)
        handler = importlib.import_module("authorizer.handler").handler

        def call(credential: str) -> dict[str, Any]:
            event = {
                "type": "REQUEST",
                "methodArn": "arn:aws:execute-api:eu-central-1:123456789012:api123/dev/POST/mcp",
                "resource": "/mcp",
                "path": "/mcp",
                "httpMethod": "POST",
                "headers": {"authorization": f"Bearer {credential}"},
                "requestContext": {"identity": {"sourceIp": "192.0.2.1"}, "stage": "dev", "apiId": "api123"},
            }
            answer: dict[str, Any] = handler(event, Context())
            return answer

        return call

    return starting


def trusting(start: Start, issuer: Issuer, **environment: str) -> Call:
    """Start an environment that trusts an issuer."""
    trust = {"REMORA_OUTSIDE_ISSUER": issuer.url, "REMORA_OUTSIDE_AUDIENCE": "remora-client"}
    return start(**trust | environment)


def refused_for(call: Call, credential: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the reason that the metric counts, after checking that nobody sees the credential."""
    capsys.readouterr()
    with pytest.raises(Exception, match=r"^Unauthorized$") as error:
        call(credential)
    assert error.value.__cause__ is None
    printed = "".join(capsys.readouterr())
    assert all(part not in printed for part in credential.split(".") if part)
    return refusal_reason(printed)


def test_a_token_is_allowed_with_the_context_and_usage_key_of_its_principal(start: Start, issuer: Issuer) -> None:
    token = issuer.token()
    answer = trusting(start, issuer)(token)
    assert answer["principalId"] == "alice"
    # A key of alice's carries `admin`; a token does not, as no claim says it.
    assert answer["context"] == {"principal_id": "alice", "scopes": "read write", "space": "alice-space"}
    assert answer["usageIdentifierKey"] == "usage-key-of-alice-0123456789"
    assert [statement["Effect"] for statement in answer["policyDocument"]["Statement"]] == ["Allow"]
    assert token not in json.dumps(answer)


def test_a_person_without_an_entry_comes_in_as_one_of_everybody_with_the_claimed_space(
    start: Start, issuer: Issuer
) -> None:
    call = trusting(start, issuer, REMORA_OUTSIDE_SPACE_CLAIM="space", REMORA_OUTSIDE_SCOPES_CLAIM="scope")
    answer = call(issuer.token(sub="bob", space="bobs-space", scope="remora/read remora/write remora/admin"))
    assert answer["principalId"].startswith("everybody-")
    assert answer["context"] == {"principal_id": answer["principalId"], "scopes": "read", "space": "bobs-space"}
    assert answer["usageIdentifierKey"] == "usage-key-of-everybody-0123456789"


def test_keys_work_as_before_and_nothing_is_asked_of_the_issuer(start: Start, issuer: Issuer) -> None:
    call = trusting(start, issuer)
    assert call(KEY)["context"]["scopes"] == "admin read write"
    assert issuer.asked == []


@pytest.mark.parametrize(
    ("reason", "token"),
    [
        ("expired", lambda issuer: issuer.token(exp=1_600_000_000)),
        ("unknown", lambda issuer: issuer.token(aud="another-client")),
        ("unknown", lambda issuer: issuer.token(Key(SIGNING_KEY.id, rsa_key().private))),
        ("malformed", lambda issuer: issuer.token(iss="https://other.example")),
        ("malformed", lambda issuer: issuer.token()[:-20].replace(".", "")),
        ("unknown", lambda issuer: generate_key("alice")),
    ],
    ids=["expired", "another audience", "forged", "another issuer", "no token", "another key"],
)
def test_a_credential_of_nobody_is_refused_and_counted_by_its_reason(
    start: Start, issuer: Issuer, capsys: pytest.CaptureFixture[str], reason: str, token: Callable[[Issuer], str]
) -> None:
    assert refused_for(trusting(start, issuer), token(issuer), capsys) == reason


def test_without_an_issuer_no_token_is_looked_at(
    start: Start, issuer: Issuer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused_for(start(), issuer.token(), capsys) == "malformed"
    assert issuer.asked == []


def test_an_issuer_that_is_down_is_a_failure_and_not_a_401(start: Start, issuer: Issuer) -> None:
    issuer.break_down()
    call = trusting(start, issuer)
    with pytest.raises(UnavailableError):
        call(issuer.token())
    assert call(KEY)["principalId"] == "alice"


def test_keys_are_kept_from_one_call_to_the_next(start: Start, issuer: Issuer) -> None:
    call = trusting(start, issuer)
    for _ in range(3):
        call(issuer.token())
    assert issuer.asked.count("/keys") == 1


def test_what_reads_tokens_is_not_imported_for_a_key(start: Start, issuer: Issuer) -> None:
    call = trusting(start, issuer)
    for name in [name for name in sys.modules if name.startswith("remora.auth.outside")]:
        del sys.modules[name]
    call(KEY)
    assert not [name for name in sys.modules if name.startswith("remora.auth.outside")]
    call(issuer.token())
    assert "remora.auth.outside.issuer" in sys.modules
