"""Cuts a document into chunks that an embedding model reads whole, along its sections."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from remora.ingest.document import Document, Section
from remora.memory.passages import CHARACTERS_PER_TOKEN, split

TINY = 4
"""A section of less than one `TINY`th of a chunk is joined with its neighbours under the same top-level heading."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a document that becomes one memory.

    Attributes:
        text: Its text. Never blank.
        headings: The headings that all of it stands under, outermost first. Where a chunk spans several
            sections, the rest of their headings stand in the text.
        page: The page on which it begins, from 1, in a format that has pages.
        number: Its place in the document, from 1.
    """

    text: str
    headings: tuple[str, ...]
    page: int | None
    number: int


def chunks(document: Document, *, count_tokens: Callable[[str], int], max_tokens: int) -> list[Chunk]:
    """Cut a document into chunks.

    A chunk never spans two top-level headings. A section that fits stays whole; one that does not is cut as
    `remora.memory.passages.split` cuts any text. Sections under the same headings, and tiny ones beside others
    under the same top-level heading, are joined while they fit.

    Args:
        document: The document.
        count_tokens: Counts a text's tokens as the embedding model does, special tokens included.
        max_tokens: Most tokens of a chunk's text by that count.

    Returns:
        The chunks, in reading order. Every word of the document is in the text or the headings of one.
    """
    found: list[Chunk] = []
    for group in _groups(document.sections, count_tokens, max_tokens):
        headings = _common([section.headings for section in group])
        text = _joined(group, headings)
        found += (
            Chunk(stripped, headings, group[0].page, number)
            for number, stripped in enumerate(_parts(text, count_tokens, max_tokens), len(found) + 1)
        )
    return found


def _parts(text: str, count_tokens: Callable[[str], int], max_tokens: int) -> Iterator[str]:
    for passage in split(text, count_tokens=count_tokens, max_tokens=max_tokens):
        # White space is for nobody to find, but that in front of a first line is its indentation.
        if stripped := passage.strip("\n").rstrip():
            yield stripped


def _groups(
    sections: Sequence[Section], count_tokens: Callable[[str], int], max_tokens: int
) -> Iterator[list[Section]]:
    """Group neighbouring sections that make one chunk together."""
    group: list[Section] = []
    filled = 0
    for section in sections:
        tokens = _tokens(section, count_tokens, max_tokens)
        is_tiny = min(filled, tokens) * TINY < max_tokens
        if (
            group
            and section.headings[:1] == group[-1].headings[:1]
            and (is_tiny or section.headings == group[-1].headings)
            and filled + tokens <= max_tokens
        ):
            group.append(section)
            filled += tokens
            continue
        if group:
            yield group
        group, filled = [section], tokens
    if group:
        yield group


def _tokens(section: Section, count_tokens: Callable[[str], int], max_tokens: int) -> int:
    """Return a section's tokens with those of its headings, or more than fit without counting a huge one."""
    if len(section.text) > max_tokens * CHARACTERS_PER_TOKEN:
        return max_tokens + 1
    return count_tokens("\n".join((*section.headings[1:], section.text)))


def _common(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return what paths begin with together."""
    levels = takewhile(lambda level: len(set(level)) == 1, zip(*paths, strict=False))
    return tuple(level[0] for level in levels)


def _joined(group: Sequence[Section], headings: tuple[str, ...]) -> str:
    """Return the texts of sections, each after what `headings` lacks of its own headings."""
    blocks: list[str] = []
    before = headings
    for section in group:
        if section.headings != before and len(section.headings) > len(headings):
            blocks.append(" > ".join(section.headings[len(headings) :]))
        blocks.append(section.text)
        before = section.headings
    return "\n\n".join(blocks)
