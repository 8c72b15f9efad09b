"""The functions of the template: settings, permissions, limits of Lambda. Rules of AWS: docs/aws-facts.md."""

import json
import re

import pytest

from remora.config import (
    AuthorizerSettings,
    ConnectorSettings,
    EnvironmentModel,
    IngestSettings,
    UpkeepSettings,
    WatchSettings,
)
from remora.oauth.settings import OAuthSettings
from remora.oauth.signing import SEED
from remora.oauth.store import BY_PRINCIPAL
from tests.template.deployed import EVERYTHING, TEMPLATE, Document, chosen, deployed, source

FUNCTIONS: dict[str, type[EnvironmentModel]] = {
    "ConnectorFunction": ConnectorSettings,
    "AuthorizerFunction": AuthorizerSettings,
    "OAuthFunction": OAuthSettings,
    "IngestFunction": IngestSettings,
    "UpkeepFunction": UpkeepSettings,
    "WatchFunction": WatchSettings,
}
ROLES = ["AuthorizerRole", "ConnectorRole", "IngestRole", "OAuthRole", "UpkeepRole", "WatchRole"]
SECRETS = {"PrincipalsSecret", "SigningSecret", "OriginSecret"}
JOURNAL = ("memories", "claims", "conversations", "pending")
LONGEST_RUN_SECONDS = 900
ENVIRONMENT_LIMIT = 4096
LONGEST_ARN = 640  # a secret's, whose name has 512 characters at most
GATEWAY_LIMIT_SECONDS = 29
LAYER_LIMIT = 5
# X-Ray and EC2 know no resources for these; everything else must name its own.
TRACES = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
WITHOUT_RESOURCES = {*TRACES, "ec2:DescribeSnapshots", "ec2:DescribeVolumes"}
# What follows from a stack's name, at most.
LONGEST_NAMESPACE = len("Remora/") + 128
# Lambda asks for these before it knows a resource, and the function's own code may not use them.
NETWORK = {
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
}
IN_THE_NETWORK = {"ConnectorRole", "IngestRole", "UpkeepRole"}


def every_statement(role: str) -> list[Document]:
    properties = deployed().resources[role]["Properties"]
    assert "ManagedPolicyArns" not in properties
    policies = chosen(properties["Policies"], EVERYTHING)
    return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


def statements(role: str) -> list[Document]:
    """Return what a role allows."""
    return [statement for statement in every_statement(role) if statement["Effect"] == "Allow"]


def actions(statement: Document) -> set[str]:
    value = statement["Action"]
    return {value} if isinstance(value, str) else set(value)


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_a_function_is_given_exactly_the_settings_that_it_reads(function: str) -> None:
    given = {name for name in deployed().environment(function) if name.startswith("REMORA_")}
    assert given == FUNCTIONS[function].environment_names()


def longest(value: str | Document) -> int:
    """Return how long the value of an environment variable can be."""
    if isinstance(value, str):
        return len(value)
    if "Fn::Sub" in value:
        return LONGEST_NAMESPACE
    if "Fn::If" in value:
        return max(longest(branch) for branch in value["Fn::If"][1:])
    parameter = source()["Parameters"].get(value.get("Ref"))
    if parameter is None:
        return LONGEST_ARN
    if "MaxLength" in parameter:
        return int(parameter["MaxLength"])
    return max(len(str(accepted)) for accepted in parameter.get("AllowedValues", [parameter.get("MaxValue")]))


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_the_environment_fits_even_with_the_longest_parameters(function: str) -> None:
    variables = deployed().environment(function)
    assert sum(len(name) + longest(value) for name, value in variables.items()) < ENVIRONMENT_LIMIT


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_traces_carry_neither_answers_nor_exceptions(function: str) -> None:
    variables = deployed().environment(function)
    assert variables["POWERTOOLS_TRACER_CAPTURE_RESPONSE"] == "false"
    assert variables["POWERTOOLS_TRACER_CAPTURE_ERROR"] == "false"


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_a_function_is_named_in_its_logs_and_metrics(function: str) -> None:
    variables = deployed().environment(function)
    assert variables["POWERTOOLS_SERVICE_NAME"] == function.removesuffix("Function").lower()
    # Deployments in one account would otherwise count together.
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == {"Fn::Sub": "Remora/${AWS::StackName}"}


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_a_function_runs_on_the_newest_python_and_the_chosen_processor(function: str) -> None:
    properties = deployed().resources[function]["Properties"]
    assert properties["Runtime"] == "python3.14"
    assert properties["Architectures"] == [{"Ref": "Architecture"}]
    assert properties["TracingConfig"] == {"Mode": "Active"}


@pytest.mark.parametrize("function", ["ConnectorFunction", "AuthorizerFunction", "OAuthFunction"])
def test_a_function_behind_the_api_gives_up_before_the_gateway_does(function: str) -> None:
    assert deployed().resources[function]["Properties"]["Timeout"] <= GATEWAY_LIMIT_SECONDS


