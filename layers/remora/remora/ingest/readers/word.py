"""Reads Word files (DOCX): their headings, paragraphs, lists and tables; pictures are left out."""

import io
import zipfile
from xml.etree import ElementTree

from remora.errors import InvalidArgumentError
from remora.ingest import limits
from remora.ingest.document import Document
from remora.ingest.readers import web_page

_MAIN_PART = "word/document.xml"
_PROPERTIES_PART = "docProps/core.xml"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_ENCRYPTED = 0x1
# Office Open XML has no document type declarations (ECMA-376 part 2, 8.1.4), so no entities of its own either.
_FORBIDDEN = (b"<!DOCTYPE", b"<!ENTITY")


def read(content: bytes) -> Document:
    """Read a Word file.

    Raises:
        InvalidArgumentError: It is another kind of zip archive, damaged, without text, or too large.
    """
    import mammoth

    title = _check(content)
    result = mammoth.convert_to_html(
        io.BytesIO(content),
        include_embedded_style_map=False,
        external_file_access=False,
        convert_image=_no_image,
    )
    return web_page.read_text(result.value, title)


def _no_image(_image: object) -> list[object]:
    return []


def _check(content: bytes) -> str | None:
    """Check the archive before anything reads it; return the document's title."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            _check_kind({part.filename for part in parts})
            # zipfile never decompresses more of a part than the archive says that it has.
            xml = [part for part in parts if part.filename.endswith((".xml", ".rels"))]
            _check_size(len(parts), xml)
            for part in xml:
                # UTF-16 has zeros between the letters.
                text = archive.read(part).replace(b"\0", b"")
                if any(declaration in text for declaration in _FORBIDDEN):
                    raise InvalidArgumentError("The Word file declares XML entities, which Word never does.")
            if _PROPERTIES_PART in archive.namelist():
                return _title(archive.read(_PROPERTIES_PART))
    except (zipfile.BadZipFile, EOFError) as error:
        raise InvalidArgumentError(
            "The Word file is damaged: it is no complete zip archive. Send it again."
        ) from error
    return None


def _title(properties: bytes) -> str | None:
    try:
        return ElementTree.fromstring(properties).findtext(_TITLE)  # noqa: S314 (entities were refused)
    except ElementTree.ParseError:
        return None


def _check_kind(names: set[str]) -> None:
    if _MAIN_PART in names:
        return
    others = {"xl/workbook.xml": "an Excel workbook", "ppt/presentation.xml": "a PowerPoint presentation"}
    kind = next((kind for name, kind in others.items() if name in names), "another zip archive")
    raise InvalidArgumentError(
        f"The file is not a Word file but {kind}: {_MAIN_PART} is missing in it. Save it as DOCX, or a table as CSV."
    )


def _check_size(count: int, xml: list[zipfile.ZipInfo]) -> None:
    if any(part.flag_bits & _ENCRYPTED for part in xml):
        raise InvalidArgumentError("The Word file has a password. Save it without one.")
    if any(part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for part in xml):
        raise InvalidArgumentError(
            "The Word file is compressed in a way that Word does not use. Save it anew in Word."
        )
    total = sum(part.file_size for part in xml)
    compressed = sum(part.compress_size for part in xml)
    if (
        count > limits.MAX_DOCX_PARTS
        or total > limits.MAX_DOCX_XML_BYTES
        or total > limits.MAX_DOCX_RATIO * max(1, compressed)
    ):
        raise InvalidArgumentError(
            f"The Word file is too large when it is unpacked: up to {limits.MAX_DOCX_PARTS} parts and "
            f"{limits.MAX_DOCX_XML_BYTES} bytes of XML, {limits.MAX_DOCX_RATIO} times its packed size, are read. "
            "Send it in parts."
        )
