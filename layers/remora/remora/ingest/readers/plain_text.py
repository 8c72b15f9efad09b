"""Reads plain text: one section, as it is."""

from remora.ingest.document import Document, SectionWriter
from remora.ingest.encoding import decode


def read(content: bytes) -> Document:
    """Read plain text.

    Raises:
        InvalidArgumentError: It is not text, blank, or too large.
    """
    writer = SectionWriter()
    writer.text(decode(content))
    return writer.finish()
