"""Keywords and BM25, against values worked out by hand."""

import re
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.collections.keywords import bm25, inverse_document_frequency, query_keywords


def words_of(text: str) -> list[str]:
    return [keyword.stem for keyword in query_keywords(text)]


@pytest.mark.parametrize(
    ("text", "stems"),
    [
        ("What is the running cost of cats?", ["run", "cost", "cat"]),
        ("the who", ["the", "who"]),
        ("ERR_CONN_42 v1.5", ["err_conn_42", "v1", "5"]),
        ("cat Cats CAT", ["cat"]),
        ("東京タワー", ["東京", "京タ", "タワ", "ワー"]),
        ("API東京", ["api", "東京"]),
        ("!?. …", []),
    ],
)
def test_a_query_is_taken_apart_into_stems(text: str, stems: list[str]) -> None:
    assert words_of(text) == stems


def test_a_long_query_looks_for_a_bounded_number_of_words() -> None:
    assert len(query_keywords(" ".join(f"word{number}x" for number in range(100)))) == 16


@pytest.mark.parametrize(
    ("query", "word"),
    [("happiness", "happy"), ("happy", "happiness"), ("dying", "die"), ("city", "cities"), ("runs", "Running")],
)
def test_a_lookup_finds_the_other_forms_of_a_word(query: str, word: str) -> None:
    (keyword,) = query_keywords(query)
    assert re.search(keyword.where_document()["$regex"], f"text {word} text")
    assert bm25([f"text {word} text"], [keyword], [1.0])[0] > 0.0


@given(text=st.text(max_size=40))
def test_a_lookup_finds_the_word_it_was_made_of(text: str) -> None:
    for keyword in query_keywords(text):
        condition = keyword.where_document()
        if "$contains" in condition:
            assert condition["$contains"] in text
        else:
            assert re.search(condition["$regex"], text.lower())


def test_bm25_is_what_the_formula_says() -> None:
    keywords = query_keywords("zebra apple")
    documents = ["zebra zebra apple", "apple", "one two three four five six seven zebra"]
    average = (3 + 1 + 8) / 3
    expected = []
    for zebra, apple, length in ((2, 1, 3), (0, 1, 1), (1, 0, 8)):
        norm = 0.9 * (1 - 0.4 + 0.4 * length / average)
        expected.append(3.0 * zebra * 1.9 / (zebra + norm) + 0.5 * apple * 1.9 / (apple + norm))
    assert bm25(documents, keywords, [3.0, 0.5]) == pytest.approx(expected)


def test_rare_words_say_more_and_no_word_says_less_than_nothing() -> None:
    assert inverse_document_frequency(100, 1) == pytest.approx(log(1 + 99.5 / 1.5))
    assert inverse_document_frequency(100, 1) > inverse_document_frequency(100, 50) > 0.0
    assert inverse_document_frequency(100, 100) > 0.0
    assert inverse_document_frequency(5, 9) > 0.0, "records were added between two requests"
