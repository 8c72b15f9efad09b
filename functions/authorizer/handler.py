"""Lambda entry point of the authorizer: reads the REQUEST event, asks `remora.auth`, answers a policy."""

from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import event_source
from aws_lambda_powertools.utilities.data_classes.api_gateway_authorizer_event import (
    APIGatewayAuthorizerRequestEvent,
    APIGatewayAuthorizerResponse,
)
from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from remora.auth.header import sole_authorization
from remora.auth.keys import Principals, RefusedError, authenticate, bearer_token
from remora.config import AuthorizerSettings

logger = Logger()
metrics = Metrics()
settings = AuthorizerSettings.from_environment()
# An authorizer that hangs is a gateway that hangs: fail within its time limit, so that the next call can succeed.
secrets_manager = SecretsProvider(
    boto_config=Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})
)


def _principals() -> Principals:
    document = secrets_manager.get(settings.principals_secret, max_age=settings.principals_cache_seconds)
    if not isinstance(document, str):
        raise TypeError("The principals secret holds no text")
    return Principals.model_validate_json(document)


@metrics.log_metrics(capture_cold_start_metric=True)
@logger.inject_lambda_context(log_event=False)
@event_source(data_class=APIGatewayAuthorizerRequestEvent)
def handler(event: APIGatewayAuthorizerRequestEvent, context: LambdaContext) -> dict[str, Any]:
    """Answer who is calling.

    The policy allows the whole stage: API Gateway caches it under the Authorization header and applies it to
    every route, so what a principal may do is enforced behind it, from the context.

    Raises:
        Exception: `Unauthorized`, the one message that API Gateway turns into a 401. A policy that denies
            would be cached, and answered with 403, which clients take for a broken server.
    """
    try:
        authorization = sole_authorization(event.get("headers"), event.get("multiValueHeaders"))
        authenticated = authenticate(bearer_token(authorization), _principals())
    except RefusedError as refused:
        metrics.add_dimension("reason", refused.reason)
        metrics.add_metric("RefusedCredentials", MetricUnit.Count, 1)
        logger.warning(
            "Credential refused", reason=refused.reason, source_ip=event.request_context.identity.source_ip
        )
        raise Exception("Unauthorized") from None

    metrics.add_metric("AcceptedCredentials", MetricUnit.Count, 1)
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
    answer.allow_all_routes()
    return answer.asdict()
