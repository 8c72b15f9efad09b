"""The operator's commands as processes, about a stack in moto."""

import json
import time

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.integration.operations.conftest import AwsStack, Remora


def test_destroy_keeps_principals_and_memories_and_says_how_to_come_back(remora: Remora, aws_stack: AwsStack) -> None:
    made = remora("key", "create", "alice", "--stack", aws_stack.name, **aws_stack.environment)
    assert made.returncode == 0, made.stderr
    apigateway = boto3.client("apigateway")
    assert len(apigateway.get_api_keys(nameQuery=f"{aws_stack.name}/")["items"]) == 1

    refused = remora("destroy", "--stack", aws_stack.name, "--confirm", "another", **aws_stack.environment)
    assert refused.returncode == 1
    assert "Nothing was deleted" in refused.stderr
    assert len(apigateway.get_api_keys(nameQuery=f"{aws_stack.name}/")["items"]) == 1

    done = remora("destroy", "--stack", aws_stack.name, "--confirm", aws_stack.name, **aws_stack.environment)

    assert done.returncode == 0, done.stderr
    secret, bucket = aws_stack.outputs["PrincipalsSecretArn"], aws_stack.outputs["MemoryBucketName"]
    assert secret in done.stdout
    assert f"s3://{bucket}" in done.stdout
    assert f"delete-secret --region eu-central-1 --secret-id {secret}" in done.stdout
    assert apigateway.get_api_keys(nameQuery=f"{aws_stack.name}/")["items"] == []
    with pytest.raises(ClientError, match="does not exist"):
        boto3.client("cloudformation").describe_stacks(StackName=aws_stack.name)


def test_destroy_goes_on_where_a_deletion_failed_after_the_usage_plans(remora: Remora, aws_stack: AwsStack) -> None:
    made = remora("key", "create", "alice", "--stack", aws_stack.name, **aws_stack.environment)
    assert made.returncode == 0, made.stderr
    apigateway = boto3.client("apigateway")
    for tier in ("Light", "Standard", "Heavy"):
        plan = aws_stack.outputs[f"{tier}UsagePlanId"]
        for key in apigateway.get_usage_plan_keys(usagePlanId=plan)["items"]:
            apigateway.delete_usage_plan_key(usagePlanId=plan, keyId=key["id"])
        apigateway.delete_usage_plan(usagePlanId=plan)

    done = remora("destroy", "--stack", aws_stack.name, "--confirm", aws_stack.name, **aws_stack.environment)

    assert done.returncode == 0, done.stderr
    assert apigateway.get_api_keys(nameQuery=f"{aws_stack.name}/")["items"] == []
    with pytest.raises(ClientError, match="does not exist"):
        boto3.client("cloudformation").describe_stacks(StackName=aws_stack.name)


def test_destroy_asks_nobody_who_is_not_there(remora: Remora, aws_stack: AwsStack) -> None:
    done = remora("destroy", "--stack", aws_stack.name, **aws_stack.environment)
    assert done.returncode == 1
    assert f"give --confirm {aws_stack.name}" in done.stderr
    assert boto3.client("cloudformation").describe_stacks(StackName=aws_stack.name)["Stacks"]


def test_logs_of_all_functions_are_merged_by_time(remora: Remora, aws_stack: AwsStack) -> None:
    now = int(time.time() * 1000)
    logs = boto3.client("logs")
    for offset, (function, message) in enumerate(
        [
            ("connector", json.dumps({"level": "INFO", "message": "first", "service": "connector"})),
            ("authorizer", "[ERROR] KeyError: 'second'\nTraceback (most recent call last):\n  File \"h.py\", line 1"),
            ("connector", json.dumps({"level": "ERROR", "message": "third", "service": "connector"})),
            ("upkeep", "REPORT RequestId: 1 Duration: 1 ms"),
        ]
    ):
        group = f"/aws/lambda/{aws_stack.name}-{function}"
        stream = f"stream-{offset}"
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        event = {"timestamp": now - 60_000 + offset * 1000, "message": message}
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])

    done = remora("logs", "--stack", aws_stack.name, **aws_stack.environment)
    assert done.returncode == 0, done.stderr
    order = [done.stdout.index(word) for word in ("first", "second", "third")]
    assert order == sorted(order)
    assert "REPORT" not in done.stdout

    errors = remora("logs", "--stack", aws_stack.name, "--errors", **aws_stack.environment)
    assert "first" not in errors.stdout
    assert "second" in errors.stdout
    assert "third" in errors.stdout

    old = remora("logs", "--stack", aws_stack.name, "--since", "0", **aws_stack.environment)
    assert old.stdout == ""


def test_connect_takes_the_url_from_the_stack(remora: Remora, aws_stack: AwsStack) -> None:
    done = remora("connect", "claude", "--stack", aws_stack.name, **aws_stack.environment)
    assert done.returncode == 0, done.stderr
    assert "URL: https://d111111abcdef8.cloudfront.net/mcp" in done.stdout


def test_a_stack_that_is_not_there_is_named(remora: Remora, aws_environment: dict[str, str]) -> None:
    for command in ("connect", "doctor", "logs", "destroy"):
        done = remora(command, "--stack", "nobody", **aws_environment)
        assert done.returncode == 1
        assert "There is no stack nobody in eu-central-1" in done.stderr


def test_deploy_names_the_log_role_that_the_account_has(remora: Remora, aws_environment: dict[str, str]) -> None:
    role = "arn:aws:iam::123456789012:role/api-gateway-logs"
    boto3.client("apigateway").update_account(
        patchOperations=[{"op": "replace", "path": "/cloudwatchRoleArn", "value": role}]
    )
    done = remora("deploy", "--stack", "remora-new", **aws_environment)
    assert f"AccessLogRoleArn={role}" in done.stdout
    assert "sam deploy --stack-name remora-new" in done.stdout
    assert "remora key create ID --stack remora-new" in done.stdout


def test_deploy_says_where_a_stack_is_that_is_there(remora: Remora, aws_stack: AwsStack) -> None:
    done = remora("deploy", "--stack", aws_stack.name, **aws_stack.environment)
    assert "is at https://d111111abcdef8.cloudfront.net/mcp" in done.stdout, done.stdout


def test_without_credentials_it_says_how_to_sign_in(remora: Remora) -> None:
    nothing = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "eu-central-1"}
    done = remora("logs", "--stack", "x", **nothing)
    assert done.returncode == 1
    assert "aws configure" in done.stderr


def test_doctor_looks_into_the_account(remora: Remora, aws_stack: AwsStack) -> None:
    remora("key", "create", "alice", "--stack", aws_stack.name, **aws_stack.environment)
    plan = aws_stack.outputs["StandardUsagePlanId"]
    apigateway = boto3.client("apigateway")
    (key,) = apigateway.get_usage_plan_keys(usagePlanId=plan)["items"]
    apigateway.delete_usage_plan_key(usagePlanId=plan, keyId=key["id"])
    boto3.client("s3").put_bucket_versioning(
        Bucket=aws_stack.outputs["MemoryBucketName"], VersioningConfiguration={"Status": "Suspended"}
    )

    done = remora("doctor", "--stack", aws_stack.name, "--json", **aws_stack.environment)

    assert done.returncode == 1
    found = {finding["check"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert found["usage keys"]["status"] == "broken"
    assert "`remora key set alice --enable`" in found["usage keys"]["advice"]
    assert found["memory bucket"]["status"] == "broken"
    assert found["stack"]["status"] == "ok"
    assert found["signing secret"]["status"] == "ok"
    assert found["functions"]["status"] == "broken", "moto's stack has no functions"
