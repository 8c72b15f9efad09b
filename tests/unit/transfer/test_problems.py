"""How the REST API answers errors: problem details, with the status that a program can act on."""

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from connector.api.problems import BodyTooLargeError, explain_problems
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
from remora.journal import VersionConflictError


def answering(error: Exception) -> TestClient:
    """A client of an application whose only route raises an error."""
    web = FastAPI()
    explain_problems(web)

    @web.get("/fail")
    async def fail(count: int = 0) -> None:
        raise error

    return TestClient(web, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("error", "status", "title"),
    [
        (InvalidArgumentError("said"), 400, "Bad Request"),
        (PermissionDeniedError("said"), 403, "Forbidden"),
        (NotFoundError("said"), 404, "Not Found"),
        (AlreadyExistsError("said"), 409, "Conflict"),
        (ConflictError("said"), 409, "Conflict"),
        (VersionConflictError("said"), 409, "Conflict"),
        (BodyTooLargeError("said"), 413, "Request Entity Too Large"),
        (UnsupportedError("said"), 501, "Not Implemented"),
        (UnavailableError("said"), 503, "Service Unavailable"),
        (RemoraError("said"), 500, "Internal Server Error"),
    ],
)
def test_each_error_has_its_status_and_says_what_it_says(error: Exception, status: int, title: str) -> None:
    answer = answering(error).get("/fail")

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {"type": "about:blank", "title": title, "status": status, "detail": "said"}


@pytest.mark.parametrize("error", [UnavailableError("said"), TimeoutError()])
def test_what_may_be_tried_again_says_when(error: Exception) -> None:
    answer = answering(error).get("/fail")

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


def test_a_request_without_a_principal_is_told_to_authenticate() -> None:
    answer = answering(NoPrincipalError()).get("/fail")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_bug_tells_nothing_about_itself() -> None:
    answer = answering(RuntimeError("secret detail")).get("/fail")

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text


def test_a_request_that_cannot_be_read_names_the_part_and_not_its_value() -> None:
    answer = answering(RuntimeError()).get("/fail", params={"count": "private words"})

    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("count: ")
    assert "private words" not in answer.text


def test_an_unknown_path_and_method_are_problems_too() -> None:
    client = answering(RuntimeError())

    assert client.get("/nothing").json()["status"] == 404
    assert client.delete("/fail").json()["status"] == 405
    assert client.delete("/fail").headers["allow"] == "GET"
