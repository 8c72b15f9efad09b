"""Checks what callers bring before anything is written, and says what would be accepted."""

import math
from collections.abc import Mapping, Sequence

from pydantic_core import to_json

from remora.errors import InvalidArgumentError
from remora.memory import limits
from remora.memory.models import MemoryChanges, MetadataValue, NewMemory, NewTurn

_INT64 = range(-(2**63), 2**63)


def check_new_memories(memories: Sequence[NewMemory]) -> list[NewMemory]:
    """Return the memories of a store call as they will be kept: tags once each.

    Raises:
        InvalidArgumentError: One of them cannot be stored, or there are too many.
    """
    _check_count(len(memories), limits.MAX_MEMORIES_PER_CALL, "memories")
    checked = [
        _check_memory(memory, _place("memories", number, len(memories))) for number, memory in enumerate(memories)
    ]
    _check_total(sum(len(memory.content) for memory in memories))
    return checked


def check_new_turns(turns: Sequence[NewTurn]) -> None:
    """Check the turns of a conversation.

    Raises:
        InvalidArgumentError: One of them cannot be stored, two have one id, or there are too many.
    """
    _check_count(len(turns), limits.MAX_TURNS_PER_CALL, "turns")
    seen: dict[str, int] = {}
    for number, turn in enumerate(turns):
        place = _place("turns", number, len(turns))
        _check_content(turn.content, place)
        _check_line(turn.speaker, f"{place}.speaker", limits.MAX_SPEAKER_CHARACTERS)
        _check_line(turn.id, f"{place}.id", limits.MAX_TURN_ID_CHARACTERS)
        if turn.id is not None and seen.setdefault(turn.id, number) != number:
            raise InvalidArgumentError(
                f"turns[{seen[turn.id]}] and turns[{number}] have the same id {turn.id!r}. A turn's id is its own."
            )
    _check_total(sum(len(turn.content) for turn in turns))


def check_shared(
    tags: Sequence[str], source: str | None, metadata: Mapping[str, MetadataValue], conversation_id: str | None
) -> tuple[str, ...]:
    """Check what all turns of a call share; return the tags, each once."""
    _check_line(source, "source", limits.MAX_SOURCE_CHARACTERS)
    _check_line(conversation_id, "conversation_id", limits.MAX_CONVERSATION_ID_CHARACTERS)
    check_metadata(metadata, "metadata")
    return check_tags(tags, "tags")


def check_changes(changes: MemoryChanges) -> MemoryChanges:
    """Return the changes of an update as they will be made.

    Raises:
        InvalidArgumentError: One of them cannot be made, or there is none.
    """
    if not changes.model_fields_set:
        raise InvalidArgumentError("Nothing to change. Give at least one of content, tags, type, metadata, source.")
    if changes.content is not None:
        _check_content(changes.content, "content")
    _check_line(changes.type, "type", limits.MAX_TYPE_CHARACTERS)
    _check_line(changes.source, "source", limits.MAX_SOURCE_CHARACTERS)
    if changes.metadata is not None:
        check_metadata({key: part for key, part in changes.metadata.items() if part is not None}, "metadata")
    if changes.tags is not None:
        return changes.model_copy(update={"tags": check_tags(changes.tags, "tags")})
    return changes


def check_tags(tags: Sequence[str], place: str) -> tuple[str, ...]:
    """Return tags, each once, in their order."""
    unique = tuple(dict.fromkeys(tags))
    if len(unique) > limits.MAX_TAGS:
        raise InvalidArgumentError(f"{place} has {len(unique)} tags; a memory takes up to {limits.MAX_TAGS}.")
    for tag in unique:
        _check_line(tag, f"{place}: the tag {tag[:40]!r}", limits.MAX_TAG_CHARACTERS)
    return unique


def check_metadata(metadata: Mapping[str, object], place: str) -> None:
    """Check metadata: bounded, keys of a line, values that every part of the system can keep."""
    if len(metadata) > limits.MAX_METADATA_KEYS:
        raise InvalidArgumentError(f"{place} has {len(metadata)} keys; it may have {limits.MAX_METADATA_KEYS}.")
    for key, content in metadata.items():
        _check_line(key, f"{place}: the key {key[:40]!r}", limits.MAX_METADATA_KEY_CHARACTERS)
        for scalar in content if isinstance(content, tuple | list) else (content,):
            _check_scalar(scalar, f"{place}.{key}")
    if len(to_json(dict(metadata))) > limits.MAX_METADATA_BYTES:
        raise InvalidArgumentError(
            f"{place} is larger than {limits.MAX_METADATA_BYTES} bytes of JSON. Put long texts into content."
        )


def _check_scalar(scalar: object, place: str) -> None:
    if isinstance(scalar, float) and not math.isfinite(scalar):
        raise InvalidArgumentError(f"{place} is {scalar}; numbers must be finite.")
    if isinstance(scalar, int) and scalar not in _INT64:
        raise InvalidArgumentError(f"{place} does not fit 64 bits; send it as a text.")
    if isinstance(scalar, str):
        _check_unicode(scalar, place)


def _check_memory(memory: NewMemory, place: str) -> NewMemory:
    _check_content(memory.content, place)
    _check_line(memory.type, "type", limits.MAX_TYPE_CHARACTERS)
    _check_line(memory.source, "source", limits.MAX_SOURCE_CHARACTERS)
    check_metadata(memory.metadata, "metadata")
    return memory.model_copy(update={"tags": check_tags(memory.tags, "tags")})


def _check_content(content: str, place: str) -> None:
    if not content.strip():
        raise InvalidArgumentError(f"{place} is empty. A memory needs some text.")
    if len(content) > limits.MAX_CONTENT_CHARACTERS:
        raise InvalidArgumentError(
            f"{place} has {len(content)} characters; a memory takes up to {limits.MAX_CONTENT_CHARACTERS}. "
            "Send longer texts through memory_ingest, which cuts them into chunks."
        )
    _check_unicode(content, place)


def _check_line(text: str | None, place: str, longest: int) -> None:
    """Check a name: something to see, on one line, bounded."""
    if text is None:
        return
    if not text.strip() or len(text) > longest or not text.replace(" ", "x").isprintable():
        raise InvalidArgumentError(f"{place} must be 1 to {longest} characters on one line, not only spaces.")


def _check_unicode(text: str, place: str) -> None:
    if "\0" in text:
        raise InvalidArgumentError(f"{place} holds the character NUL, which no text has. Send it without.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidArgumentError(
            f"{place} is not valid Unicode: it holds half of a surrogate pair. Send complete characters."
        ) from None


def _check_count(count: int, most: int, what: str) -> None:
    if not 1 <= count <= most:
        raise InvalidArgumentError(f"{count} {what} were given; one call takes 1 to {most}.")


def _check_total(characters: int) -> None:
    if characters > limits.MAX_CALL_CHARACTERS:
        raise InvalidArgumentError(
            f"The contents have {characters} characters together; one call takes {limits.MAX_CALL_CHARACTERS}. "
            "Send them in several calls."
        )


def _place(name: str, number: int, count: int) -> str:
    return f"{name}[{number}]" if count > 1 else "content"
