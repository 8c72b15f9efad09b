"""What Chroma's refusals become, for the answers that a healthy server does not give on demand."""

import json

import pytest

from remora.chroma.failures import OutcomeUnknownError, refusal
from remora.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    RemoraError,
    UnavailableError,
    UnsupportedError,
)


def answer(message: str) -> bytes:
    return json.dumps({"error": "ChromaError", "message": message}).encode()


@pytest.mark.parametrize(
    ("status", "message", "kind", "said"),
    [
        (400, "Validation error: ids: too many", InvalidArgumentError, "ids: too many."),
        (
            422,
            "Failed to deserialize the JSON body into the target type: limit: invalid value: integer `-1`, "
            "expected u32 at line 1 column 11",
            InvalidArgumentError,
            "Chroma cannot read limit: invalid value: integer `-1`, expected u32.",
        ),
        (404, "Collection [x] does not exist.", NotFoundError, "Collection [x] does not exist."),
        (409, "Collection [x] already exists", AlreadyExistsError, "Collection [x] already exists."),
        (500, "UNIQUE constraint failed: collections.name", AlreadyExistsError, "That name is taken already."),
        (501, "Collection forking is unsupported for local chroma", UnsupportedError, "This Chroma engine"),
        (500, "Method scout_logs is not implemented", UnsupportedError, "This Chroma engine"),
        (413, "length limit exceeded", InvalidArgumentError, "larger than Chroma accepts"),
        (401, "Unauthorized", UnavailableError, "operator"),
        (429, "Rate limited", UnavailableError, "try again"),
        (503, "", UnavailableError, "safe to try again"),
    ],
)
def test_a_refusal_becomes_the_error_it_stands_for(
    status: int, message: str, kind: type[RemoraError], said: str
) -> None:
    error = refusal(status, answer(message), repeatable=True)
    assert type(error) is kind
    assert said in str(error)


def test_a_failed_write_may_have_been_stored() -> None:
    error = refusal(500, answer("disk I/O error"), repeatable=False)
    assert isinstance(error, OutcomeUnknownError)
    assert "may or may not" in str(error)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"message": 5}', b"\xff"])
def test_a_body_that_explains_nothing_is_no_problem(body: bytes) -> None:
    assert isinstance(refusal(502, body, repeatable=True), UnavailableError)
    assert isinstance(refusal(400, body, repeatable=True), InvalidArgumentError)
