"""Reads mem0's exports.

`Memory.get_all` (mem0/memory/main.py) and the platform's API answer with `{"results": […]}`, older ones with a
bare list; each record has `id`, `memory`, `hash`, `created_at`, `updated_at`, those of `user_id`, `agent_id`,
`run_id`, `actor_id` and `role` that were given, `metadata`, and on the platform `app_id` and `categories`. Exports
saved by scripts hold the same records under `memories` or `records`.
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

SOURCE = "mem0"
_WRAPPERS = ("results", "memories", "records")
_OWNERS = ("user_id", "agent_id", "run_id", "app_id", "actor_id", "role")


def recognise(document: object) -> list[object] | None:
    """Return the records of a decoded JSON document of this format; None if it is another."""
    records = document
    if isinstance(document, Mapping):
        records = next((document[name] for name in _WRAPPERS if name in document), None)
    if not isinstance(records, list):
        return None
    is_wrapped = isinstance(document, Mapping) and "results" in document
    found = any(isinstance(record, Mapping) and "memory" in record for record in records)
    return records if found or (is_wrapped and not records) else None


def read(records: list[object]) -> Iterator[ForeignRecord | Problem]:
    """Turn the records into memories."""
    return read_records(records, _read_one)


def _read_one(record: Mapping[str, Any]) -> NewMemory:
    created, updated = read_moment(record.get("created_at")), read_moment(record.get("updated_at"))
    originals = known(
        mem0_id=record.get("id"),
        mem0_hash=record.get("hash"),
        original_updated_at=updated.isoformat() if updated is not None and updated != created else None,
        **{name: record.get(name) for name in _OWNERS},
    )
    return NewMemory(
        content=read_text(record, "memory"),
        tags=read_tags(record.get("categories")),
        metadata={**originals, **read_metadata(record.get("metadata"))},
        source=SOURCE,
        created_at=created,
    )
