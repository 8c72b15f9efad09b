"""The connector's application: what is MCP and what is not, behind the checks that both need."""

from functools import cached_property

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.browser import BrowserSafety, refusal
from connector.mcp_server import McpEndpoint, create_server
from connector.offers import offers
from remora.collections.administration import DatabaseAdministration
from remora.collections.models import Engine
from remora.config import ConnectorSettings
from remora.embedding import MiniLM
from remora.spaces import Spaces, chroma_client


def _only_post(_: Request) -> Response:
    # No sessions, so no stream to GET and nothing to DELETE (MCP specification, Streamable HTTP transport).
    return refusal(405, "This server keeps no sessions: POST each message to this URL.", {"Allow": "POST"})


class Connector:
    """The ASGI application, with the MCP endpoints that have to be started on the loop that serves them."""

    def __init__(self, settings: ConnectorSettings) -> None:
        self._chroma = chroma_client(settings)
        self._embedder = MiniLM(settings.model_dir, threads=settings.embedding_threads)
        engine = Engine(settings.chroma_engine)
        self._spaces = Spaces(self._chroma, self._embedder, engine=engine, memory_bucket=settings.memory_bucket)
        administration = DatabaseAdministration(self._chroma)
        self._mcp = {
            offer.path: McpEndpoint(create_server(offer, self._spaces, administration))
            for offer in offers(engine=engine, administration_enabled=settings.database_administration)
        }
        # It stands before FastAPI, whose own layers would cost each call a quarter of a millisecond for nothing.
        routes = [
            *(Route(path, endpoint, methods=["POST"]) for path, endpoint in self._mcp.items()),
            *(Route(path, _only_post, methods=["GET", "DELETE"]) for path in self._mcp),
            Mount("/", self._serve_web),
        ]
        self._application = BrowserSafety(Router(routes), settings.allowed_origins)

    async def start(self) -> None:
        """Start what lives as long as the execution environment."""
        for endpoint in self._mcp.values():
            await endpoint.start()

    def prepare(self) -> None:
        """Load what calls are going to need; nothing is connected."""
        self._embedder.load()
        self._spaces.prepare()
        _ = self._web

    async def renew(self) -> None:
        """Let go of every connection and client, so that the next call makes new ones."""
        await self._chroma.aclose()
        self._spaces.renew()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        await self._application(scope, receive, send)

    async def _serve_web(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._web(scope, receive, send)

    @cached_property
    def _web(self) -> ASGIApp:
        # Imported when first asked for: an MCP call on a cold start does without FastAPI, a tenth of a second.
        from connector.web import create_web

        return create_web(self._chroma, self._spaces)
