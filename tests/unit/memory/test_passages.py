"""Cutting a text into passages for the embedding model."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remora.embedding import MiniLM
from remora.errors import InvalidArgumentError
from remora.memory.passages import CHARACTERS_PER_TOKEN, split

PARAGRAPH = (
    "Dr. Smith went to Washington, D.C. on Jan. 5th. He met Ms. Jones of Acme Inc. there. "
    "They talked for 3.5 hours about the harbour. What came of it? Nobody knows! "
)


def words(text: str) -> int:
    """Count tokens in the simplest way that has special tokens: a word is one, and there are two more."""
    return len(text.split()) + 2


@pytest.fixture(scope="module")
def count_tokens(model_dir: Path) -> Callable[[str], int]:
    return MiniLM(model_dir).count_tokens


def test_a_short_text_is_one_passage_and_is_counted_once() -> None:
    counted = []

    def count(text: str) -> int:
        counted.append(text)
        return words(text)

    assert split("A short text.\n\n", count_tokens=count, max_tokens=5) == ["A short text.\n\n"]
    assert counted == ["A short text.\n\n"]


def test_a_short_text_does_not_load_the_sentence_segmenter() -> None:
    code = (
        "import sys; from remora.memory.passages import split; "
        "split('A short text.', count_tokens=len, max_tokens=256); sys.exit('sentencex' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_empty_text_has_no_passages() -> None:
    assert split("", count_tokens=words, max_tokens=10) == []


def test_cuts_fall_between_paragraphs_where_that_fills_evenly() -> None:
    paragraphs = [f"Paragraph {number}. {PARAGRAPH.strip()}\n\n" for number in range(4)]

    passages = split("".join(paragraphs), count_tokens=words, max_tokens=words(paragraphs[0]) + 3)

    assert passages == paragraphs


def test_cuts_fall_between_sentences_and_not_after_abbreviations() -> None:
    passages = split(PARAGRAPH * 8, count_tokens=words, max_tokens=40)

    ends = ("Jan. 5th. ", "Acme Inc. there. ", "harbour. ", "came of it? ", "knows! ")
    assert len(passages) > 5
    assert all(passage.endswith(ends) for passage in passages)


def test_a_heading_stays_with_what_it_heads() -> None:
    sections = [f"# Part {number}\n\n{PARAGRAPH}{PARAGRAPH}\n\n" for number in range(6)]

    passages = split("".join(sections), count_tokens=words, max_tokens=words(sections[0]) + 2)

    assert all(passage.startswith("# Part") for passage in passages)


def test_a_sentence_that_is_too_long_is_cut_between_words() -> None:
    passages = split("word " * 1000, count_tokens=words, max_tokens=50)

    assert all(passage.startswith("word ") and passage.endswith("word ") for passage in passages)
    assert max(map(words, passages)) <= 50


def test_a_word_that_is_too_long_is_cut_inside() -> None:
    passages = split("x" * 1000, count_tokens=len, max_tokens=50)

    assert "".join(passages) == "x" * 1000
    assert max(map(len, passages)) <= 50


def test_an_emoji_of_several_code_points_is_not_parted() -> None:
    family = "👩🏽‍👩🏽‍👧🏽"

    passages = split(family * 100, count_tokens=len, max_tokens=3 * len(family) - 2)

    assert all(passage.startswith("👩🏽‍") and passage.endswith("👧🏽") for passage in passages)


def test_there_is_no_tiny_rest() -> None:
    sentence = "One two three four five six seven eight nine ten. "

    passages = split(sentence * 11, count_tokens=words, max_tokens=102)

    assert [words(passage) - 2 for passage in passages] in ([50, 60], [60, 50])


def test_words_that_count_as_one_token_do_not_make_a_huge_passage() -> None:
    passages = split("x" * 100_000, count_tokens=words, max_tokens=20)

    assert max(map(len, passages)) <= 20 * CHARACTERS_PER_TOKEN


def test_a_character_that_does_not_fit_is_a_passage_of_its_own() -> None:
    assert split("abc", count_tokens=lambda text: 10 * len(text), max_tokens=5) == ["a", "b", "c"]


def test_half_of_a_surrogate_pair_is_refused(count_tokens: Callable[[str], int]) -> None:
    with pytest.raises(InvalidArgumentError, match="surrogate"):
        split("cut \ud83d in two. " * 200, count_tokens=count_tokens, max_tokens=256)


# Pieces of text in which cuts could go wrong, besides anything that Unicode has.
SPACES = [" ", "\n", "\r\n", "\n\n", "\t", "\u2028", "\x0b", "\x1c\n", "\x85", "\xa0", "\u3000", "\ufeff", "\0"]
MARKS = [".", "。", "! ", "?\n", '"', "(", ")", "«", "...", "e.g. ", "Mr. ", "3.5", "https://a.b/c?d=e. "]
LETTERS = ["漢字", "ภาษาไทย", "العربية. ", "हिन्दी।", "👩🏽‍👧🏽", "e\u0301", "\u200d", "\ufe0f", "word ", "x" * 120]
AWKWARD = st.sampled_from([*SPACES, *MARKS, *LETTERS])
TEXTS = st.lists(AWKWARD | st.text(max_size=20), max_size=200).map("".join)


@settings(max_examples=80, deadline=None)
@given(text=TEXTS, max_tokens=st.integers(3, 60), count=st.sampled_from([len, words]))
def test_passages_together_are_the_text_and_each_fits(
    text: str, max_tokens: int, count: Callable[[str], int]
) -> None:
    passages = split(text, count_tokens=count, max_tokens=max_tokens)

    assert "".join(passages) == text
    assert all(passages)
    assert all(count(passage) <= max_tokens for passage in passages)


@settings(max_examples=25, deadline=None)
@given(text=TEXTS, max_tokens=st.integers(8, 256))
def test_passages_fit_by_the_models_own_count(count_tokens: Callable[[str], int], text: str, max_tokens: int) -> None:
    passages = split(text, count_tokens=count_tokens, max_tokens=max_tokens)

    assert "".join(passages) == text
    assert all(count_tokens(passage) <= max_tokens for passage in passages)


@pytest.mark.parametrize(
    "unit",
    [
        "x",
        "x ",
        "x\n",
        "\n",
        " ",
        ".",
        "漢字。",
        "漢字",
        "ภาษาไทย",
        "👩‍👧",
        "A. ",
        '"Hi. ',
        "x" * 99 + "\n",
        PARAGRAPH,
        "\0",
    ],
    ids=lambda unit: repr(unit)[:12],
)
def test_long_texts_of_one_kind_are_cut_in_passages_that_fit(count_tokens: Callable[[str], int], unit: str) -> None:
    text = unit * (200_000 // len(unit))

    passages = split(text, count_tokens=count_tokens, max_tokens=256)

    assert "".join(passages) == text
    assert all(count_tokens(passage) <= 256 for passage in passages)


@pytest.mark.parametrize(
    "unit", ["x", "x ", "x\n", "\n", "漢字。", "A. ", PARAGRAPH], ids=lambda unit: repr(unit)[:12]
)
def test_a_text_is_counted_a_few_times_over_however_long_it_is(unit: str) -> None:
    for length in (20_000, 200_000):
        counted = 0

        def count(text: str) -> int:
            nonlocal counted
            counted += len(text)
            return len(text) + 2

        split(unit * (length // len(unit)), count_tokens=count, max_tokens=256)
        assert counted <= 6 * length
