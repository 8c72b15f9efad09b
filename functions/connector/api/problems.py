"""Turns errors into HTTP answers, in one place: problem details as RFC 9457 has them."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from connector.identity import NoPrincipalError
from remora.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    RemoraError,
    UnavailableError,
    UnsupportedError,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2

_STATUSES: Mapping[type[RemoraError], HTTPStatus] = {
    InvalidArgumentError: HTTPStatus.BAD_REQUEST,
    PermissionDeniedError: HTTPStatus.FORBIDDEN,
    NotFoundError: HTTPStatus.NOT_FOUND,
    AlreadyExistsError: HTTPStatus.CONFLICT,
    ConflictError: HTTPStatus.CONFLICT,
    UnsupportedError: HTTPStatus.NOT_IMPLEMENTED,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}

logger = Logger(child=True)


class BodyTooLargeError(InvalidArgumentError):
    """A request's body is larger than its route takes."""


def problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return a problem's answer.

    Args:
        status: The HTTP status, whose phrase is the problem's title, as `about:blank` wants it (RFC 9457, 4.2.1).
        detail: What was wrong and what would be accepted.
        headers: Further headers.
    """
    content = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    return JSONResponse(content, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def explain_problems(web: FastAPI) -> None:
    """Let an application answer errors with problem details."""

    async def remora_error(_: Request, error: Exception) -> JSONResponse:
        if isinstance(error, BodyTooLargeError):
            return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error))
        kind = next((kind for kind in type(error).__mro__ if kind in _STATUSES), None)
        status = HTTPStatus.INTERNAL_SERVER_ERROR if kind is None else _STATUSES[kind]
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status is HTTPStatus.SERVICE_UNAVAILABLE else None
        return problem(status, str(error), headers)

    async def no_principal(_: Request, __: Exception) -> JSONResponse:
        detail = "This request carries no principal; it did not come through the authorizer."
        return problem(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": "Bearer"})

    async def out_of_time(_: Request, __: Exception) -> JSONResponse:
        detail = "It did not finish in time. It is safe to try again."
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers)

    async def invalid_request(_: Request, error: Exception) -> JSONResponse:
        found: Any = error.errors() if isinstance(error, RequestValidationError) else ()
        said = "; ".join(f"{'.'.join(map(str, one['loc'][1:])) or 'body'}: {one['msg']}" for one in found)
        return problem(HTTPStatus.BAD_REQUEST, said or "The request cannot be read.")

    async def http_error(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for no other
        return problem(HTTPStatus(error.status_code), error.detail, error.headers)

    async def bug(request: Request, error: Exception) -> JSONResponse:
        logger.error("Request failed", path=request.url.path, exc_info=error)
        detail = "This failed inside Remora; its log has the details. Trying again may help."
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail)

    for kind, handler in (
        (RemoraError, remora_error),
        (NoPrincipalError, no_principal),
        (TimeoutError, out_of_time),
        (RequestValidationError, invalid_request),
        (HTTPException, http_error),
        (Exception, bug),
    ):
        web.add_exception_handler(kind, handler)
