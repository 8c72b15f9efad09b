"""Lambda entry point of the ingest function: S3's events about uploads and requests to the jobs that they are for."""

import asyncio

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes import S3EventBridgeNotificationEvent, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext

from remora.chroma.deadline import Deadline
from remora.config import IngestSettings
from remora.errors import ConflictError, NotFoundError
from remora.jobs.jobs import parse_trigger
from remora.jobs.running import carry_out
from remora.spaces import Spaces

logger = Logger()

# Kept back from the invocation's time for the last progress to be written.
_RESERVE_SECONDS = 5.0

# Connections to Chroma belong to a loop, so both outlive the invocations.
_loop = asyncio.new_event_loop()
_spaces = Spaces.of_function(IngestSettings.from_environment())


@logger.inject_lambda_context(log_event=False)
@event_source(data_class=S3EventBridgeNotificationEvent)
def handler(event: S3EventBridgeNotificationEvent, context: LambdaContext) -> None:
    """Carry out the job that an object's creation starts or continues.

    Args:
        event: S3's event, as EventBridge delivers it.
        context: Lambda's.
    """
    trigger = parse_trigger(event.detail.object.key)
    if trigger is None:
        logger.warning("An object that starts no job", size=event.detail.object.size)
        return
    space, job_id = trigger
    logger.append_keys(space=space, job=job_id)
    deadline = Deadline.after(context.get_remaining_time_in_millis() / 1000 - _RESERVE_SECONDS)
    try:
        _loop.run_until_complete(carry_out(_spaces, space, job_id, deadline=deadline))
    except (ConflictError, NotFoundError) as error:
        # Another invocation works on it, or it has expired: nothing to do again.
        logger.warning("Job left alone", reason=str(error))
