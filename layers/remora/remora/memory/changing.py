"""Changes memories: updates that keep history, deletions that can be undone, purges that cannot."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic_core import to_json

from remora.chroma.deadline import Deadline
from remora.errors import ConflictError, InvalidArgumentError, NotFoundError, UnavailableError
from remora.journal import Entry, Intent, VersionConflictError
from remora.memory.limits import EXCERPT_CHARACTERS, MAX_CHANGED_PER_CALL, PREVIEWED, SHOWN_IDS
from remora.memory.models import (
    DeletionPreview,
    DeletionResult,
    Memory,
    MemoryChanges,
    MemoryFilter,
    UpdateResult,
)
from remora.memory.storing import CHUNK_KEY, PENDING_NOTE, idempotency_key
from remora.memory.workspace import Workspace

_ATTEMPTS = 5
_SLICE = 100
# What must be left of the deadline for another slice to be begun.
_RESERVE_SECONDS = 4.0

StateChange = Literal["delete", "restore", "purge"]


async def update(
    space: Workspace,
    memory_id: str,
    changes: MemoryChanges,
    *,
    version: int | None,
    now: datetime,
    deadline: Deadline,
) -> UpdateResult:
    """Make changes that have been checked.

    Raises:
        ConflictError: The memory is at another version than `version`.
        NotFoundError: There is none of that id, or it is deleted.
        UnavailableError: The journal did not answer; nothing was changed.
    """
    for _ in range(_ATTEMPTS):
        head = await space.journal.head(memory_id, deadline=deadline)
        before = _live(memory_id, head)
        if version is not None and before.version != version:
            raise ConflictError(
                f"{memory_id} is at version {before.version} by now, not {version}: somebody changed it. Nothing was "
                "changed here. Read it with memory_get, and update from what it says now."
            )
        after, changed = _changed(before, changes, now)
        if not changed:
            return UpdateResult(id=memory_id, version=before.version, changed=(), note="It said so already.")
        intent = await space.journal.begin([memory_id], deadline=deadline)
        if "content" in changed and after.turn is None:
            await _claim(space, after, deadline)
        try:
            await space.journal.append(space.entry("update", after, now), deadline=deadline)
        except VersionConflictError:
            # Somebody was faster. Settling what is there now is all that the announcement is good for.
            await space.settler.leave(intent, deadline=deadline)
            continue
        pending = await _settle(space, [memory_id], intent, deadline)
        return UpdateResult(
            id=memory_id, version=after.version, changed=changed, pending=pending is not None, note=pending
        )
    raise UnavailableError(f"{memory_id} is being changed by others all the time. It is safe to try again.")


async def change_state(
    space: Workspace,
    action: StateChange,
    ids: Sequence[str],
    selection: MemoryFilter | None,
    *,
    confirm: bool,
    now: datetime,
    deadline: Deadline,
) -> DeletionResult:
    """Delete, restore or purge memories, or show what would happen.

    Args:
        space: Where.
        action: What to do.
        ids: Which memories; or
        selection: what they have in common.
        confirm: Whether to do what else is only shown.
        now: The moment of doing it.
        deadline: When the answer must be there.

    Raises:
        UnavailableError: Nothing could be done; it is safe to try again.
    """
    when = selection.when.understood if selection is not None and selection.when is not None else None
    wanted = list(dict.fromkeys(ids))
    if selection is not None:
        wanted = [id_ for _, id_ in await space.index.ids(selection, deadline=deadline)]
    if not confirm and (selection is not None or action == "purge"):
        return await _preview(space, action, wanted, when, deadline)
    done: list[str] = []
    missing: list[str] = []
    pending = 0
    note = None
    for start in range(0, min(len(wanted), MAX_CHANGED_PER_CALL), _SLICE):
        if start and deadline.remaining() < _RESERVE_SECONDS:
            break
        part = wanted[start : start + _SLICE]
        intent = await space.journal.begin(part, deadline=deadline)
        outcomes = await asyncio.gather(*(_change_one(space, action, id_, now, deadline) for id_ in part))
        changed = [id_ for id_, was_changed in zip(part, outcomes, strict=True) if was_changed]
        missing += [id_ for id_, was_changed in zip(part, outcomes, strict=True) if not was_changed]
        done += changed
        reason = await _settle(space, changed, intent, deadline)
        if reason is not None:
            pending += len(changed)
            note = reason
    left = len(wanted) - len(done) - len(missing)
    if left:
        note = f"{left} more are left; call again to go on." + (f" {note}" if note else "")
    return DeletionResult(
        action=action,
        done=True,
        count=len(done),
        ids=tuple(done[:SHOWN_IDS]),
        missing=tuple(missing[:SHOWN_IDS]) if selection is None else (),
        when=when,
        pending=pending,
        note=note or _advice(action, done),
    )


def _advice(action: StateChange, done: Sequence[str]) -> str | None:
    if action == "delete" and done:
        return "memory_delete with restore=true and the ids brings them back; with purge=true they go for good."
    return None


async def _preview(
    space: Workspace, action: StateChange, wanted: Sequence[str], when: str | None, deadline: Deadline
) -> DeletionResult:
    shown = list(wanted[:PREVIEWED])
    heads = await space.journal.heads(shown, deadline=deadline)
    previews = [
        DeletionPreview(id=id_, content=head.memory.content[:EXCERPT_CHARACTERS])
        for id_ in shown
        if (head := heads.get(id_)) is not None and head.memory is not None
    ]
    return DeletionResult(
        action=action,
        done=False,
        count=len(wanted),
        ids=tuple(wanted[:SHOWN_IDS]),
        preview=tuple(previews),
        when=when,
        note=(
            f"Nothing was done yet. Call again with confirm=true to {action} them."
            if wanted
            else "Nothing fits; there is nothing to do."
        ),
    )


async def _change_one(
    space: Workspace, action: StateChange, memory_id: str, now: datetime, deadline: Deadline
) -> bool:
    """Write one memory's new state into the journal; return whether there was something to do."""
    for _ in range(_ATTEMPTS):
        head = await space.journal.head(memory_id, deadline=deadline)
        if head is None or head.action == "purge":
            return False
        if action == "purge":
            await _purge(space, head, now, deadline)
            return True
        if head.is_live == (action == "restore") or head.memory is None:
            return False
        after = head.memory.model_copy(update={"version": head.version + 1, "updated_at": now})
        if action == "restore" and after.turn is None:
            await _claim(space, after, deadline)
        try:
            await space.journal.append(space.entry(action, after, now), deadline=deadline)
        except VersionConflictError:
            continue
        return True
    raise UnavailableError(f"{memory_id} is being changed by others all the time. It is safe to try again.")


