"""`sam package` for real, and what CloudFormation, played by moto, makes of the main template; read back from it."""

import ast
import json
from pathlib import PurePosixPath

import pytest
from samtranslator.yaml_helper import yaml_parse

from remora.config import ConnectorSettings
from tests.deployment.conftest import BUCKET, Packaged
from tests.deployment.moto_stack import Clients, Document, Made, lifecycle_rules
from tests.template.deployed import EVERYTHING, chosen, deployed, source
from tests.template.stacks import STACKS

PLANS = {"LightUsagePlan": (5, 20, 2000), "StandardUsagePlan": (20, 40, 20000), "HeavyUsagePlan": (50, 100, 200000)}
FUNCTIONS = sorted(
    name for name, item in source()["Resources"].items() if item["Type"] == "AWS::Serverless::Function"
)
LAYERS = sorted(
    name for name, item in source()["Resources"].items() if item["Type"] == "AWS::Serverless::LayerVersion"
)
NESTED = sorted(name for name, item in source()["Resources"].items() if item["Type"] == "AWS::CloudFormation::Stack")
ROLES = sorted(name for name, item in source()["Resources"].items() if item["Type"] == "AWS::IAM::Role")
GROUPS = sorted(name for name, item in source()["Resources"].items() if item["Type"] == "AWS::Logs::LogGroup")