@pytest.mark.parametrize("function", ["IngestFunction", "UpkeepFunction"])
def test_a_function_that_nobody_waits_for_has_all_the_time_that_lambda_gives(function: str) -> None:
    assert deployed().resources[function]["Properties"]["Timeout"] == LONGEST_RUN_SECONDS


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_a_function_has_no_more_layers_than_lambda_allows(function: str) -> None:
    assert len(deployed().resources[function]["Properties"]["Layers"]) <= LAYER_LIMIT


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_a_function_logs_to_its_own_group_which_is_not_kept_for_ever(function: str) -> None:
    group = deployed().resources[function]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
    assert deployed().resources[group]["Type"] == "AWS::Logs::LogGroup"
    assert group.startswith(function.removesuffix("Function"))


def test_every_log_group_has_the_retention_of_the_parameter() -> None:
    groups = deployed().of_type("AWS::Logs::LogGroup")
    assert len(groups) == 1 + len(FUNCTIONS)
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups.values())


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_no_wildcards_except_where_aws_knows_no_resources(role: str) -> None:
    for statement in statements(role):
        assert not [action for action in actions(statement) if "*" in action]
        if statement["Resource"] == "*":
            assert actions(statement) <= WITHOUT_RESOURCES | NETWORK
            continue
        for resource in resources(statement):
            (kind,) = resource
            assert kind in {"Ref", "Fn::GetAtt", "Fn::Sub"}
            # The objects of one kind, never the whole bucket; one index, never all.
            assert kind != "Fn::Sub" or re.fullmatch(
                r"\$\{MemoryBucket\.Arn\}/[a-z]+/\*|\$\{OAuthTable\.Arn\}/index/[a-z-]+", resource[kind]
            )


def resources(statement: Document) -> list[Document]:
    value = statement["Resource"]
    return value if isinstance(value, list) else [value]


def granted(role: str, folder: str) -> set[str]:
    """Return what a role may do with the objects of one kind."""
    wanted = {"Fn::Sub": f"${{MemoryBucket.Arn}}/{folder}/*"}
    return set().union(*(actions(statement) for statement in statements(role) if wanted in resources(statement)))


@pytest.mark.parametrize("role", ["ConnectorRole", "IngestRole", "UpkeepRole"])
@pytest.mark.parametrize("folder", JOURNAL)
def test_who_keeps_the_journal_may_read_write_and_purge_it(role: str, folder: str) -> None:
    assert granted(role, folder) == {"s3:GetObject", "s3:PutObject", "s3:DeleteObjectVersion"}


@pytest.mark.parametrize(
    ("role", "uploads", "exports"),
    [
        ("ConnectorRole", {"s3:PutObject"}, {"s3:GetObject"}),
        ("IngestRole", {"s3:GetObject", "s3:DeleteObjectVersion"}, {"s3:PutObject", "s3:AbortMultipartUpload"}),
        ("UpkeepRole", set(), set()),
        ("AuthorizerRole", set(), set()),
    ],
)
def test_files_are_signed_by_the_connector_and_read_and_written_by_ingest(
    role: str, uploads: set[str], exports: set[str]
) -> None:
    assert (granted(role, "uploads"), granted(role, "exports")) == (uploads, exports)


@pytest.mark.parametrize("role", ["ConnectorRole", "IngestRole", "UpkeepRole"])
def test_an_object_that_is_missing_is_said_to_be_missing(role: str) -> None:
    # Without s3:ListBucket, or with it under a condition that a read does not meet, S3 answers 403 and not 404.
    (statement,) = (item for item in statements(role) if "s3:ListBucket" in actions(item))
    assert statement["Resource"] == {"Fn::GetAtt": ["MemoryBucket", "Arn"]}
    assert "Condition" not in statement


def test_the_connector_may_do_nothing_beyond_logs_traces_a_token_and_the_memory_bucket() -> None:
    allowed = set().union(*(actions(statement) for statement in statements("ConnectorRole")))
    assert {action for action in allowed if not action.startswith("s3:")} == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "secretsmanager:GetSecretValue",
    } | TRACES | NETWORK


@pytest.mark.parametrize("role", ROLES)
def test_only_lambda_itself_may_make_network_interfaces_with_a_role(role: str) -> None:
    allowed = set().union(*(actions(item) for item in statements(role)))
    denied = [item for item in every_statement(role) if item["Effect"] == "Deny"]
    assert allowed & NETWORK == (NETWORK if role in IN_THE_NETWORK else set())
    assert [(item["Action"], item["Resource"], item["Condition"]) for item in denied] == (
        [("ec2:*", "*", {"Null": {"lambda:SourceFunctionArn": "false"}})] if role in IN_THE_NETWORK else []
    )


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_a_function_is_in_the_network_only_if_it_speaks_to_chroma(function: str) -> None:
    placed = deployed().resources[function]["Properties"].get("VpcConfig")
    if function not in {"ConnectorFunction", "IngestFunction", "UpkeepFunction"}:
        assert placed is None
        return
    condition, inside, outside = placed["Fn::If"]
    assert condition == "HasNetwork"
    assert inside["SecurityGroupIds"] == [{"Fn::GetAtt": ["Network", "Outputs.FunctionSecurityGroup"]}]
    assert inside["SubnetIds"] == {"Fn::Split": [",", {"Fn::GetAtt": ["Network", "Outputs.SubnetIds"]}]}
    assert outside == {"Ref": "AWS::NoValue"}


