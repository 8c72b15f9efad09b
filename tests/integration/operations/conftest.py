"""Deployments to operate: a local run, and a stack in moto with the outputs that the commands read."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.support.local_stack import REPOSITORY, LocalStack, start_local_stack

Remora = Callable[..., subprocess.CompletedProcess[str]]
STACK = "remora-test"
_PUBLIC_ACCESS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
_TIERS = ("Light", "Standard", "Heavy")

_TEMPLATE: dict[str, Any] = {
    "Parameters": {
        "Environment": {"Type": "String", "Default": "dev"},
        "Distribution": {"Type": "String", "Default": "true"},
    },
    "Resources": {
        "ConnectorApi": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": STACK}},
        "OAuthTable": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            },
        },
        "MemoryBucket": {
            "Type": "AWS::S3::Bucket",
            "DeletionPolicy": "Retain",
            "Properties": {
                "VersioningConfiguration": {"Status": "Enabled"},
                "PublicAccessBlockConfiguration": dict.fromkeys(_PUBLIC_ACCESS, True),
            },
        },
        **{
            f"{name.title()}Logs": {
                "Type": "AWS::Logs::LogGroup",
                "Properties": {"LogGroupName": f"/aws/lambda/{STACK}-{name}"},
            }
            for name in ("authorizer", "connector", "oauth", "ingest", "upkeep", "watch")
        },
    },
    "Outputs": {
        "ConnectorUrl": {"Value": "https://d111111abcdef8.cloudfront.net/mcp"},
        "ApiId": {"Value": {"Ref": "ConnectorApi"}},
        "OAuthTableName": {"Value": {"Ref": "OAuthTable"}},
        "MemoryBucketName": {"Value": {"Ref": "MemoryBucket"}},
        "AuthorizerCacheSeconds": {"Value": "60"},
        "PrincipalsCacheSeconds": {"Value": "30"},
        **{
            f"{name}FunctionName": {"Value": f"{STACK}-{name}"}
            for name in ("Connector", "Authorizer", "OAuth", "Ingest", "Upkeep", "Watch")
        },
    },
}


@dataclass(frozen=True)
class AwsStack:
    """A stack in moto.

    Attributes:
        name: Its name.
        environment: With it a command reaches it.
        outputs: Its outputs.
    """

    name: str
    environment: Mapping[str, str]
    outputs: Mapping[str, str]


@pytest.fixture
def aws_stack(aws_environment: dict[str, str]) -> Iterator[AwsStack]:
    """A stack, as far as commands look at it."""
    # What moto's CloudFormation does not make.
    secretsmanager, apigateway = boto3.client("secretsmanager"), boto3.client("apigateway")
    made = {
        "PrincipalsSecretArn": secretsmanager.create_secret(
            Name=f"principals-{uuid.uuid4()}", SecretString='{"principals": {}}'
        )["ARN"],
        "SigningSecretArn": secretsmanager.create_secret(Name=f"signing-{uuid.uuid4()}", SecretString="{}")["ARN"],
        **{f"{tier}UsagePlanId": apigateway.create_usage_plan(name=tier)["id"] for tier in _TIERS},
    }
    outputs = {**_TEMPLATE["Outputs"], **{name: {"Value": value} for name, value in made.items()}}
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(StackName=STACK, TemplateBody=json.dumps({**_TEMPLATE, "Outputs": outputs}))
    (found,) = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    yield AwsStack(STACK, aws_environment, {item["OutputKey"]: item["OutputValue"] for item in found["Outputs"]})
    cloudformation.delete_stack(StackName=STACK)


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> Iterator[LocalStack]:
    """A running `remora dev`."""
    with start_local_stack(tmp_path_factory.mktemp("operated")) as stack:
        yield stack


@pytest.fixture
def remora(tmp_path: Path) -> Remora:
    """Run the command as a process of its own, with a home of its own."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("REMORA_", "XDG_", "AWS_"))
        }
        return subprocess.run(
            [sys.executable, "-m", "remora", *arguments],
            cwd=REPOSITORY,
            env={**inherited, "HOME": str(tmp_path), "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )

    return run