async def _purge(space: Workspace, head: Entry, now: datetime, deadline: Deadline) -> None:
    for entry in await space.journal.history(head.memory_id, deadline=deadline):
        if entry.memory is not None and entry.memory.turn is None:
            key = idempotency_key(entry.memory.content, within_of(entry.memory))
            await space.journal.forget(key, head.memory_id, deadline=deadline)
    await space.journal.purge(head.memory_id, by=space.by, at=now, deadline=deadline)


def within_of(memory: Memory) -> str:
    """Return within what a memory's content is the same as another's: its document for a chunk, else the space."""
    return memory.source or "" if CHUNK_KEY in memory.metadata else ""


async def _claim(space: Workspace, memory: Memory, deadline: Deadline) -> None:
    """Let a memory own its content, so that storing this content again finds it, unless another one says the same."""
    key = idempotency_key(memory.content, within_of(memory))
    claim = await space.journal.claim(key, memory.id, deadline=deadline)
    if claim.made or claim.memory_id == memory.id:
        return
    owner = await space.journal.head(claim.memory_id, deadline=deadline)
    if owner is not None and owner.is_live and owner.memory is not None and owner.memory.content == memory.content:
        return
    await space.journal.take_over(claim, memory.id, deadline=deadline)


async def _settle(space: Workspace, ids: Sequence[str], intent: Intent, deadline: Deadline) -> str | None:
    """Bring a write into the index; return why it is pending, if it is."""
    try:
        await space.settler.settle(ids, deadline=deadline)
    except UnavailableError as error:
        await space.settler.leave(intent, deadline=deadline)
        return PENDING_NOTE.format(reason=error)
    await space.settler.close(intent, deadline=deadline)
    return None


def _live(memory_id: str, head: Entry | None) -> Memory:
    if head is None or head.action == "purge":
        raise NotFoundError(f"There is no memory {memory_id}. memory_search or memory_list finds ids.")
    if not head.is_live or head.memory is None:
        raise NotFoundError(f"{memory_id} is deleted. memory_delete with restore=true brings it back first.")
    return head.memory


def _changed(before: Memory, changes: MemoryChanges, now: datetime) -> tuple[Memory, tuple[str, ...]]:
    new: dict[str, Any] = {
        name: value
        for name in ("content", "tags", "type", "source")
        if (value := getattr(changes, name)) is not None and value != getattr(before, name)
    }
    if changes.metadata is not None:
        merged = {**before.metadata, **changes.metadata}
        kept = {key: value for key, value in merged.items() if value is not None}
        # As JSON, because to Python 1, 1.0 and True are equal.
        if to_json(kept) != to_json(dict(before.metadata)):
            new["metadata"] = kept
    if not new:
        return before, ()
    after = before.model_copy(update={**new, "version": before.version + 1, "updated_at": now})
    return after, tuple(new)


def check_selection(ids: Sequence[str], selection: MemoryFilter | None, action: StateChange) -> None:
    """Check that exactly one of ids and filter says what an operation is about.

    Raises:
        InvalidArgumentError: Both, neither, or a filter that selects everything.
    """
    if bool(ids) == (selection is not None and not selection.is_empty):
        raise InvalidArgumentError(
            f"Say what to {action}: either ids, or a filter (tags, type, source, conversation_id, metadata, when)."
        )
