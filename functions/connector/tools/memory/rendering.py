"""Readable text of the memory's results, for models and people: the memories first, how to go on last."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from shlex import quote

from connector.tools.rendering import compact_json, more
from remora.ingest.jobs import Ingestion
from remora.memory.models import (
    ConversationResult,
    Count,
    DeletionResult,
    GetResult,
    Hit,
    Memory,
    MemoryDetail,
    MemoryPage,
    Overview,
    SearchResult,
    StoredMemory,
    StoreResult,
    UpdateResult,
)

_DEFAULT_TYPE = "note"


def search_result(result: SearchResult) -> str:
    """Return the hits with their ids and scores, best first."""
    if not result.hits:
        nothing = "Nothing in the memory matches. Other words or fewer filters may find it; or it was never stored."
        return "\n".join(_present(_understood(result.when), result.note or nothing))
    return "\n\n".join(
        _present(
            _understood(result.when),
            *("\n".join(_hit(rank, hit)) for rank, hit in enumerate(result.hits, 1)),
            result.note,
            *more(result.next_cursor),
        )
    )


def memory_page(page: MemoryPage) -> str:
    """Return the memories of a listing, each as a paragraph."""
    if not page.memories:
        return "\n".join(_present(_understood(page.when), page.note or "No memories."))
    total = f"{_count(page.total, 'memory', 'memories')} in all, newest first"
    return "\n\n".join(
        _present(
            _understood(page.when),
            total,
            *("\n".join(_memory(memory)) for memory in page.memories),
            page.note,
            *more(page.next_cursor),
        )
    )


def get_result(result: GetResult) -> str:
    """Return whole memories, each with its history and the turns around it."""
    missing = f"There is no memory with these ids: {compact_json(result.missing)}" if result.missing else None
    return "\n\n".join(_present(*("\n".join(_detail(detail)) for detail in result.memories), result.note, missing))


def store_result(result: StoreResult) -> str:
    """Return the ids, and what was there already that resembles them."""
    created = sum(memory.created for memory in result.memories)
    known = len(result.memories) - created
    parts = _present(
        f"Stored {_count(created, 'new memory', 'new memories')}" if created else None,
        f"{known} {'was' if known == 1 else 'were'} there already" if known else None,
    )
    lines = [", ".join(parts) + "."]
    for memory in result.memories:
        lines.extend(_stored(memory))
    return "\n".join([*lines, *_pending(result.pending, result.note)])


def conversation_result(result: ConversationResult) -> str:
    """Return the conversation's id and how many of its turns are new."""
    lines = [
        f"conversation_id: {result.conversation_id}",
        f"Stored {_count(result.created, 'new turn', 'new turns')} of {len(result.turns)};"
        f" the conversation has {result.total} now.",
    ]
    return "\n".join([*lines, *_pending(result.pending, result.note)])


def update_result(result: UpdateResult) -> str:
    """Return what changed."""
    changed = f"changed {', '.join(result.changed)}" if result.changed else "nothing was changed"
    headline = f"id: {result.id}, version {result.version}: {changed}."
    return "\n".join([headline, *_pending(result.pending, result.note)])


def deletion_result(result: DeletionResult) -> str:
    """Return what was deleted, restored or purged; or would be."""
    memories = _count(result.count, "memory", "memories")
    done = {"delete": "Deleted", "restore": "Restored", "purge": "Purged for good:"}[result.action]
    preview = f"PREVIEW, nothing done yet: would {result.action} {memories}."
    headline = f"{done} {memories}." if result.done else preview
    lines = [*_present(_understood(result.when)), headline]
    if result.done and result.ids:
        lines.append(f"ids: {compact_json(result.ids)}")
    lines.extend(f"- id: {memory.id}: {_one_line(memory.content)}" for memory in result.preview)
    if len(result.preview) < result.count and result.preview:
        lines.append(f"… and {result.count - len(result.preview)} more")
    if result.missing:
        lines.append(f"Not found, or in that state already: {compact_json(result.missing)}")
    if not result.done and result.count and result.note is None:
        lines.append("To do it, call again with the same arguments and confirm=true.")
    return "\n".join([*lines, *_pending(result.pending, result.note)])


