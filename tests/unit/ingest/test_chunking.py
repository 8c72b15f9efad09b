"""Cutting documents into chunks."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remora.embedding import MiniLM
from remora.ingest.chunking import Chunk, chunks
from remora.ingest.document import Document, Section
from remora.ingest.reading import read
from tests.unit.ingest import files

SENTENCE = "One two three four five six seven eight nine ten."


def words(text: str) -> int:
    return len(text.split()) + 2


def document(*sections: tuple[tuple[str, ...], int | None, str]) -> Document:
    return Document(None, tuple(Section(*section) for section in sections))


@pytest.fixture(scope="module")
def count_tokens(model_dir: Path) -> Callable[[str], int]:
    return MiniLM(model_dir).count_tokens


def test_a_section_that_fits_is_a_chunk_with_its_headings_and_page() -> None:
    source = document((("Guide", "Install"), 3, SENTENCE))

    assert chunks(source, count_tokens=words, max_tokens=20) == [Chunk(SENTENCE, ("Guide", "Install"), 3, 1)]


def test_a_long_section_is_cut_and_each_part_keeps_headings_and_page() -> None:
    source = document((("Guide",), 7, " ".join([SENTENCE] * 9)))

    found = chunks(source, count_tokens=words, max_tokens=35)

    assert [chunk.number for chunk in found] == [1, 2, 3]
    assert {(chunk.headings, chunk.page) for chunk in found} == {(("Guide",), 7)}
    assert all(chunk.text.endswith("ten.") for chunk in found)


def test_tiny_neighbours_under_one_heading_are_joined_with_their_own_headings() -> None:
    source = document((("FAQ", "Why?"), None, "Because."), (("FAQ", "When?"), None, "Now."))

    assert chunks(source, count_tokens=words, max_tokens=40) == [
        Chunk("Why?\n\nBecause.\n\nWhen?\n\nNow.", ("FAQ",), None, 1)
    ]


def test_a_chunk_never_spans_two_top_level_headings() -> None:
    source = document((("One",), None, "a"), (("Two",), None, "b"), ((), None, "c"))

    assert [chunk.text for chunk in chunks(source, count_tokens=words, max_tokens=40)] == ["a", "b", "c"]


def test_sections_of_some_size_stay_apart() -> None:
    source = document((("A", "B"), None, SENTENCE), (("A", "C"), None, SENTENCE))

    assert len(chunks(source, count_tokens=words, max_tokens=40)) == 2


def test_rows_of_a_table_are_not_parted() -> None:
    rows = "\n".join(f"Ann{number},Rome{number},fisher{number}" for number in range(100))

    found = chunks(read(f"name,city,work\n{rows}".encode(), name="a.csv"), count_tokens=words, max_tokens=50)

    assert all(re.fullmatch(r"(name: \w+\ncity: \w+\nwork: \w+(\n\n|$))+", chunk.text) for chunk in found)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (files.pdf([f"Page {number}\n" + "The ship comes in. " * 60 for number in range(4)], outline=True), "a.pdf"),
        (files.word(), "a.docx"),
        (("# A\n" + "The harbour is old. " * 200 + "\n## B\n```\nx = 1\n```\n" + "漢字。" * 500).encode(), "a.md"),
        (("<h1>A</h1>" + "<p>Text of a page." * 200).encode(), "a.html"),
    ],
    ids=["pdf", "docx", "md", "html"],
)
def test_chunks_fit_the_models_window(count_tokens: Callable[[str], int], content: bytes, name: str) -> None:
    found = chunks(read(content, name=name), count_tokens=count_tokens, max_tokens=256)

    assert found
    assert max(count_tokens(chunk.text) for chunk in found) <= 256
    assert [chunk.number for chunk in found] == list(range(1, len(found) + 1))


WORD = st.text(st.characters(categories=["L", "Nd"], max_codepoint=0x17F), min_size=1, max_size=12)
LINE = st.lists(WORD, min_size=1, max_size=30).map(" ".join)
HEADING = st.tuples(st.integers(1, 6), st.lists(WORD, min_size=1, max_size=4).map(" ".join))


@settings(max_examples=50, deadline=None)
@given(parts=st.lists(LINE | HEADING, min_size=1, max_size=30), name=st.sampled_from(["a.md", "a.html", "a.txt"]))
def test_every_word_of_a_document_is_in_a_chunk_or_its_headings(
    parts: list[str | tuple[int, str]], name: str
) -> None:
    if name == "a.html":
        source = "\n".join(p if isinstance(p, str) else f"<h{p[0]}>{p[1]}</h{p[0]}>" for p in parts)
    else:
        source = "\n\n".join(p if isinstance(p, str) else f"{'#' * p[0]} {p[1]}" for p in parts)
    expected = {word for part in parts for word in (part if isinstance(part, str) else part[1]).split()}

    found = chunks(read(source.encode(), name=name), count_tokens=words, max_tokens=25)

    kept = {word for chunk in found for text in (chunk.text, *chunk.headings) for word in text.split()}
    assert expected <= kept
    assert all(words(chunk.text) <= 25 for chunk in found)
