"""Real files, made by the libraries that people make them with."""

import io
import zipfile

from docx import Document as WordDocument
from fpdf import FPDF

WORD_NAMESPACE = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def pdf(pages: list[str], *, title: str | None = None, outline: bool = False, password: str | None = None) -> bytes:
    """Return a PDF; with an outline, the first line of each page is a heading."""
    document = FPDF()
    if title is not None:
        document.set_title(title)
    if password is not None:
        document.set_encryption(owner_password="owner", user_password=password)
    for text in pages:
        document.add_page()
        document.set_font("helvetica", size=12)
        if outline:
            document.start_section(text.partition("\n")[0])
        if text:
            document.multi_cell(0, text=text)
        else:
            document.rect(10, 10, 50, 50)
    return bytes(document.output())


def word() -> bytes:
    """Return a Word file with a title, headings, a list and a table."""
    document = WordDocument()
    document.core_properties.title = "The harbour report"
    document.add_heading("Harbour", 1)
    document.add_paragraph("Ships come and go.")
    document.add_paragraph("first thing", style="List Bullet")
    document.add_paragraph("second thing", style="List Bullet")
    document.add_heading("Fees", 2)
    table = document.add_table(2, 2)
    for row, cells in zip(table.rows, (("Ship", "Fee"), ("Remora", "12 EUR")), strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def word_with(name: str, part: str | bytes) -> bytes:
    """Return a Word file with one part replaced, or added."""
    with zipfile.ZipFile(io.BytesIO(word())) as archive:
        parts = {each: archive.read(each) for each in archive.namelist()}
    return archive_of({**parts, name: part.encode() if isinstance(part, str) else part})


def word_body(xml: str) -> str:
    """Return the main part of a Word file with this body."""
    return f'<w:document xmlns:w="{WORD_NAMESPACE}"><w:body>{xml}</w:body></w:document>'


def archive_of(parts: dict[str, bytes]) -> bytes:
    """Return a zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return file.getvalue()
