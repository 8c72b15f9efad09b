"""Lambda entry point of the connector: REST proxy events to the application, through Mangum.

The event loop is made once and outlives the invocations, so that the session manager and the connections to
Chroma do too. Mangum's own lifespan would start and stop the application once per invocation.
"""

import gc

# Imports make half a million objects that stay. Looking for garbage among them takes 0.07 s of a cold start.
gc.disable()

import asyncio
import warnings
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from mangum import Mangum
from mangum.adapter import DEFAULT_TEXT_MIME_TYPES
from mangum.types import LambdaContext

from connector.app import Connector
from remora.config import ConnectorSettings
from remora.snapshots import around_snapshot

logger = Logger()
metrics = Metrics()
# Metrics are of tool calls; an invocation that is none has none, and that is not worth a warning each time.
warnings.filterwarnings("ignore", message="No application metrics to publish")

_loop = asyncio.new_event_loop()
asyncio.set_event_loop(_loop)
_connector = Connector(ConnectorSettings.from_environment())
_loop.run_until_complete(_connector.start())
around_snapshot(_connector.prepare, lambda: _loop.run_until_complete(_connector.renew()))
# Anything else would leave as base64.
_TEXT_TYPES = [*DEFAULT_TEXT_MIME_TYPES, "application/problem+json"]
_application = Mangum(_connector, lifespan="off", text_mime_types=_TEXT_TYPES)

# What is here now stays, so it need never be looked through again.
gc.freeze()
gc.enable()


@metrics.log_metrics(capture_cold_start_metric=True)
@logger.inject_lambda_context(log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one API Gateway REST proxy event."""
    return _application(event, context)
