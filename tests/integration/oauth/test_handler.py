"""The authorization server's Lambda handler, given API Gateway's events."""

import base64
import importlib
import json
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from mypy_boto3_secretsmanager import SecretsManagerClient

from remora.auth.keys import generate_key, hash_key
from remora.oauth.settings import OAuthSettings
from tests.integration.oauth.deployment import CLAUDE_CALLBACK, HIDDEN_FORM, ISSUER, MCP, Pkce
from tests.support.lambda_event import Context

Handle = Callable[..., dict[str, Any]]


@pytest.fixture
def environment(new_settings: Callable[[], OAuthSettings], monkeypatch: pytest.MonkeyPatch) -> OAuthSettings:
    """The function's environment variables."""
    settings = new_settings()
    for name, value in settings.model_dump().items():
        monkeypatch.setenv(f"REMORA_{name.upper()}", str(value))
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "oauth")
    return settings


@pytest.fixture
def handle(environment: OAuthSettings) -> Handle:
    """Call the handler with a request, in a new execution environment."""
    sys.modules.pop("oauth.handler", None)
    handler = importlib.import_module("oauth.handler").handler

    def call(
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: str | None = None,
        headers: dict[str, str] | None = None,
        encode: bool = False,
        address: str = "192.0.2.1",
        public_url: str | None = ISSUER,
    ) -> dict[str, Any]:
        headers = {"Host": "abc.execute-api.eu-central-1.amazonaws.com"} | (headers or {})
        event = {
            "resource": path,
            "path": path,
            "httpMethod": method,
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": query,
            "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} if query else None,
            "pathParameters": None,
            "stageVariables": {"publicUrl": public_url} if public_url else None,
            "requestContext": {"stage": "dev", "identity": {"sourceIp": address}},
            "body": base64.b64encode(body.encode()).decode() if body and encode else body,
            "isBase64Encoded": encode,
        }
        answer: dict[str, Any] = handler(event, Context())
        return answer

    return call


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def cookies_of(answer: dict[str, Any]) -> dict[str, str]:
    """Return the cookies that an answer sets."""
    headers = {name.lower(): [value] for name, value in answer.get("headers", {}).items()}
    headers |= {name.lower(): values for name, values in answer.get("multiValueHeaders", {}).items()}
    pairs = (value.split(";")[0].partition("=") for value in headers.get("set-cookie", []))
    return {name: value for name, _, value in pairs}


@pytest.mark.parametrize("encode", [False, True])
def test_a_whole_flow_goes_through_the_handler_and_leaves_a_trail(
    caplog: pytest.LogCaptureFixture,
    handle: Handle,
    environment: OAuthSettings,
    secretsmanager: SecretsManagerClient,
    encode: bool,
) -> None:
    key, pkce = generate_key("alice"), Pkce.generate()
    alice = {"scopes": ["read"], "space": "alice", "usage_key": "x" * 20, "keys": [{"sha256": hash_key(key)}]}
    secretsmanager.put_secret_value(
        SecretId=environment.principals_secret, SecretString=json.dumps({"principals": {"alice": alice}})
    )
    document = json.loads(handle("GET", "/.well-known/oauth-protected-resource/mcp")["body"])
    assert document["resource"] == MCP
    registration = {"redirect_uris": [CLAUDE_CALLBACK], "token_endpoint_auth_method": "none"}
    client_id = json.loads(handle("POST", "/register", body=json.dumps(registration), encode=encode)["body"])[
        "client_id"
    ]
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CLAUDE_CALLBACK,
        "code_challenge": pkce.challenge,
        "code_challenge_method": "S256",
        "resource": MCP,
        "state": "a b&c=d%20e",
    }
    page = handle("GET", "/authorize", query=query)
    assert page["statusCode"] == 200
    cookies: dict[str, str] = {}
    for fields in (
        {"action": "sign-in", "key": generate_key("alice")},
        {"action": "sign-in", "key": key},
        {"action": "allow"},
    ):
        cookies |= cookies_of(page)
        hidden = HIDDEN_FORM.search(page["body"])
        assert hidden is not None
        body = urlencode({"form": hidden[1], **fields})
        cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
        page = handle("POST", "/authorize", body=body, headers=FORM | {"Cookie": cookie}, encode=encode)
    assert page["statusCode"] == 303
    account = handle("GET", "/account", headers={"Cookie": cookie})
    assert account["statusCode"] == 200
    location = page["headers"]["location"]
    assert "state=a+b%26c%3Dd%2520e" in location
    parameters = {
        "grant_type": "authorization_code",
        "code": location.split("code=")[1].split("&")[0],
        "redirect_uri": CLAUDE_CALLBACK,
        "client_id": client_id,
        "code_verifier": pkce.verifier,
    }
    answer = handle("POST", "/token", body=urlencode(parameters), headers=FORM, encode=encode)
    assert answer["statusCode"] == 200
    tokens = json.loads(answer["body"])
    assert tokens["scope"] == "read"

    trail = {record.message: vars(record) for record in caplog.records}
    assert trail["Key refused"]["source_network"] == "192.0.2.1"
    assert trail["Connection opened"]["principal_id"] == "alice"
    assert trail["Connection opened"]["client_id"] == client_id
    session = cookies["__Host-remora-session"]
    for secret in (key, session, parameters["code"], tokens["access_token"], tokens["refresh_token"]):
        assert secret not in str(trail)


