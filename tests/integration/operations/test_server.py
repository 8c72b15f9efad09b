"""What `remora doctor` and `remora destroy` say of a stack's Chroma server, with EC2 and CloudWatch by moto."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends

from remora.operations.deployment import Deployment, Whereabouts, find
from remora.operations.doctor.account import Account
from remora.operations.doctor.findings import Finding, examine
from remora.operations.removal import plan
from tests.integration.operations.conftest import AwsStack

Examine = Callable[[], dict[str, Finding]]
NOW = datetime.now(UTC)


@pytest.fixture
def deployment(aws_stack: AwsStack, tmp_path: Path) -> Iterator[Deployment]:
    """The stack, as one that has a server."""
    found = find(Whereabouts(aws_stack.name, None, None, tmp_path))
    yield replace(found, parameters={**found.parameters, "ChromaMode": "instance"})
    client = boto3.client("ec2")
    of_it = client.describe_snapshots(Filters=[{"Name": "tag:remora:chroma", "Values": [found.name]}])
    for snapshot in of_it["Snapshots"]:
        client.delete_snapshot(SnapshotId=snapshot["SnapshotId"])
    # Of a service that forgets nothing on request.
    cloudwatch_backends[DEFAULT_ACCOUNT_ID][found.region].metric_data.clear()


@pytest.fixture
def volume(deployment: Deployment) -> Iterator[str]:
    """Its volume, which no machine has yet."""
    client = boto3.client("ec2")
    tags = [{"ResourceType": "volume", "Tags": [{"Key": "remora:chroma", "Value": deployment.name}]}]
    volume_id = client.create_volume(AvailabilityZone="eu-central-1a", Size=20, TagSpecifications=tags)["VolumeId"]  # type: ignore[arg-type]
    yield volume_id
    for attachment in client.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["Attachments"]:
        client.detach_volume(VolumeId=volume_id, InstanceId=attachment["InstanceId"])
    client.delete_volume(VolumeId=volume_id)


@pytest.fixture
def server(deployment: Deployment) -> Examine:
    """Examine the server alone."""

    def findings() -> dict[str, Finding]:
        checks = [check for check in Account(deployment, None).checks() if check.name == "Chroma server"]
        return {finding.check: finding for finding in examine(checks)}

    return findings


def attach(volume_id: str) -> None:
    client = boto3.client("ec2")
    image = client.describe_images()["Images"][0]["ImageId"]
    (instance,) = client.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"]
    client.attach_volume(VolumeId=volume_id, InstanceId=instance["InstanceId"], Device="/dev/sdf")


def snapshot(deployment: Deployment, volume_id: str, age: timedelta) -> str:
    tags = [{"ResourceType": "snapshot", "Tags": [{"Key": "remora:chroma", "Value": deployment.name}]}]
    made = boto3.client("ec2").create_snapshot(VolumeId=volume_id, TagSpecifications=tags)["SnapshotId"]  # type: ignore[arg-type]
    ec2_backends[DEFAULT_ACCOUNT_ID][deployment.region].snapshots[made].start_time = NOW - age
    return made


def measure(deployment: Deployment, percent: float, age: timedelta) -> None:
    datum = {
        "MetricName": "disk_used_percent",
        "Dimensions": [{"Name": "Deployment", "Value": deployment.name}],
        "Timestamp": NOW - age,
        "Value": percent,
    }
    boto3.client("cloudwatch").put_metric_data(Namespace="Remora/Chroma", MetricData=[datum])  # type: ignore[list-item]


def test_a_server_that_is_well_is_said_to_be_so(deployment: Deployment, volume: str, server: Examine) -> None:
    attach(volume)
    snapshot(deployment, volume, timedelta(hours=3))
    measure(deployment, 41, timedelta(minutes=2))
    found = server()
    assert {name: finding.status for name, finding in found.items()} == dict.fromkeys(
        ("Chroma's volume", "snapshots", "Chroma's disk"), "ok"
    )
    assert volume in found["Chroma's volume"].found
    assert "41 % used" in found["Chroma's disk"].found


def test_a_volume_that_no_machine_has_is_broken(volume: str, server: Examine) -> None:
    found = server()["Chroma's volume"]
    assert (found.status, found.found) == ("broken", "no machine has it")
    assert "Auto Scaling" in found.advice


@pytest.mark.parametrize(("age", "status"), [(25, "ok"), (27, "warning")])
def test_a_snapshot_that_is_overdue_is_a_warning(
    deployment: Deployment, volume: str, server: Examine, age: int, status: str
) -> None:
    snapshot(deployment, volume, timedelta(hours=age))
    assert server()["snapshots"].status == status


def test_a_server_without_snapshots_or_measures_is_warned_of(volume: str, server: Examine) -> None:
    found = server()
    assert found["snapshots"].status == "warning"
    assert found["Chroma's disk"].status == "warning"


@pytest.mark.parametrize(("percent", "status"), [(74, "ok"), (80, "warning"), (95, "broken")])
def test_a_disk_that_fills_up_is_said_before_it_is_full(
    deployment: Deployment, volume: str, server: Examine, percent: int, status: str
) -> None:
    measure(deployment, percent, timedelta(minutes=1))
    found = server()["Chroma's disk"]
    assert found.status == status
    assert status == "ok" or "ChromaVolumeGiB" in found.advice


def test_what_was_measured_long_ago_does_not_count(deployment: Deployment, volume: str, server: Examine) -> None:
    measure(deployment, 10, timedelta(hours=2))
    assert server()["Chroma's disk"].status == "warning"


def test_an_external_server_is_not_looked_for(deployment: Deployment) -> None:
    external = replace(deployment, parameters={"ChromaMode": "external"})
    checks = [check for check in Account(external, None).checks() if check.name == "Chroma server"]
    assert [finding.status for finding in examine(checks)] == ["skipped"]


def test_taking_it_down_says_how_to_come_back_to_volume_and_snapshots(deployment: Deployment, volume: str) -> None:
    made = snapshot(deployment, volume, timedelta(hours=1))
    kept = {item.what: item for item in plan(deployment).kept}
    (of_volume,) = (item for what, item in kept.items() if volume in what)
    assert f"ChromaVolumeId={volume}" in of_volume.come_back
    assert volume in of_volume.remove
    (of_snapshots,) = (item for what, item in kept.items() if "snapshot" in what)
    assert "remora backup restore" in of_snapshots.come_back
    assert made in of_snapshots.remove
