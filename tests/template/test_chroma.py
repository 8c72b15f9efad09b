"""The Chroma server's template: what may be lost, what may not, and who may do what. Rules: docs/aws-facts.md."""

import base64
import itertools
import json
import re
import shlex
import subprocess
from importlib.metadata import version
from pathlib import Path

import boto3
import pytest

from remora.cli.chroma import TESTED_VERSION
from scripts.chroma.embed import TEMPLATE, embedded
from tests.template.deployed import Document, deployed, source
from tests.template.stacks import resource, stack, user_data

USER_DATA_LIMIT = 16 * 1024
INLINE_CODE_LIMIT = 4096
LAUNCH: Document = resource("chroma", "LaunchTemplate")["LaunchTemplateData"]
# EC2, CloudWatch and Session Manager know no resources for these; Lambda asks for its own before it knows one.
WITHOUT_RESOURCES = {
    "cloudwatch:PutMetricData",
    "ec2:DescribeInstances",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSnapshots",
    "ec2:DescribeVolumes",
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
}


def allowed(role: str) -> list[Document]:
    policies = resource("chroma", role)["Policies"]
    return [
        item for policy in policies for item in policy["PolicyDocument"]["Statement"] if item["Effect"] == "Allow"
    ]


def actions(statement: Document) -> set[str]:
    value = statement["Action"]
    return {value} if isinstance(value, str) else set(value)


def test_the_template_holds_the_scripts_as_they_are() -> None:
    assert embedded(TEMPLATE.read_text()) == TEMPLATE.read_text(), "run `make format`"


def test_the_user_data_fits_even_with_the_longest_parameters() -> None:
    longest = {"Deployment": "d" * 128, "Logs": "l" * 512, "PatchTime": "p" * 64, "ChromaPort": "65535"}
    longest |= {"AWS::Region": "ap-southeast-99", "ChromaVersion": "100.100.100"}
    assert len(user_data(longest).encode()) < USER_DATA_LIMIT
    base64.b64encode(user_data({}).encode())


def test_the_user_data_is_a_script_that_bash_understands() -> None:
    text = user_data({})
    assert text.startswith("#!/bin/bash\n")
    subprocess.run(["bash", "-n"], input=text.encode(), check=True)


def test_a_parameter_cannot_end_its_quotes_in_the_user_data() -> None:
    parameters = stack("chroma")["Parameters"]
    assert not re.fullmatch(parameters["PatchTime"]["AllowedPattern"], "x' reboot '")
    assert "'" not in parameters["PatchTime"]["AllowedPattern"]
    # Stack names are letters, digits and hyphens; CloudFormation makes the log group's name of them.
    assert user_data({}).count("'", 0, user_data({}).index("# Makes a machine")) == 6


def test_every_call_of_the_bootstrap_is_one_that_ec2_knows() -> None:
    calls = re.findall(r"^ +aws (ec2 (?:.*\\\n)*.*)$", user_data({}), re.MULTILINE)
    assert len(calls) == 5
    model = boto3.client("ec2", region_name="eu-central-1").meta.service_model
    for call in calls:
        words = shlex.split(call.replace("\\\n", " "))
        operation = model.operation_model("".join(part.title() for part in words[1].split("-")))
        given = {word[2:] for word in words[2:] if word.startswith("--")} - {"output", "query"}
        assert operation.input_shape is not None
        known = {re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower() for name in operation.input_shape.members}
        assert given <= known


def test_the_inline_code_fits() -> None:
    assert len(resource("chroma", "ReadyFunction")["Code"]["ZipFile"]) < INLINE_CODE_LIMIT


