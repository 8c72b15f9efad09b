"""The nested stacks, one by one, as moto makes them; and that nothing is left out without a reason."""

import base64
import json

import pytest

from tests.deployment.moto_stack import (
    BY_API,
    COMPLETED,
    NOT_BY_CLOUDFORMATION,
    NOT_MADE,
    SECRET,
    Clients,
    Document,
    Made,
    known,
    make,
)
from tests.template.deployed import deployed
from tests.template.stacks import STACKS, stack

NESTED = sorted(path.stem for path in STACKS.glob("*.yaml"))


@pytest.fixture(scope="session")
def observability(aws: Clients) -> Made:
    names = {
        name: f"remora-{name}"
        for name, parameter in stack("observability")["Parameters"].items()
        if "Default" not in parameter and parameter["Type"] == "String"
    }
    numbers = {"ConnectorMemory": "1769", "IngestMemory": "1769"}
    chosen = {"Deployment": "remora", "AlarmEmail": "me@example.com", "ChromaGroup": "remora-Group"}
    return make(aws, "observability", stack("observability"), {**names, **numbers, **chosen})


@pytest.fixture(scope="session")
def network(aws: Clients) -> Made:
    parameters = {"MemoryBucketArn": "arn:aws:s3:::remora-memory", "NatGateway": "true", "FlowLogs": "true"}
    return make(aws, "network", stack("network"), parameters)


@pytest.fixture(scope="session")
def chroma(aws: Clients, network: Made) -> Made:
    parameters = {
        "Deployment": "remora",
        "SubnetId": network.outputs["ServerSubnetId"],
        "AvailabilityZone": "eu-central-1a",
        "ServerSecurityGroup": network.outputs["ServerSecurityGroup"],
        "ChromaSecurityGroup": network.outputs["ChromaSecurityGroup"],
        "FunctionSubnetIds": network.outputs["SubnetIds"],
        "FunctionSecurityGroup": network.outputs["FunctionSecurityGroup"],
        "ChromaVersion": "1.5.9",
        "ChromaSha256": "0" * 64,
    }
    return make(aws, "chroma", stack("chroma"), parameters)


def kinds() -> set[str]:
    """Return the types of all resources of all templates."""
    documents: list[Document] = [dict(deployed().resources), *(stack(name)["Resources"] for name in NESTED)]
    return {resource["Type"] for document in documents for resource in document.values()}


def test_what_moto_cannot_make_is_listed_and_nothing_else_is() -> None:
    unknown = {kind for kind in kinds() if not known(kind)}
    assert {*NOT_MADE, *BY_API, SECRET} == unknown | set(NOT_BY_CLOUDFORMATION)


def test_what_moto_has_learnt_is_no_longer_listed() -> None:
    assert {kind for kind in {*NOT_MADE, *BY_API, SECRET} if known(kind)} == set(NOT_BY_CLOUDFORMATION)
    assert all(known(kind) for kind in COMPLETED)


