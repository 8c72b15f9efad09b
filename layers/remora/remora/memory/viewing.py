"""Shows memories: pages of a listing, memories by id with what surrounds them, the whole in numbers."""

import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from remora.budget import TokenBudget, check_max_tokens, json_bytes, shorten
from remora.chroma.deadline import Deadline
from remora.collections.cursors import CursorKind, decode_cursor, encode_cursor, reading_position
from remora.errors import InvalidArgumentError
from remora.journal import Entry
from remora.memory.ids import turn_neighbours
from remora.memory.limits import MAX_PAGE_MEMORIES
from remora.memory.models import (
    Count,
    GetResult,
    Interval,
    Memory,
    MemoryDetail,
    MemoryFilter,
    MemoryPage,
    Overview,
    Version,
)
from remora.memory.workspace import Workspace

ENVELOPE_TOKENS = 100
"""What surrounds the items of an answer: its own keys, a note and a cursor."""

_BYTES_PER_TOKEN = 3
_POSITION = struct.Struct("<q")
_PAGE_READ = 20
_COUNTED_NAMES = 50


async def page(
    space: Workspace,
    selection: MemoryFilter,
    *,
    limit: int,
    cursor: str | None,
    max_tokens: int,
    deadline: Deadline,
) -> MemoryPage:
    """Return a page of memories, newest first."""
    check_max_tokens(max_tokens)
    if not 1 <= limit <= MAX_PAGE_MEMORIES:
        raise InvalidArgumentError(f"limit is {limit}. It may be from 1 to {MAX_PAGE_MEMORIES}.")
    arguments = selection_arguments(space, selection)
    after: tuple[int, str] | None = None
    if cursor is not None:
        position = decode_cursor(cursor, CursorKind.MEMORIES, arguments)
        with reading_position():
            selection, position = resume_interval(selection, position)
            (created,) = _POSITION.unpack_from(position)
            after = (created, position[_POSITION.size :].decode())
    # Newest first, and the later id first among those of one moment.
    listed = await space.index.ids(selection, deadline=deadline)
    rest = listed if after is None else [row for row in listed if row < after]
    budget = TokenBudget(max_tokens, reserved=ENVELOPE_TOKENS)
    taken: list[Memory] = []
    reached = after
    cut = False
    full = False
    for start in range(0, min(limit, len(rest)), _PAGE_READ):
        rows = rest[start : min(start + _PAGE_READ, limit)]
        found = await space.index.fetch([id_ for _, id_ in rows], deadline=deadline)
        for row in rows:
            # One that was deleted since the listing is passed over.
            if (memory := found.get(row[1])) is not None:
                fitting = fit(memory, budget, first=not taken)
                if fitting is None:
                    full = True
                    break
                cut = cut or fitting.content != memory.content
                taken.append(fitting)
            reached = row
        if full:
            break
    more = reached is not None and bool(rest) and rest[-1] < reached
    next_cursor = None
    if more and reached is not None:
        place = interval_bytes(selection.when) + _POSITION.pack(reached[0]) + reached[1].encode()
        next_cursor = encode_cursor(CursorKind.MEMORIES, arguments, place)
    return MemoryPage(
        memories=tuple(taken),
        total=len(listed),
        when=selection.when.understood if selection.when is not None else None,
        next_cursor=next_cursor,
        note="The content was cut to max_tokens; memory_get shows more." if cut else None,
    )


def fit(memory: Memory, budget: TokenBudget, *, first: bool) -> Memory | None:
    """Take a memory into an answer if it fits; an answer's first is cut rather than left out."""
    if budget.take(memory.model_dump_json(exclude_none=True)):
        return memory
    if not first:
        return None
    frame = len(memory.model_copy(update={"content": ""}).model_dump_json(exclude_none=True).encode())
    room = max(budget.remaining * _BYTES_PER_TOKEN - frame - 8, 3 * _BYTES_PER_TOKEN)
    budget.remaining = 0
    content = shorten(memory.content, max_bytes=min(room, json_bytes(memory.content)))
    return memory.model_copy(update={"content": content})


async def get(
    space: Workspace, ids: Sequence[str], *, history: bool, max_tokens: int, deadline: Deadline
) -> GetResult:
    """Return memories by id, each with the turns around it."""
    check_max_tokens(max_tokens)
    wanted = list(dict.fromkeys(ids))
    around = [
        neighbour
        for id_ in wanted
        for neighbour in (turn_neighbours(id_).before, turn_neighbours(id_).after)
        if neighbour is not None
    ]
    found = await space.index.fetch(list(dict.fromkeys((*wanted, *around))), deadline=deadline)
    # What the index does not have may be deleted, or not there yet: the journal knows.
    unseen = [id_ for id_ in wanted if id_ not in found]
    heads = await space.journal.heads(unseen, deadline=deadline) if unseen else {}
    budget = TokenBudget(max_tokens, reserved=ENVELOPE_TOKENS)
    details: list[MemoryDetail] = []
    missing: list[str] = []
    left: list[str] = []
    for id_ in wanted:
        memory, head = found.get(id_), heads.get(id_)
        if memory is None and head is None:
            missing.append(id_)
            continue
        if left:
            left.append(id_)
            continue
        versions = None
        if history:
            versions = _versions(await space.journal.history(id_, deadline=deadline))
        detail = MemoryDetail(
            id=id_,
            memory=memory if memory is not None else head.memory if head is not None else None,
            deleted=memory is None and head is not None and head.action == "delete",
            history=versions,
            before=found.get(turn_neighbours(id_).before or ""),
            after=found.get(turn_neighbours(id_).after or ""),
        )
        fitting = _fit_detail(detail, budget, first=not details)
        if fitting is None:
            left.append(id_)
        else:
            details.append(fitting)
    note = f"Did not fit into max_tokens, ask for them again: {', '.join(left)}" if left else None
    return GetResult(memories=tuple(details), missing=tuple(missing), note=note)