def ingestion(result: Ingestion) -> str:
    """Return how far a document is, and what to do next."""
    headline = f"{result.source}: {result.status.replace('_', ' ')}"
    if result.chunks is not None:
        headline += f", {result.stored} of {_count(result.chunks, 'chunk', 'chunks')} stored"
    if result.stored and result.created != result.stored:
        headline += f", {result.created} of them new"
    if result.replaced:
        headline += f", {result.replaced} of an earlier state deleted"
    lines = [headline if result.id is None else f"id: {result.id}, {headline}"]
    if result.error is not None:
        lines.append(f"FAILED: {result.error}")
    if result.upload is not None:
        upload = result.upload
        lines += [
            f"Upload the file until {_time(upload.expires_at)}, at most {upload.max_bytes:,} bytes, for example:",
            f"curl --upload-file {quote(result.source)} {quote(upload.url)}",
            f"Then see how far it is: memory_ingest with id={result.id}",
        ]
        return "\n".join(lines)
    return "\n".join([*lines, *_pending(result.pending, result.note)])


def overview(result: Overview) -> str:
    """Return the memory in numbers."""
    if not result.memories:
        empty = "The memory is empty. memory_store and memory_store_conversation fill it."
        return "\n".join([empty, *_pending(result.pending, None)])
    span = f", {_time(result.oldest)} to {_time(result.newest)}" if result.oldest and result.newest else ""
    lines = [
        f"{_count(result.memories, 'memory', 'memories')} in {_count(result.passages, 'passage', 'passages')}, "
        f"{_count(result.conversations, 'conversation', 'conversations')}{span}"
    ]
    for label, counts in (
        ("tags", result.tags),
        ("types", result.types),
        ("sources", result.sources),
        ("by month", result.months),
    ):
        if counts:
            lines.append(f"{label}: {_counts(counts)}")
    return "\n".join([*lines, *_pending(result.pending, None)])


def _hit(rank: int, hit: Hit) -> Iterator[str]:
    yield " · ".join([f"{rank}. id: {hit.id} (score {hit.score:.2f})", *_about(hit)])
    yield _said(hit, hit.passage)
    if not hit.whole:
        yield f"[best passage; memory_get shows all of {hit.id}]"


def _memory(memory: Memory) -> Iterator[str]:
    yield " · ".join([f"id: {memory.id}", *_about(memory)])
    yield _said(memory, memory.content)


def _detail(detail: MemoryDetail) -> Iterator[str]:
    if detail.memory is None:
        yield f"id: {detail.id} · PURGED: its content is gone for good."
    else:
        state = ["DELETED; memory_delete with restore=true brings it back"] if detail.deleted else []
        yield " · ".join(
            [f"id: {detail.memory.id}", *state, f"version {detail.memory.version}", *_about(detail.memory)]
        )
        if detail.before is not None:
            yield f"[before, id: {detail.before.id}] {_said(detail.before, detail.before.content)}"
        yield _said(detail.memory, detail.memory.content)
        if detail.cut:
            yield "[cut to max_tokens; a larger one shows more]"
        if detail.after is not None:
            yield f"[after, id: {detail.after.id}] {_said(detail.after, detail.after.content)}"
    for version in detail.history or ():
        changed = f" ({', '.join(version.changed)})" if version.changed else ""
        content = f": {version.content}" if version.content is not None else ""
        yield f"- version {version.version}, {_time(version.at)}, {version.action} by {version.by}{changed}{content}"


def _stored(memory: StoredMemory) -> Iterator[str]:
    yield f"id: {memory.id}" + ("" if memory.created else " (there already)")
    for similar in memory.similar:
        yield f"  similar ({similar.similarity:.2f}) is id: {similar.id}: {_one_line(similar.content)}"


def _about(memory: Memory | Hit) -> Iterator[str]:
    """Yield what there is to say about a memory besides its content, the usual left out."""
    yield _time(memory.created_at)
    if memory.type != _DEFAULT_TYPE and memory.turn is None:
        yield memory.type
    if memory.tags:
        yield f"tags: {', '.join(memory.tags)}"
    if memory.conversation_id is not None:
        turn = f" turn {memory.turn.id}" if memory.turn is not None else ""
        yield f"conversation {memory.conversation_id}{turn}"
    if memory.source is not None:
        yield f"source: {memory.source}"
    if memory.metadata:
        yield f"metadata: {compact_json(dict(memory.metadata))}"


def _said(memory: Memory | Hit, words: str) -> str:
    speaker = memory.turn.speaker if memory.turn is not None else None
    return f"{speaker}: {words}" if speaker else words


def _understood(when: str | None) -> str | None:
    return f"when: {when}" if when is not None else None


def _pending(pending: int | bool, note: str | None) -> list[str]:
    if not pending:
        return [note] if note else []
    note = note or "Kept safely, but not searchable yet; that follows by itself."
    return [note if pending is True else f"PENDING {pending}: {note}"]


def _counts(counts: Iterable[Count]) -> str:
    return ", ".join(f"{count.name} ({count.count})" for count in counts)


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _present(*parts: str | None) -> list[str]:
    return [part for part in parts if part]
