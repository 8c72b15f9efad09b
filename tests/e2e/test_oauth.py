"""OAuth through the whole local system, from a client's first 401 to a tool call, refresh and revocation."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import jwt
import pytest
from mcp.client.auth import OAuthClientProvider
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata
from pydantic import AnyUrl

from tests.support.client_memory import Memory
from tests.support.consent import Person, parameters_of
from tests.support.local_stack import LocalStack

CALLBACK = "http://localhost:33418/callback"
# Its description is built in, since this machine may not reach it; the port of a loopback address is the client's.
CLAUDE_CODE = "https://claude.ai/oauth/claude-code-client-metadata"
HANDSHAKE_REVISIONS = ["2025-03-26", "2025-06-18", "2025-11-25"]


class Assistant:
    """The official client with its OAuth half, and the person who uses it.

    Args:
        stack: What it connects to.
        path: Which resource the person typed.
        document: The URL of its description; without one it registers.
    """

    def __init__(self, stack: LocalStack, path: str = "", document: str | None = None) -> None:
        self.url = stack.url + path
        self.root = stack.url.removesuffix("/mcp")
        self.person = Person(stack.key)
        self.memory = Memory()
        self._redirect = ""
        self.oauth = OAuthClientProvider(
            server_url=self.url,
            client_metadata=OAuthClientMetadata(redirect_uris=[AnyUrl(CALLBACK)], client_name="Official client"),
            storage=self.memory,
            redirect_handler=self._open,
            callback_handler=self._answer,
            client_metadata_url=document,
        )

    async def _open(self, url: str) -> None:
        self._redirect = self.person.allow(url)

    async def _answer(self) -> AuthorizationCodeResult:
        answer = parameters_of(self._redirect)
        return AuthorizationCodeResult(code=answer["code"], state=answer["state"], iss=answer["iss"])

    async def tools(self, mode: str = "auto") -> set[str]:
        """Return the names of the tools that it is shown."""
        async with httpx2.AsyncClient(auth=self.oauth, timeout=60) as http:
            transport = streamable_http_client(self.url, http_client=http)
            async with Client(transport, mode=mode) as client:
                return {tool.name for tool in (await client.list_tools()).tools}

    @property
    def access_token(self) -> str:
        """The access token that it has now."""
        assert self.memory.tokens is not None
        return self.memory.tokens.access_token

    def expire(self) -> None:
        """Make it believe that its access token has expired."""
        self.oauth.context.token_expiry_time = time.time() - 1


def rpc(url: str, token: str, method: str = "tools/list", params: dict[str, Any] | None = None) -> httpx2.Response:
    """Send one request with a credential."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
    return httpx2.post(url, json=body, headers=headers, timeout=60)


@pytest.fixture
def root(stack: LocalStack) -> str:
    """The public URL."""
    return stack.url.removesuffix("/mcp")


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    """A client without credentials."""
    with httpx2.Client(timeout=60) as client:
        yield client


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])
@pytest.mark.parametrize("document", [None, CLAUDE_CODE], ids=["registered", "described"])
async def test_the_official_client_connects(stack: LocalStack, document: str | None, mode: str) -> None:
    assistant = Assistant(stack, document=document)
    assert {"memory_search", "chroma_query_documents"} <= await assistant.tools(mode)
    assert assistant.person.consented == 1
    assert assistant.memory.client is not None
    assert assistant.memory.client.client_id.startswith("https://" if document else "rmc_")


