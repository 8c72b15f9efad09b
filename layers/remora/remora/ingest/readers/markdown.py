"""Reads Markdown: its source as it is, in sections under its headings."""

import re
from itertools import pairwise

from remora.errors import InvalidArgumentError
from remora.ingest import limits
from remora.ingest.document import Document, SectionWriter
from remora.ingest.encoding import decode

# YAML between two lines of dashes at the very start, as site generators have it.
_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_TITLE = re.compile(r"^title:[ \t]*(.+)$", re.MULTILINE)

# Where a heading may not be is what the other rules are for: code, quotations, lists.
_RULES = ["fence", "code", "blockquote", "hr", "list", "html_block", "heading", "lheading", "paragraph"]


def read(content: bytes) -> Document:
    """Read CommonMark, with front matter if it has some. Tables and code stay as they are written.

    Raises:
        InvalidArgumentError: It is not text, blank, or too large.
    """
    from markdown_it import MarkdownIt

    text = decode(content)
    writer = SectionWriter()
    title = None
    if front := _FRONT_MATTER.match(text):
        writer.text(front[1])
        text = text[front.end() :]
        if found := _TITLE.search(front[1]):
            title = found[1].strip(" \t\"'")

    lines = text.split("\n")
    if len(lines) > limits.MAX_MARKDOWN_LINES or len(text) > limits.MAX_CHARACTERS:
        raise InvalidArgumentError(
            f"The file has {len(lines)} lines and {len(text)} characters; up to {limits.MAX_MARKDOWN_LINES} lines "
            f"and {limits.MAX_CHARACTERS} characters of Markdown are read. Send it in parts."
        )
    parser = MarkdownIt("commonmark")
    parser.core.ruler.enableOnly(["normalize", "block"])
    parser.block.ruler.enableOnly(_RULES)
    tokens = parser.parse(text)
    start = 0
    for token, inline in pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map is not None:
            writer.text("\n".join(lines[start : token.map[0]]))
            level = int(token.tag[1:])
            writer.heading(level, inline.content)
            if level == 1:
                title = title or inline.content
            start = token.map[1]
    writer.text("\n".join(lines[start:]))
    return writer.finish(title)
