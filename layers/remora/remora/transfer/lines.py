"""The lines of an export, as JSON Lines: what each holds, how it is written and read, and how a whole file is proven.

    {"kind": "header", …}         which format, of which space, when
    {"kind": "conversation", …}   the turns of a conversation in their order, before the first of them
    {"kind": "memory", …}         a memory with its whole history; a long history goes on in further lines
    {"kind": "embeddings", …}     the vectors of its passages, if they were asked for
    {"kind": "footer", …}         how many memories and lines there are, and their digest

Lines stand in the order of the memories' ids, and only the header depends on when it was written, so two exports
of one state are equal but for it. A space is not named in any other line: a file may be imported into any.

For imports there is one more, `{"kind": "new", …}`: a memory that has no id yet, as other systems' memories.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from remora.errors import InvalidArgumentError
from remora.journal import Action
from remora.journal.entries import MAX_VERSION, MEMORY_ID_PATTERN
from remora.memory.models import Memory, Moment, NewMemory

FORMAT: Final = "remora-memory"
SCHEMA = 1

MAX_LINE_BYTES = 1024 * 1024
"""Bytes of one line, roughly: from there on a memory goes on in another. A single version may have more."""

MAX_TURNS_PER_LINE = 2_000

_EMBEDDINGS = '{"kind":"embeddings"'

NO_LINES = bytes(32)
"""The digest of no lines at all."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    def to_json(self) -> str:
        """Return the line, without its end."""
        return self.model_dump_json(exclude_none=True)


class HeaderLine(_Line):
    """What the file is.

    Attributes:
        schema_version: Version of this format.
        exported_at: When.
        space: Out of which space.
        embedding_model: The model whose vectors the space has.
        embeddings: Whether they are in the file.
    """

    kind: Literal["header"] = "header"
    format: Literal["remora-memory"] = FORMAT
    schema_version: int = SCHEMA
    exported_at: Moment
    space: str
    embedding_model: str
    embeddings: bool = False


class ConversationLine(_Line):
    """Some turns of a conversation.

    Attributes:
        id: The conversation.
        position: Position of the first of them.
        turn_ids: Their own ids, in the order of their positions.
    """

    kind: Literal["conversation"] = "conversation"
    id: str
    position: int = Field(ge=0)
    turn_ids: tuple[str, ...]


class HistoryEntry(_Line):
    """One write of a memory, as in the journal."""

    version: int = Field(ge=1, le=MAX_VERSION)
    action: Action
    at: Moment
    by: str
    memory: Memory | None = None


class MemoryLine(_Line):
    """A memory, or the next part of one whose history is long.

    Attributes:
        id: The memory.
        conversation_id: The conversation of a turn that was purged; of others, the entries tell.
        entries: Its writes, oldest first, without gaps.
    """

    kind: Literal["memory"] = "memory"
    id: str = Field(pattern=MEMORY_ID_PATTERN)
    conversation_id: str | None = None
    entries: tuple[HistoryEntry, ...] = Field(min_length=1)


class TextVector(_Line):
    """The vector of one text that is embedded for a memory.

    Attributes:
        text: What the text is known by (`remora.transfer.vectors.text_digest`), in URL-safe base64.
        vector: Little-endian float32, in URL-safe base64.
    """

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    text: bytes
    vector: bytes


class EmbeddingsLine(_Line):
    """Vectors of a memory's newest version.

    Attributes:
        id: The memory.
        model: The model that made them.
        first: Number of the first of these texts among all that are embedded for the memory, from 0.
        vectors: One for each text.
    """

    kind: Literal["embeddings"] = "embeddings"
    id: str = Field(pattern=MEMORY_ID_PATTERN)
    model: str
    first: int = Field(ge=0)
    vectors: tuple[TextVector, ...]


class NewLine(_Line):
    """A memory to be stored under a new id, unless its content is stored already."""

    kind: Literal["new"] = "new"
    memory: NewMemory


class FooterLine(_Line):
    """The end of the file, by which one that was cut is known.

    Attributes:
        memories: Memories in the file.
        lines: Lines between header and footer.
        digest: `next_digest` over these lines, as hexadecimal.
    """

    kind: Literal["footer"] = "footer"
    memories: int
    lines: int
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")


Line = HeaderLine | ConversationLine | MemoryLine | EmbeddingsLine | NewLine | FooterLine

_ANY_LINE: TypeAdapter[Line] = TypeAdapter(
    Annotated[Line, Field(discriminator="kind")], config=ConfigDict(defer_build=True, hide_input_in_errors=True)
)


