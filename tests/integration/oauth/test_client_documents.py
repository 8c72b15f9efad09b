"""Clients that are named by the URL of their description."""

import json

import pytest

from tests.integration.oauth.deployment import (
    CLAUDE_CALLBACK,
    Deployment,
    Pkce,
    RegisteredClient,
    Response,
    claims_of,
    query_of,
)

URL = "https://client.example/oauth/client.json"
CALLBACK = "https://client.example/callback"
CLIENT = RegisteredClient(URL, CALLBACK)


def opened(deployment: Deployment, client: RegisteredClient = CLIENT) -> Response:
    """Open the page of a good request of a client."""
    return deployment.open_page(deployment.request(client, Pkce.generate()))


def test_a_client_goes_all_the_way_by_its_url(deployment: Deployment) -> None:
    deployment.web.publish(URL)
    tokens = deployment.connect(CLIENT)
    assert claims_of(tokens["access_token"])["client_id"] == URL
    refreshed = deployment.refresh(CLIENT, tokens["refresh_token"])
    assert refreshed.status_code == 200
    revoked = deployment.browser.post("/revoke", data={"client_id": URL, "token": refreshed.json()["refresh_token"]})
    assert revoked.status_code == 200


def test_a_url_is_asked_once_for_many_requests(deployment: Deployment) -> None:
    deployment.web.publish(URL)
    for _ in range(3):
        assert opened(deployment).status_code == 200
    assert deployment.web.asked == [URL]


def test_the_token_endpoint_asks_no_url(deployment: Deployment) -> None:
    deployment.web.publish(URL)
    tokens = deployment.connect(CLIENT)
    asked = list(deployment.web.asked)
    deployment.refresh(CLIENT, tokens["refresh_token"])
    deployment.token(
        RegisteredClient("https://other.example/client", ""), grant_type="refresh_token", refresh_token="x"
    )
    assert deployment.web.asked == asked


def test_a_failure_is_remembered_for_a_while_and_told(deployment: Deployment) -> None:
    for _ in range(2):
        page = opened(deployment)
        assert page.status_code == 400
        assert "There is nothing there." in page.text
    assert deployment.web.asked == [URL]


@pytest.mark.parametrize(
    "members",
    [
        {"client_id": "https://other.example/oauth/client.json"},
        {"client_id": None},
        {"redirect_uris": []},
        {"redirect_uris": ["http://client.example/callback"]},
        {"redirect_uris": "https://client.example/callback"},
        {"token_endpoint_auth_method": "client_secret_post"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"response_types": ["token"]},
        {"grant_types": ["client_credentials"]},
    ],
)
def test_a_document_that_describes_no_client_of_ours_is_refused(
    deployment: Deployment, members: dict[str, object]
) -> None:
    deployment.web.publish(URL, **members)
    assert opened(deployment).status_code == 400


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"<html>", b"\xff", b"{" * 5000, b'{"client_id": 1}'])
def test_what_is_no_document_is_refused(deployment: Deployment, content: bytes) -> None:
    deployment.web.documents[URL] = content
    assert opened(deployment).status_code == 400


def test_a_redirect_uri_that_the_document_does_not_name_is_refused(deployment: Deployment) -> None:
    deployment.web.publish(URL)
    page = opened(deployment, RegisteredClient(URL, "https://evil.example/callback"))
    assert page.status_code == 400
    assert "href=" not in page.text


@pytest.mark.parametrize(
    "client_id",
    [
        "http://client.example/oauth/client.json",
        "https://client.example",
        "https://client.example/",
        "https://client.example:8443/client",
        "https://user@client.example/client",
        "https://client.example/client#x",
        "https://client.example/client?x",
        "https://client.example/a/../client",
        "https://client.example/a/%2e%2e/client",
        "https://CLIENT.example/client",
        "https://localhost/client",
        "https://127.0.0.1/client",
        "https://2130706433/client",
        "https://0x7f.1/client",
        "https://127.1/client",
        "https://[::1]/client",
        "https://169.254.169.254/latest/meta-data",
        "ftp://client.example/client",
        "https://client.example/client\n",
    ],
)
def test_urls_of_any_other_form_are_never_asked(deployment: Deployment, client_id: str) -> None:
    """SSRF through metadata URLs: what cannot be a public client's URL does not reach the network at all."""
    deployment.web.publish(client_id)
    assert opened(deployment, RegisteredClient(client_id, CALLBACK)).status_code == 400
    assert deployment.web.asked == []


def test_asking_for_ever_new_urls_is_stopped(deployment: Deployment) -> None:
    for number in range(30):
        opened(deployment, RegisteredClient(f"https://client.example/{number}", CALLBACK))
    stopped = opened(deployment, RegisteredClient("https://client.example/one-more", CALLBACK))
    assert stopped.status_code == 429
    assert len(deployment.web.asked) == 30


@pytest.mark.parametrize(
    ("client_id", "redirect_uri"),
    [
        ("https://claude.ai/oauth/mcp-oauth-client-metadata", CLAUDE_CALLBACK),
        ("https://claude.ai/oauth/mcp-oauth-client-metadata", "https://claude.com/api/mcp/auth_callback"),
        ("https://claude.ai/oauth/claude-code-client-metadata", "http://localhost:55611/callback"),
        ("https://claude.ai/oauth/claude-code-client-metadata", "http://127.0.0.1:52163/callback"),
    ],
)
def test_claudes_documents_are_known_where_they_cannot_be_fetched(
    deployment: Deployment, client_id: str, redirect_uri: str
) -> None:
    client, pkce = RegisteredClient(client_id, redirect_uri), Pkce.generate()
    assert deployment.redeem(client, pkce, deployment.code(client, pkce)).status_code == 200


def test_a_known_document_is_no_excuse_for_another_redirect_uri(deployment: Deployment) -> None:
    client = RegisteredClient("https://claude.ai/oauth/mcp-oauth-client-metadata", "https://evil.example/callback")
    assert opened(deployment, client).status_code == 400


def test_what_is_published_now_goes_before_what_was_known(deployment: Deployment) -> None:
    url = "https://claude.ai/oauth/mcp-oauth-client-metadata"
    deployment.web.publish(url, client_name="Claude", redirect_uris=["https://claude.ai/new"])
    assert opened(deployment, RegisteredClient(url, CLAUDE_CALLBACK)).status_code == 400
    assert opened(deployment, RegisteredClient(url, "https://claude.ai/new")).status_code == 200


def test_what_is_unreadable_in_the_cache_is_fetched_again(deployment: Deployment, dynamodb: object) -> None:
    deployment.web.publish(URL)
    opened(deployment)
    client = dynamodb
    for item in client.scan(TableName=deployment.settings.oauth_table)["Items"]:  # type: ignore[attr-defined]
        if item["id"]["S"].startswith("document#"):
            item["data"]["S"] = json.dumps({"client": {"of": "an older version"}})
            client.put_item(TableName=deployment.settings.oauth_table, Item=item)  # type: ignore[attr-defined]
    assert opened(deployment).status_code == 200
    assert deployment.web.asked == [URL, URL]


def test_a_description_cannot_lend_itself_a_host(deployment: Deployment) -> None:
    deployment.web.publish(URL, client_name="Claude by claude.ai", client_uri="https://claude.ai")
    page = opened(deployment)
    assert "<dt>Vouched for by</dt><dd>client.example</dd>" in page.text


def test_a_person_says_no_to_a_client_with_a_url(deployment: Deployment) -> None:
    deployment.web.publish(URL)
    assert query_of(deployment.step(opened(deployment), "deny"))["error"] == "access_denied"