def _fit_detail(detail: MemoryDetail, budget: TokenBudget, *, first: bool) -> MemoryDetail | None:
    if budget.take(detail.model_dump_json(exclude_none=True)):
        return detail
    if not first:
        return None
    # What surrounds the memory goes first, then old contents, then the end of its own.
    for lean in (
        detail.model_copy(update={"before": None, "after": None, "cut": True}),
        detail.model_copy(
            update={
                "before": None,
                "after": None,
                "cut": True,
                "history": None
                if detail.history is None
                else tuple(version.model_copy(update={"content": None}) for version in detail.history),
            }
        ),
    ):
        if budget.take(lean.model_dump_json(exclude_none=True)):
            return lean
    bare = lean.model_copy(update={"history": None})
    if bare.memory is None:
        return bare
    return bare.model_copy(update={"memory": fit(bare.memory, budget, first=True)})


def _versions(history: Iterable[Entry]) -> tuple[Version, ...]:
    versions: list[Version] = []
    before: Memory | None = None
    for entry in history:
        memory = entry.memory
        changed: tuple[str, ...] = ()
        if before is not None and memory is not None:
            changed = tuple(
                name
                for name in ("content", "type", "tags", "metadata", "source")
                if getattr(before, name) != getattr(memory, name)
            )
        versions.append(
            Version(
                version=entry.version,
                action=entry.action,
                at=entry.at,
                by=entry.by,
                content=memory.content if memory is not None else None,
                changed=changed,
            )
        )
        before = memory
    return tuple(versions)


async def overview(space: Workspace, *, deadline: Deadline) -> Overview:
    """Return what the memory holds, in numbers."""
    facts = await space.index.facts(deadline=deadline)
    months = Counter(datetime.fromtimestamp(row.created_ms / 1000, UTC).strftime("%Y-%m") for row in facts)
    moments = [row.created_ms for row in facts]
    pending = {id_ for intent in await space.journal.pending(deadline=deadline) for id_ in intent.ids}
    return Overview(
        memories=len(facts),
        passages=sum(row.passages for row in facts),
        conversations=len({row.conversation_id for row in facts if row.conversation_id is not None}),
        tags=_counts(Counter(tag for row in facts for tag in row.tags)),
        types=_counts(Counter(row.type for row in facts)),
        sources=_counts(Counter(row.source for row in facts if row.source is not None)),
        months=tuple(Count(name=name, count=months[name]) for name in sorted(months)),
        oldest=_moment(min(moments, default=None)),
        newest=_moment(max(moments, default=None)),
        pending=len(pending),
    )


async def tags(space: Workspace, prefix: str, *, limit: int, deadline: Deadline) -> tuple[str, ...]:
    """Return tags that begin with `prefix`, the most used first."""
    counted = Counter(tag for row in await space.index.facts(deadline=deadline) for tag in row.tags)
    fitting = (tag for tag, _ in sorted(counted.items(), key=lambda item: (-item[1], item[0])))
    return tuple(tag for tag in fitting if tag.casefold().startswith(prefix.casefold()))[:limit]


def _counts(counter: Counter[str]) -> tuple[Count, ...]:
    ordered = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Count(name=name, count=count) for name, count in ordered[:_COUNTED_NAMES])


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


# ---- Cursors: a page belongs to its arguments, and to the interval that "past 3 days" meant on the first one ----

_INTERVAL = struct.Struct("<qq")
_OPEN = -(2**63)


def selection_arguments(space: Workspace, selection: MemoryFilter) -> dict[str, object]:
    """Return what a cursor of this selection belongs to."""
    arguments: dict[str, object] = selection.model_dump(mode="json", exclude={"when"})
    return {
        **arguments,
        "space": space.journal.space,
        "when": selection.when.asked if selection.when is not None else None,
    }


def interval_bytes(when: Interval | None) -> bytes:
    """Return an interval's ends as they are kept in a cursor."""
    ends = (None, None) if when is None else (when.start, when.end)
    return _INTERVAL.pack(*(_OPEN if end is None else round(end.timestamp() * 1000) for end in ends))


def resume_interval(selection: MemoryFilter, position: bytes) -> tuple[MemoryFilter, bytes]:
    """Return the selection with the interval of the first page, and the rest of the cursor's position."""
    start, end = _INTERVAL.unpack_from(position)
    rest = position[_INTERVAL.size :]
    if selection.when is None:
        return selection, rest
    when = selection.when.model_copy(
        update={
            "start": None if start == _OPEN else _moment(start),
            "end": None if end == _OPEN else _moment(end),
        }
    )
    return selection.model_copy(update={"when": when}), rest
