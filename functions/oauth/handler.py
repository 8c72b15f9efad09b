"""Lambda entry point of the authorization server: REST proxy events to the application, through Mangum."""

import asyncio
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers
from mangum import Mangum
from mangum.types import LambdaContext

from oauth.app import create_app
from remora.oauth.settings import OAuthSettings

logger = Logger()
# What the package says through Python's own logging becomes structured too.
copy_config_to_registered_loggers(logger, include={"remora"})


def _fetch(url: str) -> bytes:
    # Imported when a client's description is asked for: most calls on a cold start can do without.
    from remora.oauth.fetching import fetch_json

    return fetch_json(url)


asyncio.set_event_loop(asyncio.new_event_loop())
_application = Mangum(create_app(OAuthSettings.from_environment(), _fetch), lifespan="off")


@logger.inject_lambda_context(log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one API Gateway REST proxy event."""
    return _application(event, context)
