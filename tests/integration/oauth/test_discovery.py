"""The documents that clients find the authorization server by."""

import pytest

from tests.integration.oauth.deployment import ISSUER, Deployment

RESOURCES = ["/mcp", "/mcp/memory", "/mcp/chroma"]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("resource", RESOURCES)
def test_each_resource_has_metadata_that_names_it_as_the_person_typed_it(
    deployment: Deployment, resource: str, slash: str
) -> None:
    for path in (
        f"/.well-known/oauth-protected-resource{resource}{slash}",
        f"{resource}/.well-known/oauth-protected-resource",
    ):
        document = deployment.browser.get(path).json()
        assert document["resource"] == ISSUER + resource + (slash if path.endswith(resource + slash) else "")
        assert document["authorization_servers"] == [ISSUER]
        assert document["scopes_supported"] == ["read", "write"]
        assert document["bearer_methods_supported"] == ["header"]


def test_the_root_document_is_that_of_the_main_endpoint(deployment: Deployment) -> None:
    document = deployment.browser.get("/.well-known/oauth-protected-resource").json()
    assert document["resource"] == ISSUER + "/mcp"


@pytest.mark.parametrize("path", ["/other", "/mcp/other", "/mcp/memory/x", "/MCP"])
def test_what_is_no_resource_has_no_metadata(deployment: Deployment, path: str) -> None:
    for document in ("oauth-protected-resource", "oauth-authorization-server", "openid-configuration"):
        assert deployment.browser.get(f"/.well-known/{document}{path}").status_code == 404
        assert deployment.browser.get(f"{path}/.well-known/{document}").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/mcp",
        "/.well-known/oauth-authorization-server/mcp/memory",
        "/mcp/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/.well-known/openid-configuration/mcp/chroma",
        "/mcp/.well-known/openid-configuration",
        "/mcp/memory/.well-known/openid-configuration",
    ],
)
def test_the_server_is_described_at_every_place_that_clients_probe(deployment: Deployment, path: str) -> None:
    document = deployment.browser.get(path).json()
    assert document["issuer"] == ISSUER
    # claude.ai appends these paths to the host, whatever the metadata says.
    assert document["authorization_endpoint"] == f"{ISSUER}/authorize"
    assert document["token_endpoint"] == f"{ISSUER}/token"
    assert document["registration_endpoint"] == f"{ISSUER}/register"
    assert document["revocation_endpoint"] == f"{ISSUER}/revoke"
    assert document["jwks_uri"] == f"{ISSUER}/.well-known/jwks.json"
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["response_types_supported"] == ["code"]
    assert "none" in document["token_endpoint_auth_methods_supported"]
    assert document["client_id_metadata_document_supported"] is True
    assert document["authorization_response_iss_parameter_supported"] is True
    assert document["scopes_supported"] == ["read", "write", "offline_access"]


def test_no_document_follows_the_host_that_a_request_names(deployment: Deployment) -> None:
    for path in ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server"):
        answer = deployment.browser.get(
            path,
            headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"},
        )
        assert "evil.example" not in answer.text
        assert ISSUER in answer.text


def test_documents_can_be_read_by_pages_of_any_site_and_be_cached_for_them(deployment: Deployment) -> None:
    for path in ("/.well-known/oauth-protected-resource", "/.well-known/jwks.json"):
        answer = deployment.browser.get(path)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cache-control"] == "public, max-age=300"


def test_a_page_of_any_site_may_call_the_token_endpoint_and_read_its_errors(deployment: Deployment) -> None:
    preflight = deployment.browser.options(
        "/token",
        headers={
            "Origin": "http://localhost:6274",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, mcp-protocol-version",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    for answer in (
        deployment.browser.post("/token", headers={"Origin": "http://localhost:6274"}),
        deployment.browser.get("/nowhere", headers={"Origin": "http://localhost:6274"}),
    ):
        assert answer.status_code >= 400
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "WWW-Authenticate" in answer.headers["access-control-expose-headers"]


def test_the_consent_page_is_for_no_other_site(deployment: Deployment) -> None:
    answer = deployment.browser.get("/authorize", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
