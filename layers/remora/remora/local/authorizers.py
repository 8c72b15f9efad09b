"""Runs Lambda authorizers of type REQUEST: identity sources, cached answers, and the policies they return."""

import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from remora.local import expressions, proxy
from remora.local.deployment import RequestAuthorizer
from remora.local.functions import Function, PayloadTooLargeError
from remora.local.gateway_responses import (
    ACCESS_DENIED,
    AUTHORIZER_CONFIGURATION_ERROR,
    AUTHORIZER_FAILURE,
    EXPLICITLY_DENIED,
    UNAUTHORIZED,
    GatewayError,
)
from remora.local.messages import Authorization, RequestContext

logger = logging.getLogger(__name__)


class Authorizer:
    """One authorizer and its cache.

    As in API Gateway, what is cached is the function's answer for the identity sources; its policy is
    evaluated for each request, and a refusal (`Unauthorized`) or a failure is never cached.
    """

    def __init__(
        self, definition: RequestAuthorizer, function: Function, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._definition = definition
        self._function = function
        self._clock = clock
        self._cache: dict[tuple[str, ...], tuple[float, Authorization]] = {}

    async def authorize(self, context: RequestContext, method_arn: str) -> Authorization | GatewayError:
        """Return what the authorizer says of a request that it lets through, or why it does not."""
        sources = [expressions.mapped_value(source, context) for source in self._definition.identity_sources]
        identity = tuple(source for source in sources if source)
        if len(identity) < len(sources):
            return UNAUTHORIZED
        answer = self._cached(identity) or await self._ask(context, method_arn)
        if isinstance(answer, GatewayError):
            return answer
        if self._definition.ttl > 0 and self._cached(identity) is None:
            self._cache[identity] = (self._clock() + self._definition.ttl, answer)
        try:
            refusal = evaluate(answer.policy, method_arn)
        except (KeyError, TypeError, AttributeError):
            logger.warning("Authorizer %s: its policy cannot be read", self._definition.name)
            return AUTHORIZER_CONFIGURATION_ERROR
        return refusal or answer

    def _cached(self, identity: tuple[str, ...]) -> Authorization | None:
        expires_at, answer = self._cache.get(identity, (0.0, None))
        if answer is not None and expires_at <= self._clock():
            del self._cache[identity]
            return None
        return answer

    async def _ask(self, context: RequestContext, method_arn: str) -> Authorization | GatewayError:
        event = json.dumps(proxy.authorizer_event(context, method_arn)).encode()
        try:
            invocation = await self._function.invoke(event)
        except PayloadTooLargeError:
            return AUTHORIZER_FAILURE
        answer = json.loads(invocation.payload)
        if invocation.failed:
            if answer.get("errorMessage") == "Unauthorized":
                return UNAUTHORIZED
            logger.warning("Authorizer %s failed: %s", self._definition.name, answer.get("errorType"))
            return AUTHORIZER_FAILURE
        try:
            return _authorization(answer)
        except (KeyError, TypeError, AttributeError):
            logger.warning("Authorizer %s: its answer is not an authorizer's", self._definition.name)
            return AUTHORIZER_CONFIGURATION_ERROR


def evaluate(policy: Mapping[str, Any], method_arn: str) -> GatewayError | None:
    """Evaluate an authorizer's policy for `execute-api:Invoke` on a method.

    Conditions are not evaluated: a statement with one counts as it would without.

    Args:
        policy: The policy document.
        method_arn: The method that is called.

    Returns:
        None if the call is allowed, else the refusal.

    Raises:
        KeyError, TypeError, AttributeError: It is not a policy document.
    """
    statements = policy["Statement"]
    allowed = False
    for statement in [statements] if isinstance(statements, dict) else statements:
        if not _matches(statement["Action"], "execute-api:Invoke", ignore_case=True):
            continue
        if not _matches(statement["Resource"], method_arn, ignore_case=False):
            continue
        if statement["Effect"] == "Deny":
            return EXPLICITLY_DENIED
        allowed = allowed or statement["Effect"] == "Allow"
    return None if allowed else ACCESS_DENIED


def _matches(patterns: str | Iterable[str], value: str, *, ignore_case: bool) -> bool:
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
        if re.fullmatch(expression, value, re.DOTALL | (re.IGNORECASE if ignore_case else 0)):
            return True
    return False


def _authorization(answer: Mapping[str, Any]) -> Authorization:
    context = answer.get("context") or {}
    if not all(isinstance(value, str | int | float | bool) for value in context.values()):
        raise TypeError("context values must be strings, numbers or booleans")
    return Authorization(
        principal_id=str(answer["principalId"]),
        policy={"Statement": answer["policyDocument"]["Statement"]},
        context={name: value if isinstance(value, str) else json.dumps(value) for name, value in context.items()},
        usage_key=answer.get("usageIdentifierKey"),
    )
