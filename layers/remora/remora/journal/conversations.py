"""Conversations: which position each turn of a conversation has, once and for all."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from functools import cached_property

from remora.chroma.deadline import Deadline
from remora.errors import ConflictError
from remora.journal.part import Part
from remora.journal.records import Record
from remora.journal.store import PreconditionFailedError

_ATTEMPTS = 40
_PAUSE_SECONDS = 0.01
_MAX_PAUSE_SECONDS = 0.5


class Manifest(Record):
    """The turns of a conversation.

    Attributes:
        conversation_id: The conversation.
        turn_ids: Its turns' own ids; each one's index is its position.
    """

    conversation_id: str
    turn_ids: tuple[str, ...]

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """The position of each turn, from 0, by its id."""
        return {turn_id: position for position, turn_id in enumerate(self.turn_ids)}


class Conversations(Part):
    """The conversations of one space."""

    async def conversation(self, conversation_id: str, *, deadline: Deadline) -> Manifest | None:
        """Return a conversation's turns; None if there is no such conversation.

        Raises:
            ConflictError: Another conversation has its place.
        """
        manifest, _ = await self._manifest(conversation_id, deadline)
        return manifest

    async def reserve(self, conversation_id: str, turn_ids: Sequence[str], *, deadline: Deadline) -> Manifest:
        """Give a position to each turn that has none, in the order given, without gaps.

        Args:
            conversation_id: The conversation, which need not exist yet.
            turn_ids: Ids of turns, known or not.
            deadline: When the answer must be there.

        Returns:
            The manifest, which has all of them.

        Raises:
            ConflictError: Another conversation has its place, or too many callers append to it at once.
        """
        key = self._layout.conversation(conversation_id)
        for attempt in range(_ATTEMPTS):
            manifest, etag = await self._manifest(conversation_id, deadline)
            known = () if manifest is None else manifest.turn_ids
            # Each once, in their order.
            wanted = tuple(dict.fromkeys((*known, *turn_ids)))
            if manifest is not None and len(wanted) == len(known):
                return manifest
            manifest = Manifest(conversation_id=conversation_id, turn_ids=wanted)
            try:
                if etag is None:
                    await self._store.create(key, manifest.to_bytes(), deadline=deadline)
                else:
                    await self._store.replace(key, manifest.to_bytes(), etag=etag, deadline=deadline)
            except PreconditionFailedError:
                # Somebody else appended. Of those who try, one succeeds each time.
                await asyncio.sleep(random.uniform(0, min(_MAX_PAUSE_SECONDS, _PAUSE_SECONDS * 2**attempt)))  # noqa: S311
                continue
            return manifest
        raise ConflictError("Too many others are appending to this conversation. It is safe to try again.")

    async def _manifest(self, conversation_id: str, deadline: Deadline) -> tuple[Manifest | None, str | None]:
        """Return the manifest and its ETag."""
        key = self._layout.conversation(conversation_id)
        found = await self._store.get(key, deadline=deadline)
        if found is None:
            return None, None
        manifest = Manifest.from_bytes(found.body, key)
        if manifest.conversation_id != conversation_id:
            raise ConflictError(
                "The key of this conversation_id is taken by another conversation. Choose another conversation_id."
            )
        return manifest, found.etag
