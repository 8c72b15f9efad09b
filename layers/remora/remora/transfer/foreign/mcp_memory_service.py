"""Reads the JSON export of mcp-memory-service.

Its `sync/exporter.py` writes `{"export_metadata": {…}, "memories": […]}`, each memory with `content`,
`content_hash`, `tags`, `created_at` and `updated_at` (float seconds), `memory_type`, `metadata` and
`export_source`. Its web API answers with the same memories under `memories`, with `created_at_iso` beside; its
database rows have `tags_str` or tags as one text with commas, and `type`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from remora.memory.models import NewMemory
from remora.transfer.foreign.records import (
    ForeignRecord,
    Problem,
    known,
    read_metadata,
    read_moment,
    read_records,
    read_tags,
    read_text,
)

SOURCE = "mcp-memory-service"


def recognise(document: object) -> list[object] | None:
    """Return the records of a decoded JSON document of this format; None if it is another."""
    records = document.get("memories") if isinstance(document, Mapping) else document
    if not isinstance(records, list):
        return None
    if isinstance(document, Mapping) and "export_metadata" in document:
        return records
    return records if any(isinstance(record, Mapping) and "content_hash" in record for record in records) else None


def read(records: list[object]) -> Iterator[ForeignRecord | Problem]:
    """Turn the records into memories."""
    return read_records(records, _read_one)


def _read_one(record: Mapping[str, Any]) -> NewMemory:
    created = read_moment(record.get("created_at"), record.get("created_at_iso"), record.get("timestamp"))
    updated = read_moment(record.get("updated_at"), record.get("updated_at_iso"))
    originals = known(
        content_hash=record.get("content_hash"),
        export_source=record.get("export_source"),
        original_updated_at=updated.isoformat() if updated is not None and updated != created else None,
    )
    return NewMemory(
        content=read_text(record, "content"),
        type=record.get("memory_type") or record.get("type") or "note",
        tags=read_tags(record.get("tags", record.get("tags_str"))),
        metadata={**originals, **read_metadata(record.get("metadata"))},
        source=SOURCE,
        created_at=created,
    )
