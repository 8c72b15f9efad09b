"""Takes a deployment down, and says before what goes, and what stays and how to come back to it or be rid of it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from remora.aws_failures import explained
from remora.errors import InvalidArgumentError, NotFoundError, UnavailableError
from remora.operations.deployment import Deployment, described
from remora.principals.stack import SECRET_OUTPUT, read_stack
from remora.principals.usage_keys import UsageKeys

_POLL_SECONDS: Final = 5.0
_MOST_SECONDS: Final = 3600
"""A distribution takes up to half an hour."""

_BUCKET_OUTPUT = "MemoryBucketName"
_GOES: Final = {
    "AWS::ApiGateway::RestApi": "the API, with its URL",
    "AWS::CloudFormation::Stack": "the nested stacks: distribution, network, Chroma server, alarms",
    "AWS::Lambda::Function": "the functions and their layers",
    "AWS::DynamoDB::Table": "the table of connections: every assistant signs in again",
    "AWS::Logs::LogGroup": "the logs",
}


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that stays.

    Attributes:
        what: What it is, by its name or id.
        come_back: How a later deployment gets what it holds.
        remove: How it is removed for good.
    """

    what: str
    come_back: str
    remove: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What will become of a deployment.

    Attributes:
        goes: What goes.
        keys: Ids of the API keys of principals, which the stack does not know of.
        kept: What stays.
    """

    goes: tuple[str, ...]
    keys: tuple[str, ...]
    kept: tuple[Kept, ...]


def plan(deployment: Deployment) -> Plan:
    """Return what will become of a deployment; nothing is done yet.

    Raises:
        InvalidArgumentError: It is the local run, no Remora, or protected from being deleted.
        RemoraError: AWS cannot be asked.
    """
    if deployment.data_dir is not None:
        raise InvalidArgumentError(
            f"Name the stack: --stack, or REMORA_STACK. The local run ends with Ctrl-C, and its data is in "
            f"{deployment.data_dir}."
        )
    client = deployment.client("cloudformation")
    if described(client, deployment.name).get("EnableTerminationProtection"):
        raise InvalidArgumentError(
            f"The stack is protected. Take that away first: aws cloudformation update-termination-protection "
            f"--stack-name {deployment.name} --no-enable-termination-protection"
        )
    with explained():
        resources = [
            resource
            for page in client.get_paginator("list_stack_resources").paginate(StackName=deployment.name)
            for resource in page["StackResourceSummaries"]
        ]
    kinds = {resource["ResourceType"] for resource in resources}
    # Not by plans, which a deletion that failed half way may have taken already.
    keys = tuple(sorted(_usage_keys(deployment).own()))
    goes = [text for kind, text in _GOES.items() if kind in kinds]
    goes.append(f"{len(keys)} API keys of principals, and the usage plans")
    return Plan(tuple(goes), keys, tuple(_kept(deployment, resources)))


def remove(deployment: Deployment, keys: tuple[str, ...], report: Callable[[str], None]) -> None:
    """Delete a deployment, and wait until it is gone.

    Args:
        deployment: The deployment.
        keys: Ids of the API keys to delete before.
        report: Told each step.

    Raises:
        UnavailableError: Something could not be deleted, or it takes longer than an hour.
        RemoraError: AWS refused.
    """
    client = deployment.client("cloudformation")
    usage_keys = _usage_keys(deployment)
    for key in keys:
        usage_keys.delete(key)
    report(f"Deleted {len(keys)} API keys")
    # All that happened until now is not of the deletion.
    seen = {event["EventId"] for event in _events(client, deployment.stack_id)}
    with explained():
        client.delete_stack(StackName=deployment.stack_id)
    deadline = time.monotonic() + _MOST_SECONDS
    while time.monotonic() < deadline:
        try:
            status = described(client, deployment.stack_id)["StackStatus"]
        except NotFoundError:
            status = "DELETE_COMPLETE"
        failures = []
        for event in reversed(_events(client, deployment.stack_id) if status != "DELETE_COMPLETE" else []):
            if event["EventId"] in seen:
                continue
            seen.add(event["EventId"])
            state, name = event.get("ResourceStatus", ""), event.get("LogicalResourceId", "")
            if state.startswith("DELETE"):
                report(f"{state:<18} {name}")
            if state == "DELETE_FAILED":
                failures.append(f"{name}: {event.get('ResourceStatusReason', 'no reason given')}")
        if status == "DELETE_COMPLETE":
            return
        if status == "DELETE_FAILED":
            raise UnavailableError(
                f"The stack could not be deleted. {' '.join(failures)} Mend that, and give the same command again."
            )
        time.sleep(_POLL_SECONDS)
    raise UnavailableError("It takes longer than an hour. CloudFormation goes on by itself; look there.")


def _usage_keys(deployment: Deployment) -> UsageKeys:
    stack = read_stack(deployment.client("cloudformation"), deployment.name)
    return UsageKeys(deployment.client("apigateway"), stack.name, stack.plans)


def _events(client: Any, stack_id: str) -> list[dict[str, Any]]:  # noqa: ANN401 - a client of CloudFormation
    with explained():
        events: list[dict[str, Any]] = client.describe_stack_events(StackName=stack_id)["StackEvents"]
    return events


def _kept(deployment: Deployment, resources: list[dict[str, Any]]) -> Iterator[Kept]:
    secret, region = deployment.output(SECRET_OUTPUT), deployment.region
    yield Kept(
        f"the principals: secret {secret}",
        "after the next deployment, put its value into the new stack's secret: aws secretsmanager get-secret-value "
        f"--region {region} --secret-id {secret} --query SecretString --output text; then any `remora key set` gives "
        "everyone a usage key again",
        f"aws secretsmanager delete-secret --region {region} --secret-id {secret}",
    )
    bucket = deployment.output(_BUCKET_OUTPUT)
    yield Kept(
        f"every memory, with its history: bucket {bucket}",
        f"copy it into the new stack's bucket (aws s3 sync s3://{bucket} s3://NEW_BUCKET), and make the index again "
        "with `remora memory rebuild --fresh` in each space",
        "empty it in the console, with all versions, then: "
        f"aws s3api delete-bucket --region {region} --bucket {bucket}",
    )
    yield from _volumes(deployment)
    if any(resource["LogicalResourceId"] == "AccessLogRole" for resource in resources):
        yield Kept(
            "API Gateway's log role, which belongs to the account and the region",
            "nothing to do: give its ARN as AccessLogRoleArn (aws apigateway get-account)",
            "leave it, unless no API of the region writes logs",
        )


def _volumes(deployment: Deployment) -> Iterator[Kept]:
    if deployment.parameters.get("ChromaMode", "external") != "instance":
        return
    tag = {"Name": "tag:remora:chroma", "Values": [deployment.name]}
    client = deployment.client("ec2")
    with explained():
        volumes = client.describe_volumes(Filters=[tag])["Volumes"]
        snapshots = client.describe_snapshots(OwnerIds=["self"], Filters=[tag])["Snapshots"]
    for volume in volumes:
        yield Kept(
            f"Chroma's data: volume {volume['VolumeId']}, {volume['Size']} GiB",
            f"deploy with ChromaVolumeId={volume['VolumeId']}; the server must come to be in "
            f"{volume['AvailabilityZone']}, where it was",
            f"aws ec2 delete-volume --region {deployment.region} --volume-id {volume['VolumeId']}",
        )
    if snapshots:
        names = " ".join(snapshot["SnapshotId"] for snapshot in snapshots)
        yield Kept(
            f"{len(snapshots)} snapshots of it; no more are made, and none is removed by itself",
            "after the next deployment: `remora backup restore SNAPSHOT`",
            f"for id in {names}; do aws ec2 delete-snapshot --region {deployment.region} --snapshot-id $id; done",
        )
