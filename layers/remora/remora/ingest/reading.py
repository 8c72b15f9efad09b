"""Reads a file of any accepted format into a document; says what is wrong with one that cannot be read."""

import importlib
from typing import Protocol, cast

from remora.errors import InvalidArgumentError, RemoraError
from remora.ingest import limits
from remora.ingest.document import Document
from remora.ingest.formats import Format, detect


class _Reader(Protocol):
    """A module of `remora.ingest.readers`."""

    def read(self, content: bytes) -> Document:
        """Read a file of its format."""


# By name, since most of them need a library that nothing else does.
_READERS = {
    Format.TEXT: "plain_text",
    Format.MARKDOWN: "markdown",
    Format.HTML: "web_page",
    Format.PDF: "pdf",
    Format.DOCX: "word",
    Format.CSV: "csv_table",
    Format.JSON: "json_data",
    Format.JSON_LINES: "json_lines",
}


def read(content: bytes, *, name: str, media_type: str | None = None) -> Document:
    """Read a file.

    Args:
        content: The file, at most `limits.MAX_BYTES`.
        name: Its name, whose ending tells the format; a path may stand before it.
        media_type: Its media type, as HTTP has it; tells the format if the name does not.

    Raises:
        InvalidArgumentError: The file cannot be read. The message says why, and what could be.
    """
    if not content or content.isspace():
        raise InvalidArgumentError("The file is empty.")
    if len(content) > limits.MAX_BYTES:
        raise InvalidArgumentError(
            f"The file has {len(content)} bytes; up to {limits.MAX_BYTES} are read. Send it in parts."
        )
    format_ = detect(content, name=name, media_type=media_type)
    reader = cast("_Reader", importlib.import_module(f"remora.ingest.readers.{_READERS[format_]}"))
    try:
        return reader.read(content)
    except RemoraError:
        raise
    except Exception as error:  # parsers meet damaged files with errors of every kind
        raise InvalidArgumentError(
            f"The file cannot be read as {format_}: it is damaged, or not {format_} at all. "
            "Open it in the application that made it, and save it anew."
        ) from error
