"""Turns what can go wrong between Remora and Chroma into Remora's errors; the one place that does."""

import re
from typing import Any

from pydantic_core import from_json

from remora.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    RemoraError,
    UnavailableError,
    UnsupportedError,
)

_DESERIALIZE = re.compile(
    r"^Failed to deserialize the JSON body into the target type: (?P<what>.*?)(?: at line \d+ column \d+)?$",
    re.DOTALL,
)
_VALIDATION = re.compile(r"^Validation error: ")


class OutcomeUnknownError(UnavailableError):
    """A write whose answer never came: it may or may not have been stored."""


class DatabaseMissingError(NotFoundError):
    """The database that a request works in does not exist yet."""


def not_sent(reason: str) -> UnavailableError:
    """Return the error for a request that never reached Chroma."""
    return UnavailableError(f"Chroma could not be reached: {reason}. It is safe to try again.")


def no_answer(reason: str, *, repeatable: bool) -> UnavailableError:
    """Return the error for a request that was sent but not answered.

    Args:
        reason: What happened, as a clause.
        repeatable: Whether it changed nothing, so that the caller can simply repeat it.
    """
    if repeatable:
        return UnavailableError(f"Chroma {reason}. It is safe to try again.")
    return OutcomeUnknownError(
        f"Chroma {reason}. The change may or may not have been made: check before repeating it."
    )


def _message(body: bytes) -> str:
    try:
        answer: Any = from_json(body)
    except ValueError:
        return ""
    message = answer.get("message") if isinstance(answer, dict) else None
    return message if isinstance(message, str) else ""


def _readable(message: str) -> str:
    refused = _DESERIALIZE.match(message)
    text = f"Chroma cannot read {refused['what']}" if refused else _VALIDATION.sub("", message)
    return text.rstrip(".") or "Chroma refused the arguments without saying why"


def refusal(status: int, body: bytes, *, repeatable: bool) -> RemoraError:
    """Return the error that a Chroma answer other than 2xx stands for.

    Args:
        status: The HTTP status.
        body: The answer's body, usually `{"error": …, "message": …}`.
        repeatable: Whether the request changes nothing.
    """
    message = _message(body)
    text = _readable(message)
    lowered = message.lower()
    if lowered.startswith("database [") and ("does not exist" in lowered or "not found" in lowered):
        return DatabaseMissingError(f"{text}.")
    if "not implemented" in lowered or "unsupported" in lowered or "unimplemented" in lowered or status == 501:
        return UnsupportedError(f"This Chroma engine cannot do that: {text}.")
    if status == 404:
        return NotFoundError(f"{text}.")
    # A rename to a taken name is a 500 that shows the database's own constraint (1.5.9).
    if status == 409 or "unique constraint failed" in lowered:
        return AlreadyExistsError("That name is taken already." if status != 409 else f"{text}.")
    if status == 413:
        return InvalidArgumentError("The request is larger than Chroma accepts. Send fewer or smaller records.")
    if status in {400, 422}:
        return InvalidArgumentError(f"{text}.")
    if status in {401, 403}:
        if "reset is disabled" in lowered:
            return UnsupportedError("Reset is disabled in this Chroma server's configuration (allow_reset).")
        return UnavailableError("Chroma refused the connector's own credentials. The operator has to correct them.")
    if "contiguous 2d array" in lowered:
        return InvalidArgumentError(
            "The index could not find that many neighbours. "
            "Ask for fewer results, or raise the collection's ef_search."
        )
    if status == 429:
        return UnavailableError("Chroma is limiting requests. It is safe to try again in a moment.")
    # A refusal in the 5xx range may follow a write that was done in part: only reads are safe to repeat blindly.
    return no_answer(f"failed with status {status}{f' ({text})' if message else ''}", repeatable=repeatable)
