"""Turns what can go wrong between Remora and S3 into Remora's errors; the one place that does."""

from collections.abc import Mapping
from typing import Any

from remora.errors import UnavailableError

# What S3 answers to a conditional write: the condition does not hold, or another write of the key is going on.
PRECONDITION_FAILED = "PreconditionFailed"
CONDITIONAL_REQUEST_CONFLICT = "ConditionalRequestConflict"
MISSING = frozenset({"NoSuchKey", "NoSuchVersion", "404"})
_BUSY = frozenset(
    {"SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "RequestLimitExceeded", "503"}
)
_REFUSED = frozenset(
    {"AccessDenied", "403", "ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"}
)


def no_answer(reason: str, *, changes: bool) -> UnavailableError:
    """Return the error for a request whose answer did not come.

    Args:
        reason: What happened, as a clause.
        changes: Whether the request may have changed something.
    """
    unknown = "The write may or may not have been kept; i" if changes else "I"
    return UnavailableError(f"The journal {reason}. {unknown}t is safe to try again.")


def refusal(answer: Mapping[str, Any], *, changes: bool) -> UnavailableError:
    """Return the error for a request that S3 refused. It names neither bucket nor credentials.

    Args:
        answer: The answer, as botocore parsed it.
        changes: Whether the request was to change something.
    """
    code = str(answer.get("Error", {}).get("Code", ""))
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code == "NoSuchBucket":
        return UnavailableError("The journal's bucket does not exist. The operator has to correct the deployment.")
    if code in _REFUSED:
        return UnavailableError("The journal refused the function's credentials. The operator has to correct them.")
    if code in _BUSY:
        return UnavailableError("The journal is limiting requests. It is safe to try again in a moment.")
    return no_answer(f"failed with status {status}{f' ({code})' if code else ''}", changes=changes)
