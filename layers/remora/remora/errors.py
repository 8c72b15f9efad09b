"""The errors that Remora's services raise, and what each means to whoever called.

Services raise these and nothing else on purpose; a face (MCP tool, REST route) turns them into its own
kind of answer in exactly one place. Messages are written for the reader who has to act on them, which is
often a language model: what was wrong, and what would be accepted. They never hold credentials.
"""


class RemoraError(Exception):
    """Something that Remora can explain to its caller. `str(error)` is safe to show."""


class InvalidArgumentError(RemoraError):
    """The caller's arguments cannot be used; nothing was changed."""


class NotFoundError(RemoraError):
    """What the caller named does not exist in its space."""


class AlreadyExistsError(RemoraError):
    """What the caller wants to create exists already; nothing was changed."""


class ConflictError(RemoraError):
    """Somebody else changed it in between; nothing was changed."""


class PermissionDeniedError(RemoraError):
    """The caller's scopes do not cover the operation; nothing was changed."""


class UnsupportedError(RemoraError):
    """The operation is known, but this engine or this collection cannot do it; nothing was changed."""


class UnavailableError(RemoraError):
    """Chroma or S3 did not answer, or not in time. Safe to try again unless the message says otherwise."""