def test_every_alarm_tells_the_topic_and_the_topic_a_person(aws: Clients, observability: Made) -> None:
    topic = observability.ids["Alarms"]
    alarms = aws("cloudwatch").describe_alarms(AlarmNamePrefix="remora-")["MetricAlarms"]
    written = [
        each for each in stack("observability")["Resources"].values() if each["Type"] == "AWS::CloudWatch::Alarm"
    ]
    assert len(alarms) == len(written)
    assert all(alarm["AlarmActions"] == alarm["OKActions"] == [topic] for alarm in alarms)
    (subscription,) = aws("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "me@example.com")


def test_the_dashboard_is_json_and_names_every_alarm_by_its_arn(aws: Clients, observability: Made) -> None:
    client = aws("cloudwatch")
    body = json.loads(client.get_dashboard(DashboardName="remora")["DashboardBody"])
    shown = {arn for widget in body["widgets"] for arn in widget["properties"].get("alarms", [])}
    assert shown == {alarm["AlarmArn"] for alarm in client.describe_alarms(AlarmNamePrefix="remora-")["MetricAlarms"]}
    assert "stand-in" not in json.dumps(body)


def test_alarms_that_roll_back_are_told_to_the_main_stack_by_name(aws: Clients, observability: Made) -> None:
    names = {value for key, value in observability.outputs.items() if key.endswith("Alarm")}
    alarms = aws("cloudwatch").describe_alarms(AlarmNames=sorted(names))["MetricAlarms"]
    assert {alarm["AlarmName"] for alarm in alarms} == names


def test_metric_filters_watch_the_access_log(aws: Clients, observability: Made) -> None:
    filters = aws("logs").describe_metric_filters(logGroupName="remora-AccessLogs")["metricFilters"]
    assert {item["filterPattern"] for item in filters} == {
        f'{{ $.error = "{kind}" }}' for kind in ("INVALID_API_KEY", "THROTTLED", "QUOTA_EXCEEDED")
    }


def test_the_edge_has_nothing_that_moto_makes(aws: Clients) -> None:
    secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:origin"
    host = "api.execute-api.eu-central-1.amazonaws.com"
    assert make(aws, "edge", stack("edge"), {"ApiHost": host, "Stage": "dev", "OriginSecret": secret}).ids == {}


def test_chroma_is_reached_by_the_functions_alone(aws: Clients, network: Made) -> None:
    groups = {item["GroupId"]: item for item in aws("ec2").describe_security_groups()["SecurityGroups"]}
    (rule,) = groups[network.outputs["ChromaSecurityGroup"]]["IpPermissions"]
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [network.outputs["FunctionSecurityGroup"]]
    assert (rule["FromPort"], rule["ToPort"], rule["IpRanges"]) == (8000, 8000, [])
    for name in ("FunctionSecurityGroup", "ServerSecurityGroup"):
        assert groups[network.outputs[name]]["IpPermissions"] == []


def test_the_subnets_reach_s3_by_an_endpoint_and_others_by_what_was_asked_for(aws: Clients, network: Made) -> None:
    client, table = aws("ec2"), network.ids["Routes"]
    (routes,) = client.describe_route_tables(RouteTableIds=[table])["RouteTables"]
    ways = {
        route.get("DestinationCidrBlock", route.get("DestinationIpv6CidrBlock")): route for route in routes["Routes"]
    }
    assert ways["0.0.0.0/0"]["NatGatewayId"] == network.ids["Nat"]
    assert ways["::/0"]["EgressOnlyInternetGatewayId"].startswith("eigw-")
    (endpoint,) = client.describe_vpc_endpoints()["VpcEndpoints"]
    assert (endpoint["VpcEndpointType"], endpoint["RouteTableIds"]) == ("Gateway", [table])
    assert endpoint["ServiceName"].endswith(".s3")


def test_the_subnets_are_of_the_vpc_and_in_two_zones(aws: Clients, network: Made) -> None:
    found = aws("ec2").describe_subnets(SubnetIds=network.outputs["SubnetIds"].split(","))["Subnets"]
    assert {subnet["VpcId"] for subnet in found} == {network.outputs["VpcId"]}
    assert len({subnet["AvailabilityZone"] for subnet in found}) == 2
    assert len({subnet["CidrBlock"] for subnet in found}) == 2


def test_flow_logs_are_written_where_they_are_asked_for(aws: Clients, network: Made) -> None:
    (flow,) = aws("ec2").describe_flow_logs()["FlowLogs"]
    assert (flow["ResourceId"], flow["LogGroupName"]) == (network.outputs["VpcId"], network.ids["FlowLogGroup"])


def test_the_volume_of_chroma_is_where_its_machine_is(aws: Clients, chroma: Made) -> None:
    (volume,) = aws("ec2").describe_volumes(VolumeIds=[chroma.outputs["VolumeId"]])["Volumes"]
    # moto's CloudFormation leaves out tags, and that it is encrypted, for which checkov asks the template.
    assert volume["AvailabilityZone"] == "eu-central-1a"
    assert volume["Size"] == 20


def test_functions_are_told_the_address_of_the_interface_that_chroma_is_reached_at(
    aws: Clients, chroma: Made
) -> None:
    (interface,) = aws("ec2").describe_network_interfaces(NetworkInterfaceIds=[chroma.ids["Interface"]])[
        "NetworkInterfaces"
    ]
    assert interface["PrivateIpAddress"] == chroma.outputs["Host"]
    # moto's CloudFormation leaves out the groups.
    assert stack("chroma")["Resources"]["Interface"]["Properties"]["GroupSet"] == [{"Ref": "ChromaSecurityGroup"}]


def test_the_machine_of_chroma_knows_its_volume_and_its_interface(aws: Clients, chroma: Made) -> None:
    (version,) = aws("ec2").describe_launch_template_versions(LaunchTemplateId=chroma.ids["LaunchTemplate"])[
        "LaunchTemplateVersions"
    ]
    data = version["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    script = base64.b64decode(data["UserData"]).decode()
    assert script.startswith("#!/bin/bash\n")
    assert f"VOLUME_ID={chroma.outputs['VolumeId']} INTERFACE_ID={chroma.ids['Interface']}" in script
    assert len(script.encode()) <= 16_384


def test_the_group_of_chroma_has_one_machine(aws: Clients, chroma: Made) -> None:
    name = chroma.outputs["GroupName"]
    (group,) = aws("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    assert (group["MinSize"], group["MaxSize"], len(group["Instances"])) == (1, 1, 1)
