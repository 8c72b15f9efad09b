"""Knows the formats of documents: which one a file has, by its name and media type, checked against its content."""

import posixpath
from enum import StrEnum
from urllib.parse import urlsplit

from remora.errors import InvalidArgumentError


class Format(StrEnum):
    """A format that can be read."""

    TEXT = "plain text"
    MARKDOWN = "Markdown"
    HTML = "HTML"
    PDF = "PDF"
    DOCX = "Word (DOCX)"
    CSV = "CSV"
    JSON = "JSON"
    JSON_LINES = "JSON Lines"


EXTENSIONS = {
    ".txt": Format.TEXT,
    ".text": Format.TEXT,
    ".log": Format.TEXT,
    ".rst": Format.TEXT,
    ".md": Format.MARKDOWN,
    ".markdown": Format.MARKDOWN,
    ".html": Format.HTML,
    ".htm": Format.HTML,
    ".xhtml": Format.HTML,
    ".pdf": Format.PDF,
    ".docx": Format.DOCX,
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".json": Format.JSON,
    ".jsonl": Format.JSON_LINES,
    ".ndjson": Format.JSON_LINES,
}
"""Endings of file names, in lower case."""

MEDIA_TYPES = {
    "text/plain": Format.TEXT,
    "text/markdown": Format.MARKDOWN,
    "text/x-markdown": Format.MARKDOWN,
    "text/html": Format.HTML,
    "application/xhtml+xml": Format.HTML,
    "application/pdf": Format.PDF,
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": Format.DOCX,
    "text/csv": Format.CSV,
    "text/tab-separated-values": Format.CSV,
    "application/json": Format.JSON,
    "application/jsonl": Format.JSON_LINES,
    "application/x-ndjson": Format.JSON_LINES,
}
"""Media types without parameters, in lower case."""

ACCEPTED = f"Accepted are {', '.join(Format)}: files that end with {', '.join(EXTENSIONS)}."
"""The formats, for messages."""

_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# How files begin that people take for text or for one another.
_BINARIES = (
    (b"%PDF-", "a PDF"),
    (_ZIP, "a zip archive (as Word, Excel and PowerPoint files are)"),
    (_OLE, "an Office file of before 2007, or one with a password"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"{\\rtf", "an RTF file"),
)
# Readers of PDF skip what mail gateways and printers put before its header, up to here.
_PDF_HEADER_BYTES = 1024


def detect(content: bytes, *, name: str, media_type: str | None = None) -> Format:
    """Return the format of a file.

    The ending of the name decides, then the media type. A file with neither is recognised by its content; it is
    plain text if nothing else.

    Args:
        content: The file.
        name: Its name; a path or URL path may stand before it.
        media_type: Its media type, as HTTP has it.

    Raises:
        InvalidArgumentError: The format is not one that can be read, or the content is of another one.
    """
    extension = _extension(name)
    declared = (media_type or "").partition(";")[0].strip().lower()
    format_ = EXTENSIONS.get(extension) or MEDIA_TYPES.get(declared)
    if format_ is None and not extension and declared in ("", "application/octet-stream"):
        format_ = _recognise(content)
    if format_ is None:
        found = f"ends with {extension!r}" if extension else f"is of the media type {declared!r}"
        raise InvalidArgumentError(f"The file {found}, which is not a format that can be read. {ACCEPTED}")
    _check(content, format_)
    return format_


def _extension(name: str) -> str:
    path = urlsplit(name).path if "://" in name else name.replace("\\", "/")
    return posixpath.splitext(path.strip())[1].lower()


def _recognise(content: bytes) -> Format:
    if content.startswith(b"%PDF-"):
        return Format.PDF
    if content.startswith(_ZIP):
        return Format.DOCX
    return Format.TEXT


def _check(content: bytes, format_: Format) -> None:
    """Refuse content that begins like another format."""
    actual = next((name for start, name in _BINARIES if content.startswith(start)), None)
    if format_ is Format.PDF:
        is_right = b"%PDF-" in content[:_PDF_HEADER_BYTES]
    elif format_ is Format.DOCX:
        is_right = content.startswith(_ZIP)
    else:
        is_right = actual is None
    if not is_right:
        raise InvalidArgumentError(
            f"By its name or media type the file is {format_}, but its content is {actual or 'not'}. "
            f"Send it under the right name. {ACCEPTED}"
        )
