"""Lambda entry point of the watch function: publishes the age of keys and of Chroma's newest snapshot as metrics.

It stands outside the VPC, from inside which neither Secrets Manager nor EC2 can be reached.
"""

from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from remora.config import WatchSettings
from remora.watch.keys import KeyReport, examine
from remora.watch.snapshots import unprotected_hours

logger = Logger()
metrics = Metrics()

_settings = WatchSettings.from_environment()
_CONFIG = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 4})
_secrets = boto3.client("secretsmanager", config=_CONFIG)
_ec2 = boto3.client("ec2", config=_CONFIG)


@metrics.log_metrics
@logger.inject_lambda_context(log_event=False)
def handler(_event: dict[str, Any], _context: LambdaContext) -> None:
    """Look, and publish what was seen. Nothing is changed, so it may run any number of times."""
    _publish(examine(_secrets.get_secret_value(SecretId=_settings.principals_secret)["SecretString"]))
    if _settings.chroma_volume:
        hours = unprotected_hours(_ec2, _settings.chroma_volume)
        metrics.add_metric("SnapshotAgeHours", MetricUnit.NoUnit, round(hours, 2))
    # The last of all: without it, something above has failed.
    metrics.add_metric("WatchRuns", MetricUnit.Count, 1)


def _publish(report: KeyReport) -> None:
    metrics.add_metric("OldestKeyDays", MetricUnit.NoUnit, round(report.oldest, 2))
    metrics.add_metric("KeysOfUnknownAge", MetricUnit.Count, report.unknown)
    metrics.add_metric("Principals", MetricUnit.Count, report.principals)
    metrics.add_metric("PrincipalsSecretUsed", MetricUnit.Percent, round(report.used_percent, 2))
    for principal, days in report.ages.items():
        own = EphemeralMetrics()
        own.add_dimension("principal", principal)
        own.add_metric("KeyAgeDays", MetricUnit.NoUnit, round(days, 2))
        own.flush_metrics()
