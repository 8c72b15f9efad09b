"""Who is calling, in which space, and how long there is: from the ASGI scope of a request behind the gateway."""

from dataclasses import replace
from typing import Protocol

from aws_lambda_powertools import Logger
from starlette.datastructures import Headers
from starlette.types import Scope

from remora.auth.principal import SPACE_HEADER, Principal
from remora.auth.principal import Scope as AccessScope
from remora.chroma.deadline import Deadline
from remora.chroma.names import check_name
from remora.errors import PermissionDeniedError

logger = Logger(child=True)

# Kept back from the invocation's time for the answer to be rendered and to leave.
_ANSWER_SECONDS = 1.5


class NoPrincipalError(Exception):
    """A request carries no principal, so it did not come through the authorizer."""


class _LambdaContext(Protocol):
    def get_remaining_time_in_millis(self) -> int: ...


def principal_of(scope: Scope) -> Principal:
    """Return who the authorizer says is calling, in the space that the call is about.

    Every face takes the principal from here and works in `space`, so that what is behind it cannot tell a space that
    was named from one's own.

    Raises:
        NoPrincipalError: It says nothing, or nothing that can be understood.
        InvalidArgumentError: The header `Remora-Space` holds no name of a space.
        PermissionDeniedError: It names another space, and the principal may not.
    """
    context = scope.get("aws.event", {}).get("requestContext", {}).get("authorizer") or {}
    try:
        principal = Principal.from_authorizer_context(context)
    except (KeyError, ValueError):
        raise NoPrincipalError from None
    named = Headers(scope=scope).getlist(SPACE_HEADER)
    return _in_space(principal, ", ".join(named)) if named else principal


def _in_space(principal: Principal, space: str) -> Principal:
    # Never silently one's own: whoever names a space would take what they see there for that space's.
    check_name(space, "space")
    if space == principal.space:
        return principal
    if AccessScope.ADMIN not in principal.scopes:
        logger.warning("Space refused", principal=principal.id, space=space)
        held = ", ".join(sorted(principal.scopes)) or "none"
        raise PermissionDeniedError(
            f"{SPACE_HEADER} names a space that is not this key's own, which takes the scope 'admin'; this key has: "
            f"{held}. Leave the header out to work in the key's own space."
        )
    return replace(principal, space=space)


def deadline_of(scope: Scope) -> Deadline:
    """Return when the answer must have left."""
    context: _LambdaContext = scope["aws.context"]
    return Deadline.after(context.get_remaining_time_in_millis() / 1000 - _ANSWER_SECONDS)