def uploaded(aws: Clients, key: str) -> bytes:
    content: bytes = aws("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return content


@pytest.mark.parametrize("name", NESTED)
def test_a_nested_template_is_uploaded_as_it_is_written(packaged: Packaged, aws: Clients, name: str) -> None:
    url = packaged.source["Resources"][name]["Properties"]["TemplateURL"]
    written = STACKS.parent / source()["Resources"][name]["Properties"]["TemplateURL"]
    document = yaml_parse(uploaded(aws, PurePosixPath(url).name).decode())
    for resource in document["Resources"].values():
        resource["Metadata"].pop("SamResourceId")  # the SAM command line's own
    wanted = yaml_parse(written.read_text())
    assert document["Resources"] == {key: {"Metadata": {}, **item} for key, item in wanted["Resources"].items()}
    assert all(document.get(section) == wanted.get(section) for section in ("Parameters", "Conditions", "Outputs"))


@pytest.mark.parametrize("name", FUNCTIONS + LAYERS)
def test_code_is_uploaded(packaged: Packaged, aws: Clients, name: str) -> None:
    properties = packaged.source["Resources"][name]["Properties"]
    bucket, _, key = properties.get("CodeUri", properties.get("ContentUri")).removeprefix("s3://").partition("/")
    assert bucket == BUCKET
    assert uploaded(aws, key).startswith(b"PK")


def test_what_is_deployed_is_what_the_template_tests_look_at(packaged: Packaged) -> None:
    # Names of versions and layers end in a hash of where their code is.
    assert sorted(item["Type"] for item in packaged.transformed["Resources"].values()) == sorted(
        item["Type"] for item in deployed().resources.values()
    )


def test_every_function_is_made_with_its_code_and_its_settings(aws: Clients, made: Made) -> None:
    functions = {item["FunctionName"]: item for item in aws("lambda").list_functions()["Functions"]}
    for name in FUNCTIONS:
        function = functions[made.ids[name]]
        wanted = deployed().resources[name]["Properties"]
        assert function["Handler"] == wanted["Handler"]
        assert function["Runtime"] == "python3.14"
        assert function["CodeSize"] > 0
        assert function["Role"].endswith(made.ids[wanted["Role"]["Fn::GetAtt"][0]])
        assert set(function["Environment"]["Variables"]) == set(deployed().environment(name))


def test_the_connectors_settings_can_be_read_as_they_arrive(
    aws: Clients, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = aws("lambda").get_function_configuration(FunctionName=made.ids["ConnectorFunction"])
    for name, value in function["Environment"]["Variables"].items():
        monkeypatch.setenv(name, str(value))
    settings = ConnectorSettings.from_environment()
    # The nested stack of the server is made by a test of its own.
    assert settings.chroma_host == "stand-in-of-ChromaServer.Outputs.Host"
    assert settings.memory_bucket == made.ids["MemoryBucket"]


def test_the_api_has_every_route_of_its_definition(aws: Clients, made: Made) -> None:
    resources = aws("apigateway").get_resources(restApiId=made.ids["ConnectorApi"], limit=500)["items"]
    found = {(item["path"], method) for item in resources for method in item.get("resourceMethods", {})}
    assert found == {(route.path, route.method) for route in deployed().routes()}
    assert len(found) == len(deployed().routes())


def test_every_route_leads_to_a_function_that_there_is(aws: Clients, made: Made) -> None:
    client, api = aws("apigateway"), made.ids["ConnectorApi"]
    names = {made.ids[name] for name in FUNCTIONS}
    for resource in client.get_resources(restApiId=api, limit=500)["items"]:
        for method in resource.get("resourceMethods", {}):
            integration = client.get_integration(restApiId=api, resourceId=resource["id"], httpMethod=method)
            arn = integration["uri"].partition("/functions/")[2].removesuffix("/invocations")
            assert arn.split(":")[6] in names


def test_the_authorizer_asks_for_one_header(aws: Clients, made: Made) -> None:
    (authorizer,) = aws("apigateway").get_authorizers(restApiId=made.ids["ConnectorApi"])["items"]
    assert authorizer["type"] == "REQUEST"
    assert authorizer["identitySource"] == "method.request.header.Authorization"
    assert authorizer["authorizerResultTtlInSeconds"] == 60
    assert f":function:{made.ids['AuthorizerFunction']}/invocations" in authorizer["authorizerUri"]


def test_gateway_responses_are_taken_by_the_api(aws: Clients, made: Made) -> None:
    responses = aws("apigateway").get_gateway_responses(restApiId=made.ids["ConnectorApi"])["items"]
    assert {item["responseType"] for item in responses} == set(deployed().gateway_responses())


def test_the_stage_knows_the_public_url_and_writes_access_logs(aws: Clients, made: Made) -> None:
    (stage,) = aws("apigateway").get_stages(restApiId=made.ids["ConnectorApi"])["item"]
    assert stage["stageName"] == "dev"
    assert stage["deploymentId"]
    assert stage["variables"]["publicUrl"].startswith("https://")
    assert made.ids["AccessLogs"] in stage["accessLogSettings"]["destinationArn"]
    entry = json.loads(stage["accessLogSettings"]["format"])
    assert "requestId" in entry


def test_each_tier_is_a_usage_plan_of_the_stage(aws: Clients, made: Made) -> None:
    plans = {plan["name"]: plan for plan in aws("apigateway").get_usage_plans()["items"]}
    for name, (rate, burst, quota) in PLANS.items():
        plan = plans[name]
        assert plan["apiStages"] == [{"apiId": made.ids["ConnectorApi"], "stage": "dev"}]
        assert (plan["throttle"]["rateLimit"], plan["throttle"]["burstLimit"]) == (rate, burst)
        assert plan["quota"] == {"limit": quota, "period": "DAY"} | {k: 0 for k in plan["quota"] if k == "offset"}


def test_the_secrets_hold_what_their_readers_expect(aws: Clients, made: Made) -> None:
    client = aws("secretsmanager")
    secrets = {
        name: client.get_secret_value(SecretId=f"remora-{name}")["SecretString"]
        for name in ("PrincipalsSecret", "SigningSecret", "OriginSecret")
    }
    assert json.loads(secrets["PrincipalsSecret"]) == {"principals": {}}
    assert len(json.loads(secrets["SigningSecret"])["seed"]) == len(secrets["OriginSecret"]) == 64


def test_functions_are_told_the_secrets_that_there_are(aws: Clients, made: Made) -> None:
    function = aws("lambda").get_function_configuration(FunctionName=made.ids["AuthorizerFunction"])
    told = function["Environment"]["Variables"]
    for name in ("PRINCIPALS", "SIGNING", "ORIGIN"):
        assert aws("secretsmanager").describe_secret(SecretId=told[f"REMORA_{name}_SECRET"])["ARN"]


def test_the_table_forgets_what_has_expired_and_has_its_index(aws: Clients, made: Made) -> None:
    client, name = aws("dynamodb"), made.ids["OAuthTable"]
    table = client.describe_table(TableName=name)["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    (index,) = table["GlobalSecondaryIndexes"]
    assert (index["IndexName"], index["Projection"]) == ("by-principal", {"ProjectionType": "KEYS_ONLY"})
    lifetime = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert (lifetime["TimeToLiveStatus"], lifetime["AttributeName"]) == ("ENABLED", "expires_at")


def test_the_bucket_is_private_encrypted_and_versioned(aws: Clients, made: Made) -> None:
    client, bucket = aws("s3"), made.ids["MemoryBucket"]
    assert client.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert all(client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    (rule,) = client.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    (statement,) = json.loads(client.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert statement["Resource"] == [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]


def test_lifecycle_rules_are_taken_by_s3_and_spare_the_memories(aws: Clients, made: Made) -> None:
    rules = aws("s3").get_bucket_lifecycle_configuration(Bucket=made.ids["MemoryBucket"])["Rules"]
    written = lifecycle_rules(source()["Resources"]["MemoryBucket"]["Properties"])
    assert {rule["ID"] for rule in rules} == {rule["Id"] for rule in written}
    expiring = [rule["Filter"]["Prefix"] for rule in rules if "Expiration" in rule]
    assert "memories/" not in expiring
    assert "" not in expiring


@pytest.mark.parametrize("name", GROUPS)
def test_a_log_group_forgets(aws: Clients, made: Made, name: str) -> None:
    (group,) = (
        item
        for item in aws("logs").describe_log_groups(logGroupNamePrefix=made.ids[name])["logGroups"]
        if item["logGroupName"] == made.ids[name]
    )
    assert group["retentionInDays"] == 30


def statements(document: Document) -> list[Document]:
    found: list[Document] = document["Statement"]
    return found


@pytest.mark.parametrize("name", ROLES)
def test_a_roles_policies_are_taken_by_iam_with_every_resource_resolved(aws: Clients, made: Made, name: str) -> None:
    client, role = aws("iam"), made.ids[name]
    wanted = chosen(
        deployed().resources[name]["Properties"].get("Policies", []),
        {**EVERYTHING, "HasChromaSecret": False, "HasKey": False},
    )
    assert set(client.list_role_policies(RoleName=role)["PolicyNames"]) == {each["PolicyName"] for each in wanted}
    for each in wanted:
        kept = client.get_role_policy(RoleName=role, PolicyName=each["PolicyName"])["PolicyDocument"]
        policy = ast.literal_eval(kept)  # moto keeps a policy of CloudFormation's as Python writes it
        for statement in statements(policy):
            resources = statement["Resource"]
            for resource in [resources] if isinstance(resources, str) else resources:
                assert resource == "*" or resource.startswith("arn:aws:"), (each["PolicyName"], resource)
                assert "stand-in" not in resource


def test_rules_call_the_functions_that_work_in_the_background(aws: Clients, made: Made) -> None:
    client = aws("events")
    targets = {
        target["Arn"].split(":")[6]
        for rule in client.list_rules()["Rules"]
        for target in client.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    }
    assert targets == {made.ids[name] for name in ("IngestFunction", "UpkeepFunction", "WatchFunction")}


def test_dead_letters_are_kept_for_two_weeks(aws: Clients, made: Made) -> None:
    attributes = aws("sqs").get_queue_attributes(QueueUrl=made.ids["DeadLetters"], AttributeNames=["All"])
    assert attributes["Attributes"]["MessageRetentionPeriod"] == str(14 * 24 * 3600)