def test_nobody_but_ingest_may_run_a_function_and_it_only_the_upkeep() -> None:
    runs = [(role, item) for role in ROLES for item in statements(role) if "lambda:InvokeFunction" in actions(item)]
    assert [(role, item["Resource"]) for role, item in runs] == [("IngestRole", {"Ref": "UpkeepFunctionAliaslive"})]


@pytest.mark.parametrize(
    ("role", "secrets"),
    [
        ("AuthorizerRole", SECRETS),
        ("OAuthRole", SECRETS),
        # Where an external Chroma asks for a token, and only then.
        ("ConnectorRole", {"ChromaSecretArn"}),
        ("IngestRole", {"ChromaSecretArn"}),
        ("UpkeepRole", {"ChromaSecretArn"}),
        ("WatchRole", {"PrincipalsSecret"}),
    ],
)
def test_secrets_are_read_by_those_who_need_them_and_written_by_nobody(role: str, secrets: set[str]) -> None:
    found = [
        item for item in statements(role) if any(action.startswith("secretsmanager:") for action in actions(item))
    ]
    assert all(actions(item) == {"secretsmanager:GetSecretValue"} for item in found)
    assert {resource["Ref"] for item in found for resource in resources(item)} == secrets


def test_the_oauth_function_may_read_and_write_items_of_its_table_and_query_the_index_alone() -> None:
    found = [
        item for item in statements("OAuthRole") if any(action.startswith("dynamodb:") for action in actions(item))
    ]
    assert [item["Resource"] for item in found] == [
        {"Fn::GetAtt": ["OAuthTable", "Arn"]},
        {"Fn::Sub": f"${{OAuthTable.Arn}}/index/{BY_PRINCIPAL}"},
    ]
    assert actions(found[0]) == {f"dynamodb:{name}" for name in ("BatchGetItem", "GetItem", "PutItem", "UpdateItem")}
    assert actions(found[1]) == {"dynamodb:Query"}


def test_items_of_the_oauth_table_expire_by_the_attribute_that_the_store_writes() -> None:
    table = deployed().only("AWS::DynamoDB::Table")
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert table["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]


def test_the_oauth_tables_one_index_holds_keys_alone() -> None:
    (index,) = deployed().only("AWS::DynamoDB::Table")["GlobalSecondaryIndexes"]
    assert index["IndexName"] == BY_PRINCIPAL
    assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}


def test_the_signing_secret_holds_what_a_key_is_made_of() -> None:
    generate = deployed().resources["SigningSecret"]["Properties"]["GenerateSecretString"]
    assert generate["GenerateStringKey"] == SEED
    assert generate["PasswordLength"] >= 43  # letters and digits make up almost 6 bits each


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_for_lambda_alone(role: str) -> None:
    trust = deployed().resources[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert [statement["Principal"] for statement in trust] == [{"Service": "lambda.amazonaws.com"}]


def test_the_principals_secret_begins_empty_and_outlives_the_stack() -> None:
    resource = deployed().resources["PrincipalsSecret"]
    assert json.loads(resource["Properties"]["SecretString"]) == {"principals": {}}
    # A fixed name would stop the next stack of that name while this secret is still there.
    assert "Name" not in resource["Properties"]
    assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
    assert resource["UpdateReplacePolicy"] == "Retain"


def test_layers_are_for_the_functions_runtime() -> None:
    layers = deployed().of_type("AWS::Lambda::LayerVersion")
    assert len(layers) == 3
    assert all(layer["CompatibleRuntimes"] == ["python3.14"] for layer in layers.values())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_environment_of_containers_names_whatever_the_template_would_make(function: str) -> None:
    document = json.loads((TEMPLATE.parent / "events" / "environment.json").read_text())
    variables = {
        name: value for name, value in deployed().environment(function).items() if name.startswith("REMORA_")
    }
    resources = {
        name
        for name, value in variables.items()
        if isinstance(value, dict) and value.get("Ref") in deployed().resources
    }
    assert set(document) == set(FUNCTIONS)
    assert set(document[function]) <= set(variables), "`sam local` drops what the template does not have"
    assert resources <= set(document[function])
    given = {
        **{name: str(value) for name, value in variables.items() if isinstance(value, str)},
        **document[function],
    }
    FUNCTIONS[function].from_environment(given)
