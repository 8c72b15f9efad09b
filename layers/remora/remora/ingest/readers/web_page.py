"""Reads HTML: what a reader would see, in sections under its headings, without navigation and controls."""

import codecs
import re
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser

from remora.ingest import limits
from remora.ingest.document import Document, SectionWriter, clean
from remora.ingest.encoding import decode

_SILENT = frozenset(
    {
        "audio",
        "button",
        "canvas",
        "iframe",
        "noscript",
        "object",
        "script",
        "select",
        "style",
        "svg",
        "template",
        "textarea",
        "video",
    }
)
_NAVIGATION = frozenset({"nav"})
_BLOCKS = frozenset(
    {
        "address",
        "article",
        "aside",
        "blockquote",
        "body",
        "caption",
        "center",
        "dd",
        "details",
        "dialog",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "header",
        "hgroup",
        "hr",
        "html",
        "legend",
        "li",
        "main",
        "menu",
        "ol",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tbody",
        "tfoot",
        "thead",
        "ul",
    }
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_CELLS = frozenset({"td", "th"})
_SPACE = re.compile(r"\s+")

# The part of a page in which its encoding must be declared (HTML Standard, 4.2.5.4).
_DECLARATION_BYTES = 1024
_DECLARATION = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
# The Encoding Standard's legacy encodings, by Python's names. It reads Latin-1 as its superset.
_CODE_PAGES = [f"cp{number}" for number in (866, 874, *range(1250, 1259))]
_ISO_PARTS = [f"iso8859-{number}" for number in range(2, 17)]
_OTHERS = ["big5", "euc_jp", "euc_kr", "gb18030", "gbk", "koi8-r", "koi8-u", "mac-roman", "shift_jis"]
_LEGACY = frozenset([*_CODE_PAGES, *_ISO_PARTS, *_OTHERS])
_SUPERSETS = {"iso8859-1": "cp1252", "ascii": "cp1252", "gb2312": "gbk"}


def read(content: bytes) -> Document:
    """Read a web page: UTF-8, or in the encoding that it declares.

    Raises:
        InvalidArgumentError: It is not text, without any, or too large.
    """
    return read_text(decode(content, declared=_declared_encoding(content)))


def read_text(html: str, title: str | None = None) -> Document:
    """Read HTML.

    Args:
        html: The HTML, a whole page or a part of one.
        title: Its title, if it is known from elsewhere.

    Raises:
        InvalidArgumentError: There is no text in it, or it is too large.
    """
    page = _Page(html, _SILENT | _NAVIGATION)
    if page.silent in _NAVIGATION:
        # Navigation that never ends took the rest of the page with it.
        page = _Page(html, _SILENT)
    return page.finish(title)


def _declared_encoding(content: bytes) -> str | None:
    found = _DECLARATION.search(content[:_DECLARATION_BYTES])
    if found is None:
        return None
    try:
        name = codecs.lookup(found[1].decode("ascii", "replace")).name
    except LookupError:
        return None
    name = _SUPERSETS.get(name, name)
    return name if name in _LEGACY else None


@dataclass(slots=True)
class _Table:
    """A table that is being read."""

    names: list[str] = field(default_factory=list)
    row: list[str] = field(default_factory=list)
    is_header: bool = True
    cell: list[str] | None = None
    has_rows: bool = False

    def end_cell(self) -> None:
        if self.cell is not None:
            self.row.append(_one_line(self.cell))
            self.cell = None

    def end_row(self) -> str:
        """Return a row as a line: with the names that a first row of header cells gave, else as it is."""
        self.end_cell()
        row, self.row = self.row, []
        is_header, self.is_header = self.is_header, True
        if not any(row):
            return ""
        if self.names:
            return "; ".join(self._named(index, text) for index, text in enumerate(row) if text)
        # Long names would be repeated in each row.
        if is_header and not self.has_rows and max(map(len, row)) <= limits.MAX_NAME_CHARACTERS:
            self.names = row
        return " | ".join(row)

    def _named(self, index: int, text: str) -> str:
        name = self.names[index] if index < len(self.names) else ""
        return f"{name}: {text}" if name else text


class _Page(HTMLParser):
    """Hands a page's text to a writer as it comes; keeps no tree, so nesting costs nothing."""

    def __init__(self, html: str, left_out: frozenset[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.silent: str | None = None
        """The element that is being left out with all that is in it."""
        self._left_out = left_out
        self._silent_depth = 0
        self._writer = SectionWriter()
        self._title: list[str] = []
        self._in_title = False
        self._block: list[str] = []
        self._tight = False
        self._marker = ""
        self._heading: int | None = None
        self._preformatted = 0
        self._tables: list[_Table] = []

        self.feed(html)
        # Not close(): before Python 3.11.14 that takes the square of the time for tags and comments that never end.
        # As the HTML Standard has it, those are dropped; anything else that was held back is text.
        if not self.rawdata.startswith("<"):
            self.handle_data(unescape(self.rawdata))

    def finish(self, title: str | None) -> Document:
        """Return what was read."""
        while self._tables:
            self._end_table()
        self._end_block()
        return self._writer.finish(title or _one_line(self._title))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.silent is not None:
            self._silent_depth += tag == self.silent
        elif tag in self._left_out:
            self.silent, self._silent_depth = tag, 1
        elif tag == "title":
            self._in_title = True
        elif tag == "table" and len(self._tables) < limits.MAX_TABLE_DEPTH:
            self._end_block()
            self._tables.append(_Table())
        elif self._tables and tag in ("tr", *_CELLS):
            self._start_row_or_cell(tag)
        elif tag == "br":
            self._add("\n")
        elif tag in _HEADINGS or tag in _BLOCKS:
            self._start_block(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.silent is not None:
            self._silent_depth -= tag == self.silent
            if self._silent_depth == 0:
                self.silent = None
        elif tag == "title":
            self._in_title = False
        elif tag == "table" and self._tables:
            self._end_table()
        elif self._tables and tag in ("tr", *_CELLS):
            self._end_row() if tag == "tr" else self._tables[-1].end_cell()
        elif tag in _HEADINGS or tag in _BLOCKS:
            self._end_block_of(tag)

    def handle_data(self, data: str) -> None:
        if self.silent is None:
            if self._in_title:
                self._title.append(data)
            elif self._preformatted:
                self._add(data)
            else:
                self._add(_SPACE.sub(" ", data))

    def _add(self, text: str) -> None:
        if self._tables and self._tables[-1].cell is not None:
            self._tables[-1].cell.append(text)
        else:
            self._block.append(text)

    def _start_row_or_cell(self, tag: str) -> None:
        table = self._tables[-1]
        self._end_block()
        if tag == "tr":
            self._end_row()
        else:
            table.end_cell()
            table.cell = []
            table.is_header = table.is_header and tag == "th"

    def _in_cell(self) -> bool:
        return bool(self._tables) and self._tables[-1].cell is not None

    def _start_block(self, tag: str) -> None:
        if self._in_cell() or (self._heading is not None and tag not in _HEADINGS):
            self._add(" ")
            return
        self._end_block()
        if tag in _HEADINGS:
            self._heading = _HEADINGS[tag]
        elif tag == "li":
            self._marker = "- "
        elif tag == "pre":
            self._preformatted += 1

    def _end_block_of(self, tag: str) -> None:
        if self._in_cell() or (self._heading is not None and tag not in _HEADINGS):
            self._add(" ")
            return
        self._end_block()
        if tag == "pre" and self._preformatted:
            self._preformatted -= 1
        elif tag == "li":
            self._marker = ""
        elif tag in ("ul", "ol"):
            self._tight = False

    def _end_block(self) -> None:
        text = "".join(self._block)
        self._block = []
        if self._heading is not None:
            self._writer.heading(self._heading, text)
            self._heading = None
            self._tight = False
            return
        if not self._preformatted:
            text = "\n".join(line.strip() for line in text.split("\n")).strip()
        if text and not text.isspace():
            self._writer.text(self._marker + text, tight=self._tight and bool(self._marker))
            self._tight = bool(self._marker)
            self._marker = ""

    def _end_table(self) -> None:
        self._end_block()
        self._end_row()
        self._tables.pop()
        self._tight = False

    def _end_row(self) -> None:
        table = self._tables[-1]
        if line := table.end_row():
            self._writer.text(line, tight=table.has_rows)
            table.has_rows = True


def _one_line(parts: list[str]) -> str:
    return " ".join(clean("".join(parts)).split())
