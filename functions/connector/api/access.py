"""What each route of the API works with: who is calling, who may, and the time there is."""

from collections.abc import Callable
from dataclasses import dataclass

from aws_lambda_powertools import Logger
from fastapi import Request

from connector.identity import deadline_of, principal_of
from remora.auth.principal import Principal, Scope
from remora.chroma.deadline import Deadline
from remora.errors import PermissionDeniedError

logger = Logger(child=True)

_LOGGED_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Call:
    """One request, whose caller may make it.

    Attributes:
        principal: Who is calling.
        deadline: When the answer must have left.
    """

    principal: Principal
    deadline: Deadline


def call_with(*scopes: Scope) -> Callable[[Request], Call]:
    """Return a dependency that lets those in who have all these scopes.

    Args:
        scopes: What the caller must be allowed to do.
    """

    def call_of(request: Request) -> Call:
        principal = principal_of(request.scope)
        missing = [scope for scope in scopes if scope not in principal.scopes]
        if missing:
            held = ", ".join(sorted(principal.scopes)) or "none"
            raise PermissionDeniedError(f"This needs the scope '{missing[0]}'; this key has: {held}.")
        path = request.url.path[:_LOGGED_CHARACTERS]
        logger.info("API call", method=request.method, path=path, principal=principal.id, space=principal.space)
        return Call(principal, deadline_of(request.scope))

    return call_of
