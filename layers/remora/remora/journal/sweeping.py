"""Finds what purges have left behind, and removes it: contents that S3 still keeps of memories that are purged."""

from remora.chroma.deadline import Deadline
from remora.journal.journal import Journal


async def sweep(journal: Journal, *, deadline: Deadline) -> int:
    """Purge once more each purged memory of which S3 keeps an earlier version of an object.

    Entries are written once, so only a purge makes earlier versions, and it removes them at its end: where there are
    some, one died half way. What is kept of a memory that is not purged stays, whoever wrote over it.

    Args:
        journal: The journal of a space.
        deadline: When it must be done.

    Returns:
        How many memories there was something left of.

    Raises:
        UnavailableError: S3 did not answer in time or refused; doing it again is safe.
    """
    swept = 0
    for memory_id in await journal.overwritten(deadline=deadline):
        head = await journal.head(memory_id, deadline=deadline)
        if head is not None and head.action == "purge":
            await journal.purge(memory_id, by=head.by, at=head.at, deadline=deadline)
            swept += 1
    return swept