def test_the_volume_outlives_the_stack_and_is_encrypted() -> None:
    volume = stack("chroma")["Resources"]["Volume"]
    assert (volume["DeletionPolicy"], volume["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert volume["Properties"]["Encrypted"] is True
    assert volume["Properties"]["VolumeType"] == "gp3"


def test_a_machine_is_reached_by_session_manager_alone_and_gives_no_credentials_away() -> None:
    assert "KeyName" not in LAUNCH
    assert LAUNCH["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    (interface,) = LAUNCH["NetworkInterfaces"]
    assert interface["AssociatePublicIpAddress"] is False
    assert interface["Groups"] == [{"Ref": "ServerSecurityGroup"}]
    assert all(item["Ebs"]["Encrypted"] for item in LAUNCH["BlockDeviceMappings"])


def test_a_machine_starts_from_the_newest_image_for_its_processor() -> None:
    assert LAUNCH["ImageId"] == "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
    assert re.fullmatch(stack("chroma")["Parameters"]["InstanceType"]["AllowedPattern"], "t4g.small")


def test_the_old_machine_ends_before_the_new_one_begins() -> None:
    group = stack("chroma")["Resources"]["Group"]
    assert group["UpdatePolicy"]["AutoScalingRollingUpdate"]["MinInstancesInService"] == 0
    assert group["Properties"]["InstanceMaintenancePolicy"] == {
        "MinHealthyPercentage": 0,
        "MaxHealthyPercentage": 100,
    }
    assert group["Properties"]["MinSize"] == group["Properties"]["MaxSize"] == "1"
    assert group["Properties"]["VPCZoneIdentifier"] == [{"Ref": "SubnetId"}]


def test_another_machine_is_checked_anew_once_it_is_there() -> None:
    ready = stack("chroma")["Resources"]["Ready"]
    newest = {"Fn::GetAtt": ["LaunchTemplate", "LatestVersionNumber"]}
    assert ready["DependsOn"] == "Group"
    assert ready["Properties"]["Machine"] == newest
    assert resource("chroma", "Group")["LaunchTemplate"]["Version"] == newest
    # CloudFormation waits longer than the function, or it would not hear what that says.
    assert resource("chroma", "ReadyFunction")["Timeout"] < ready["Properties"]["ServiceTimeout"]


@pytest.mark.parametrize("role", ["Role", "ReadyRole", "SnapshotsRole"])
def test_a_role_has_no_wildcards_except_where_aws_knows_no_resources(role: str) -> None:
    from tests.template.test_functions import NETWORK

    for statement in allowed(role):
        assert not [action for action in actions(statement) if "*" in action]
        if statement["Resource"] == "*":
            assert actions(statement) <= WITHOUT_RESOURCES | (NETWORK if role == "ReadyRole" else set())


def test_a_machine_attaches_its_own_volume_and_interface_to_itself_alone() -> None:
    attaching = [
        item for item in allowed("Role") if {"ec2:AttachVolume", "ec2:AttachNetworkInterface"} & actions(item)
    ]
    volume, interface, machine = attaching
    assert "volume/${Id}" in json.dumps(volume["Resource"])
    assert "network-interface/${Interface}" in json.dumps(interface["Resource"])
    tag = {"aws:ResourceTag/remora:chroma-server": {"Ref": "Deployment"}}
    assert machine["Condition"] == {"StringEquals": tag}
    given = {item["Key"]: item["PropagateAtLaunch"] for item in resource("chroma", "Group")["Tags"]}
    assert given["remora:chroma-server"] is True


def test_snapshots_are_of_this_deployment_and_carry_its_tag() -> None:
    details = resource("chroma", "Snapshots")["PolicyDetails"]
    tag = {"Key": "remora:chroma", "Value": {"Ref": "Deployment"}}
    assert details["TargetTags"] == [tag]
    assert tag in resource("chroma", "Volume")["Tags"]
    (schedule,) = details["Schedules"]
    assert schedule["CopyTags"] is True


def test_the_pinned_version_is_the_one_that_remora_is_tested_with() -> None:
    pinned = source()["Parameters"]
    assert pinned["ChromaVersion"]["Default"] == version("chromadb") == TESTED_VERSION
    locked = (Path(TEMPLATE).parents[1] / "requirements" / "dev.txt").read_text()
    assert f"--hash=sha256:{pinned['ChromaSha256']['Default']}" in locked


# ---- what the main template asks of them ----


def holds(condition: Document, values: dict[str, str]) -> bool:
    """Evaluate a condition function."""
    ((kind, operands),) = condition.items()
    if kind == "Fn::Equals":
        left, right = (values[item["Ref"]] if isinstance(item, dict) else item for item in operands)
        return bool(left == right)
    results = [holds(operand, values) for operand in operands]
    return bool({"Fn::Not": not results[0], "Fn::And": all(results), "Fn::Or": any(results)}[kind])


def refusals(**parameters: str) -> list[str]:
    """Return what CloudFormation says to a deployment with these parameters."""
    values = {name: str(item["Default"]) for name, item in source()["Parameters"].items()} | parameters
    return [
        assertion["AssertDescription"]
        for name in ("ExternalChroma", "ChromaToken", "OwnChroma", "ExistingVpc")
        for rule in [source()["Rules"][name]]
        if "RuleCondition" not in rule or holds(rule["RuleCondition"], values)
        for assertion in rule["Assertions"]
        if not holds(assertion["Assert"], values)
    ]


SUBNETS = {"VpcId": "vpc-01234567", "SubnetIds": "subnet-01234567"}
ZONE = {"VpcAvailabilityZone": "eu-central-1a"}
TOKEN = {"ChromaSecretArn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:chroma-AbCdEf"}


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {**SUBNETS, **ZONE},
        {"ChromaMode": "external", "ChromaHost": "chroma.example.com"},
        {"ChromaMode": "external", "ChromaHost": "chroma.example.com", "ChromaSsl": "true", **SUBNETS},
        {"ChromaMode": "external", "ChromaHost": "chroma.example.com", "ChromaSsl": "true", **TOKEN},
        {"ChromaVolumeId": "vol-01234567"},
    ],
)
def test_a_deployment_that_makes_sense_is_not_refused(parameters: dict[str, str]) -> None:
    assert refusals(**parameters) == []


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"ChromaMode": "external"}, "ChromaHost must be the host"),
        ({"ChromaHost": "chroma.example.com"}, "ChromaHost is for ChromaMode=external"),
        ({"ChromaSsl": "true"}, "ChromaSsl must be false"),
        ({"ChromaEngine": "distributed"}, "must be single-node"),
        (SUBNETS, "VpcAvailabilityZone must be"),
        ({"VpcId": "vpc-01234567", **ZONE}, "both, or neither"),
        ({"SubnetIds": "subnet-01234567"}, "both, or neither"),
        ({"ChromaMode": "external", "ChromaHost": "c", "ChromaVolumeId": "vol-01234567"}, "ChromaVolumeId is for"),
        ({"ChromaMode": "external", "ChromaHost": "c", **TOKEN}, "would travel unencrypted"),
        ({"ChromaSsl": "true", **TOKEN}, "ChromaSecretArn is for ChromaMode=external"),
    ],
)
def test_a_deployment_that_makes_none_is_refused_with_the_reason(parameters: dict[str, str], reason: str) -> None:
    assert any(reason in refusal for refusal in refusals(**parameters))


