"""What the gateway answers by itself: API Gateway's own responses, as the template customises them.

Types, statuses and messages: https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
"""

from collections.abc import Mapping
from dataclasses import dataclass

from remora.local import expressions
from remora.local.deployment import GatewayResponse
from remora.local.messages import Reply, RequestContext

_DEFAULT_TEMPLATE = '{"message":$context.error.messageString}'
_HEADER_PREFIX = "gatewayresponse.header."


@dataclass(frozen=True, slots=True)
class GatewayError:
    """Why the gateway answers by itself.

    Attributes:
        type: Type of the gateway response.
        status: The status, unless the template sets one.
        exception: Value of the header `x-amzn-ErrorType`.
        message: For the body; None is `null` there.
    """

    type: str
    status: int
    exception: str
    message: str | None


UNAUTHORIZED = GatewayError("UNAUTHORIZED", 401, "UnauthorizedException", "Unauthorized")
ACCESS_DENIED = GatewayError(
    "ACCESS_DENIED", 403, "AccessDeniedException", "User is not authorized to access this resource"
)
EXPLICITLY_DENIED = GatewayError(
    "ACCESS_DENIED",
    403,
    "AccessDeniedException",
    "User is not authorized to access this resource with an explicit deny",
)
AUTHORIZER_FAILURE = GatewayError("AUTHORIZER_FAILURE", 500, "AuthorizerConfigurationException", None)
AUTHORIZER_CONFIGURATION_ERROR = GatewayError(
    "AUTHORIZER_CONFIGURATION_ERROR", 500, "AuthorizerConfigurationException", None
)
INVALID_API_KEY = GatewayError("INVALID_API_KEY", 403, "ForbiddenException", "Forbidden")
THROTTLED = GatewayError("THROTTLED", 429, "TooManyRequestsException", "Too Many Requests")
QUOTA_EXCEEDED = GatewayError("QUOTA_EXCEEDED", 429, "LimitExceededException", "Limit Exceeded")
REQUEST_TOO_LARGE = GatewayError("REQUEST_TOO_LARGE", 413, "RequestTooLargeException", "Request Too Long")
INTEGRATION_TIMEOUT = GatewayError(
    "INTEGRATION_TIMEOUT", 504, "InternalServerErrorException", "Endpoint request timed out"
)
# A function that failed or answered nonsense. The status is 502; the type has none of its own in the
# documentation, and templates reach it through DEFAULT_5XX.
INTEGRATION_FAILURE = GatewayError(
    "INTEGRATION_FAILURE", 502, "InternalServerErrorException", "Internal server error"
)
# An address that does not exist is taken for a call with an AWS signature: it misses one, or what it has in
# its Authorization header is none.
MISSING_AUTHENTICATION_TOKEN = GatewayError(
    "MISSING_AUTHENTICATION_TOKEN",
    403,
    "MissingAuthenticationTokenException",
    "Missing Authentication Token",
)
INVALID_SIGNATURE = GatewayError(
    "INVALID_SIGNATURE",
    403,
    "IncompleteSignatureException",
    "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter.",
)


class GatewayResponses:
    """Turns a `GatewayError` into a reply."""

    def __init__(self, customised: Mapping[str, GatewayResponse]) -> None:
        self._customised = customised

    def reply(self, error: GatewayError, context: RequestContext) -> Reply:
        """Return the answer: as the template has it for this type, else for all of its class, else as AWS has it."""
        response = self._customised.get(error.type) or self._customised.get(
            "DEFAULT_4XX" if error.status < 500 else "DEFAULT_5XX"
        )
        status, parameters, templates = error.status, {}, {}
        if response is not None:
            status = response.status or error.status
            parameters, templates = dict(response.parameters), dict(response.templates)
        media_type, template = next(
            iter(
                sorted(templates.items(), key=lambda item: item[0] != "application/json")
                or [("application/json", _DEFAULT_TEMPLATE)]
            )
        )
        headers = [
            ("content-type", media_type),
            ("x-amzn-errortype", error.exception),
            ("x-amzn-requestid", context.request.id),
            ("x-amz-apigw-id", context.request.extended_id),
        ]
        for name, expression in parameters.items():
            value = expressions.mapped_value(expression, context)
            if name.startswith(_HEADER_PREFIX) and value is not None:
                header = name.removeprefix(_HEADER_PREFIX).lower()
                headers = [pair for pair in headers if pair[0] != header] + [(header, value)]
        body = expressions.render(template, context, error.type, error.message)
        return Reply(status, tuple(headers), body.encode(), error=error.type)
