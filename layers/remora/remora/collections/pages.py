"""Fills a page of records up to a token budget; nothing is cut without saying so."""

from collections.abc import Sequence
from typing import TypeVar

from remora.budget import TokenBudget, json_bytes, shorten
from remora.chroma.wire import StoredRecord
from remora.collections.models import Record

# What surrounds the records: the answer's own keys and a cursor.
ENVELOPE_TOKENS = 80
_BYTES_PER_TOKEN = 3
# A document shown in part shows at least this much, or rather an embedding is left out.
_MIN_SHOWN_BYTES = 240

RecordT = TypeVar("RecordT", bound=Record)


def page_budget(max_tokens: int) -> TokenBudget:
    """Return the budget for the records of one answer."""
    return TokenBudget(max_tokens, reserved=ENVELOPE_TOKENS)


def to_record(stored: StoredRecord) -> Record:
    """Return a stored record as it is answered."""
    return Record(
        id=stored.id,
        document=stored.document,
        metadata=dict(stored.metadata) if stored.metadata else None,
        uri=stored.uri,
        embedding=list(stored.embedding) if stored.embedding is not None else None,
    )


def take_record(page: Sequence[RecordT], record: RecordT, budget: TokenBudget) -> RecordT | None:
    """Take a record into a page if it fits.

    Args:
        page: The records taken before.
        record: The next one.
        budget: What is left; reduced when the record is taken.

    Returns:
        The record, shortened if it is the page's first and larger than all of the budget, so that paging
        always gets ahead; None if it has to wait for the next page.
    """
    if budget.take(record.model_dump_json()):
        return record
    if page:
        return None
    shortened = _shortened(record, budget.remaining * _BYTES_PER_TOKEN - 1)
    budget.remaining = 0
    return shortened


def _shortened(record: RecordT, max_bytes: int) -> RecordT:
    omitted: list[str] = []
    for part in (None, "embedding", "metadata", "uri"):
        if part is not None:
            if getattr(record, part) is None:
                continue
            omitted.append(part)
            record = record.model_copy(update={part: None, "omitted": list(omitted)})
        if len(record.model_dump_json().encode()) <= max_bytes:
            return record
        if record.document is None:
            continue
        frame = record.model_copy(
            update={"document": "", "document_truncated": True, "document_characters": len(record.document)}
        )
        room = max_bytes - len(frame.model_dump_json().encode())
        last = part == "uri" or all(getattr(record, name) is None for name in ("embedding", "metadata", "uri"))
        if last or room >= min(_MIN_SHOWN_BYTES, json_bytes(record.document)):
            return frame.model_copy(update={"document": shorten(record.document, max_bytes=room)})
    return record
