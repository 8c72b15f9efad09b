"""A proxy that adds a key, because the conformance suite cannot send one."""

import contextlib
import threading
from collections.abc import Iterator

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.local_stack import LocalStack

_NOT_FORWARDED = {"content-length", "transfer-encoding", "connection", "authorization"}
_METHODS = ["GET", "POST", "DELETE", "OPTIONS", "PUT"]


@contextlib.contextmanager
def keyless(stack: LocalStack) -> Iterator[str]:
    """Serve a URL that reaches the MCP endpoint without a key.

    Everything but the key is passed on as it came, `Host` and `Origin` included.
    """

    async def forward(request: Request) -> Response:
        # White space around a value is not part of it (RFC 9110, section 5.5); the suite sends some to see.
        headers = [(name, value.strip()) for name, value in request.headers.items() if name not in _NOT_FORWARDED]
        headers.append(("Authorization", f"Bearer {stack.key}"))
        async with httpx2.AsyncClient(timeout=60) as client:
            answer = await client.request(request.method, stack.url, headers=headers, content=await request.body())
        kept = {name: value for name, value in answer.headers.items() if name not in _NOT_FORWARDED}
        return Response(answer.content, answer.status_code, kept)

    application = Starlette(routes=[Route("/mcp", forward, methods=_METHODS)])
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="warning"))
    socket = server.config.bind_socket()
    thread = threading.Thread(target=server.run, args=([socket],), daemon=True)
    thread.start()
    yield f"http://localhost:{socket.getsockname()[1]}/mcp"
    server.should_exit = True
    thread.join(timeout=10)
    socket.close()
