"""The nested templates, created in moto's CloudFormation: what refers to what is resolved as AWS would.

What moto cannot create is listed in `ABSENT`, and left out of the copy that it is given; the other tests of this
folder, cfn-lint and checkov look at it.
"""

import copy
import ipaddress
import json
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from tests.template.deployed import Document
from tests.template.stacks import stack

REGION = "eu-central-1"
BUCKET = "arn:aws:s3:::remora-memory"
ABSENT = {
    # moto: no IPv6 blocks of a VPC, and so none of a subnet
    "VpcIpv6",
    "Ipv6Gateway",
    "Ipv6Route",
    # moto: no rules beside a group that refer to another group
    "FunctionsToChroma",
    # moto: unknown types
    "Snapshots",
    # moto: custom resources wait for a function that is run in a container
    "Ready",
}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield


def creatable(name: str) -> Document:
    """Return a copy of a nested template that moto can create."""
    template = copy.deepcopy(stack(name))
    for absent in ABSENT & set(template["Resources"]):
        del template["Resources"][absent]
    blocks = ipaddress.ip_network("10.42.0.0/24").subnets(new_prefix=26)
    for logical_id in ("FirstSubnet", "SecondSubnet", "PublicSubnet"):
        if logical_id in template["Resources"]:
            subnet = template["Resources"][logical_id]
            subnet.pop("DependsOn", None)
            # moto: no Fn::Cidr
            subnet["Properties"]["CidrBlock"] = str(next(blocks))
            subnet["Properties"].pop("Ipv6CidrBlock", None)
            subnet["Properties"].pop("AssignIpv6AddressOnCreation", None)
    # moto: no such attribute of a subnet
    if name == "network":
        template["Outputs"]["AvailabilityZone"]["Value"] = f"{REGION}a"
    return template


def create(name: str, **parameters: str) -> dict[str, str]:
    """Create a nested stack, and return its outputs."""
    client = boto3.client("cloudformation")
    client.create_stack(
        StackName=name,
        TemplateBody=json.dumps(creatable(name)),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    (created,) = client.describe_stacks(StackName=name)["Stacks"]
    assert created["StackStatus"] == "CREATE_COMPLETE"
    return {item["OutputKey"]: item["OutputValue"] for item in created["Outputs"]}


def test_a_network_is_made(aws: None) -> None:
    made = create("network", MemoryBucketArn=BUCKET)
    ec2 = boto3.client("ec2")
    subnets = ec2.describe_subnets(SubnetIds=made["SubnetIds"].split(","))["Subnets"]
    assert {subnet["VpcId"] for subnet in subnets} == {made["VpcId"]}
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == 2
    assert made["ServerSubnetId"] == subnets[0]["SubnetId"]
    (endpoint,) = ec2.describe_vpc_endpoints()["VpcEndpoints"]
    assert endpoint["VpcEndpointType"] == "Gateway"
    assert BUCKET in json.dumps(endpoint["PolicyDocument"])
    assert ec2.describe_nat_gateways()["NatGateways"] == []
    groups = [made[name] for name in ("FunctionSecurityGroup", "ChromaSecurityGroup", "ServerSecurityGroup")]
    by_id = {group["GroupId"]: group for group in ec2.describe_security_groups(GroupIds=groups)["SecurityGroups"]}
    functions, chroma, server = (by_id[group] for group in groups)
    assert functions["IpPermissions"] == server["IpPermissions"] == []
    (rule,) = chroma["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"], rule["IpRanges"]) == (8000, 8000, [])
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [made["FunctionSecurityGroup"]]


def test_a_network_with_a_nat_gateway_and_flow_logs_is_made(aws: None) -> None:
    create("network", MemoryBucketArn=BUCKET, NatGateway="true", FlowLogs="true")
    ec2 = boto3.client("ec2")
    assert len(ec2.describe_nat_gateways()["NatGateways"]) == 1
    assert len(ec2.describe_flow_logs()["FlowLogs"]) == 1


def test_with_an_existing_vpc_nothing_but_security_groups_is_made(aws: None) -> None:
    ec2 = boto3.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.7.0.0/24", AvailabilityZone=f"{REGION}a")["Subnet"][
        "SubnetId"
    ]
    before = len(ec2.describe_vpcs()["Vpcs"])
    made = create("network", MemoryBucketArn=BUCKET, VpcId=vpc, SubnetIds=subnet, AvailabilityZone=f"{REGION}a")
    assert (made["VpcId"], made["SubnetIds"], made["ServerSubnetId"]) == (vpc, subnet, subnet)
    assert len(ec2.describe_vpcs()["Vpcs"]) == before
    assert ec2.describe_vpc_endpoints()["VpcEndpoints"] == []


def server(network: dict[str, str], **parameters: str) -> dict[str, str]:
    return create(
        "chroma",
        Deployment="remora",
        SubnetId=network["ServerSubnetId"],
        AvailabilityZone=network["AvailabilityZone"],
        ServerSecurityGroup=network["ServerSecurityGroup"],
        ChromaSecurityGroup=network["ChromaSecurityGroup"],
        FunctionSubnetIds=network["SubnetIds"],
        FunctionSecurityGroup=network["FunctionSecurityGroup"],
        ChromaVersion="1.5.9",
        ChromaSha256="0" * 64,
        **parameters,
    )


def test_a_server_is_made_in_that_network(aws: None) -> None:
    made = server(create("network", MemoryBucketArn=BUCKET))
    ec2 = boto3.client("ec2")
    (volume,) = ec2.describe_volumes(VolumeIds=[made["VolumeId"]])["Volumes"]
    assert (volume["Size"], volume["AvailabilityZone"]) == (20, f"{REGION}a")
    (group,) = boto3.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert (group["MinSize"], group["MaxSize"], made["GroupName"]) == (1, 1, group["AutoScalingGroupName"])
    addresses = {item["PrivateIpAddress"] for item in ec2.describe_network_interfaces()["NetworkInterfaces"]}
    assert made["Host"] in addresses
