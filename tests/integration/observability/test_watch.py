"""The watch: what it publishes of keys and snapshots, and what not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from remora.watch.snapshots import unprotected_hours
from tests.integration.observability.conftest import Start

NEVER = "vol-00000000000000000"


@pytest.fixture
def volume(aws_environment: dict[str, str]) -> str:
    """A volume without a snapshot."""
    return boto3.client("ec2").create_volume(AvailabilityZone="eu-central-1a", Size=4)["VolumeId"]


def later(hours: float) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


def test_a_volume_without_a_snapshot_is_unprotected_since_it_was_made(volume: str) -> None:
    assert unprotected_hours(boto3.client("ec2"), volume, later(50)) == pytest.approx(50, abs=0.1)


def test_the_newest_snapshot_of_that_volume_counts(volume: str) -> None:
    ec2 = boto3.client("ec2")
    ec2.create_snapshot(VolumeId=volume)
    other = ec2.create_volume(AvailabilityZone="eu-central-1a", Size=4)["VolumeId"]
    assert unprotected_hours(ec2, volume, later(7)) == pytest.approx(7, abs=0.1)
    assert unprotected_hours(ec2, other, later(9)) == pytest.approx(9, abs=0.1)


def test_a_volume_that_is_gone_is_a_failure_and_not_an_age(aws_environment: dict[str, str]) -> None:
    with pytest.raises(Exception, match="does not exist"):
        unprotected_hours(boto3.client("ec2"), NEVER)


def published(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        name: value
        for line in lines
        if "_aws" in line
        for name, value in line.items()
        if name not in {"_aws", "service", "principal"}
    }


def test_it_publishes_names_and_numbers_and_nothing_of_keys(start: Start, volume: str, secret: str, key: str) -> None:
    watch = start("watch", REMORA_CHROMA_VOLUME=volume)
    assert watch.invoke({}) is None
    assert watch.invoke({}) is None  # as often as anybody likes
    found = published(watch.lines())
    assert found["OldestKeyDays"][0] == found["KeyAgeDays"][0] > 300
    assert found["Principals"] == [1.0]
    assert 0 < found["PrincipalsSecretUsed"][0] < 1
    assert found["SnapshotAgeHours"][0] < 1
    assert found["WatchRuns"] == [1.0]
    text = watch.log.read_text()
    document = boto3.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    sha256 = document.partition('"sha256": "')[2][:64]
    assert len(sha256) == 64
    for hidden in (key, sha256, sha256[:16], "usage-key-of-alice"):
        assert hidden not in text


def test_without_a_volume_it_says_nothing_of_snapshots(start: Start) -> None:
    watch = start("watch")
    watch.invoke({})
    assert "SnapshotAgeHours" not in published(watch.lines())


def test_a_watch_that_failed_does_not_count_as_one(start: Start) -> None:
    watch = start("watch", REMORA_CHROMA_VOLUME=NEVER)
    assert "errorType" in (watch.invoke({}) or {})
    assert "WatchRuns" not in published(watch.lines())
