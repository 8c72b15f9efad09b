"""A document as every format is read: its title, and its text in sections under headings."""

import re
from dataclasses import dataclass

from remora.errors import InvalidArgumentError
from remora.ingest import limits

# What no text may hold (NUL), and what no text can be encoded with (half of a surrogate pair).
_IMPOSSIBLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Section:
    """Text under one heading.

    Attributes:
        headings: The headings that it stands under, outermost first; keys, in JSON.
        page: Its page, from 1, in a format that has pages.
        text: The text, without its headings; paragraphs are parted by a blank line. Never blank.
    """

    headings: tuple[str, ...]
    page: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """What was read from a file.

    Attributes:
        title: The title that the file gives itself.
        sections: Its text, in order; at least one.
    """

    title: str | None
    sections: tuple[Section, ...]


class SectionWriter:
    """Collects text and headings in reading order into sections."""

    def __init__(self) -> None:
        self._sections: list[Section] = []
        # Level, text, and whether a section under it was written.
        self._headings: list[tuple[int, str]] = []
        self._named = 0
        self._page: int | None = None
        self._blocks: list[str] = []
        self._characters = 0

    def heading(self, level: int, text: str) -> None:
        """Begin a section under a new heading, which ends those of its level and deeper.

        Args:
            level: From 1, the outermost.
            text: The heading. One that is blank is no heading; one that is very long is text.

        Raises:
            InvalidArgumentError: The document is too large.
        """
        text = " ".join(clean(text).split())
        if not text:
            return
        if len(text) > limits.MAX_HEADING_CHARACTERS:
            self.text(text)
            return
        self._end_section()
        self._end_headings(level)
        self._headings.append((level, text))

    def page(self, number: int) -> None:
        """Begin a page, from 1.

        Raises:
            InvalidArgumentError: The document is too large.
        """
        self._end_section()
        self._page = number

    def text(self, text: str, *, tight: bool = False) -> None:
        """Add a paragraph, a table, a list item or any other block of text. A blank one is ignored.

        Args:
            text: The text, which may have several lines.
            tight: Whether it follows the block before it without a blank line.

        Raises:
            InvalidArgumentError: The document is too large.
        """
        text = clean(text).strip("\n").rstrip()
        if not text or text.isspace():
            return
        if self._blocks:
            self._blocks.append("\n" if tight else "\n\n")
        self._blocks.append(text)
        self._count(len(text))

    def finish(self, title: str | None = None) -> Document:
        """Return the document.

        Raises:
            InvalidArgumentError: There is no text in it.
        """
        self._end_section()
        self._end_headings(0)
        if not self._sections:
            raise InvalidArgumentError("The file holds no text.")
        title = " ".join(clean(title or "").split())[: limits.MAX_HEADING_CHARACTERS]
        return Document(title or None, tuple(self._sections))

    def _end_section(self) -> None:
        if self._blocks:
            self._add("".join(self._blocks), len(self._headings))
            self._blocks = []

    def _end_headings(self, level: int) -> None:
        """End the headings of a level and deeper. One that nothing stood under becomes text, so it is not lost."""
        while self._headings and self._headings[-1][0] >= level:
            if len(self._headings) > self._named:
                self._add(self._headings[-1][1], len(self._headings) - 1)
            self._headings.pop()
            self._named = min(self._named, len(self._headings))

    def _add(self, text: str, depth: int) -> None:
        headings = tuple(heading for _, heading in self._headings[:depth])
        self._sections.append(Section(headings, self._page, text))
        self._named = len(self._headings)
        self._count(sum(map(len, headings)))
        if len(self._sections) > limits.MAX_SECTIONS:
            raise InvalidArgumentError(f"The file has more than {limits.MAX_SECTIONS} sections. Send it in parts.")

    def _count(self, characters: int) -> None:
        self._characters += characters
        if self._characters > limits.MAX_CHARACTERS:
            raise InvalidArgumentError(
                f"The file has more than {limits.MAX_CHARACTERS} characters of text. Send it in parts."
            )


def clean(text: str) -> str:
    """Return a text without NUL, and with the replacement character for half surrogate pairs."""
    if _IMPOSSIBLE.search(text) is None:
        return text
    return _IMPOSSIBLE.sub(lambda found: "" if found[0] == "\0" else "\ufffd", text)
