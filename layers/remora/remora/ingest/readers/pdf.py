"""Reads PDF: the text of each page, under the headings of the document's outline."""

import io
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from remora.errors import InvalidArgumentError
from remora.ingest import limits
from remora.ingest.document import Document, SectionWriter

if TYPE_CHECKING:
    from pypdf import PdfReader


def read(content: bytes) -> Document:
    """Read a PDF.

    Raises:
        InvalidArgumentError: It has a password, no text (only pictures of it), or is damaged or too large.
    """
    from pypdf import PdfReader, apply_configuration
    from pypdf.errors import LimitReachedError

    # What it finds odd in a file is nobody's concern here, and could quote the file.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    with apply_configuration(
        array_based_stream_maximum_output_length=limits.MAX_PDF_STREAM_BYTES,
        lzw_maximum_output_length=limits.MAX_PDF_STREAM_BYTES,
        run_length_maximum_output_length=limits.MAX_PDF_STREAM_BYTES,
        zlib_maximum_output_length=limits.MAX_PDF_STREAM_BYTES,
        brotli_maximum_output_length=limits.MAX_PDF_STREAM_BYTES,
        stream_decoding_work_maximum_length=4 * limits.MAX_PDF_STREAM_BYTES,
        stream_parsing_work_maximum_count=limits.MAX_PDF_OPERATIONS,
        outline_maximum_entries=limits.MAX_SECTIONS,
        jbig2dec_binary=None,  # pictures are not read, by no program
    ):
        try:
            return _read(PdfReader(io.BytesIO(content)))
        except LimitReachedError as error:
            raise InvalidArgumentError(
                "The PDF is too complicated to be read safely: something in it is far larger than text ever is. "
                "Print it to a new PDF, or send its text."
            ) from error


def _read(reader: "PdfReader") -> Document:
    from pypdf import PasswordType

    if reader.is_encrypted and reader.decrypt("") is PasswordType.NOT_DECRYPTED:
        raise InvalidArgumentError("The PDF has a password. Save it without one.")
    count = reader.get_num_pages()
    if count > limits.MAX_PDF_PAGES:
        raise InvalidArgumentError(
            f"The PDF has {count} pages; up to {limits.MAX_PDF_PAGES} are read. Send it in parts."
        )
    headings = _headings(reader)
    writer = SectionWriter()
    has_text = False
    until = time.monotonic() + limits.MAX_PDF_SECONDS
    for number, page in enumerate(reader.pages, 1):
        if time.monotonic() > until:
            raise InvalidArgumentError(
                f"Reading the PDF took more than {limits.MAX_PDF_SECONDS} s, up to page {number}. Send it in parts."
            )
        text = page.extract_text()
        has_text = has_text or not (not text or text.isspace())
        writer.page(number)
        _write_page(writer, text, headings.get(number, []))
    if not has_text:
        raise InvalidArgumentError(
            "The PDF holds no text, only pictures: it was probably scanned. Run text recognition (OCR) on it first."
        )
    metadata = reader.metadata
    return writer.finish(metadata.title if metadata is not None else None)


def _headings(reader: "PdfReader") -> dict[int, list[tuple[int, str]]]:
    """Return level and title of the outline's entries, by page."""
    found: dict[int, list[tuple[int, str]]] = {}
    try:
        for level, title, number in _entries(reader, reader.outline, 1):
            found.setdefault(number, []).append((level, title))
    except Exception:  # a damaged outline is no reason to lose the text
        return {}
    return found


def _entries(reader: "PdfReader", outline: object, level: int) -> Iterator[tuple[int, str, int]]:
    if not isinstance(outline, list):
        return
    for entry in outline:
        if isinstance(entry, list):
            yield from _entries(reader, entry, level + 1)
        elif (page := reader.get_destination_page_number(entry)) is not None and entry.title:
            yield level, str(entry.title), page + 1


def _write_page(writer: SectionWriter, text: str, headings: list[tuple[int, str]]) -> None:
    """Write a page; a heading begins at the line that is it, or else after the heading before it."""
    lines = text.split("\n")
    start = 0
    for level, title in headings:
        words = title.split()
        at = next((index for index in range(start, len(lines)) if lines[index].split() == words), None)
        if at is not None:
            writer.text("\n".join(lines[start:at]))
            start = at + 1
        writer.heading(level, title)
    writer.text("\n".join(lines[start:]))
