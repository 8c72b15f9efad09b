"""An authorization server on a loopback port, with an MCP server behind it as its resource."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import uvicorn
from mcp.server.mcpserver import MCPServer
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from remora.auth.keys import RefusedError
from remora.oauth.signing import TokenKeys
from tests.integration.oauth.deployment import Deployment


class Edge:
    """What stands before everything: sends /mcp to the MCP server if there is a good token, the rest to OAuth."""

    def __init__(self, deployment: Deployment) -> None:
        self._oauth: ASGIApp = deployment.app
        self._issuer = deployment.issuer
        self._keys = TokenKeys(deployment.aws, deployment.settings.signing_secret, self._issuer)
        server = MCPServer("remora")

        @server.tool()
        def whoami() -> str:
            """Tell who is calling."""
            return self.principal_id

        self._mcp = server.streamable_http_app(stateless_http=True, json_response=True)
        self.principal_id = ""
        self.refuse_next = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] == "/mcp":
            answer = await self._check(scope)
            await (answer or self._mcp)(scope, receive, send)
        else:
            await self._oauth(scope, receive, send)

    async def _check(self, scope: Scope) -> Response | None:
        if scope["type"] != "http":
            return None
        headers = dict(scope["headers"])
        scheme, _, token = headers.get(b"authorization", b"").decode().partition(" ")
        metadata = f"{self._issuer}/.well-known/oauth-protected-resource/mcp"
        challenge = f'Bearer resource_metadata="{metadata}", scope="read write"'
        if scheme != "Bearer":
            return Response(status_code=401, headers={"WWW-Authenticate": challenge})
        try:
            verified = self._keys.verify(token)
        except RefusedError:
            return Response(status_code=401, headers={"WWW-Authenticate": challenge + ', error="invalid_token"'})
        if f"{self._issuer}/mcp" not in verified.audience:
            return Response(status_code=401, headers={"WWW-Authenticate": challenge + ', error="invalid_token"'})
        self.principal_id = verified.principal_id
        return None


@contextlib.contextmanager
def served(deploy: Callable[[str], Deployment]) -> Iterator[Deployment]:
    """Serve an authorization server, whose public URL is that of a free port of this machine."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        deployment = deploy(f"http://127.0.0.1:{listening.getsockname()[1]}")
        config = uvicorn.Config(Edge(deployment), log_level="warning", lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        yield deployment
        server.should_exit = True
        thread.join(timeout=10)


def parameters_of(url: str) -> str:
    """Return the query of an authorization URL."""
    return urlsplit(url).query
