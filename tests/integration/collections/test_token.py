"""The token that an external Chroma asks for: shown with every request, and never told to anybody."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from mypy_boto3_secretsmanager import SecretsManagerClient

from remora.chroma.client import ChromaClient
from remora.collections.models import Engine
from remora.collections.service import Collections
from remora.config import MemorySettings
from remora.errors import UnavailableError
from remora.spaces import chroma_client
from tests.integration.collections.conftest import WordHashEmbedder, soon
from tests.integration.collections.proxy import Proxy, chroma_behind_proxy
from tests.support.chroma_server import ChromaServer

pytestmark = pytest.mark.anyio

TOKEN = "ck-s3cret-token"


@pytest.fixture
async def proxy(chroma_server: ChromaServer) -> AsyncIterator[Proxy]:
    """A proxy that lets through what shows the token alone."""
    async with chroma_behind_proxy(chroma_server) as proxy:
        proxy.decide = lambda head: (
            "pass" if f"\r\nx-chroma-token: {TOKEN}\r\n".encode() in head + b"\r\n" else "close"
        )
        yield proxy


@pytest.fixture
async def connect(proxy: Proxy, secretsmanager: SecretsManagerClient) -> AsyncIterator[Callable[[str], ChromaClient]]:
    """Makes a client, as functions do, with a secret that holds a text."""
    clients = []

    def connect(text: str) -> ChromaClient:
        secret = secretsmanager.create_secret(Name="chroma-token", SecretString=text)["ARN"]
        settings = MemorySettings(
            chroma_host="127.0.0.1",
            chroma_port=proxy.port,
            chroma_secret=secret,
            memory_bucket="none",
            model_dir=Path(),
        )
        clients.append(chroma_client(settings))
        return clients[-1]

    yield connect
    for client in clients:
        await client.aclose()
    secretsmanager.delete_secret(SecretId="chroma-token", ForceDeleteWithoutRecovery=True)


@pytest.mark.parametrize("text", [TOKEN, f"{TOKEN}\n"])
async def test_every_request_shows_the_token(
    connect: Callable[[str], ChromaClient], space_name: str, text: str
) -> None:
    service = Collections(connect(text).database(space_name), WordHashEmbedder(), engine=Engine.SINGLE_NODE)
    await service.create("notes", deadline=soon())
    assert (await service.add("notes", documents=["words"], deadline=soon())).stored == 1
    assert await service.count("notes", deadline=soon()) == 1


async def test_no_message_holds_content_or_the_token(
    connect: Callable[[str], ChromaClient], proxy: Proxy, space_name: str
) -> None:
    service = Collections(connect(TOKEN).database(space_name), WordHashEmbedder(), engine=Engine.SINGLE_NODE)
    await service.create("notes", deadline=soon())
    proxy.decide = lambda head: "close" if b"/add " in head else "pass"
    result = await service.add("notes", documents=["private words"], deadline=soon())
    assert result.reason is not None
    assert "private" not in result.reason
    assert TOKEN not in result.reason


@pytest.mark.parametrize("text", [" ", "two\nlines", '{"key":\t"x"}', "schlüssel"])
async def test_what_is_no_token_is_said_and_not_sent(
    connect: Callable[[str], ChromaClient], proxy: Proxy, text: str
) -> None:
    client = connect(text)
    with pytest.raises(UnavailableError, match="ChromaSecretArn must hold the token alone") as caught:
        await client.heartbeat(deadline=soon())
    assert proxy.requests == []
    assert text.strip() == "" or text not in str(caught.value)


async def test_a_secret_that_is_not_there_is_said(
    connect: Callable[[str], ChromaClient], secretsmanager: SecretsManagerClient, proxy: Proxy
) -> None:
    client = connect(TOKEN)
    secretsmanager.delete_secret(SecretId="chroma-token", ForceDeleteWithoutRecovery=True)
    with pytest.raises(UnavailableError, match="secret cannot be read"):
        await client.heartbeat(deadline=soon())
    assert proxy.requests == []
