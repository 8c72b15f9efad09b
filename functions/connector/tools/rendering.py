"""Readable text of results, for clients and models that do not read structured content."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from remora.collections.models import CollectionPage, Hit, QueryResult, Record, RecordPage, WriteResult


def plain(result: BaseModel) -> str:
    """Return one line per field; what is not a scalar as compact JSON."""
    return _lines(result.model_dump(mode="json", exclude_none=True))


def collection_page(page: CollectionPage) -> str:
    """Return one line per collection."""
    if not page.total:
        return "There are no collections yet. chroma_create_collection makes one."
    lines = [f"{page.total} collections" if page.total != 1 else "1 collection"]
    for collection in page.collections:
        facts = [f"{collection.count} records"] if collection.count is not None else []
        if collection.dimension:
            facts.append(f"dimension {collection.dimension}")
        if collection.metadata:
            facts.append(compact_json(collection.metadata))
        lines.append(f"- {collection.name}" + (f": {', '.join(facts)}" if facts else ""))
    return "\n".join([*lines, *more(page.next_cursor)])


def record_page(page: RecordPage) -> str:
    """Return each record as a paragraph."""
    if not page.records:
        return "No records."
    return "\n\n".join(
        [
            *("\n".join(_record(record, f"id: {record.id}")) for record in page.records),
            *more(page.next_cursor),
        ]
    )


def query_result(result: QueryResult) -> str:
    """Return each query with its hits, best first."""
    parts = [result.note] if result.note else []
    for matches in result.results:
        if len(result.results) > 1:
            parts.append(f"## {matches.query or 'query by embedding'}")
        parts.extend("\n".join(_record(hit, _headline(rank, hit))) for rank, hit in enumerate(matches.hits, 1))
        if not matches.hits:
            parts.append("No matches.")
        if matches.cut:
            parts.append("More hits did not fit into max_tokens.")
    return "\n\n".join([*parts, *more(result.next_cursor)])


def write_result(result: WriteResult) -> str:
    """Return what was written first, then everything that was not."""
    lines = [f"Stored {result.stored} record{'' if result.stored == 1 else 's'}."]
    if result.reason:
        lines.append(f"STOPPED EARLY: {result.reason}")
    for label, ids in (
        ("not stored", result.not_stored),
        ("may or may not be stored", result.uncertain),
        ("already existed, left as they were", result.already_existed),
        ("unknown ids, nothing to update", result.missing),
        ("ids", result.ids),
    ):
        if ids:
            lines.append(f"{label}: {compact_json(ids)}")
    lines.extend(
        f"{text.id}: stored whole, but its vector covers only the first {text.embedded_tokens} of {text.tokens}"
        " tokens; split long texts to make all of them findable by meaning"
        for text in result.truncated
    )
    return "\n".join(lines)


def _headline(rank: int, hit: Hit) -> str:
    scores = {
        "score": hit.score,
        "hybrid": hit.hybrid_score,
        "keywords": hit.keyword_score,
        "distance": hit.distance,
    }
    shown = ", ".join(f"{name} {value:.4g}" for name, value in scores.items() if value is not None)
    return f"{rank}. id: {hit.id}" + (f" ({shown})" if shown else "")


def _record(record: Record, headline: str) -> Iterator[str]:
    yield headline
    if record.document is not None:
        yield record.document
    if record.document_truncated:
        yield f"[shown in part: {len(record.document or '')} of {record.document_characters} characters]"
    rest = {"metadata": record.metadata, "uri": record.uri, "embedding": record.embedding}
    given = {name: value for name, value in rest.items() if value is not None}
    if given:
        yield _lines(given)


def more(cursor: str | None) -> list[str]:
    """Return the line that says how to get the next page; none at the end."""
    return [f"More: call again with the same arguments and cursor={cursor}"] if cursor else []


def _lines(fields: dict[str, Any]) -> str:
    texts = {name: value if isinstance(value, str) else compact_json(value) for name, value in fields.items()}
    return "\n".join(f"{name}: {text}" for name, text in texts.items())


def compact_json(value: Any) -> str:  # noqa: ANN401
    """Return a value as JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
