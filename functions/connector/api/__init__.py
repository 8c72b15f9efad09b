"""The REST API, under `/api`: the same services as the tools, for programs and for the command line."""

from fastapi import FastAPI

from connector.api.jobs import job_routes
from connector.api.memory import memory_routes
from connector.api.problems import explain_problems
from remora.spaces import Spaces

__all__ = ["add_api"]


def add_api(web: FastAPI, spaces: Spaces) -> None:
    """Add the API's routes to an application.

    Args:
        web: The application.
        spaces: Where its routes work.
    """
    explain_problems(web)
    web.include_router(memory_routes(spaces), prefix="/api/memory")
    web.include_router(job_routes(spaces), prefix="/api/memory")
