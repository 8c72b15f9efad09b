"""The parameters and outputs of the template: a person fills them in, so each explains itself and is checked."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.template.deployed import TEMPLATE, Document, chosen, source

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
        ("PublicUrl", "", True),
        ("PublicUrl", "https://memory.example.com", True),
        ("PublicUrl", "http://127.0.0.1:8765", True),
        ("PublicUrl", "http://memory.example.com", False),
        ("PublicUrl", "https://memory.example.com/", False),
        ("PublicUrl", "https://Memory.example.com", False),
        ("PublicUrl", "https://memory.example.com/'; evil", False),
        ("CertificateArn", "", True),
        ("CertificateArn", "arn:aws:acm:eu-central-1:123456789012:certificate/0a1b-2c3d", True),
        ("CertificateArn", "arn:aws:iam::123456789012:server-certificate/own", False),
        ("HostedZoneId", "", True),
        ("HostedZoneId", "Z1D633PJN98FT9", True),
        ("HostedZoneId", "/hostedzone/Z1D633PJN98FT9", False),
        ("HostedZoneId", "example.com", False),
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
        ("ChromaSecretArn", "", True),
        ("ChromaSecretArn", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:chroma/cloud-AbCdEf", True),
        ("ChromaSecretArn", "ck-a-token-itself", False),
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
        ("OutsideIssuer", "", True),
        ("OutsideIssuer", "https://accounts.google.com", True),
        ("OutsideIssuer", "https://tenant.eu.auth0.com/", True),
        ("OutsideIssuer", "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI", True),
        ("OutsideIssuer", "https://login.microsoftonline.com/8eaef023-2b34-4da1-9baa-8bc8c9d6a490/v2.0", True),
        ("OutsideIssuer", "https://login.microsoftonline.com/{tenantid}/v2.0", False),
        ("OutsideIssuer", "http://issuer.example", False),
        ("OutsideIssuer", "https://issuer.example:8443", False),
        ("OutsideIssuer", "https://issuer.example/?a=b", False),
        ("OutsideIssuer", "issuer.example", False),
        ("OutsideAudience", "api://4f1d,https://memory.example.com/mcp", True),
        ("OutsideAudience", "a, b", False),
        ("OutsideScopesClaim", "scp", True),
        ("OutsideSpaceClaim", "https://memory.example.com/space", True),
        ("OutsideSpaceClaim", "two words", False),
        ("OutsidePrincipalClaim", "", False),
        ("StandardLimits", "20,40,20000", True),
        ("LightLimits", "1,1,1", True),
        ("HeavyLimits", "10000,5000,999999999", True),
        ("HeavyLimits", "10001,5000,1", False),
        ("HeavyLimits", "10000,5001,1", False),
        ("StandardLimits", "0,40,20000", False),
        ("StandardLimits", "20,40", False),
        ("StandardLimits", "20, 40, 20000", False),
        ("StandardLimits", "20,40,20000,5", False),
    ],
)
def test_a_pattern_accepts_what_it_should(name: str, value: str, accepted: bool) -> None:
    assert bool(re.fullmatch(PARAMETERS[name]["AllowedPattern"], value)) is accepted


def test_the_connector_url_is_the_first_output() -> None:
    assert next(iter(source()["Outputs"])) == "ConnectorUrl"


@pytest.mark.parametrize(
    ("name", "path"), [("ConnectorUrl", "/mcp"), ("MemoryUrl", "/mcp/memory"), ("ChromaUrl", "/mcp/chroma")]
)
def test_a_url_is_at_the_root_where_there_is_one_and_else_below_the_stage(name: str, path: str) -> None:
    value = source()["Outputs"][name]["Value"]
    given = {
        (distribution, domain): chosen(value, {"HasDistribution": distribution, "HasDomain": domain})["Fn::Sub"]
        for distribution in (False, True)
        for domain in (False, True)
    }
    assert given == {
        (False, True): "${PublicUrl}" + path,
        (True, True): "${PublicUrl}" + path,
        (True, False): "https://${Edge.Outputs.DomainName}" + path,
        (False, False): "https://${ConnectorApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/${Environment}" + path,
    }


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
