"""What every foreign format is turned into, and how single values are read: times, tags, metadata."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from remora.memory.models import MetadataValue, NewMemory

_MILLISECONDS_FROM = 1e11
"""Numbers from here on are milliseconds: as seconds they would be the year 5138, as milliseconds 1973."""

_SCALARS = (str, int, float, bool)


@dataclass(frozen=True, slots=True)
class ForeignRecord:
    """A memory read from another system.

    Attributes:
        number: Its place in what was read, from 1.
        memory: The memory to be stored.
    """

    number: int
    memory: NewMemory


@dataclass(frozen=True, slots=True)
class Problem:
    """A record that cannot be read.

    Attributes:
        number: Its place in what was read, from 1.
        reason: What is wrong with it, for whoever sent it.
    """

    number: int
    reason: str


class UnreadableError(ValueError):
    """A record is not what its format says; the message tells what is wrong."""


def read_records(
    records: Iterable[object], read: Callable[[Mapping[str, Any]], NewMemory]
) -> Iterator[ForeignRecord | Problem]:
    """Turn the records of an export into memories, each on its own.

    Args:
        records: The decoded records.
        read: Turns one into a memory; raises UnreadableError.
    """
    for number, record in enumerate(records, 1):
        try:
            if not isinstance(record, Mapping):
                raise UnreadableError("it is not a JSON object")
            yield ForeignRecord(number, read(record))
        except UnreadableError as error:
            yield Problem(number, str(error))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            yield Problem(number, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")


def read_text(record: Mapping[str, Any], *names: str) -> str:
    """Return the first of these fields that holds text.

    Raises:
        UnreadableError: None does.
    """
    for name in names:
        text = record.get(name)
        if isinstance(text, str) and text.strip():
            return text
    raise UnreadableError(f"it has no text in {' or '.join(repr(name) for name in names)}")


def read_moment(*candidates: object) -> datetime | None:
    """Return the first candidate that is a time, in UTC; None if none is given.

    Numbers are seconds since 1970, or milliseconds if they are too large for that. Texts are ISO 8601; those without
    an offset are UTC, as the systems that write them mean it.

    Raises:
        UnreadableError: One is given and is no time.
    """
    for candidate in candidates:
        if candidate is None or candidate == "":
            continue
        try:
            if isinstance(candidate, str):
                moment = datetime.fromisoformat(candidate.strip())
                return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
            if isinstance(candidate, int | float) and not isinstance(candidate, bool) and math.isfinite(candidate):
                seconds = candidate / 1000 if abs(candidate) >= _MILLISECONDS_FROM else candidate
                return datetime.fromtimestamp(seconds, UTC)
        except (ValueError, OverflowError, OSError):
            pass
        raise UnreadableError(f"{str(candidate)[:40]!r} is not a time: ISO 8601 or seconds since 1970 are accepted")
    return None


def read_tags(given: object) -> tuple[str, ...]:
    """Return tags given as a list or as one text with commas, each once."""
    if given is None:
        return ()
    if isinstance(given, str):
        parts = given.split(",")
    elif isinstance(given, list | tuple):
        parts = [str(part) for part in given]
    else:
        raise UnreadableError("its tags are neither a list nor a text with commas")
    return tuple(dict.fromkeys(tag for part in parts if (tag := part.strip())))


def read_metadata(given: object) -> dict[str, MetadataValue]:
    """Return metadata as a memory can hold it, with nothing lost.

    Scalars and lists of scalars of one kind stay. What is nested or mixed becomes its JSON text. What is empty (null,
    an empty list) is left out.

    Raises:
        UnreadableError: It is not an object.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise UnreadableError("its metadata is not a JSON object")
    kept = ((str(key), _value(value)) for key, value in given.items())
    return {key: value for key, value in kept if value is not None}


def _value(value: object) -> MetadataValue | None:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        kinds = {type(item) for item in value}
        if not value:
            return None
        if len(kinds) == 1 and kinds <= set(_SCALARS):
            return tuple(value)
    return to_json(value).decode()


def known(**fields: object) -> dict[str, MetadataValue]:
    """Return metadata of those fields that have a value."""
    return read_metadata({name: value for name, value in fields.items() if value not in (None, "")})
