"""Intents: which memories a call is about to write, so that others can finish what it leaves unfinished."""

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from remora.chroma.deadline import Deadline
from remora.journal.layout import ALL_PENDING, space_of_intent
from remora.journal.part import Part, gather_all
from remora.journal.records import Record
from remora.journal.store import JournalStore

_TIME = "%Y%m%dT%H%M%S%f"
_RELEASED = "-released"


class _IntentRecord(Record):
    """An intent's object."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Intent:
    """An announcement of writes.

    Attributes:
        id: Sorts by the time of the announcement.
        ids: The memories.
        at: When it was made, in milliseconds.
        released: Whether the call that made it has ended and left it to others.
        object_version: S3's id of its object's version, None in a bucket without versions.
    """

    id: str
    ids: tuple[str, ...]
    at: datetime
    released: bool
    object_version: str | None


class Intents(Part):
    """The intents of one space.

    An intent's key says when it was made and whether it was released, so that a listing tells which ones are stale.
    Removing one destroys its only version: markers of deletions would make every later listing slower.
    """

    async def begin(self, ids: Sequence[str], *, deadline: Deadline) -> Intent:
        """Announce that these memories are about to be written."""
        return await self._announce(ids, released=False, deadline=deadline)

    async def finish(self, intent: Intent, *, deadline: Deadline) -> None:
        """Remove an intent, whose memories are all in the index; nothing happens if it is gone."""
        await self._store.remove(self._layout.intent(intent.id), intent.object_version, deadline=deadline)

    async def release(self, intent: Intent, *, deadline: Deadline) -> Intent:
        """Leave an intent to others at once: its call has ended, and will append nothing more.

        Returns:
            The intent that stands in its place.
        """
        if intent.released:
            return intent
        released = await self._announce(intent.ids, released=True, deadline=deadline)
        await self.finish(intent, deadline=deadline)
        return released

    async def pending(self, *, older_than: datetime | None = None, deadline: Deadline) -> list[Intent]:
        """Return unfinished intents, oldest first.

        Args:
            older_than: Only those made before it, and those that were released. All, if not given.
            deadline: When the answer must be there.
        """
        wanted = [
            intent_id
            async for key in self._store.keys(self._layout.pending, deadline=deadline)
            if (intent_id := self._layout.parse_intent(key))
            and (older_than is None or intent_id.endswith(_RELEASED) or _made_at(intent_id) < older_than)
        ]
        found = await gather_all(self._intent(intent_id, deadline) for intent_id in wanted)
        return [intent for intent in found if intent is not None]

    async def _announce(self, ids: Sequence[str], *, released: bool, deadline: Deadline) -> Intent:
        now = datetime.now(UTC)
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        intent_id = f"{now.strftime(_TIME)[:-3]}-{secrets.token_hex(8)}{_RELEASED if released else ''}"
        record = _IntentRecord(ids=tuple(ids))
        written = await self._store.create(self._layout.intent(intent_id), record.to_bytes(), deadline=deadline)
        return Intent(intent_id, record.ids, now, released, written.version)

    async def _intent(self, intent_id: str, deadline: Deadline) -> Intent | None:
        key = self._layout.intent(intent_id)
        found = await self._store.get(key, deadline=deadline)
        if found is None:
            return None
        ids = _IntentRecord.from_bytes(found.body, key).ids
        return Intent(intent_id, ids, _made_at(intent_id), intent_id.endswith(_RELEASED), found.version)


def _made_at(intent_id: str) -> datetime:
    return datetime.strptime(intent_id.split("-", 1)[0], _TIME).replace(tzinfo=UTC)


async def count_intents(store: JournalStore, *, deadline: Deadline) -> dict[str, int]:
    """Return how many intents there are of each space in which something is being written, or was left unfinished."""
    counts: Counter[str] = Counter()
    async for key in store.keys(ALL_PENDING, deadline=deadline):
        space = space_of_intent(key)
        if space is not None:
            counts[space] += 1
    return dict(sorted(counts.items()))
