"""Lambda entry point of the upkeep function: finishes what was left unfinished, on a schedule, and says what failed.

It also receives the record of each invocation of the ingest function that Lambda has given up.
"""

import asyncio
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from remora.chroma.deadline import Deadline
from remora.config import UpkeepSettings
from remora.errors import NotFoundError, RemoraError
from remora.jobs.jobs import parse_trigger
from remora.jobs.running import give_up
from remora.spaces import Spaces

logger = Logger()

_RESERVE_SECONDS = 5.0
_PRINCIPAL = "upkeep"

_loop = asyncio.new_event_loop()
_spaces = Spaces.of_function(UpkeepSettings.from_environment())


@logger.inject_lambda_context(log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Do the upkeep, or say in a job that it has failed.

    Args:
        event: A scheduled event of EventBridge, or the record of an invocation of ingest that failed for good.
        context: Lambda's.
    """
    deadline = Deadline.after(context.get_remaining_time_in_millis() / 1000 - _RESERVE_SECONDS)
    failed = event.get("requestPayload")
    if failed is None:
        _loop.run_until_complete(_finish_writes(deadline))
    else:
        _loop.run_until_complete(_give_up(failed, deadline))


async def _finish_writes(deadline: Deadline) -> None:
    """Finish the unfinished writes of every space; one space's trouble is not another's."""
    for space in await _spaces.with_unfinished_writes(deadline=deadline):
        try:
            settled = await _spaces.memory(space, _PRINCIPAL).finish_abandoned(deadline=deadline)
        except RemoraError as error:
            logger.error("Unfinished writes stay unfinished", space=space, reason=str(error))
        else:
            logger.info("Finished writes", space=space, memories=settled)


async def _give_up(request: dict[str, Any], deadline: Deadline) -> None:
    trigger = parse_trigger(request["detail"]["object"]["key"])
    if trigger is None:
        return
    space, job_id = trigger
    logger.error("A job failed for good", space=space, job=job_id)
    reason = "It failed three times; the log of the ingest function says why. Start it again."
    try:
        await give_up(_spaces, space, job_id, reason, deadline=deadline)
    except NotFoundError as error:
        logger.warning("The job is gone", reason=str(error))
