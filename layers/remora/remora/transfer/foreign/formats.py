"""Which formats can be imported, and how one is told from another: by what a file holds, not by its name."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from pydantic_core import from_json

from remora.errors import InvalidArgumentError
from remora.transfer.foreign import mcp_memory_service, mem0, text
from remora.transfer.foreign.records import ForeignRecord, Problem
from remora.transfer.lines import is_header

_HEAD_BYTES = 4_096


class Format(StrEnum):
    """A format that can be imported."""

    REMORA = "remora"
    MCP_MEMORY_SERVICE = "mcp-memory-service"
    MEM0 = "mem0"
    TEXT = "text"


class _JsonFormat(Protocol):
    """A module that reads a format that is one JSON document."""

    def recognise(self, document: object) -> list[object] | None: ...

    def read(self, records: list[object]) -> Iterator[ForeignRecord | Problem]: ...


_JSON_FORMATS: dict[Format, _JsonFormat] = {Format.MCP_MEMORY_SERVICE: mcp_memory_service, Format.MEM0: mem0}
_ACCEPTED = (
    "Accepted are an export of Remora (JSON Lines), the JSON exports of mcp-memory-service and mem0, and text or "
    "Markdown files in UTF-8, one or a folder of them."
)


def detect_format(path: Path) -> Format:
    """Return the format of a file or folder.

    Raises:
        InvalidArgumentError: It is none that can be imported, or there is nothing at that path.
    """
    if path.is_dir():
        return Format.TEXT
    head = _head(path)
    if is_header(head.split(b"\n", 1)[0]):
        return Format.REMORA
    if head.lstrip()[:1] in {b"{", b"["}:
        document = _load_json(path)
        for format_, module in _JSON_FORMATS.items():
            if module.recognise(document) is not None:
                return format_
        raise InvalidArgumentError(f"{path} is JSON of a format that is not known. {_ACCEPTED}")
    if path.suffix.lower() in text.SUFFIXES:
        return Format.TEXT
    raise InvalidArgumentError(f"{path} is of a format that is not known. {_ACCEPTED}")


def read_foreign(path: Path, format_: Format) -> Iterator[ForeignRecord | Problem]:
    """Read a file or folder of another system.

    Args:
        path: The file or folder.
        format_: Its format, not Remora's own.

    Raises:
        InvalidArgumentError: It is not of that format.
    """
    if format_ is Format.TEXT:
        return text.read(path)
    module = _JSON_FORMATS[format_]
    if path.is_dir():
        raise InvalidArgumentError(f"{path} is a folder; an export of {format_} is a file.")
    records = module.recognise(_load_json(path))
    if records is None:
        raise InvalidArgumentError(f"{path} is not an export of {format_}. {_ACCEPTED}")
    return module.read(records)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError as error:
        raise InvalidArgumentError(f"{path} cannot be read ({error.strerror}).") from None


def _load_json(path: Path) -> object:
    try:
        document: object = from_json(path.read_bytes())
    except OSError as error:
        raise InvalidArgumentError(f"{path} cannot be read ({error.strerror}).") from None
    except ValueError as error:
        raise InvalidArgumentError(f"{path} is not whole JSON: {error}. {_ACCEPTED}") from None
    return document
