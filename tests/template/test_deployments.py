"""Versions, aliases, SnapStart, gradual deployments, concurrency and keys. Rules of AWS: docs/aws-facts.md."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.observability import Observability
from tests.template.deployed import TEMPLATE, Document, deployed, source

FUNCTIONS = sorted(
    name for name, resource in source()["Resources"].items() if resource["Type"] == "AWS::Serverless::Function"
)
# Those that people wait for. What the others do is done again if it fails.
GRADUAL = {"AuthorizerFunction", "ConnectorFunction", "OAuthFunction"}
NUMBER = "Settings ${Settings.VersionNumber}"
# Regions that have no SnapStart: https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html
WITHOUT_SNAP_START = {"ap-southeast-6", "ap-east-2"}


def properties(name: str) -> Document:
    found: Document = deployed().resources[name]["Properties"]
    return found


def version_of(function: str) -> tuple[str, Document]:
    (found,) = (
        (name, resource)
        for name, resource in deployed().resources.items()
        if resource["Type"] == "AWS::Lambda::Version" and resource["Properties"]["FunctionName"] == {"Ref": function}
    )
    return found


def references(value: Any) -> Iterator[str]:
    """Yield the names that a value refers to, and conditions that it depends on as `?Name`."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if key == "Ref":
            yield item
        elif key == "Fn::GetAtt":
            yield item[0]
        elif key == "Fn::If":
            yield f"?{item[0]}"
            yield from references(item[1:])
        elif key == "Fn::Sub":
            text, variables = (item, {}) if isinstance(item, str) else item
            yield from {name.partition(".")[0] for name in re.findall(r"\$\{([^!}]+)\}", text)} - set(variables)
            yield from references(variables)
        elif key == "Condition" and isinstance(item, str):
            yield f"?{item}"
        else:
            yield from references(item)


def parameters_of(condition: str) -> set[str]:
    found: set[str] = set()
    for name in references(source()["Conditions"][condition]):
        found |= parameters_of(name[1:]) if name.startswith("?") else {name}
    return found


@pytest.mark.parametrize("function", FUNCTIONS)
def test_everything_that_a_function_is_told_has_a_number_that_makes_a_new_version(function: str) -> None:
    told = {key: value for key, value in properties(function).items() if key not in {"Code", "Layers", "Tags"}}
    names: set[str] = set()
    for name in references(told):
        names |= parameters_of(name[1:]) if name.startswith("?") else {name}
    role, logs = f"{function.removesuffix('Function')}Role", f"{function.removesuffix('Function')}Logs"
    # What they are is fixed with the stack; what they hold is none of a version's business.
    # The origin secret is there or not as the parameter says.
    constant = {
        role,
        logs,
        "OriginSecret",
        "Settings",
        "AWS::StackName",
        "AWS::Region",
        "AWS::NoValue",
        "Environment",
    }
    content = deployed().only("AWS::AppConfig::HostedConfigurationVersion")["Content"]
    assert names - constant <= set(references(content))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_new_number_makes_a_new_version_of_the_function_and_of_what_callers_get(function: str) -> None:
    # Lambda publishes no version of a function that has not changed, so its description changes too.
    assert properties(function)["Description"]["Fn::Sub"].endswith(f" {NUMBER}.")
    _, version = version_of(function)
    assert version["Properties"]["Description"] == {"Fn::Sub": NUMBER}
    alias = properties(f"{function}Aliaslive")
    assert alias["FunctionVersion"] == {"Fn::GetAtt": [version_of(function)[0], "Version"]}


def test_the_settings_are_hosted_and_read_by_nobody() -> None:
    profile = deployed().only("AWS::AppConfig::ConfigurationProfile")
    assert profile["LocationUri"] == "hosted"
    assert "appconfig" not in json.dumps(list(deployed().of_type("AWS::IAM::Role").values())).lower()


@pytest.mark.parametrize("layer", ["RemoraLayer", "DependenciesLayer", "EmbeddingModelLayer"])
def test_a_new_layer_makes_new_versions(layer: str) -> None:
    assert source()["Resources"][layer]["Properties"]["PublishLambdaVersion"] is True
    for function in FUNCTIONS:
        assert source()["Resources"][function]["Properties"]["AutoPublishAliasAllProperties"] is True


