"""What a job is about and where it is; apart from the rest, so that a tool's schema is made without it."""

from enum import StrEnum


class JobKind(StrEnum):
    """What a job does."""

    DOCUMENT = "document"
    IMPORT = "import"
    EXPORT = "export"


class JobStatus(StrEnum):
    """Where a job is."""

    AWAITING_UPLOAD = "awaiting_upload"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
