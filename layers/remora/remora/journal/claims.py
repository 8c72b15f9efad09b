"""Claims: which memory an idempotency key belongs to. The first writer wins."""

import secrets
from contextlib import suppress
from dataclasses import dataclass

from pydantic import Field

from remora.chroma.deadline import Deadline
from remora.journal.part import Part
from remora.journal.records import Record
from remora.journal.store import PreconditionFailedError, StoredObject


class _ClaimRecord(Record):
    """A claim's object. Without an owner it is about to be removed, and anyone may have it.

    What is random in it makes each write's ETag its own, so that compare-and-swap notices an owner who came back.
    """

    memory_id: str | None
    write_id: str = Field(default_factory=lambda: secrets.token_hex(8))


@dataclass(frozen=True, slots=True)
class Claim:
    """Who owns an idempotency key.

    Attributes:
        key: The key.
        memory_id: The memory that owns it.
        made: Whether the call that returned this claim made its memory the owner.
        etag: What the claim's object was when it was read, for `take_over`.
    """

    key: str
    memory_id: str
    made: bool
    etag: str


class Claims(Part):
    """The claims of one space."""

    async def claim(self, key: str, memory_id: str, *, deadline: Deadline) -> Claim:
        """Claim a key for a memory, unless one owns it already.

        Args:
            key: What makes two calls the same, such as a content. Only its SHA-256 is kept.
            memory_id: The memory that is to own it.
            deadline: When the answer must be there.

        Returns:
            The claim as it stands now, whoever owns it.
        """
        return await self._write_claim(key, memory_id, None, deadline)

    async def take_over(self, claim: Claim, memory_id: str, *, deadline: Deadline) -> Claim:
        """Make another memory the owner, if nobody changed the claim since it was read.

        Args:
            claim: The claim as it was read, of a memory that was deleted or says something else by now.
            memory_id: The memory that is to own the key.
            deadline: When the answer must be there.

        Returns:
            The claim as it stands now, whoever owns it.
        """
        return await self._write_claim(claim.key, memory_id, claim.etag, deadline)

    async def _write_claim(self, key: str, memory_id: str, etag: str | None, deadline: Deadline) -> Claim:
        """Write the claim, over the one with `etag` or one without an owner; return what stands in the end."""
        object_key = self._layout.claim(key)
        record = _ClaimRecord(memory_id=memory_id)
        body = record.to_bytes()
        while True:
            try:
                if etag is None:
                    written = await self._store.create(object_key, body, deadline=deadline)
                else:
                    written = await self._store.replace(object_key, body, etag=etag, deadline=deadline)
                return Claim(key, memory_id, made=True, etag=written.etag)
            except PreconditionFailedError:
                standing = await self._store.get(object_key, deadline=deadline)
            etag = None
            if standing is None:
                continue
            found = _ClaimRecord.from_bytes(standing.body, object_key)
            if found.memory_id is None:
                etag = standing.etag
                continue
            # Our own, if the answer to an earlier attempt was lost.
            return Claim(key, found.memory_id, made=found.write_id == record.write_id, etag=standing.etag)

    async def forget(self, key: str, memory_id: str, *, deadline: Deadline) -> None:
        """Remove a claim without a trace, if `memory_id` owns it: for the contents of a memory about to be purged.

        Even the digest of a content tells whoever guesses it that they are right.
        """
        object_key = self._layout.claim(key)
        while (vacant := await self._store.get(object_key, deadline=deadline)) is not None:
            owner = _ClaimRecord.from_bytes(vacant.body, object_key).memory_id
            if owner is None:
                return await self._sweep_claim(object_key, vacant, deadline)
            if owner != memory_id:
                return None
            # First it becomes nobody's, so that its removal takes it away from nobody.
            nobodys = _ClaimRecord(memory_id=None).to_bytes()
            with suppress(PreconditionFailedError):
                await self._store.replace(object_key, nobodys, etag=vacant.etag, deadline=deadline)
        return None

    async def _sweep_claim(self, object_key: str, vacant: StoredObject, deadline: Deadline) -> None:
        """Destroy a claim's vacant version after all older ones, none of which may come to light in between."""
        versions = await self._store.versions(object_key, deadline=deadline)
        older = [each for each in versions if not each.current and each.version != vacant.version]
        await self._store.remove_all(older, deadline=deadline)
        await self._store.remove(object_key, vacant.version, deadline=deadline)
