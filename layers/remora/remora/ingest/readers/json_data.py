"""Reads JSON: each element as lines of "key: value", in sections under the keys that lead to it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from remora.errors import InvalidArgumentError
from remora.ingest import limits
from remora.ingest.document import Document, SectionWriter
from remora.ingest.encoding import decode

HEADING_LEVELS = 4
"""Keys above a section; deeper ones stand in its lines."""

SMALL = 1_000
"""Characters of an object up to which it is one block of text rather than a section for each key."""


MANY = 100
"""Keys of an object above which it is a list with names rather than a structure of sections."""


@dataclass(frozen=True, slots=True)
class JsonObject:
    """An object with its members as they are written: a key that is there twice loses nothing."""

    members: list[tuple[str, object]]


def read(content: bytes) -> Document:
    """Read JSON. Numbers are kept as they are written.

    Raises:
        InvalidArgumentError: It is not text, not JSON, without any value, nested too deeply, or too large.
    """
    writer = SectionWriter()
    _write(writer, parse(decode(content), "The file"), 1)
    return writer.finish()


def parse(text: str, place: str) -> object:
    """Parse JSON into `JsonObject`, list, str, bool and None; numbers are strings.

    Args:
        text: The JSON.
        place: What it is, for messages: "The file", "Line 3".

    Raises:
        InvalidArgumentError: It is not JSON, or nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=JsonObject, parse_int=str, parse_float=str, parse_constant=str)
    except json.JSONDecodeError as error:
        raise InvalidArgumentError(
            f"{place} is not JSON: {error.msg} (line {error.lineno}, column {error.colno})."
        ) from error
    except RecursionError as error:
        raise _too_deep() from error


def describe(element: object, key: str = "") -> str:
    """Return an element of JSON in lines, each with a value after the keys that lead to it.

    Args:
        element: The element, as `parse` returns it.
        key: The key that leads to it.

    Raises:
        InvalidArgumentError: It is nested too deeply, or too large.
    """
    found = []
    left = limits.MAX_CHARACTERS
    for line in _lines(element, key, 0):
        left -= len(line)
        if left < 0:
            raise InvalidArgumentError(
                f"The JSON makes more than {limits.MAX_CHARACTERS} characters of text. Send it in parts."
            )
        found.append(line)
    return "\n".join(found)


def _lines(element: object, path: str, depth: int) -> Iterator[str]:
    if depth > limits.MAX_JSON_DEPTH:
        raise _too_deep()
    if _is_plain(element):
        text = _plain(element)
        yield f"{path}: {text}" if path else text
    elif isinstance(element, JsonObject):
        for key, child in element.members:
            name = key
            # A key is repeated in every line under it, so a huge one is written out only once.
            if len(key) > limits.MAX_NAME_CHARACTERS:
                yield key
                name = f"{key[: limits.MAX_NAME_CHARACTERS]}…"
            yield from _lines(child, f"{path}.{name}" if path else name, depth + 1)
    elif isinstance(element, list):
        for index, child in enumerate(element):
            yield from _lines(child, f"{path}[{index}]", depth + 1)


def _write(writer: SectionWriter, element: object, level: int) -> None:
    """Write an element that `level` - 1 keys lead to."""
    if isinstance(element, list):
        for child in element:
            writer.text(describe(child), tight=_is_plain(child))
    elif isinstance(element, JsonObject) and level <= HEADING_LEVELS and not _is_small(element):
        # What has no heading of its own goes first, or it would stand under another's.
        for key, child in element.members:
            if _is_plain(child):
                writer.text(describe(child, key), tight=True)
        nested = [member for member in element.members if not _is_plain(member[1])]
        for key, child in nested:
            if len(nested) > MANY:
                writer.text(describe(child, key))
            else:
                writer.heading(level, key if key.strip() else '""')
                _write(writer, child, level + 1)
    else:
        writer.text(describe(element))


def _is_plain(element: object) -> bool:
    """Whether an element is a single line: no object, nor an array with one in it."""
    if isinstance(element, list):
        return not any(isinstance(child, JsonObject | list) for child in element)
    return not (isinstance(element, JsonObject) and element.members)


def _plain(element: object) -> str:
    match element:
        case str():
            return element
        case None:
            return "null"
        case bool():
            return str(element).lower()
        case list():
            return ", ".join(map(_plain, element))
        case _:
            return ""


def _is_small(element: JsonObject) -> bool:
    left = SMALL
    for line in islice(_lines(element, "", 0), SMALL):
        left -= len(line) + 1
        if left < 0:
            return False
    return True


def _too_deep() -> InvalidArgumentError:
    return InvalidArgumentError(f"The JSON is nested deeper than {limits.MAX_JSON_DEPTH} levels.")
