"""What claude.ai, Claude Code and ChatGPT do, step by step, as they document it or were seen to do it."""

import json

import pytest

from tests.integration.oauth.deployment import (
    CLAUDE_CALLBACK,
    ISSUER,
    MCP,
    Deployment,
    Pkce,
    RegisteredClient,
    query_of,
)

CHATGPT = "https://chatgpt.com/oauth/client.json"
CHATGPT_CALLBACK = "https://chatgpt.com/connector_platform_oauth_redirect"
CHATGPT_DOCUMENT = {
    "client_id": CHATGPT,
    "client_uri": "https://chatgpt.com/",
    "redirect_uris": [CHATGPT_CALLBACK],
    "token_endpoint_auth_method": "private_key_jwt",
    "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "client_name": "ChatGPT",
    "logo_uri": "https://persistent.oaistatic.com/sonic/misc/openai-logo.png",
    "token_endpoint_auth_signing_alg": "RS256",
    "jwks_uri": "https://chatgpt.com/oauth/jwks.json",
}


def discover(deployment: Deployment, typed: str) -> tuple[dict[str, object], dict[str, object]]:
    """Read both documents as a client does that was told a URL by a person."""
    path = typed.removeprefix(ISSUER)
    resource = deployment.browser.get(f"/.well-known/oauth-protected-resource{path}").json()
    assert resource["resource"] == typed
    server = resource["authorization_servers"][0]
    metadata = deployment.browser.get(f"{server}/.well-known/oauth-authorization-server").json()
    assert metadata["issuer"] == server
    assert "S256" in metadata["code_challenge_methods_supported"]
    return resource, metadata


@pytest.mark.parametrize("typed", [MCP, MCP + "/", MCP + "/memory"])
@pytest.mark.parametrize("callback", [CLAUDE_CALLBACK, "https://claude.com/api/mcp/auth_callback"])
def test_claude_ai_with_dynamic_registration(deployment: Deployment, typed: str, callback: str) -> None:
    resource, _ = discover(deployment, typed)
    # It appends /register, /authorize and /token to the host (claude-ai-mcp 82), and wants a secret (1043).
    registered = deployment.browser.post(
        "/register",
        json={
            "client_name": "Claude",
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "client_secret_post",
            "scope": "claudeai",
            "redirect_uris": [callback],
        },
    ).json()
    client, pkce = RegisteredClient(registered["client_id"], callback, registered["client_secret"]), Pkce.generate()
    answer = query_of(
        deployment.consent(
            deployment.request(client, pkce, scope="claudeai", resource=str(resource["resource"]), state="x" * 43)
        )
    )
    assert answer["iss"] == ISSUER
    tokens = deployment.redeem(client, pkce, answer["code"], resource=typed).json()
    assert tokens["scope"] == "read write"
    refreshed = deployment.refresh(client, tokens["refresh_token"], resource=typed).json()
    assert refreshed["refresh_token"] != tokens["refresh_token"]


def test_claude_ai_with_its_hosted_metadata(deployment: Deployment) -> None:
    _, metadata = discover(deployment, MCP)
    # Both are wanted, or it falls back to registration without a word.
    assert metadata["client_id_metadata_document_supported"] is True
    assert "none" in metadata["token_endpoint_auth_methods_supported"]  # type: ignore[operator]
    client = RegisteredClient("https://claude.ai/oauth/mcp-oauth-client-metadata", CLAUDE_CALLBACK)
    pkce = Pkce.generate()
    parameters = deployment.request(client, pkce, scope=" offline_access") | {"prompt": "consent"}
    code = query_of(deployment.consent(parameters))["code"]
    assert deployment.redeem(client, pkce, code).json()["scope"] == "read write"


def test_claude_code_on_a_port_of_its_own(deployment: Deployment) -> None:
    client = RegisteredClient(
        "https://claude.ai/oauth/claude-code-client-metadata", "http://localhost:55611/callback"
    )
    pkce = Pkce.generate()
    tokens = deployment.redeem(client, pkce, deployment.code(client, pkce)).json()
    assert "refresh_token" in tokens


def test_chatgpt_with_its_document(deployment: Deployment) -> None:
    _, metadata = discover(deployment, MCP)
    # Its stable callback is used only where answers name the issuer.
    assert metadata["authorization_response_iss_parameter_supported"] is True
    assert "private_key_jwt" not in metadata["token_endpoint_auth_methods_supported"]  # type: ignore[operator]
    deployment.web.documents[CHATGPT] = json.dumps(CHATGPT_DOCUMENT).encode()
    client, pkce = RegisteredClient(CHATGPT, CHATGPT_CALLBACK), Pkce.generate()
    redirect = deployment.consent(deployment.request(client, pkce, scope="read write offline_access"))
    assert redirect.headers["location"].startswith(CHATGPT_CALLBACK)
    answer = query_of(redirect)
    assert answer["iss"] == ISSUER
    tokens = deployment.redeem(client, pkce, answer["code"], resource=MCP).json()
    assert deployment.refresh(client, tokens["refresh_token"], resource=MCP).status_code == 200


@pytest.mark.parametrize("callback", [CHATGPT_CALLBACK, "https://chatgpt.com/connector/oauth/OUbdUMlL15Ct"])
def test_chatgpt_with_dynamic_registration(deployment: Deployment, callback: str) -> None:
    discover(deployment, MCP)
    registered = deployment.browser.post(
        "/register",
        json={
            "client_name": "ChatGPT",
            "redirect_uris": [callback],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        },
    ).json()
    assert "client_secret" not in registered
    client, pkce = RegisteredClient(registered["client_id"], callback), Pkce.generate()
    tokens = deployment.redeem(client, pkce, deployment.code(client, pkce)).json()
    assert tokens["token_type"] == "Bearer"


def test_a_client_that_reads_the_openid_document_finds_what_it_insists_on(deployment: Deployment) -> None:
    document = deployment.browser.get("/.well-known/openid-configuration").json()
    assert document["subject_types_supported"] == ["public"]
    assert document["id_token_signing_alg_values_supported"]
    assert document["jwks_uri"]
