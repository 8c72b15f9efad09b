"""Who is calling and how long there is, from the ASGI scope of a request that came through the gateway."""

from typing import Protocol

from starlette.types import Scope

from remora.auth.principal import Principal
from remora.chroma.deadline import Deadline

# Kept back from the invocation's time for the answer to be rendered and to leave.
_ANSWER_SECONDS = 1.5


class NoPrincipalError(Exception):
    """A request carries no principal, so it did not come through the authorizer."""


class _LambdaContext(Protocol):
    def get_remaining_time_in_millis(self) -> int: ...


def principal_of(scope: Scope) -> Principal:
    """Return who the authorizer says is calling.

    Raises:
        NoPrincipalError: It says nothing, or nothing that can be understood.
    """
    context = scope.get("aws.event", {}).get("requestContext", {}).get("authorizer") or {}
    try:
        return Principal.from_authorizer_context(context)
    except (KeyError, ValueError):
        raise NoPrincipalError from None


def deadline_of(scope: Scope) -> Deadline:
    """Return when the answer must have left."""
    context: _LambdaContext = scope["aws.context"]
    return Deadline.after(context.get_remaining_time_in_millis() / 1000 - _ANSWER_SECONDS)