@pytest.mark.parametrize(("name", "template"), [("Network", "network"), ("ChromaServer", "chroma")])
def test_a_nested_stack_is_given_the_parameters_that_it_has(name: str, template: str) -> None:
    given = deployed().resources[name]["Properties"]["Parameters"]
    parameters = stack(template)["Parameters"]
    assert set(given) <= set(parameters)
    assert {key for key, item in parameters.items() if "Default" not in item} <= set(given)


@pytest.mark.parametrize(
    ("main", "nested"),
    [
        *((f"Chroma{name}", name) for name in ("InstanceType", "VolumeGiB", "VolumeId", "VolumeKeyArn", "PatchTime")),
        *((f"Chroma{name}", name) for name in ("SnapshotTime", "SnapshotsKept")),
    ],
)
def test_a_parameter_means_the_same_in_both_templates(main: str, nested: str) -> None:
    limits = ("Type", "Default", "AllowedPattern", "MinValue", "MaxValue")
    ours, theirs = source()["Parameters"][main], stack("chroma")["Parameters"][nested]
    assert {key: ours.get(key) for key in limits} == {key: theirs.get(key) for key in limits}


def test_an_output_that_is_asked_for_is_there_whenever_it_is() -> None:
    outputs = {"Network": stack("network")["Outputs"], "ChromaServer": stack("chroma")["Outputs"]}
    text = json.dumps(source())
    asked = set(re.findall(r'"Fn::GetAtt": \["(Network|ChromaServer)", "Outputs\.(\w+)"\]', text))
    asked |= set(re.findall(r'"Fn::GetAtt": "(Network|ChromaServer)\.Outputs\.(\w+)"', text))
    assert len(asked) >= 10
    assert [item for item in asked if item[1] not in outputs[item[0]]] == []


@pytest.mark.parametrize(("mode", "vpc"), list(itertools.product(["instance", "external"], ["", "vpc-01234567"])))
def test_the_network_is_there_whenever_something_is_in_it(mode: str, vpc: str) -> None:
    conditions = source()["Conditions"]
    values = {"ChromaMode": mode, "VpcId": vpc}
    has_server = holds(conditions["HasServer"], values)
    network = conditions["HasNetwork"]["Fn::Or"]
    assert network[0] == {"Condition": "HasServer"}
    assert (has_server or holds(network[1], values)) == (mode == "instance" or vpc != "")