@pytest.mark.anyio
@pytest.mark.parametrize("revision", HANDSHAKE_REVISIONS)
async def test_a_token_is_good_in_every_handshake_revision(stack: LocalStack, revision: str) -> None:
    assistant = Assistant(stack)
    await assistant.tools()
    params = {"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    answer = rpc(stack.url, assistant.access_token, "initialize", params)
    assert answer.json()["result"]["protocolVersion"] == revision


@pytest.mark.anyio
async def test_it_refreshes_without_the_person_and_asks_again_after_revocation(
    stack: LocalStack, client: httpx2.Client
) -> None:
    assistant = Assistant(stack)
    await assistant.tools()
    first = assistant.memory.tokens
    assistant.expire()
    await assistant.tools()
    second = assistant.memory.tokens
    assert first is not None
    assert second is not None
    assert first.refresh_token != second.refresh_token
    assert assistant.person.consented == 1

    registered = assistant.memory.client
    assert registered is not None
    revoked = client.post(
        f"{assistant.root}/revoke",
        data={"token": second.refresh_token or ""},
        auth=(registered.client_id, registered.client_secret or ""),
    )
    assert revoked.status_code == 200
    assistant.expire()
    await assistant.tools()
    assert assistant.person.consented == 2


@pytest.mark.anyio
async def test_a_token_gives_no_admin_tools_even_to_an_administrator(stack: LocalStack) -> None:
    with_key = rpc(stack.url, stack.key).json()["result"]["tools"]
    assistant = Assistant(stack)
    with_token = await assistant.tools()
    claims = jwt.decode(assistant.access_token, options={"verify_signature": False})
    assert claims["scope"] == "read write"
    assert with_token == {tool["name"] for tool in with_key if not tool["name"].endswith(("database", "databases"))}


@pytest.mark.anyio
@pytest.mark.parametrize("first", ["/memory", ""])
async def test_a_cached_allow_is_not_good_for_a_resource_that_the_token_is_not_for(
    stack: LocalStack, root: str, first: str
) -> None:
    assistant = Assistant(stack, path="/memory")
    tools = await assistant.tools()
    assert tools
    assert all(name.startswith("memory_") for name in tools)
    # Whichever is called first: the authorizer's answer is cached under the token, and meets every route.
    statuses = {path: rpc(stack.url + path, assistant.access_token).status_code for path in (first, "/memory", "")}
    assert statuses["/memory"] == 200
    assert statuses[""] == 403
    assert rpc(f"{stack.url}/chroma", assistant.access_token).status_code == 403
    headers = {"Authorization": f"Bearer {assistant.access_token}"}
    for path in ("/api/memories", "/api/x/mcp/memory", "/api/mcp/memory"):
        assert httpx2.get(root + path, headers=headers).status_code == 403


def test_a_call_without_a_credential_is_led_to_the_documents(stack: LocalStack, client: httpx2.Client) -> None:
    for path in ("", "/memory", "/chroma"):
        answer = client.post(stack.url + path, json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
        assert answer.status_code == 401
        challenge = answer.headers["WWW-Authenticate"]
        metadata = challenge.split('resource_metadata="')[1].split('"')[0]
        document = client.get(metadata).json()
        assert document["resource"] == stack.url + path
        server = client.get(document["authorization_servers"][0] + "/.well-known/oauth-authorization-server").json()
        assert server["code_challenge_methods_supported"] == ["S256"]


@pytest.mark.parametrize("probe", ["oauth-authorization-server", "openid-configuration", "oauth-protected-resource"])
@pytest.mark.parametrize("path", ["", "/mcp", "/mcp/memory", "/mcp/chroma"])
def test_every_place_that_clients_probe_answers(client: httpx2.Client, root: str, probe: str, path: str) -> None:
    urls = [f"{root}/.well-known/{probe}{path}", *([f"{root}{path}/.well-known/{probe}"] if path else [])]
    for url in urls:
        answer = client.get(url, headers={"Origin": "https://anywhere.example"})
        assert answer.status_code == 200, url
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        issuer = answer.json()
        assert issuer.get("issuer", root) == root


def test_the_documents_say_the_same_whatever_host_a_request_names(client: httpx2.Client, root: str) -> None:
    for headers in ({"X-Forwarded-Host": "evil.example"}, {"Forwarded": "host=evil.example"}):
        answer = client.get(f"{root}/.well-known/oauth-authorization-server", headers=headers)
        assert answer.json()["issuer"] == root
        assert "evil" not in answer.text
    assert client.get(f"{root}/.well-known/jwks.json", headers={"Host": "evil.example"}).status_code == 403


@pytest.mark.anyio
async def test_no_credential_is_in_what_is_logged(stack: LocalStack) -> None:
    assistant = Assistant(stack)
    await assistant.tools()
    assert assistant.memory.tokens is not None
    assert assistant.memory.client is not None
    spent = rpc(stack.url, assistant.access_token[:-6] + "AAAAAA")
    assert spent.status_code == 401
    functions = (stack.data_dir / "functions.log").read_text(encoding="utf-8")
    assert stack.key not in functions  # the person who started it is shown the key
    logged = stack.output() + functions
    assert "Connection opened" in logged
    assert "Credential refused" in logged
    for secret in (
        assistant.access_token,
        assistant.access_token.rpartition(".")[2],
        assistant.memory.tokens.refresh_token or "",
        assistant.memory.client.client_secret or "",
    ):
        assert secret
        assert secret not in logged
    assert json.loads(spent.text)["error"]["code"] == -32003