def test_the_limits_go_by_the_callers_network(handle: Handle) -> None:
    body = json.dumps({"redirect_uris": [CLAUDE_CALLBACK]})
    for number in range(20):
        assert handle("POST", "/register", body=body, address=f"2001:db8::{number:x}")["statusCode"] == 201
    assert handle("POST", "/register", body=body, address="2001:db8::ffff")["statusCode"] == 429
    assert handle("POST", "/register", body=body, address="2001:db8:0:1::1")["statusCode"] == 201


def test_a_header_that_the_edge_does_not_set_is_not_believed(handle: Handle) -> None:
    body = json.dumps({"redirect_uris": [CLAUDE_CALLBACK]})
    for number in range(21):
        forged = {"X-Forwarded-For": f"198.51.100.{number}", "CloudFront-Viewer-Address": f"198.51.100.{number}:1"}
        last = handle("POST", "/register", body=body, headers=forged)
    assert last["statusCode"] == 429


@pytest.fixture
def behind_the_edge(
    environment: OAuthSettings, secretsmanager: SecretsManagerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Say that there is a distribution, which shows the secret `origin`."""
    secretsmanager.create_secret(Name=f"{environment.oauth_table}-origin", SecretString="origin")
    monkeypatch.setenv("REMORA_ORIGIN_SECRET", f"{environment.oauth_table}-origin")


@pytest.mark.usefixtures("behind_the_edge")
def test_through_the_edge_the_limits_go_by_the_viewers_network(request: pytest.FixtureRequest) -> None:
    handle: Handle = request.getfixturevalue("handle")
    body = json.dumps({"redirect_uris": [CLAUDE_CALLBACK]})

    def status(viewer: str) -> int:
        passed_on = {"x-remora-origin": "origin", "x-remora-viewer": viewer}
        code: int = handle("POST", "/register", body=body, headers=passed_on)["statusCode"]
        return code

    assert {status(f"198.51.100.{number}") for number in range(21)} == {201}
    assert {status("2001:db8::1") for _ in range(20)} == {201}
    assert status("2001:db8::2") == 429


@pytest.mark.usefixtures("behind_the_edge")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/authorize"),
        ("POST", "/authorize"),
        ("POST", "/token"),
        ("POST", "/register"),
        ("POST", "/revoke"),
        ("GET", "/.well-known/oauth-protected-resource/mcp"),
        ("GET", "/.well-known/jwks.json"),
    ],
)
@pytest.mark.parametrize("origin", [None, "guess"])
def test_who_comes_around_the_edge_is_refused_everywhere(
    request: pytest.FixtureRequest, method: str, path: str, origin: str | None
) -> None:
    handle: Handle = request.getfixturevalue("handle")
    headers = {"x-remora-viewer": "198.51.100.1"} | ({"x-remora-origin": origin} if origin else {})
    answer = handle(method, path, headers=headers)
    assert answer["statusCode"] == 403
    assert json.loads(answer["body"])["error"] == "access_denied"


def test_when_aws_does_not_answer_the_client_is_told_to_try_again(
    handle: Handle, environment: OAuthSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    sys.modules.pop("oauth.handler", None)
    answer = handle("POST", "/register", body=json.dumps({"redirect_uris": [CLAUDE_CALLBACK]}))
    assert answer["statusCode"] == 503
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    assert headers["retry-after"] == "5"
    assert json.loads(answer["body"])["error"] == "temporarily_unavailable"
    page = handle("GET", "/authorize", query={"client_id": "rmc_" + "x" * 24, "response_type": "code"})
    assert page["statusCode"] == 503
    assert "text/html" in {name.lower(): value for name, value in page["headers"].items()}["content-type"]
    assert "127.0.0.1" not in answer["body"] + page["body"]


@pytest.mark.parametrize(
    "url",
    ["http://remora.example", "https://remora.example/path", "https://REMORA.example", "ftp://x", "https://", "x"],
)
def test_a_public_url_that_could_be_no_issuer_is_not_served(handle: Handle, url: str) -> None:
    with pytest.raises(ValueError, match="public URL"):
        handle("GET", "/.well-known/oauth-authorization-server", public_url=url)


def test_without_a_public_url_callers_are_told_to_use_a_key(handle: Handle) -> None:
    answer = handle("GET", "/.well-known/oauth-authorization-server", public_url=None)
    assert answer["statusCode"] == 404
    assert "Bearer rmr_" in json.loads(answer["body"])["error_description"]
