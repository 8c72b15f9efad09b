"""Entries of the journal: one for each write of a memory."""

import secrets
from typing import Literal, Self

from pydantic import Field, model_validator

from remora.journal.records import Record
from remora.memory.models import Memory, Moment

MAX_VERSION = 99_999_999
_LIVE = frozenset({"store", "update", "restore"})
MEMORY_ID_PATTERN = r"^[0-9A-Za-z][0-9A-Za-z_-]{0,127}$"


Action = Literal["store", "update", "delete", "restore", "purge"]
"""What a write did."""


class Entry(Record):
    """One write of a memory.

    Attributes:
        space: The space.
        memory_id: The memory.
        version: From 1, one more with each write.
        action: What was done.
        at: When.
        by: The principal that did it.
        memory: The memory from then on; for a deletion as it was. None for a purge, and in all entries before one.
        write_id: Random; by it a writer whose answer was lost knows its own entry again.
    """

    space: str = Field(min_length=1)
    memory_id: str = Field(pattern=MEMORY_ID_PATTERN)
    version: int = Field(ge=1, le=MAX_VERSION)
    action: Action
    at: Moment
    by: str
    memory: Memory | None = None
    write_id: str = Field(default_factory=lambda: secrets.token_hex(8))

    @model_validator(mode="after")
    def _holds_its_memory(self) -> Self:
        if self.memory is None:
            return self
        if self.action == "purge":
            raise ValueError("a purge keeps no memory")
        if (self.memory.id, self.memory.version) != (self.memory_id, self.version):
            raise ValueError("the memory's id and version are not the entry's")
        return self

    @property
    def is_live(self) -> bool:
        """Whether the memory is there after this write: neither deleted nor purged."""
        return self.memory is not None and self.action in _LIVE

    def redacted(self) -> Self:
        """Return the entry without its memory: who did what and when stays."""
        return self.model_copy(update={"memory": None})
