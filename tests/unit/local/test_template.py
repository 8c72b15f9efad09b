"""Reading SAM templates, with AWS by moto."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from remora.errors import InvalidArgumentError
from remora.local.aws import LocalAws
from remora.local.deployment import Quota, RequestAuthorizer, Throttle
from remora.local.template import STACK_NAME, deploy
from tests.support.local_stack import REPOSITORY

ONE_FUNCTION = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Api: {Type: AWS::Serverless::Api, Properties: {StageName: v1}}
  F:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code/
      Handler: app.handler
      Runtime: python3.14
      Events:
        E: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /mcp, Method: POST}}
"""

NO_API = """
Transform: AWS::Serverless-2016-10-31
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: code/, Handler: app.handler, Runtime: python3.14}
"""


@pytest.fixture
def aws() -> Iterator[LocalAws]:
    with LocalAws() as aws:
        yield aws
        # moto's state belongs to the process, not to the server.
        for name in (STACK_NAME, f"{STACK_NAME}-edge"):
            aws.cloudformation.delete_stack(StackName=name)
        for secret in aws.secretsmanager.list_secrets()["SecretList"]:
            aws.secretsmanager.delete_secret(SecretId=secret["ARN"], ForceDeleteWithoutRecovery=True)


def written(folder: Path, text: str) -> Path:
    path = folder / "template.yaml"
    path.write_text(text)
    return path


def test_what_a_template_leaves_out_is_what_aws_takes(tmp_path: Path, aws: LocalAws) -> None:
    deployment = deploy(written(tmp_path, ONE_FUNCTION), {}, aws)
    function = deployment.functions["F"]
    assert (function.timeout, function.memory_mb, function.environment) == (3, 128, {})
    assert function.code_dir == (tmp_path / "code").resolve()
    assert deployment.api.stage == "v1"
    assert deployment.api.usage_plans == ()
    (route,) = deployment.api.routes
    assert (route.resource, route.method, route.function, route.timeout) == ("/mcp", "POST", "F", 29)
    assert route.authorizer is None
    assert not route.api_key_required


def test_the_projects_own_template_deploys(aws: LocalAws) -> None:
    overrides = {
        "ChromaMode": "external",
        "ChromaHost": "127.0.0.1",
        "ChromaPort": "1234",
        "StandardLimits": "7,40,9",
        "AuthorizerCacheSeconds": "5",
    }
    deployment = deploy(REPOSITORY / "template.yaml", overrides, aws)
    api = deployment.api
    routes = {(route.method, route.resource): route for route in api.routes}
    assert routes["POST", "/mcp"].authorizer is not None
    assert routes["POST", "/mcp"].api_key_required
    assert routes["GET", "/health"].authorizer is None
    assert not routes["GET", "/health"].api_key_required
    (authorizer,) = api.authorizers.values()
    assert authorizer == RequestAuthorizer(
        authorizer.name, authorizer.function, ("method.request.header.Authorization",), ttl=5
    )
    plans = [(plan.throttle, plan.quota) for plan in api.usage_plans]
    assert plans[1] == (Throttle(rate=7, burst=40), Quota(limit=9, period="DAY"))
    assert plans[0] == (Throttle(rate=5, burst=20), Quota(limit=2000, period="DAY"))
    assert api.gateway_responses["UNAUTHORIZED"].status == 401
    connector = deployment.functions[routes["POST", "/mcp"].function]
    assert connector.environment["REMORA_CHROMA_PORT"] == "1234"
    environment = deployment.functions[authorizer.function].environment
    assert aws.secretsmanager.get_secret_value(SecretId=environment["REMORA_PRINCIPALS_SECRET"])["SecretString"]
    # What the nested stack would answer has no local counterpart; nobody can mistake this for it.
    assert api.stage_variables == {"publicUrl": "https://edge.outputs.domainname.invalid"}
    assert deployment.edge is not None
    origin = aws.secretsmanager.get_secret_value(SecretId=environment["REMORA_ORIGIN_SECRET"])["SecretString"]
    assert deployment.edge.origin_headers == {"x-remora-origin": origin}


def test_the_local_run_plays_the_distribution_even_if_the_parameters_ask_for_none(aws: LocalAws) -> None:
    overrides = {"ChromaHost": "127.0.0.1", "Distribution": "false", "PublicUrl": "http://127.0.0.1:1"}
    deployment = deploy(REPOSITORY / "template.yaml", overrides, aws)
    assert deployment.edge is not None
    assert "const PUBLIC_URL = 'http://127.0.0.1:1';" in deployment.edge.function
    assert deployment.api.stage_variables == {"publicUrl": "http://127.0.0.1:1"}
    assert "REMORA_ORIGIN_SECRET" not in deployment.functions["AuthorizerFunction"].environment


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "is not valid YAML"),
        ("just text", "has no Resources"),
        (NO_API, "deploys 0 REST APIs"),
        (ONE_FUNCTION.replace("Handler: app.handler", "Handler: !Ref NoSuchThing"), "NoSuchThing"),
        (ONE_FUNCTION.replace("RestApiId: !Ref Api", "RestApiId: !Ref Nothing"), "not a valid SAM template"),
    ],
)
def test_a_template_that_cannot_be_deployed_is_refused_with_the_reason(
    tmp_path: Path, aws: LocalAws, text: str, reason: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        deploy(written(tmp_path, text), {}, aws)


def test_a_secret_can_be_generated(tmp_path: Path, aws: LocalAws) -> None:
    text = ONE_FUNCTION + (
        "  S:\n    Type: AWS::SecretsManager::Secret\n    Properties:\n      GenerateSecretString:\n"
        '        SecretStringTemplate: \'{"user": "me"}\'\n        GenerateStringKey: word\n'
        "        PasswordLength: 24\n        ExcludePunctuation: true\n"
    )
    deploy(written(tmp_path, text), {}, aws)
    value = aws.secretsmanager.get_secret_value(SecretId="S")["SecretString"]
    assert '"user": "me"' in value
    assert '"word"' in value
