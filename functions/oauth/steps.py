"""Runs a step that a person takes on a page, and shows what went wrong as a page."""

from collections.abc import Callable

from aws_lambda_powertools import Logger
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from oauth.layout import Layout
from oauth.pages import rejected_page
from remora.errors import UnavailableError
from remora.oauth.forms import FormError
from remora.oauth.service import RejectedRequestError
from remora.oauth.throttling import ThrottledError

logger = Logger(child=True)

RETRY_SECONDS = "5"
FOREIGN_FORM = "This form was sent by another site. Start again from the application."


async def take(layout: Layout, step: Callable[[], Response]) -> Response:
    """Return what a step answers, or a page that says why it could not be taken.

    Args:
        layout: The frame of that page.
        step: The step; it may block.
    """
    try:
        return await run_in_threadpool(step)
    except RejectedRequestError as rejected:
        return rejected_page(layout, rejected)
    except FormError as error:
        return layout.problem(str(error), status=400)
    except ThrottledError as error:
        response: Response = layout.problem(str(error), status=429)
        response.headers["Retry-After"] = str(error.retry_after)
        return response
    except UnavailableError as error:
        logger.error("Page failed", exc_info=error)
        response = layout.problem("The server is not available just now. Try again in a moment.", status=503)
        response.headers["Retry-After"] = RETRY_SECONDS
        return response
