"""The official MCP client's OAuth flow, from the first 401 to a tool call, refresh and revocation."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
import pytest
from mcp.client.auth import OAuthClientProvider
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mypy_boto3_secretsmanager import SecretsManagerClient
from pydantic import AnyUrl

from remora.oauth.settings import OAuthSettings
from tests.integration.oauth.deployment import Deployment, Pkce, Web, form_of, query_of
from tests.integration.oauth.loopback import served

pytestmark = pytest.mark.anyio

DOCUMENT = "https://client.example/oauth/client.json"
CALLBACK = "http://localhost:33418/callback"


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio."""
    return "asyncio"


@pytest.fixture
def running(new_settings: Callable[[], OAuthSettings], secretsmanager: SecretsManagerClient) -> Iterator[Deployment]:
    """An authorization server on a loopback port."""

    def deploy(url: str) -> Deployment:
        deployment = Deployment(new_settings(), url, Web(), secretsmanager)
        deployment.write_principals()
        return deployment

    with served(deploy) as deployment:
        yield deployment


@dataclass
class Memory:
    """What the client keeps."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass
class Person:
    """Somebody who allows whatever the client opens in their browser."""

    deployment: Deployment
    answers: list[dict[str, str]] = field(default_factory=list)

    async def open(self, url: str) -> None:
        parameters = dict(parse_qsl(urlsplit(url).query))
        assert "S256" in parse_qs(urlsplit(url).query)["code_challenge_method"]
        self.answers.append(query_of(self.deployment.consent(parameters)))

    async def answer(self) -> AuthorizationCodeResult:
        answer = self.answers[-1]
        return AuthorizationCodeResult(code=answer["code"], state=answer["state"], iss=answer["iss"])


def provider(deployment: Deployment, person: Person, memory: Memory, document: str | None) -> OAuthClientProvider:
    """Return the official client's OAuth half."""
    return OAuthClientProvider(
        server_url=f"{deployment.issuer}/mcp",
        client_metadata=OAuthClientMetadata(redirect_uris=[AnyUrl(CALLBACK)], client_name="Official client"),
        storage=memory,
        redirect_handler=person.open,
        callback_handler=person.answer,
        client_metadata_url=document,
    )


async def call(deployment: Deployment, oauth: OAuthClientProvider, mode: str = "auto") -> tuple[str, str]:
    """Call the tool, and return the protocol revision and what it said."""
    async with httpx2.AsyncClient(auth=oauth, timeout=30) as http:
        transport = streamable_http_client(f"{deployment.issuer}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            result = await client.call_tool("whoami", {})
            return client.protocol_version, result.content[0].text  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])
@pytest.mark.parametrize("document", [None, DOCUMENT])
async def test_the_official_client_connects(running: Deployment, document: str | None, mode: str) -> None:
    running.web.publish(DOCUMENT, redirect_uris=["http://localhost/callback"])
    person, memory = Person(running), Memory()
    _, said = await call(running, provider(running, person, memory, document), mode)
    assert said == "alice"
    assert memory.client is not None
    assert memory.client.client_id.startswith("https://" if document else "rmc_")
    assert len(person.answers) == 1


async def test_the_official_client_refreshes_without_the_person(
    running: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, memory = Person(running), Memory()
    oauth = provider(running, person, memory, None)
    await call(running, oauth)
    first = memory.tokens
    oauth.context.token_expiry_time = time.time() - 1
    assert (await call(running, oauth))[1] == "alice"
    assert first is not None
    assert memory.tokens is not None
    assert memory.tokens.refresh_token != first.refresh_token
    assert len(person.answers) == 1


async def test_after_revocation_the_official_client_asks_the_person_again(running: Deployment) -> None:
    person, memory = Person(running), Memory()
    oauth = provider(running, person, memory, None)
    await call(running, oauth)
    assert memory.tokens is not None
    assert memory.client is not None
    async with httpx2.AsyncClient() as http:
        revoked = await http.post(
            f"{running.issuer}/revoke",
            data={"token": memory.tokens.refresh_token or ""},
            auth=(memory.client.client_id, memory.client.client_secret or ""),
        )
    assert revoked.status_code == 200
    oauth.context.token_expiry_time = time.time() - 1
    assert (await call(running, oauth))[1] == "alice"
    assert len(person.answers) == 2


async def test_the_pages_have_forms_that_lead_back_to_the_public_url(running: Deployment) -> None:
    client = running.register(redirect_uris=[CALLBACK])
    page = running.open_page(running.request(client, Pkce.generate()))
    assert f'action="{running.issuer}/authorize"' in page.text
    assert form_of(page)
    # Over plain http, which is for this machine alone, a cookie cannot be Secure.
    assert "Secure" not in page.headers["set-cookie"]
