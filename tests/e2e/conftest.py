"""The whole system on this machine: gateway, authorizer, connector, Chroma and AWS, as `remora dev` starts them."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

from tests.support.local_stack import LocalStack, start_local_stack

ConnectAs = Callable[[str], AbstractAsyncContextManager[Client]]


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, as the connector does."""
    return "asyncio"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, model_dir: object) -> Iterator[LocalStack]:
    """A running Remora with nothing in it."""
    stack = start_local_stack(tmp_path_factory.mktemp("remora"))
    yield stack
    stack.stop()


@pytest.fixture
def connect(stack: LocalStack) -> ConnectAs:
    """Connect the official client in a protocol era: `legacy` or a modern revision."""

    @asynccontextmanager
    async def connected(mode: str) -> AsyncIterator[Client]:
        headers = {"Authorization": f"Bearer {stack.key}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(stack.url, http_client=http), mode=mode) as client,
        ):
            yield client

    return connected


@pytest.fixture
def http(stack: LocalStack) -> Iterator[httpx2.Client]:
    """A plain HTTP client with the key, for what a well-behaved MCP client never sends."""
    headers = {
        "Authorization": f"Bearer {stack.key}",
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
    }
    with httpx2.Client(headers=headers, timeout=60) as client:
        yield client


def structured(result: CallToolResult) -> dict[str, Any]:
    """Return a tool's structured content, after checking that it is a success with a readable text beside it."""
    assert not result.is_error, text_of(result)
    assert text_of(result).strip()
    content = result.structured_content
    assert isinstance(content, dict)
    json.dumps(content)
    return content


def text_of(result: CallToolResult) -> str:
    """Return the readable text of a tool's result."""
    (block,) = result.content
    assert block.type == "text"
    return block.text


def error_of(result: CallToolResult) -> str:
    """Return the message of a tool error."""
    assert result.is_error, "expected a tool error"
    return text_of(result)
