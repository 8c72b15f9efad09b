"""Dynamic client registration: what is accepted, and how it is limited."""

import time
from typing import Any

import pytest

from tests.integration.oauth.deployment import CLAUDE_CALLBACK, Deployment, Pkce


def register(deployment: Deployment, **members: object) -> Any:
    """Send a registration request."""
    return deployment.browser.post("/register", json={"redirect_uris": [CLAUDE_CALLBACK]} | members)


def test_a_registration_says_back_what_was_registered(deployment: Deployment) -> None:
    answer = register(deployment, client_name="Claude", token_endpoint_auth_method="client_secret_post")
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    registered = answer.json()
    assert registered["client_name"] == "Claude"
    assert registered["redirect_uris"] == [CLAUDE_CALLBACK]
    assert registered["grant_types"] == ["authorization_code", "refresh_token"]
    assert registered["token_endpoint_auth_method"] == "client_secret_post"
    assert len(registered["client_secret"]) >= 43
    assert registered["client_secret_expires_at"] == 0


def test_a_public_client_gets_no_secret(deployment: Deployment) -> None:
    registered = register(deployment, token_endpoint_auth_method="none").json()
    assert "client_secret" not in registered
    assert "client_secret_expires_at" not in registered


def test_what_is_left_out_means_what_the_standard_says(deployment: Deployment) -> None:
    assert register(deployment).json()["token_endpoint_auth_method"] == "client_secret_basic"


def test_members_without_a_value_are_as_if_they_were_not_there(deployment: Deployment) -> None:
    answer = register(deployment, client_name=None, scope=None, grant_types=None, logo_uri=None, contacts=None)
    assert answer.status_code == 201


def test_grants_and_members_that_are_not_known_here_are_left_out(deployment: Deployment) -> None:
    answer = register(
        deployment,
        grant_types=["authorization_code", "urn:ietf:params:oauth:grant-type:jwt-bearer"],
        scope="claudeai",
        software_id="x",
        jwks={"keys": []},
    )
    registered = answer.json()
    assert registered["grant_types"] == ["authorization_code"]
    assert registered["scope"] == "read write"
    assert "jwks" not in registered


def test_a_client_without_refresh_tokens_gets_none(deployment: Deployment) -> None:
    client = deployment.register(grant_types=["authorization_code"])
    assert "refresh_token" not in deployment.connect(client)


@pytest.mark.parametrize(
    "uri",
    [
        "http://client.example/callback",
        "https://client.example/callback#fragment",
        "https://user:password@client.example/callback",
        "https:///callback",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "blob:https://client.example/x",
        "//client.example/callback",
        "/callback",
        "",
        "https://client.example/call back",
        "https://client.example\\callback",
        "https://client.example/<script>",
        "https://client.example:port/callback",
        "https://клиент.example/callback",
        "http://localhost.client.example/callback",
        "http://127.0.0.1@client.example/callback",
        "http://0.0.0.0/callback",
        "https://client.example/" + "x" * 2000,
    ],
)
def test_redirect_uris_that_hide_what_they_are_cannot_be_registered(deployment: Deployment, uri: str) -> None:
    answer = register(deployment, redirect_uris=[CLAUDE_CALLBACK, uri])
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_redirect_uri"


@pytest.mark.parametrize(
    "uri",
    [
        "https://claude.com/api/mcp/auth_callback",
        "http://localhost:6274/oauth/callback",
        "http://127.0.0.1/callback",
        "http://[::1]:8080/callback",
        "cursor://anysphere.cursor-retrieval/oauth/user-remora/callback",
        "com.example.app:/oauth",
        "https://client.example:8443/callback?x=1",
    ],
)
def test_redirect_uris_of_web_and_native_applications_can_be_used(deployment: Deployment, uri: str) -> None:
    client = deployment.register(redirect_uris=[uri])
    location = deployment.consent(deployment.request(client, Pkce.generate())).headers["location"]
    assert location.startswith(uri + ("&" if "?" in uri else "?") + "code=")


@pytest.mark.parametrize(
    "members",
    [
        {"redirect_uris": []},
        {"redirect_uris": None},
        {"redirect_uris": "https://client.example/callback"},
        {"redirect_uris": [1]},
        {"redirect_uris": [CLAUDE_CALLBACK] * 21},
        {"grant_types": ["client_credentials"]},
        {"grant_types": "authorization_code"},
        {"response_types": ["token"]},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"token_endpoint_auth_method": "tls_client_auth"},
    ],
)
def test_a_client_that_could_not_be_served_is_not_registered(deployment: Deployment, members: dict[str, Any]) -> None:
    answer = register(deployment, **members)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_client_metadata"


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"x"', b"{", b"\xff", b"1e999", b"[" * 20_000])
def test_what_is_no_registration_is_refused(deployment: Deployment, body: bytes) -> None:
    answer = deployment.browser.post("/register", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_client_metadata"


def test_a_registration_may_not_be_larger_than_64_kib(deployment: Deployment) -> None:
    assert deployment.browser.post("/register", content=b" " * 65_537).status_code == 413


def test_a_registration_flood_is_stopped(deployment: Deployment) -> None:
    for _ in range(20):
        assert register(deployment).status_code == 201
    stopped = register(deployment)
    assert stopped.status_code == 429
    assert int(stopped.headers["retry-after"]) > 0
    assert stopped.headers["access-control-allow-origin"] == "*"


def test_a_registration_that_nobody_uses_is_forgotten_after_a_day(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = deployment.register()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 86_401)
    assert deployment.open_page(deployment.request(client, Pkce.generate())).status_code == 400


def test_a_registration_that_somebody_uses_is_kept(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    client = deployment.register()
    deployment.connect(client)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 100 * 86_400)
    assert deployment.open_page(deployment.request(client, Pkce.generate())).status_code == 200
