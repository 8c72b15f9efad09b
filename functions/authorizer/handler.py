"""Lambda entry point of the authorizer: reads the REQUEST event, asks `remora.auth`, answers a policy."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from aws_lambda_powertools.utilities.data_classes import event_source
from aws_lambda_powertools.utilities.data_classes.api_gateway_authorizer_event import (
    APIGatewayAuthorizerRequestEvent,
    APIGatewayAuthorizerResponse,
    HttpVerb,
)
from aws_lambda_powertools.utilities.typing import LambdaContext

from authorizer.credentials import Credentials
from remora.auth.edge import Edge
from remora.auth.header import sole_authorization
from remora.auth.keys import Principals, RefusedError, bearer_token
from remora.aws import Aws, Secret
from remora.config import AuthorizerSettings
from remora.oauth.site import Site

logger = Logger()
metrics = Metrics()
settings = AuthorizerSettings.from_environment()
aws = Aws()
principals = Secret(aws, settings.principals_secret, seconds=settings.principals_cache_seconds)
edge = Edge(settings.origin_secret, aws)


def _principals() -> Principals:
    return Principals.model_validate_json(principals.text() or "")


credentials = Credentials(settings, aws, _principals)
# Every method of a path that is a resource of its own (RFC 8707). A policy's `*` matches a slash too, so that
# `*/mcp` would also cover other paths that end so.
_METHODS = (HttpVerb.POST.value, HttpVerb.GET.value, HttpVerb.DELETE.value)


@metrics.log_metrics(capture_cold_start_metric=True)
@logger.inject_lambda_context(log_event=False)
@event_source(data_class=APIGatewayAuthorizerRequestEvent)
def handler(event: APIGatewayAuthorizerRequestEvent, context: LambdaContext) -> dict[str, Any]:
    """Answer who is calling.

    API Gateway caches the policy under the Authorization header and applies it to every route. So a key's policy
    allows the whole stage, and what a principal may do is enforced behind it, from the context; a token's policy
    names the paths of the resources that the token is for.

    Raises:
        Exception: `Unauthorized`, the one message that API Gateway turns into a 401. A policy that denies
            would be cached, and answered with 403, which clients take for a broken server.
    """
    address = event.request_context.identity.source_ip
    try:
        address = edge.caller_address(event.headers, address)
        authorization = sole_authorization(event.get("headers"), event.get("multiValueHeaders"))
        admission = credentials.admit(bearer_token(authorization), Site.of_event(event))
    except RefusedError as refused:
        metrics.add_metric("RefusedCredentials", MetricUnit.Count, 1)
        by_reason = EphemeralMetrics()
        by_reason.add_dimension("reason", refused.reason)
        by_reason.add_metric("RefusedCredentials", MetricUnit.Count, 1)
        by_reason.flush_metrics()
        logger.warning("Credential refused", reason=refused.reason, source_ip=address)
        raise Exception("Unauthorized") from None

    authenticated = admission.authenticated
    metrics.add_metric("AcceptedCredentials", MetricUnit.Count, 1)
    # An alarm subtracts refusals from Lambda's errors, and can subtract only what there is.
    metrics.add_metric("RefusedCredentials", MetricUnit.Count, 0)
    arn = event.parsed_arn
    answer = APIGatewayAuthorizerResponse(
        principal_id=authenticated.principal.id,
        region=arn.region,
        aws_account_id=arn.aws_account_id,
        api_id=arn.api_id,
        stage=arn.stage,
        context=authenticated.principal.to_authorizer_context(),
        usage_identifier_key=authenticated.usage_key,
        partition=arn.partition,
    )
    if admission.paths is None:
        answer.allow_all_routes()
    else:
        for path in admission.paths:
            for method in _METHODS:
                answer.allow_route(method, path)
    return answer.asdict()
