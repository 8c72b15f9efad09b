"""Reads the bodies of requests, bounded in size and number."""

from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

_MAXIMUM_BODY = 64 * 1024
_MAXIMUM_FIELDS = 100

Pairs = list[tuple[str, str]]


class BadRequestError(Exception):
    """A request cannot be read."""


async def read_body(request: Request) -> bytes:
    """Return a request's body.

    Raises:
        HTTPException: It is too large.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAXIMUM_BODY:
            raise HTTPException(413)
    return bytes(body)


async def read_form(request: Request) -> Pairs:
    """Return the fields of a form, in order.

    Raises:
        BadRequestError: It is no form, or has too many fields.
        HTTPException: It is too large.
    """
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise BadRequestError("The request's content type must be application/x-www-form-urlencoded")
    try:
        return parse_qsl((await read_body(request)).decode(), keep_blank_values=True, max_num_fields=_MAXIMUM_FIELDS)
    except ValueError:
        raise BadRequestError("The request is malformed") from None