@pytest.mark.parametrize("function", FUNCTIONS)
def test_of_versions_only_the_newest_stays(function: str) -> None:
    assert version_of(function)[1]["DeletionPolicy"] == "Delete"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_that_people_wait_for_are_deployed_gradually_and_rolled_back(function: str) -> None:
    policy = deployed().resources[f"{function}Aliaslive"].get("UpdatePolicy", {})
    assert bool(policy.get("CodeDeployLambdaAliasUpdate")) is (function in GRADUAL)
    if function in GRADUAL:
        group = properties(f"{function}DeploymentGroup")
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
        alarms = [alarm["Name"]["Fn::GetAtt"] for alarm in group["AlarmConfiguration"]["Alarms"]]
        made = Observability()
        for stack, output in alarms:
            assert stack == "Observability"
            assert made.of_type("AWS::CloudWatch::Alarm")[output.removeprefix("Outputs.")]
        mine = made.of_type("AWS::CloudWatch::Alarm")[f"{function.removesuffix('Function')}ErrorsAlarm"]
        assert f"{function}:live" in json.dumps(mine)


@pytest.mark.parametrize("kind", source()["Parameters"]["DeploymentPreference"]["AllowedValues"])
def test_the_kind_of_deployment_is_the_parameters(kind: str) -> None:
    for group in deployed(DeploymentPreference=kind).of_type("AWS::CodeDeploy::DeploymentGroup").values():
        assert group["DeploymentConfigName"]["Fn::Sub"][1] == {"ConfigName": kind}


def test_production_is_deployed_gradually() -> None:
    configuration = tomllib.loads(Path(TEMPLATE).with_name("samconfig.toml").read_text())
    overrides = configuration["prod"]["global"]["parameters"]["parameter_overrides"]
    assert "DeploymentPreference=Canary10Percent5Minutes" in overrides


def test_snap_start_is_for_the_connector_alone_where_it_is_wanted_and_there() -> None:
    for function in FUNCTIONS:
        wanted = {"ApplyOn": {"Fn::If": ["UsesSnapStart", "PublishedVersions", "None"]}}
        assert properties(function).get("SnapStart") == (wanted if function == "ConnectorFunction" else None)
    condition = json.dumps(source()["Conditions"]["UsesSnapStart"])
    assert set(re.findall(r"[a-z]{2}-[a-z]+-\d", condition)) == WITHOUT_SNAP_START


def test_snap_start_meets_nothing_that_it_does_not_go_with() -> None:
    connector = properties("ConnectorFunction")
    assert "EphemeralStorage" not in connector  # at most 512 MB, which is the default
    assert "FileSystemConfigs" not in connector
    assert "ProvisionedConcurrencyConfig" not in properties("ConnectorFunctionAliaslive")
    assert connector["Runtime"] == "python3.14"


@pytest.mark.parametrize(
    ("function", "condition", "parameter"),
    [
        ("ConnectorFunction", "LimitsConnectors", "ConnectorConcurrency"),
        ("IngestFunction", "LimitsIngests", "IngestConcurrency"),
    ],
)
def test_concurrency_is_reserved_only_where_a_parameter_says_so(
    function: str, condition: str, parameter: str
) -> None:
    assert source()["Parameters"][parameter]["Default"] == -1
    assert properties(function)["ReservedConcurrentExecutions"] == {
        "Fn::If": [condition, {"Ref": parameter}, {"Ref": "AWS::NoValue"}]
    }
    assert source()["Conditions"][condition] == {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, -1]}]}


def test_everything_that_holds_data_takes_the_key() -> None:
    own = {"Fn::If": ["HasKey", {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}]}
    for kind in ("AWS::SecretsManager::Secret", "AWS::Logs::LogGroup"):
        for name, resource in deployed().of_type(kind).items():
            assert resource["KmsKeyId"] == own, name
    for function in FUNCTIONS:
        assert properties(function)["KmsKeyArn"] == own
    table = deployed().only("AWS::DynamoDB::Table")["SSESpecification"]["Fn::If"]
    assert table[:2] == ["HasKey", {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": {"Ref": "KmsKeyArn"}}]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_may_use_the_key_and_do_nothing_else_with_it(function: str) -> None:
    policies = properties(f"{function.removesuffix('Function')}Role")["Policies"]
    (conditional,) = (policy["Fn::If"] for policy in policies if policy.get("Fn::If", [None])[0] == "HasKey")
    (statement,) = conditional[1]["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert statement["Resource"] == {"Ref": "KmsKeyArn"}
    assert conditional[2] == {"Ref": "AWS::NoValue"}
