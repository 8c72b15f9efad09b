"""What export, import and rebuild answer with."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True, slots=True)
class ExportPage:
    """Some lines of an export.

    Attributes:
        lines: The lines, without their ends.
        next_cursor: For the lines after these; None after the footer.
    """

    lines: tuple[str, ...]
    next_cursor: str | None


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class RefusedLine(_Report):
    """A line that was not imported.

    Attributes:
        line: Its number among the lines given, from 1.
        reason: Why.
        id: The memory that it is about, if it says so.
    """

    line: int
    reason: str
    id: str | None = None


class ImportReport(_Report):
    """What became of lines that were to be imported.

    Attributes:
        lines: How many lines were done, from the first on. What is left has to be sent again: time was up.
        created: Memories that were not there before, or got newer versions.
        unchanged: Memories that were there already, just so or newer.
        pending: Memories that are kept safely and cannot be searched yet; later calls and the upkeep finish that.
        conflicts: Lines about a memory that has another history here, which was left alone.
        errors: Lines that cannot be read or stored.
    """

    lines: int
    created: int = 0
    unchanged: int = 0
    pending: int = 0
    conflicts: tuple[RefusedLine, ...] = ()
    errors: tuple[RefusedLine, ...] = ()


class RefusedRecord(_Report):
    """A record of a collection that was not imported.

    Attributes:
        id: Its id in the collection.
        reason: Why.
    """

    id: str
    reason: str


class CollectionReport(_Report):
    """What became of some records of a collection.

    Attributes:
        created: Memories that were made of them.
        unchanged: Records whose text is a memory already.
        pending: As in `ImportReport`.
        errors: Records that cannot be a memory.
        next_cursor: For the records after these; None at the end.
    """

    created: int = 0
    unchanged: int = 0
    pending: int = 0
    errors: tuple[RefusedRecord, ...] = ()
    next_cursor: str | None = None


class RebuildProgress(_Report):
    """How far a rebuild has come.

    Attributes:
        done: Memories of the journal that were compared with the index.
        total: Memories in the journal when the rebuild began.
        repaired: Memories whose records this step made or removed.
        next_cursor: For the next step; None when all is done.
    """

    done: int
    total: int
    repaired: int
    next_cursor: str | None = None
