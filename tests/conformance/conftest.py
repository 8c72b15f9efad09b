"""The conformance suite and the Inspector against a running Remora."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.local_stack import LocalStack, start_local_stack

NODE_MODULES = Path(__file__).parents[2] / ".tools" / "node" / "node_modules"
_NOT_FORWARDED = {"content-length", "transfer-encoding", "connection", "authorization"}


@pytest.fixture(scope="session")
def node() -> list[str]:
    """The command that runs Node 22."""
    program = NODE_MODULES / "node" / "bin" / "node"
    if not program.exists():
        pytest.fail("Node's tools are not installed; `make test` installs them (it needs npm)")
    return [str(program)]


@pytest.fixture(scope="session")
def node_environment() -> dict[str, str]:
    """The environment for programs on Node 22, which start `node` themselves too."""
    return {**os.environ, "PATH": f"{NODE_MODULES / 'node' / 'bin'}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, model_dir: object) -> Iterator[LocalStack]:
    """A running Remora with nothing in it."""
    stack = start_local_stack(tmp_path_factory.mktemp("conformance"))
    yield stack
    stack.stop()


@pytest.fixture(scope="session")
def keyless_url(stack: LocalStack) -> Iterator[str]:
    """A URL that reaches the MCP endpoint without a key, as the suite cannot send one.

    A proxy adds the key and passes everything else on as it came, `Host` and `Origin` included.
    """

    async def forward(request: Request) -> Response:
        # White space around a value is not part of it (RFC 9110, section 5.5); the suite sends some to see.
        headers = [(name, value.strip()) for name, value in request.headers.items() if name not in _NOT_FORWARDED]
        headers.append(("Authorization", f"Bearer {stack.key}"))
        async with httpx2.AsyncClient(timeout=60) as client:
            answer = await client.request(request.method, stack.url, headers=headers, content=await request.body())
        kept = {name: value for name, value in answer.headers.items() if name not in _NOT_FORWARDED}
        return Response(answer.content, answer.status_code, kept)

    methods = ["GET", "POST", "DELETE", "OPTIONS", "PUT"]
    server = uvicorn.Server(
        uvicorn.Config(Starlette(routes=[Route("/mcp", forward, methods=methods)]), port=0, log_level="warning")
    )
    socket = server.config.bind_socket()
    thread = threading.Thread(target=server.run, args=([socket],), daemon=True)
    thread.start()
    yield f"http://localhost:{socket.getsockname()[1]}/mcp"
    server.should_exit = True
    thread.join(timeout=10)
    socket.close()
