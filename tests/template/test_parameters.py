"""The parameters and outputs of the template: a person fills them in, so each explains itself and is checked."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.template.deployed import TEMPLATE, Document, source

PARAMETERS: dict[str, Document] = source()["Parameters"]
INTERFACE: Document = source()["Metadata"]["AWS::CloudFormation::Interface"]
SAMCONFIG = tomllib.loads(Path(TEMPLATE).with_name("samconfig.toml").read_text())


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_a_parameter_is_described_and_limited(name: str) -> None:
    parameter = PARAMETERS[name]
    assert parameter["Description"].endswith(".")
    limits = {"AllowedValues", "AllowedPattern"} | ({"MaxValue"} if parameter["Type"] == "Number" else set())
    assert limits & set(parameter)
    if "AllowedPattern" in parameter:
        assert parameter["ConstraintDescription"].startswith("must be ")


@pytest.mark.parametrize("name", sorted(name for name in PARAMETERS if "Default" in PARAMETERS[name]))
def test_a_default_is_a_value_that_would_be_accepted(name: str) -> None:
    parameter = PARAMETERS[name]
    default = parameter["Default"]
    assert default in parameter.get("AllowedValues", [default])
    assert parameter.get("MinValue", default) <= default <= parameter.get("MaxValue", default)
    assert re.fullmatch(parameter.get("AllowedPattern", ".*"), str(default))


def test_nothing_has_to_be_filled_in() -> None:
    assert [name for name in PARAMETERS if "Default" not in PARAMETERS[name]] == []


def test_every_parameter_is_in_one_group_and_has_a_label() -> None:
    grouped = [name for group in INTERFACE["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(PARAMETERS)
    assert set(INTERFACE["ParameterLabels"]) == set(PARAMETERS)


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("AllowedOrigins", "", True),
        ("AllowedOrigins", "https://claude.ai", True),
        ("AllowedOrigins", "https://claude.ai,http://localhost:6274", True),
        ("AllowedOrigins", "https://claude.ai/", False),
        ("AllowedOrigins", "https://claude.ai, https://claude.com", False),
        ("AllowedOrigins", "*", False),
        ("ChromaHost", "chroma.internal", True),
        ("ChromaHost", "10.0.3.7", True),
        ("ChromaHost", "http://chroma.internal", False),
        ("ChromaHost", "chroma.internal:8000", False),
        ("ChromaHost", "", True),
        ("ChromaInstanceType", "t4g.small", True),
        ("ChromaInstanceType", "m7gd.large", True),
        ("ChromaInstanceType", "t3.small", False),
        ("ChromaVersion", "1.5.9", True),
        ("ChromaVersion", "latest", False),
        ("ChromaPatchTime", "Sun *-*-* 03:30:00", True),
        ("ChromaPatchTime", "daily' && reboot", False),
        ("VpcCidr", "10.42.0.0/24", True),
        ("VpcCidr", "10.42.0.0/28", False),
        ("SubnetIds", "subnet-0123456789abcdef0,subnet-0123456789abcdef1", True),
        ("SubnetIds", "subnet-0123456789abcdef0, subnet-0123456789abcdef1", False),
        ("AccessLogRoleArn", "arn:aws:iam::123456789012:role/api-gateway-logs", True),
        ("AccessLogRoleArn", "api-gateway-logs", False),
    ],
)
def test_a_pattern_accepts_what_it_should(name: str, value: str, accepted: bool) -> None:
    assert bool(re.fullmatch(PARAMETERS[name]["AllowedPattern"], value)) is accepted


def test_the_connector_url_is_the_first_output() -> None:
    name, output = next(iter(source()["Outputs"].items()))
    assert name == "ConnectorUrl"
    url = output["Value"]["Fn::Sub"]
    assert url == "https://${ConnectorApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/${Environment}/mcp"


def test_every_output_is_described() -> None:
    assert all(output["Description"].endswith(".") for output in source()["Outputs"].values())


@pytest.mark.parametrize("environment", ["default", "staging", "prod"])
def test_a_named_environment_gives_parameters_that_the_template_has_and_accepts(environment: str) -> None:
    overrides = SAMCONFIG[environment]["global"]["parameters"]["parameter_overrides"]
    for name, value in (override.split("=", 1) for override in overrides):
        parameter = PARAMETERS[name]
        assert value in [str(allowed) for allowed in parameter.get("AllowedValues", [value])]


def test_named_environments_do_not_share_a_stack() -> None:
    stacks = [
        SAMCONFIG[environment]["global"]["parameters"]["stack_name"]
        for environment in SAMCONFIG
        if environment != "version"
    ]
    assert len(stacks) == len(set(stacks)) == 3