class BadLineError(ValueError):
    """A line that cannot be read; the message says why."""


def parse_line(line: str | bytes) -> Line:
    """Read a line.

    Raises:
        BadLineError: It is not one of this format.
        InvalidArgumentError: It is the header of another format, or of a later version of this one.
    """
    try:
        parsed = _ANY_LINE.validate_json(line)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in problem["loc"][1:])
        raise BadLineError(f"{place}: {problem['msg']}" if place else problem["msg"]) from None
    if isinstance(parsed, HeaderLine) and parsed.schema_version != SCHEMA:
        raise InvalidArgumentError(
            f"The file has version {parsed.schema_version} of the format; this release of Remora reads {SCHEMA}. "
            "Import it with the release that wrote it, or a later one."
        )
    return parsed


def is_header(line: str | bytes) -> bool:
    """Whether a line is the header of an export of Remora, of any version."""
    try:
        found = _Kind.model_validate_json(line)
    except ValidationError:
        return False
    return found.kind == "header" and found.format == FORMAT


def is_embeddings(line: str | bytes) -> bool:
    """Whether a line of an export brings vectors of the memory before it."""
    return line.startswith(_EMBEDDINGS) if isinstance(line, str) else line.startswith(_EMBEDDINGS.encode())


class _Kind(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)

    kind: str
    format: str | None = None


def next_digest(digest: bytes, line: bytes) -> bytes:
    """Return the digest of the lines so far and one more: the SHA-256 of the digest before it and the line.

    A chain, because a page of an export has to go on where the one before ended, with what fits into a cursor.

    Args:
        digest: Of the lines before; `NO_LINES` at the beginning.
        line: The line in UTF-8, without its end.
    """
    return sha256(digest + line).digest()


@dataclass(frozen=True, slots=True)
class FileSummary:
    """A whole export file.

    Attributes:
        lines: Lines in it, header and footer included.
        memories: Memories in it.
    """

    lines: int
    memories: int


def check_file(lines: Iterable[bytes]) -> FileSummary:
    """Check that an export is whole and unchanged, without understanding what its memories say.

    Args:
        lines: All lines of the file, in order; their ends do not matter.

    Raises:
        InvalidArgumentError: It is of another format, was cut, or was changed.
    """
    digest, count, footer = NO_LINES, 0, None
    for raw in lines:
        line = raw.rstrip(b"\r\n")
        count += 1
        if count == 1:
            if not is_header(line):
                raise InvalidArgumentError("The file is not an export of Remora: its first line is no header.")
            parse_header(line)
        elif footer is not None:
            raise InvalidArgumentError(f"The file goes on after its footer, with line {count}.")
        elif (footer := _footer(line)) is None:
            digest = next_digest(digest, line)
    if footer is None:
        raise InvalidArgumentError(
            f"The file was cut: it ends after {count} lines without a footer. Export it again; nothing was imported."
        )
    if (footer.lines, footer.digest) != (count - 2, digest.hex()):
        raise InvalidArgumentError(
            f"The file was changed or damaged: it has {count - 2} lines and its footer stands for {footer.lines} "
            "with another digest. Export it again; nothing was imported."
        )
    return FileSummary(count, footer.memories)


def parse_header(line: str | bytes) -> HeaderLine:
    """Read a header.

    Raises:
        InvalidArgumentError: It is none of this version of the format.
    """
    try:
        parsed = parse_line(line)
    except BadLineError as error:
        raise InvalidArgumentError(f"The header of the file cannot be read: {error}.") from None
    if not isinstance(parsed, HeaderLine):
        raise InvalidArgumentError("The file is not an export of Remora: its first line is no header.")
    return parsed


def _footer(line: bytes) -> FooterLine | None:
    if not line.startswith(b'{"kind":"footer"'):
        return None
    try:
        return FooterLine.model_validate_json(line)
    except ValidationError:
        return None


def split_history(
    memory_id: str, entries: Sequence[HistoryEntry], conversation_id: str | None = None
) -> Iterator[MemoryLine]:
    """Put a memory's writes into as few lines as they fit; the other arguments are as in `MemoryLine`."""
    part: list[HistoryEntry] = []
    size = 0
    for entry in entries:
        cost = len(entry.to_json())
        if part and size + cost > MAX_LINE_BYTES:
            yield MemoryLine(id=memory_id, conversation_id=conversation_id, entries=tuple(part))
            part, size = [], 0
        part.append(entry)
        size += cost
    if part:
        yield MemoryLine(id=memory_id, conversation_id=conversation_id, entries=tuple(part))
