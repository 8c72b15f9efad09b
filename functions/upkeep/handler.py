"""Lambda entry point of the upkeep function: does the upkeep on a schedule, and says which jobs failed for good.

It also receives the record of each invocation of the ingest function that Lambda has given up.
"""

import asyncio
import warnings
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from remora.chroma.deadline import Deadline
from remora.config import UpkeepSettings
from remora.errors import NotFoundError
from remora.jobs.jobs import parse_trigger
from remora.jobs.running import give_up
from remora.spaces import Spaces
from remora.upkeep import Upkeep, UpkeepReport

logger = Logger()
metrics = Metrics()
# Of a job that is gone there is nothing to count, and that is not worth a warning.
warnings.filterwarnings("ignore", message="No application metrics to publish")
# What the package says through Python's own logging becomes structured too.
copy_config_to_registered_loggers(logger, include={"remora"})

_RESERVE_SECONDS = 5.0

_loop = asyncio.new_event_loop()
_settings = UpkeepSettings.from_environment()
_spaces = Spaces.of_function(_settings)


@metrics.log_metrics
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
        report = _loop.run_until_complete(Upkeep(_spaces, backups=_settings.backups).run(deadline=deadline))
        _publish(report)
    else:
        _loop.run_until_complete(_give_up(failed, deadline))


def _publish(report: UpkeepReport) -> None:
    metrics.add_metric("UpkeepRuns", MetricUnit.Count, 1)
    metrics.add_metric("UpkeepFailures", MetricUnit.Count, report.failures)
    metrics.add_metric("UnfinishedWrites", MetricUnit.Count, report.unfinished)
    metrics.add_metric("FinishedWrites", MetricUnit.Count, report.finished)
    metrics.add_metric("ChromaUp", MetricUnit.Count, int(report.census is not None))
    if report.census is not None:
        metrics.add_metric("Spaces", MetricUnit.Count, report.census.databases)
        metrics.add_metric("Vectors", MetricUnit.Count, report.census.vectors)
    # Rare, and each metric of one's own costs as long as it is written.
    if report.swept:
        metrics.add_metric("PurgedRemains", MetricUnit.Count, report.swept)
    if report.backed_up:
        metrics.add_metric("BackedUpSpaces", MetricUnit.Count, report.backed_up)


async def _give_up(request: dict[str, Any], deadline: Deadline) -> None:
    trigger = parse_trigger(request["detail"]["object"]["key"])
    if trigger is None:
        return
    space, job_id = trigger
    metrics.add_metric("FailedJobs", MetricUnit.Count, 1)
    logger.error("A job failed for good", space=space, job=job_id)
    reason = "It failed three times; the log of the ingest function says why. Start it again."
    try:
        await give_up(_spaces, space, job_id, reason, deadline=deadline)
    except NotFoundError as error:
        logger.warning("The job is gone", reason=str(error))
