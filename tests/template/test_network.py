"""The network: who reaches whom, and what is not there. Rules of AWS: docs/aws-facts.md."""

import json

import pytest

from tests.template.deployed import Document
from tests.template.stacks import resource, stack

GROUPS = ("FunctionSecurityGroup", "ChromaSecurityGroup", "ServerSecurityGroup")


def resources(kind: str) -> dict[str, Document]:
    return {name: item for name, item in stack("network")["Resources"].items() if item["Type"] == kind}


def test_nobody_may_call_in_but_the_functions_and_only_at_chromas_port() -> None:
    assert all("SecurityGroupIngress" not in resource("network", name) for name in GROUPS)
    rules = resources("AWS::EC2::SecurityGroupIngress")
    assert list(rules) == ["ChromaFromFunctions"]
    rule = rules["ChromaFromFunctions"]["Properties"]
    assert rule["GroupId"] == {"Fn::GetAtt": ["ChromaSecurityGroup", "GroupId"]}
    assert rule["SourceSecurityGroupId"] == {"Fn::GetAtt": ["FunctionSecurityGroup", "GroupId"]}
    assert rule["FromPort"] == rule["ToPort"] == {"Ref": "ChromaPort"}
    assert not {"CidrIp", "CidrIpv6"} & set(rule)


def test_functions_call_chroma_and_https_alone() -> None:
    https, elsewhere = resource("network", "FunctionSecurityGroup")["SecurityGroupEgress"]
    assert (https["FromPort"], https["ToPort"]) == (443, 443)
    assert https["DestinationPrefixListId"]["Fn::If"][:2] == ["NamesS3", {"Ref": "S3PrefixListId"}]
    assert elsewhere["Fn::If"][0] == "HasChromaElsewhere"
    (rule,) = resources("AWS::EC2::SecurityGroupEgress").values()
    assert rule["Properties"]["DestinationSecurityGroupId"] == {"Fn::GetAtt": ["ChromaSecurityGroup", "GroupId"]}
    assert rule["Properties"]["FromPort"] == rule["Properties"]["ToPort"] == {"Ref": "ChromaPort"}


def test_the_interface_of_chroma_calls_nobody() -> None:
    # A group without any rule would be given one that allows everything.
    (rule,) = resource("network", "ChromaSecurityGroup")["SecurityGroupEgress"]
    assert rule["CidrIp"] == "127.0.0.1/32"


def test_the_machine_calls_out_by_https_alone() -> None:
    ipv6, ipv4 = resource("network", "ServerSecurityGroup")["SecurityGroupEgress"]
    condition, rule, nothing = ipv4["Fn::If"]
    assert (ipv6["FromPort"], ipv6["ToPort"], ipv6["CidrIpv6"]) == (443, 443, "::/0")
    assert (condition, rule["FromPort"], rule["ToPort"]) == ("HasServerAndIPv4", 443, 443)
    assert nothing == {"Ref": "AWS::NoValue"}


@pytest.mark.parametrize("name", GROUPS)
def test_every_rule_says_what_it_is_for(name: str) -> None:
    for rule in resource("network", name).get("SecurityGroupEgress", []):
        assert (rule["Fn::If"][1] if "Fn::If" in rule else rule)["Description"]


def test_there_is_no_nat_gateway_unless_one_is_asked_for() -> None:
    template = stack("network")
    assert template["Parameters"]["NatGateway"]["Default"] == "false"
    for kind in ("NatGateway", "EIP", "InternetGateway", "VPCGatewayAttachment"):
        assert all(item["Condition"] == "HasNat" for item in resources(f"AWS::EC2::{kind}").values())
    routes = resources("AWS::EC2::Route")
    private = [item for item in routes.values() if item["Properties"]["RouteTableId"] == {"Ref": "Routes"}]
    always = [item["Properties"] for item in private if item["Condition"] == "MakesVpc"]
    assert [route.get("DestinationIpv6CidrBlock") for route in always] == ["::/0"]
    assert "EgressOnlyInternetGatewayId" in always[0]


def test_there_are_no_interface_endpoints_which_cost_more_than_the_server() -> None:
    endpoints = resources("AWS::EC2::VPCEndpoint")
    assert [item["Properties"]["VpcEndpointType"] for item in endpoints.values()] == ["Gateway"]


def test_s3_is_reached_for_the_memory_packages_and_cloudformations_answers_alone() -> None:
    memory, packages, answers = resource("network", "S3Endpoint")["PolicyDocument"]["Statement"]
    assert memory["Resource"] == [{"Ref": "MemoryBucketArn"}, {"Fn::Sub": "${MemoryBucketArn}/*"}]
    assert memory["Condition"] == {"StringEquals": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}}}
    assert (packages["Action"], packages["Resource"]["Fn::Sub"].partition(":::")[2]) == (
        "s3:GetObject",
        "al2023-repos-${AWS::Region}-de612dc2/*",
    )
    assert answers["Action"] == "s3:PutObject"
    assert "custom-resource-response" in json.dumps(answers["Resource"])


def test_the_endpoint_allows_what_the_functions_roles_do() -> None:
    from tests.template.test_functions import actions, statements

    needed = set().union(
        *(actions(item) for role in ("ConnectorRole", "IngestRole", "UpkeepRole") for item in statements(role))
    )
    memory = resource("network", "S3Endpoint")["PolicyDocument"]["Statement"][0]
    assert {action for action in needed if action.startswith("s3:")} == set(memory["Action"])


def test_no_subnet_gives_public_addresses() -> None:
    subnets = resources("AWS::EC2::Subnet")
    assert len(subnets) == 3
    assert all(item["Properties"]["MapPublicIpOnLaunch"] is False for item in subnets.values())


def test_with_an_existing_vpc_only_security_groups_are_made() -> None:
    made = {
        name for name, item in stack("network")["Resources"].items() if item.get("Condition") in (None, "HasServer")
    }
    assert made == {*GROUPS, "ChromaFromFunctions", "FunctionsToChroma"}
