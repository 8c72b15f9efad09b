"""The API of the template: routes, authorizer, usage plan. Rules of AWS: docs/aws-facts.md."""

import json

import pytest

from tests.template.deployed import deployed, source

AUTHORIZER = "KeyAuthorizer"
MCP = ("/mcp", "/mcp/memory", "/mcp/chroma")
REST = "/api/{proxy+}"
PROTECTED = {(path, method) for path in (*MCP, REST) for method in ("POST", "GET", "DELETE")}
DOCUMENTS = "/.well-known/{document+}"
OAUTH = (
    {(path, method) for path in ("/authorize", "/sign-in", "/account") for method in ("GET", "POST")}
    | {(path, method) for path in ("/token", "/register", "/revoke") for method in ("POST", "OPTIONS")}
    | {(DOCUMENTS, method) for method in ("GET", "OPTIONS")}
    | {(f"{path}/.well-known/{{document}}", method) for path in MCP for method in ("GET", "OPTIONS")}
)
OPEN = {(path, "OPTIONS") for path in (*MCP, REST)} | {("/health", "GET")} | OAUTH


def test_the_api_has_these_routes_and_no_other() -> None:
    assert {(route.path, route.method) for route in deployed().routes()} == PROTECTED | OPEN


@pytest.mark.parametrize(("path", "method"), sorted(PROTECTED))
def test_a_protected_route_wants_the_authorizer_and_a_usage_key(path: str, method: str) -> None:
    (route,) = (route for route in deployed().routes() if (route.path, route.method) == (path, method))
    assert route.security == {AUTHORIZER, "api_key"}


@pytest.mark.parametrize(("path", "method"), sorted(OPEN))
def test_an_open_route_wants_nothing(path: str, method: str) -> None:
    (route,) = (route for route in deployed().routes() if (route.path, route.method) == (path, method))
    assert not route.security & {AUTHORIZER, "api_key"}


def test_every_route_is_answered_by_the_function_for_it_as_a_proxy() -> None:
    for route in deployed().routes():
        integration = json.loads(route.integration)
        assert integration["type"] == "aws_proxy"
        function = "OAuthFunction" if (route.path, route.method) in OAUTH else "ConnectorFunction"
        assert f"${{{function}Aliaslive}}" in json.dumps(integration["uri"])


def test_the_one_authorizer_reads_the_authorization_header_alone() -> None:
    schemes = deployed().api["components"]["securitySchemes"]
    assert set(schemes) == {AUTHORIZER, "api_key"}
    authorizer = schemes[AUTHORIZER]["x-amazon-apigateway-authorizer"]
    assert authorizer["type"] == "request"
    assert authorizer["identitySource"] == "method.request.header.Authorization"
    assert {"Ref": "AuthorizerFunctionAliaslive"} in authorizer["authorizerUri"]["Fn::Sub"][1].values()


def test_the_authorizers_answer_is_cached_as_long_as_the_parameter_says() -> None:
    schemes = deployed(AuthorizerCacheSeconds="17").api["components"]["securitySchemes"]
    assert int(schemes[AUTHORIZER]["x-amazon-apigateway-authorizer"]["authorizerResultTtlInSeconds"]) == 17


def test_whatever_parameter_changes_the_api_is_deployed_anew() -> None:
    # API Gateway serves a deployment, not the definition: without a new one, the change would not arrive. SAM makes
    # its id from the text of the definition, in which parameters of gateway responses are not resolved yet.
    assert source()["Resources"]["ConnectorApi"]["Properties"]["AlwaysDeploy"] is True
    (deployment,) = deployed().of_type("AWS::ApiGateway::Deployment")
    assert deployed().only("AWS::ApiGateway::Stage")["DeploymentId"] == {"Ref": deployment}


def test_only_the_api_may_run_the_functions_behind_it() -> None:
    permissions = [
        permission
        for permission in deployed().of_type("AWS::Lambda::Permission").values()
        if any(name in json.dumps(permission["FunctionName"]) for name in ("Connector", "Authorizer", "OAuth"))
    ]
    for permission in permissions:
        assert permission["Principal"] == "apigateway.amazonaws.com"
        assert "ConnectorApi" in json.dumps(permission["SourceArn"])
    functions = {json.dumps(permission["FunctionName"]) for permission in permissions}
    assert len(functions) == 3


