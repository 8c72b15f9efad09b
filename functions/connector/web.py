"""The connector's plain web routes, on FastAPI: everything that is not MCP."""

from fastapi import FastAPI, Response
from pydantic import BaseModel

from connector.api import add_api
from remora import __version__
from remora.chroma.client import ChromaClient
from remora.chroma.deadline import Deadline
from remora.errors import RemoraError
from remora.spaces import Spaces

_HEALTH_SECONDS = 3.0


class Health(BaseModel):
    """Whether the connector runs (`status`) and reaches Chroma (`chroma`)."""

    status: str
    chroma: str


def create_web(chroma: ChromaClient, spaces: Spaces) -> FastAPI:
    """Return the application.

    Args:
        chroma: The Chroma server that the health check asks.
        spaces: Where the API's routes work.
    """
    web = FastAPI(title="Remora", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    # A redirect to the path without its last slash would name the host that API Gateway sees, without the stage.
    web.router.redirect_slashes = False

    @web.get("/health")
    async def health(response: Response) -> Health:
        """Tell whether the connector runs and reaches Chroma; needs no key, so it says no more than that."""
        try:
            await chroma.heartbeat(deadline=Deadline.after(_HEALTH_SECONDS))
        except RemoraError:
            response.status_code = 503
            return Health(status="degraded", chroma="unreachable")
        return Health(status="ok", chroma="ok")

    add_api(web, spaces)
    return web
