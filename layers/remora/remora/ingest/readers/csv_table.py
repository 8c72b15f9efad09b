"""Reads tables of values parted by commas, semicolons, tabs or pipes: each row as lines of "column: value"."""

import csv
import io
from collections.abc import Iterator

from remora.errors import InvalidArgumentError
from remora.ingest import limits
from remora.ingest.document import Document, SectionWriter
from remora.ingest.encoding import decode

_SEPARATORS = ",;\t|"
_LOOKED_AT = 10_000  # characters, for the separator


def read(content: bytes) -> Document:
    """Read a table. Its first row names the columns, unless there is a number in it or nothing after it.

    Raises:
        InvalidArgumentError: It is not text, not a table, blank, or too large.
    """
    rows = _rows(decode(content))
    writer = SectionWriter()
    first, second = next(rows, None), next(rows, None)
    names: list[str] = []
    if first is not None and second is not None and not any(map(_is_number, first)):
        names = [" ".join(cell.split()) for cell in first]
        # Names are repeated in each row, so a huge one is written out only once.
        if max(map(len, names)) > limits.MAX_NAME_CHARACTERS:
            writer.text(_lines(first, []))
            names = [name[: limits.MAX_NAME_CHARACTERS] for name in names]
    elif first is not None:
        writer.text(_lines(first, names))
    if second is not None:
        writer.text(_lines(second, names))
    for row in rows:
        writer.text(_lines(row, names))
    return writer.finish()


def _rows(text: str) -> Iterator[list[str]]:
    """Yield the rows that are not blank."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text), strict=True)
    try:
        for row in rows:
            if len(row) > limits.MAX_CSV_COLUMNS:
                raise InvalidArgumentError(
                    f"The table has {len(row)} columns at line {rows.line_num}; up to {limits.MAX_CSV_COLUMNS} are "
                    "read."
                )
            if any(cell.strip() for cell in row):
                yield row
    except csv.Error as error:
        raise InvalidArgumentError(
            f"The table cannot be read at line {rows.line_num}: {error}. A cell with a separator, a quote or a line "
            'end in it stands in double quotes, with its quotes doubled: "say ""hi""".'
        ) from error


def _separator(text: str) -> str:
    """Return the separator that the first line with any has most of."""
    for line in text[:_LOOKED_AT].split("\n"):
        best = max(_SEPARATORS, key=line.count)
        if best in line:
            return best
    return ","


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _lines(row: list[str], names: list[str]) -> str:
    """Return a row as lines; cells without a value are left out."""
    if len(row) == 1 and not names:
        return row[0]
    lines = []
    for index, cell in enumerate(row):
        name = names[index] if index < len(names) else ""
        if value := cell.strip():
            lines.append(f"{name or f'column {index + 1}'}: {value}")
    return "\n".join(lines)
