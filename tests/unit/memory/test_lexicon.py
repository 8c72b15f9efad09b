"""Terms: what of two texts is compared when words are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.memory.lexicon import index_terms, name_words, pairs, query_terms


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("running", "He runs every day"),
        ("cats", "CAT"),
        ("cafe", "Café au lait"),
        ("Café", "a cafe"),
        ("ＮＡＴＯ", "nato"),
        ("東京", "東京タワーに行った"),
        ("タワー", "東京タワー"),
        ("हिन्दी", "मुझे हिन्दी आती है"),
        ("naïve", "nai\u0308ve"),
        ("Привет", "привет, мир"),
        ("ERR_CONN_42", "it said err_conn_42"),
        ("May 3, 2023", "on 3 may 2023"),
    ],
)
def test_a_query_finds_other_forms_of_its_words(query: str, text: str) -> None:
    assert set(query_terms(query)) <= set(index_terms(text))


@pytest.mark.parametrize(("query", "text"), [("が", "か"), ("가", "나"), ("cat", "category"), ("2023", "2024")])
def test_different_words_stay_different(query: str, text: str) -> None:
    assert not set(query_terms(query)) & set(index_terms(text))


def test_common_words_are_looked_for_only_if_there_is_nothing_else() -> None:
    assert query_terms("What is the cost of cats?") == ["cost", "cat"]
    assert query_terms("to be or not to be") == ["to", "be", "or", "not"]
    assert query_terms("!?") == []


def test_the_terms_of_a_text_add_up_to_its_words() -> None:
    assert index_terms("the cat and the cats").total() == 5
    assert index_terms("the cat and the cats")["cat"] == 2
    assert index_terms("") == {}


def test_a_term_has_a_bounded_length() -> None:
    assert max(map(len, index_terms("x" * 10_000))) <= 64
    assert query_terms("x" * 10_000) == list(index_terms("x" * 10_000))


def test_names_are_compared_without_case_accents_and_particles() -> None:
    assert name_words("José of Málaga") == {"jose", "malaga"}
    assert name_words("Caroline's") >= {"caroline"}
    assert name_words("田中") == {"田中"}


@given(text=st.text(max_size=60))
def test_a_text_is_found_by_its_own_words(text: str) -> None:
    assert set(query_terms(text)) <= set(index_terms(text))


@given(text=st.text(alphabet="東京タワーをยา", min_size=2, max_size=20))
def test_pairs_overlap_so_that_any_two_neighbours_are_found(text: str) -> None:
    assert set(pairs(text[:2])) <= set(pairs(text))
