"""Lets only those requests in that came through the edge, and says where they really come from."""

from aws_lambda_powertools import Logger
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from remora.auth.edge import Edge
from remora.auth.keys import RefusedError
from remora.errors import UnavailableError

logger = Logger(child=True)

_RETRY_SECONDS = "5"


class ThroughTheEdge:
    """Wraps an ASGI application, whose requests then have the caller's address as their client.

    Args:
        app: The application.
        edge: What is in front of it.
    """

    def __init__(self, app: ASGIApp, edge: Edge) -> None:
        self._app = app
        self._edge = edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        host, port = scope.get("client") or ("", 0)
        try:
            address = await run_in_threadpool(self._edge.caller_address, Headers(scope=scope), host)
        except RefusedError as refused:
            logger.warning("Call refused", reason=refused.reason, source_ip=host)
            body = {"error": "access_denied", "error_description": "Call this server at its public URL."}
            await JSONResponse(body, status_code=403)(scope, receive, send)
            return
        except UnavailableError as error:
            logger.error("Request failed", exc_info=error)
            body = {"error": "temporarily_unavailable", "error_description": "Try again in a moment."}
            await JSONResponse(body, status_code=503, headers={"Retry-After": _RETRY_SECONDS})(scope, receive, send)
            return
        await self._app({**scope, "client": (address, port)}, receive, send)
