"""Reads JSON Lines: each line an element of its own, as lines of "key: value"."""

from remora.ingest.document import Document, SectionWriter
from remora.ingest.encoding import decode
from remora.ingest.readers import json_data


def read(content: bytes) -> Document:
    """Read JSON Lines; blank lines are skipped.

    Raises:
        InvalidArgumentError: A line is not JSON, or nested too deeply; the file is not text, blank, or too large.
    """
    writer = SectionWriter()
    # Not splitlines(): JSON strings may hold U+2028 and its like.
    for number, line in enumerate(decode(content).split("\n"), 1):
        if line.strip():
            writer.text(json_data.describe(json_data.parse(line, f"Line {number}")))
    return writer.finish()