def test_usage_keys_come_from_the_authorizer() -> None:
    assert deployed().only("AWS::ApiGateway::RestApi")["ApiKeySourceType"] == "AUTHORIZER"


def test_the_api_is_regional_and_traced() -> None:
    assert deployed().only("AWS::ApiGateway::RestApi")["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
    assert deployed().only("AWS::ApiGateway::Stage")["TracingEnabled"] is True


def test_there_is_one_stage_named_like_the_environment() -> None:
    assert deployed().only("AWS::ApiGateway::Stage")["StageName"] == {"Ref": "Environment"}


@pytest.mark.parametrize("tier", ["Light", "Standard", "Heavy"])
def test_the_usage_plan_of_a_tier_holds_on_that_stage_with_the_parameters_limits(tier: str) -> None:
    plan = deployed().of_type("AWS::ApiGateway::UsagePlan")[f"{tier}UsagePlan"]
    (stage,) = deployed().of_type("AWS::ApiGateway::Stage")
    assert plan["ApiStages"] == [{"ApiId": {"Ref": "ConnectorApi"}, "Stage": {"Ref": stage}}]
    rate, burst, limit = ({"Fn::Select": [n, {"Fn::Split": [",", {"Ref": f"{tier}Limits"}]}]} for n in range(3))
    assert plan["Throttle"] == {"RateLimit": rate, "BurstLimit": burst}
    assert plan["Quota"] == {"Limit": limit, "Period": "DAY"}


def test_there_is_a_usage_plan_for_each_tier_and_no_other() -> None:
    plans = set(deployed().of_type("AWS::ApiGateway::UsagePlan"))
    assert plans == {"LightUsagePlan", "StandardUsagePlan", "HeavyUsagePlan"}
    outputs = deployed().document["Outputs"]
    assert {output["Value"]["Ref"] for name, output in outputs.items() if name.endswith("UsagePlanId")} == plans


def test_the_stack_says_what_keeping_principals_takes() -> None:
    outputs = {name: output["Value"] for name, output in deployed().document["Outputs"].items()}
    assert outputs["PrincipalsSecretArn"] == {"Ref": "PrincipalsSecret"}
    assert outputs["AuthorizerCacheSeconds"] == {"Ref": "AuthorizerCacheSeconds"}
    assert outputs["PrincipalsCacheSeconds"] == {"Ref": "PrincipalsCacheSeconds"}


def test_no_usage_key_is_made_by_the_template() -> None:
    # Each principal has its own; one that everybody shares would be a hole in the limits.
    assert deployed().of_type("AWS::ApiGateway::ApiKey") == {}


def test_routes_that_no_usage_plan_covers_are_throttled_by_the_stage() -> None:
    settings = deployed().only("AWS::ApiGateway::Stage")["MethodSettings"]
    throttled = {
        (setting["ResourcePath"].replace("~1", "/").removeprefix("/"), setting["HttpMethod"])
        for setting in settings
        if setting["ThrottlingRateLimit"] > 0 and setting["ThrottlingBurstLimit"] > 0
    }
    assert throttled == OPEN


def test_access_logs_hold_no_credential_and_are_one_json_object() -> None:
    log = deployed().only("AWS::ApiGateway::Stage")["AccessLogSetting"]
    fields = json.loads(log["Format"])
    assert {"requestId", "status", "resource", "principal", "latency"} <= set(fields)
    assert not [value for value in fields.values() if "header" in value or "apiKey" in value]
    # `$context.path` would be the path as sent; the resource path is the template's.
    assert "$context.path" not in fields.values()


def test_the_stage_waits_for_the_role_that_writes_its_logs() -> None:
    assert "ApiGatewayAccount" in deployed().resources["ConnectorApi"]["DependsOn"]


def test_the_accounts_log_role_outlives_the_stack() -> None:
    for name in ("AccessLogRole", "ApiGatewayAccount"):
        assert deployed().resources[name]["DeletionPolicy"] == "Retain"
