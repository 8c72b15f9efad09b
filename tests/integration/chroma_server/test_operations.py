"""Backups, restores and upgrades of a stack's Chroma server, with CloudFormation and EC2 by moto."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from remora.chroma_server.backups import DEPLOYMENT_TAG, FORMER_TAG, Backups
from remora.chroma_server.deployment import Stack
from remora.chroma_server.releases import Release
from remora.chroma_server.service import ChromaServer
from remora.cli import main
from remora.errors import ConflictError, InvalidArgumentError, NotFoundError, UnavailableError

ZONE = "eu-central-1a"
NAME = "remora-operated"
HASHES = {"1.5.9": "a" * 64, "1.6.0": "b" * 64}
# The parameters and outputs of the main template that have to do with the server.
TEMPLATE: dict[str, Any] = {
    "Parameters": {
        "ChromaVersion": {"Type": "String", "Default": "1.5.9"},
        "ChromaSha256": {"Type": "String", "Default": HASHES["1.5.9"]},
        "ChromaVolumeId": {"Type": "String", "Default": ""},
        "ChromaVolumeGiB": {"Type": "Number", "Default": 20},
        "ChromaVolumeKeyArn": {"Type": "String", "Default": ""},
        "LogLevel": {"Type": "String", "Default": "INFO"},
    },
    "Conditions": {"HasVolume": {"Fn::Not": [{"Fn::Equals": [{"Ref": "ChromaVolumeId"}, ""]}]}},
    "Resources": {
        "Volume": {
            "Type": "AWS::EC2::Volume",
            "Properties": {
                "AvailabilityZone": ZONE,
                "Size": 20,
                "Tags": [{"Key": DEPLOYMENT_TAG, "Value": NAME}],
            },
        },
    },
    "Outputs": {
        "ChromaVolumeId": {"Value": {"Fn::If": ["HasVolume", {"Ref": "ChromaVolumeId"}, {"Ref": "Volume"}]}},
        "ChromaAvailabilityZone": {"Value": ZONE},
        "ChromaGroupName": {"Value": "group"},
        "Version": {"Value": {"Fn::Join": [" ", [{"Ref": "ChromaVersion"}, {"Ref": "ChromaSha256"}]]}},
        "LogLevel": {"Value": {"Ref": "LogLevel"}},
    },
}
PARAMETERS = {name: str(item["Default"]) for name, item in TEMPLATE["Parameters"].items()} | {"LogLevel": "DEBUG"}


def find(version: str) -> Release:
    if version not in HASHES:
        raise NotFoundError(f"PyPI has no version {version} of Chroma.")
    return Release(version, HASHES[version])


@pytest.fixture
def stack(aws_environment: dict[str, str]) -> Iterator[str]:
    client = boto3.client("cloudformation")
    client.create_stack(
        StackName=NAME,
        TemplateBody=json.dumps(TEMPLATE),
        # All of them: moto knows no previous value of a default.
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in PARAMETERS.items()],
    )
    yield NAME
    client.delete_stack(StackName=NAME)


@pytest.fixture
def backups(stack: str) -> Backups:
    return Backups(boto3.client("ec2"), pause=0)


@pytest.fixture
def server(stack: str, backups: Backups) -> ChromaServer:
    there = Stack(boto3.client("cloudformation"), stack, pause=0)
    return ChromaServer(there, backups, boto3.client("autoscaling"), find=find, pause=0)


def outputs() -> dict[str, str]:
    (found,) = boto3.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"]
    return {item["OutputKey"]: item["OutputValue"] for item in found["Outputs"]}


def tags(resource_id: str) -> dict[str, str]:
    found = boto3.client("ec2").describe_tags(Filters=[{"Name": "resource-id", "Values": [resource_id]}])["Tags"]
    return {tag["Key"]: tag["Value"] for tag in found}


def test_a_backup_is_of_the_volume_in_use_and_is_listed(server: ChromaServer, backups: Backups) -> None:
    deployment = server.deployment()
    told: list[str] = []
    backup = backups.create(deployment, "by hand", told.append)
    (snapshot,) = boto3.client("ec2").describe_snapshots(SnapshotIds=[backup.id])["Snapshots"]
    assert snapshot["VolumeId"] == deployment.volume
    assert backup in backups.list(deployment)
    assert backup.made == "by hand"
    assert told == [f"Snapshot {backup.id} of {deployment.volume}: 100%"]


def test_a_restore_uses_a_copy_and_keeps_the_volume_before(server: ChromaServer, backups: Backups) -> None:
    before = server.deployment()
    backup = backups.create(before, "by hand", lambda _: None)
    restored = server.restore(backup.id, lambda _: None)
    (volume,) = boto3.client("ec2").describe_volumes(VolumeIds=[restored.after])["Volumes"]
    assert (volume["SnapshotId"], volume["AvailabilityZone"], volume["Encrypted"]) == (backup.id, ZONE, True)
    assert server.deployment().volume == restored.after != before.volume
    assert restored.before == before.volume
    assert boto3.client("ec2").describe_volumes(VolumeIds=[before.volume])["Volumes"]
    # What has nothing to do with it is as it was.
    assert outputs()["LogLevel"] == "DEBUG"


def test_only_the_volume_in_use_is_in_the_daily_schedule(server: ChromaServer, backups: Backups) -> None:
    backup = backups.create(server.deployment(), "by hand", lambda _: None)
    restored = server.restore(backup.id, lambda _: None)
    assert DEPLOYMENT_TAG in tags(restored.after)
    assert (DEPLOYMENT_TAG in tags(restored.before), tags(restored.before)[FORMER_TAG]) == (False, NAME)
    back = server.restore(restored.before, lambda _: None)
    assert back.after == restored.before == server.deployment().volume
    assert DEPLOYMENT_TAG in tags(back.after)
    assert FORMER_TAG not in tags(back.after)


def test_an_upgrade_makes_a_snapshot_before_it_changes_anything(server: ChromaServer, backups: Backups) -> None:
    told: list[str] = []
    upgraded = server.upgrade("1.6.0", told.append)
    assert outputs()["Version"] == f"1.6.0 {HASHES['1.6.0']}"
    assert (upgraded.before, upgraded.after) == ("1.5.9", "1.6.0")
    assert upgraded.backup in backups.list(server.deployment())
    first, *_, last = told
    assert first.startswith("Snapshot ")
    assert last == f"Stack {NAME}: UPDATE_COMPLETE"


def test_a_restore_after_an_upgrade_brings_both_back(server: ChromaServer) -> None:
    upgraded = server.upgrade("1.6.0", lambda _: None)
    server.restore(upgraded.backup.id, lambda _: None, upgraded.before)
    assert outputs()["Version"] == f"1.5.9 {HASHES['1.5.9']}"


@pytest.mark.parametrize(
    ("version", "error", "reason"),
    [
        ("1.5.9", InvalidArgumentError, "is not newer"),
        ("1.4.0", InvalidArgumentError, "is not newer"),
        ("latest", InvalidArgumentError, "no version of Chroma"),
        ("9.9.9", NotFoundError, "PyPI has no version"),
    ],
)
def test_an_upgrade_that_cannot_be_is_refused_before_a_snapshot_is_made(
    server: ChromaServer, backups: Backups, version: str, error: type[Exception], reason: str
) -> None:
    before = len(backups.list(server.deployment()))
    with pytest.raises(error, match=reason):
        server.upgrade(version, lambda _: None)
    assert len(backups.list(server.deployment())) == before


def test_a_volume_elsewhere_is_refused(server: ChromaServer) -> None:
    elsewhere = boto3.client("ec2").create_volume(AvailabilityZone="eu-central-1b", Size=1)["VolumeId"]
    with pytest.raises(InvalidArgumentError, match="is in eu-central-1b and the server in eu-central-1a"):
        server.restore(elsewhere, lambda _: None)
    with pytest.raises(InvalidArgumentError, match="is the one in use"):
        server.restore(server.deployment().volume, lambda _: None)


def test_a_snapshot_that_is_not_there_is_said_to_be_missing(server: ChromaServer) -> None:
    with pytest.raises(NotFoundError, match="remora backup list"):
        server.restore("snap-0123456789abcdef0", lambda _: None)


class Unchanging(Stack):
    """A stack whose change fails, as CloudFormation says it; moto changes everything at once."""

    def __init__(self, error: Exception) -> None:
        super().__init__(boto3.client("cloudformation"), NAME, pause=0)
        self._error = error

    def change(self, changes: object, report: object) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (lambda server, snapshot: server.upgrade("1.6.0", lambda _: None), "remora backup restore snap-"),
        (
            lambda server, snapshot: server.restore(snapshot, lambda _: None),
            "has its volume vol-.* again; vol-.* is not",
        ),
    ],
    ids=["upgrade", "restore"],
)
def test_a_change_that_failed_says_what_there_is_now(
    backups: Backups, server: ChromaServer, run: Callable[[ChromaServer, str], object], reason: str
) -> None:
    failing = Unchanging(
        UnavailableError("The change failed (UPDATE_ROLLBACK_COMPLETE): Ready: Chroma does not answer.")
    )
    broken = ChromaServer(failing, backups, boto3.client("autoscaling"), find=find, pause=0)
    snapshot = backups.create(server.deployment(), "by hand", lambda _: None).id
    with pytest.raises(UnavailableError, match=rf"UPDATE_ROLLBACK_COMPLETE.*{reason}"):
        run(broken, snapshot)


def test_a_stack_that_is_not_there_or_has_no_server_is_said_so(aws_environment: dict[str, str]) -> None:
    client = boto3.client("cloudformation")
    with pytest.raises(NotFoundError, match="There is no stack nowhere in eu-central-1"):
        Stack(client, "nowhere").read()
    body = {"Resources": {"Volume": TEMPLATE["Resources"]["Volume"]}}
    client.create_stack(StackName="external", TemplateBody=json.dumps(body))
    with pytest.raises(InvalidArgumentError, match="has no Chroma server of its own"):
        Stack(client, "external").read()
    client.delete_stack(StackName="external")


def test_the_command_line_makes_lists_and_restores(stack: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backup", "create", "--stack", stack]) == 0
    assert "is complete" in capsys.readouterr().out
    assert main(["backup", "list", "--stack", stack]) == 0
    first, *_ = capsys.readouterr().out.splitlines()
    snapshot, _, _, _, size, *_ = first.split()
    assert (snapshot[:5], size) == ("snap-", "20")
    assert main(["backup", "restore", snapshot, "--stack", stack, "--yes"]) == 0
    assert "remora memory rebuild" in capsys.readouterr().out


def test_the_command_line_changes_nothing_without_being_told(
    stack: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["chroma", "upgrade", "--to", "1.6.0", "--stack", stack]) == 1
    assert "give --yes" in capsys.readouterr().err
    monkeypatch.delenv("REMORA_STACK", raising=False)
    assert main(["backup", "list"]) == 1
    assert "Give --stack" in capsys.readouterr().err


def test_a_stack_that_cannot_be_changed_now_is_a_conflict(stack: str) -> None:
    client = boto3.client("cloudformation")
    before = outputs()

    def refuse(**_: object) -> None:
        message = f"Stack:{stack} is in UPDATE_IN_PROGRESS state and can not be updated."
        raise ClientError({"Error": {"Code": "ValidationError", "Message": message}}, "UpdateStack")

    client.meta.events.register("before-call.cloudformation.UpdateStack", refuse)
    with pytest.raises(ConflictError, match=r"UPDATE_IN_PROGRESS.*Nothing was changed"):
        Stack(client, stack, pause=0).change({"ChromaVersion": "1.6.0"}, lambda _: None)
    assert outputs() == before


def test_a_stack_that_is_gone_is_said(stack: str) -> None:
    client = boto3.client("cloudformation")
    client.delete_stack(StackName=stack)
    with pytest.raises(NotFoundError, match="There is no stack"):
        Stack(client, stack, pause=0).change({"ChromaVersion": "1.6.0"}, lambda _: None)
