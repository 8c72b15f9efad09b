"""Lambda entry point of the authorization server: REST proxy events to the application, through Mangum."""

import asyncio
import json
from functools import lru_cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers
from mangum import Mangum
from mangum.types import LambdaContext

from oauth.app import create_app
from remora.aws import Aws
from remora.oauth.settings import OAuthSettings
from remora.oauth.site import Site

logger = Logger()
# What the package says through Python's own logging becomes structured too.
copy_config_to_registered_loggers(logger, include={"remora"})

_settings = OAuthSettings.from_environment()
_OFF = {
    "statusCode": 404,
    "headers": {"Content-Type": "application/json", "Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"},
    "body": json.dumps(
        {
            "error": "invalid_request",
            "error_description": "OAuth is off: this deployment has no public URL at whose root clients could find "
            "it. Send a key instead, as 'Authorization: Bearer rmr_...'.",
        }
    ),
}


def _fetch(url: str) -> bytes:
    # Imported when a client's description is asked for: most calls on a cold start can do without.
    from remora.oauth.fetching import fetch_json

    return fetch_json(url)


asyncio.set_event_loop(asyncio.new_event_loop())


@lru_cache(maxsize=1)
def _application(site: Site) -> Mangum:
    return Mangum(create_app(_settings, site, Aws(), _fetch), lifespan="off")


@logger.inject_lambda_context(log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one API Gateway REST proxy event."""
    site = Site.of_event(event)
    return _OFF if site is None else _application(site)(event, context)
