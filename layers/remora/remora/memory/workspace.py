"""What the memory's operations share: one space's journal and index, and who is writing."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from remora.journal import Action, Entry, Journal
from remora.memory.index import MemoryIndex
from remora.memory.models import Memory
from remora.memory.settling import Settler


@dataclass(frozen=True)
class Workspace:
    """One space, used by one principal.

    Attributes:
        journal: The space's journal.
        index: The space's index in Chroma.
        by: The principal's id, for the journal.
    """

    journal: Journal
    index: MemoryIndex
    by: str

    @cached_property
    def settler(self) -> Settler:
        """What makes the index agree with the journal."""
        return Settler(self.journal, self.index)

    def entry(self, action: Action, memory: Memory, at: datetime) -> Entry:
        """Return the journal's entry for a version of a memory."""
        return Entry(
            space=self.journal.space,
            memory_id=memory.id,
            version=memory.version,
            action=action,
            at=at,
            by=self.by,
            memory=memory,
        )
