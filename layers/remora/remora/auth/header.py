"""The one Authorization header of a request: exactly one, or the request is refused.

API Gateway makes the key of the authorizer's cache from this header. A request that carries several may be keyed by
one of them and judged by another, and what is kept of it would answer for a credential that nobody checked. So a
request that could be read in two ways is refused, which API Gateway does not keep.
"""

from collections.abc import Mapping, Sequence

from remora.auth.keys import Refusal, RefusedError

_NAME = "authorization"


def sole_authorization(
    headers: Mapping[str, str] | None, multi_value_headers: Mapping[str, Sequence[str]] | None
) -> str | None:
    """Return the value of the Authorization header of an API Gateway event; None if there is none.

    Args:
        headers: The event's `headers`: the last value of each name, as it was written.
        multi_value_headers: The event's `multiValueHeaders`: all of them; not in every event.

    Raises:
        RefusedError: There are several, in one spelling of the name or in more.
    """
    last = [value for name, value in (headers or {}).items() if name.lower() == _NAME]
    each = [
        value for name, values in (multi_value_headers or {}).items() if name.lower() == _NAME for value in values
    ]
    given = each or last
    if len(given) > 1 or len(last) > 1 or (last and last != given):
        raise RefusedError(Refusal.MALFORMED)
    return given[0] if given else None
