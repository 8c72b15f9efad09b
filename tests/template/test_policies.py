"""What the roles of all templates may do: no wildcard that is not explained. Rules of AWS: docs/aws-facts.md."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse

from tests.template.deployed import TEMPLATE, Document, deployed

STACKS = sorted((Path(TEMPLATE).parent / "stacks").glob("*.yaml"))
# Actions that take no resource, so that `*` is the only value, or whose resources do not exist before them; each with
# the service that says so.
NO_RESOURCES = {
    "xray:PutTraceSegments": "X-Ray",
    "xray:PutTelemetryRecords": "X-Ray",
    "ec2:DescribeSnapshots": "EC2",
    "ec2:DescribeVolumes": "EC2",
    "ec2:DescribeInstances": "EC2",
    **dict.fromkeys(
        (
            "ec2:CreateNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:DeleteNetworkInterface",
            "ec2:AssignPrivateIpAddresses",
            "ec2:UnassignPrivateIpAddresses",
        ),
        "Lambda, of the role of a function in a VPC",
    ),
    "cloudwatch:PutMetricData": "CloudWatch; the namespace is a condition",
    "ssmmessages:CreateControlChannel": "Session Manager",
    "ssmmessages:CreateDataChannel": "Session Manager",
    "ssmmessages:OpenControlChannel": "Session Manager",
    "ssmmessages:OpenDataChannel": "Session Manager",
    "ssm:UpdateInstanceInformation": "Systems Manager",
}
# Policies that AWS keeps, for its own services.
KEPT_BY_AWS = {
    "AmazonAPIGatewayPushToCloudWatchLogs": "the role by which API Gateway writes logs, for all APIs of the account",
    "AWSCodeDeployRoleForLambda": "the role by which CodeDeploy moves aliases; SAM makes it",
    "AWSDataLifecycleManagerServiceRole": "the role by which Data Lifecycle Manager makes snapshots",
}


@dataclass(frozen=True)
class Statement:
    """What a role may do."""

    where: str
    actions: tuple[str, ...]
    resources: tuple[Any, ...]
    effect: str


def templates() -> dict[str, dict[str, Document]]:
    """Return the resources of every template, by its name."""
    nested = {path.name: yaml_parse(path.read_text())["Resources"] for path in STACKS}
    return {"template.yaml": dict(deployed().resources), **nested}


def unconditional(value: Any) -> Iterator[Any]:
    """Yield everything that a value can be, whatever the conditions."""
    if isinstance(value, dict) and set(value) == {"Fn::If"}:
        for item in value["Fn::If"][1:]:
            yield from unconditional(item)
    elif isinstance(value, list):
        for item in value:
            yield from unconditional(item)
    elif value != {"Ref": "AWS::NoValue"}:
        yield value


def roles() -> dict[str, Document]:
    return {
        f"{template}: {name}": resource["Properties"]
        for template, resources in templates().items()
        for name, resource in resources.items()
        if resource["Type"] == "AWS::IAM::Role"
    }


def statements() -> Iterator[Statement]:
    for where, role in roles().items():
        for policy in unconditional(role.get("Policies", [])):
            for each in unconditional(policy["PolicyDocument"]["Statement"]):
                yield Statement(
                    f"{where}, {policy['PolicyName']}",
                    tuple(unconditional([each["Action"]])),
                    tuple(unconditional([each["Resource"]])),
                    each["Effect"],
                )


def test_nothing_that_may_be_done_is_a_wildcard() -> None:
    allowed = [item for item in statements() if item.effect == "Allow"]
    assert not [(item.where, action) for item in allowed for action in item.actions if "*" in action]


def test_a_wildcard_for_resources_is_there_only_where_aws_knows_none() -> None:
    for item in statements():
        if item.effect == "Allow" and "*" in item.resources:
            assert set(item.actions) <= set(NO_RESOURCES), item.where


def test_a_wildcard_within_a_resource_stands_behind_what_is_named() -> None:
    for item in statements():
        for resource in item.resources:
            text = resource if isinstance(resource, str) else resource.get("Fn::Sub", "")
            if isinstance(text, list):
                text = text[0]
            if "*" in text and text != "*":
                before = text.partition("*")[0]
                assert "${" in before, (item.where, text)


def test_policies_of_aws_are_for_its_own_services_alone() -> None:
    for where, role in roles().items():
        for policy in unconditional(role.get("ManagedPolicyArns", [])):
            assert any(json.dumps(policy).endswith((f'{name}"}}', f'{name}"')) for name in KEPT_BY_AWS), (
                where,
                policy,
            )
            trusted = role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"]
            assert "lambda.amazonaws.com" not in trusted


@pytest.mark.parametrize("where", sorted(roles()))
def test_a_role_is_for_services_and_never_for_everybody(where: str) -> None:
    for statement in unconditional(roles()[where]["AssumeRolePolicyDocument"]["Statement"]):
        assert set(statement["Principal"]) == {"Service"}


@pytest.mark.parametrize("where", sorted(roles()))
def test_a_policy_fits(where: str) -> None:
    # All inline policies of a role together: 10,240 characters, white space not counted. Names are at most this long.
    document = json.dumps(roles()[where].get("Policies", []), separators=(",", ":"))
    assert len(document) + 128 * document.count('"Fn::') < 10_240
