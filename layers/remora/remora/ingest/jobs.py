"""Ingestion as its caller sees it: a document on its way into the memory, and how far it has come."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from remora.jobs.status import JobStatus
from remora.memory.models import Moment


class Upload(BaseModel):
    """How to send a document that is too large for a tool call.

    Attributes:
        url: Where to; holds a signature, so whoever has it may upload until it expires.
        method: HTTP method; the body is the file as it is.
        expires_at: When the URL stops working.
        max_bytes: Largest file that is read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    url: str
    method: Literal["PUT"] = "PUT"
    expires_at: Moment
    max_bytes: int


class Ingestion(BaseModel):
    """A document's ingestion. Its chunks are memories with its name as their source.

    Attributes:
        id: The ingestion's id, for asking how far it is; None if it was done at once.
        source: The document's name.
        status: Where it is.
        chunks: How many chunks it has; None before it was read.
        stored: How many of them are stored.
        created: How many of those are new; the others were there before.
        replaced: How many chunks of the document's earlier state were deleted, because they are not in it any more.
        pending: How many are kept safely and cannot be searched yet.
        error: Why it failed, in words for whoever sent it.
        upload: How to send it, while that is awaited.
        updated_at: When this was written.
        note: What to do next.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    id: str | None = None
    source: str
    status: JobStatus
    chunks: int | None = None
    stored: int = 0
    created: int = 0
    replaced: int = 0
    pending: int = 0
    error: str | None = None
    upload: Upload | None = None
    updated_at: Moment
    note: str | None = None
