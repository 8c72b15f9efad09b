"""The command `remora key` against a stack in AWS: how it finds it, and what it says when it does not."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import boto3
import pytest

from tests.integration.principals.deployment import Deployment
from tests.support.aws import REGION


@pytest.fixture
def stack(deployment: Deployment) -> str:
    """The name of a stack that says where a deployment's principals are."""
    outputs = {
        "PrincipalsSecretArn": deployment.secret,
        "AuthorizerCacheSeconds": "60",
        "PrincipalsCacheSeconds": "30",
        **{f"{tier.capitalize()}UsagePlanId": plan for tier, plan in deployment.plans.items()},
    }
    deploy(deployment.stack, outputs)
    return deployment.stack


def deploy(name: str, outputs: dict[str, str]) -> None:
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {key: {"Value": value} for key, value in outputs.items()},
    }
    boto3.client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))


def remora_key(
    folder: Path, *arguments: str, environment: dict[str, str | None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command as a process, in a folder where nothing runs."""
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(environment or {})}
    return subprocess.run(
        [sys.executable, "-m", "remora", "key", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        env={name: value for name, value in variables.items() if value is not None},
    )


def complaint(folder: Path, *arguments: str, environment: dict[str, str | None] | None = None) -> str:
    """Return what a command that fails says."""
    done = remora_key(folder, *arguments, environment=environment)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_principal_of_a_stack_is_made_and_revoked(stack: str, deployment: Deployment, tmp_path: Path) -> None:
    made = remora_key(tmp_path, "create", "alice", "--stack", stack, "--scope", "read", "--name", "Alice")
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("rmr_alice_")
    assert made.stdout.count("\n") == 1
    assert made.stdout.strip() not in made.stderr
    assert list(deployment.principals().principals["alice"].scopes) == ["read"]
    deployment.check()
    revoked = remora_key(tmp_path, "revoke", "alice", "--yes", environment={"REMORA_STACK": stack})
    assert revoked.returncode == 0, revoked.stderr
    assert "within 90 seconds" in revoked.stderr
    assert deployment.principals().principals == {}
    assert deployment.usage_keys() == {}


def test_nobody_is_revoked_without_a_yes(stack: str, deployment: Deployment, tmp_path: Path) -> None:
    remora_key(tmp_path, "create", "alice", "--stack", stack)
    assert "--yes" in complaint(tmp_path, "revoke", "alice", "--stack", stack)
    assert "alice" in deployment.principals().principals


def test_a_secret_that_fills_up_is_said_where_people_look(stack: str, deployment: Deployment, tmp_path: Path) -> None:
    deployment.replace({"principals": {}, "filler": "x" * 50_000})
    made = remora_key(tmp_path, "create", "alice", "--stack", stack)
    assert made.stdout.startswith("rmr_alice_")
    assert "of the 65,536 bytes" in made.stderr
    listed = remora_key(tmp_path, "list", "--stack", stack, "--json")
    assert "of the 65,536 bytes" in listed.stderr
    assert json.loads(listed.stdout)["size"] > 50_000


def test_without_a_stack_and_without_a_local_run_it_says_how_to_name_one(tmp_path: Path) -> None:
    said = complaint(tmp_path, "list", environment={"REMORA_STACK": None})
    assert "--stack" in said
    assert "remora dev" in said


def test_a_region_without_a_stack_is_not_taken_for_the_local_run(tmp_path: Path) -> None:
    assert "Name the stack" in complaint(
        tmp_path, "list", "--region", "eu-west-1", environment={"REMORA_STACK": None}
    )


@pytest.mark.usefixtures("aws_environment")
class TestWhatIsWrong:
    def test_a_stack_that_does_not_exist(self, tmp_path: Path) -> None:
        said = complaint(tmp_path, "list", "--stack", "nothing-of-the-kind")
        assert "no stack nothing-of-the-kind" in said
        assert REGION in said

    def test_a_stack_that_is_something_else(self, tmp_path: Path) -> None:
        name = f"other-{uuid.uuid4().hex[:8]}"
        deploy(name, {"Url": "https://example.com"})
        said = complaint(tmp_path, "list", "--stack", name)
        assert "PrincipalsSecretArn" in said
        assert "StandardUsagePlanId" in said

    def test_no_credentials(self, tmp_path: Path) -> None:
        nothing: dict[str, str | None] = {
            "AWS_ACCESS_KEY_ID": None,
            "AWS_SECRET_ACCESS_KEY": None,
            "AWS_EC2_METADATA_DISABLED": "true",
            "HOME": str(tmp_path),
        }
        assert "no AWS credentials" in complaint(tmp_path, "list", "--stack", "remora", environment=nothing)

    def test_no_region(self, tmp_path: Path) -> None:
        nowhere: dict[str, str | None] = {"AWS_REGION": None, "AWS_DEFAULT_REGION": None, "HOME": str(tmp_path)}
        assert "--region" in complaint(tmp_path, "list", "--stack", "remora", environment=nowhere)

    def test_a_profile_that_does_not_exist(self, tmp_path: Path) -> None:
        said = complaint(
            tmp_path, "list", "--stack", "remora", "--profile", "nobody", environment={"HOME": str(tmp_path)}
        )
        assert "nobody" in said
        assert "--profile" in said

    def test_an_aws_that_does_not_answer(self, tmp_path: Path) -> None:
        deaf: dict[str, str | None] = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}
        assert "did not answer" in complaint(tmp_path, "list", "--stack", "remora", environment=deaf)
