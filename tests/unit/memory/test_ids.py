"""The ids of memories."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.errors import InvalidArgumentError
from remora.memory.ids import (
    Neighbours,
    check_memory_id,
    conversation_key,
    new_memory_id,
    turn_memory_id,
    turn_neighbours,
)

CROCKFORD = re.compile(r"[0-9abcdefghjkmnpqrstvwxyz]{10}")


def test_a_new_id_is_ten_characters_without_look_alikes() -> None:
    assert all(CROCKFORD.fullmatch(new_memory_id()) for _ in range(1_000))


def test_new_ids_differ_and_use_every_character() -> None:
    ids = {new_memory_id() for _ in range(5_000)}
    assert len(ids) == 5_000
    for place in range(10):
        assert len({id_[place] for id_ in ids}) == 32


def test_a_conversations_key_is_the_same_in_every_release() -> None:
    # Stored turns depend on it.
    assert conversation_key("conversation-1") == "84r5br6b79"
    assert conversation_key("") == "werc8gmrzg"


@given(st.text(max_size=50))
def test_any_conversation_has_a_key(conversation_id: str) -> None:
    assert CROCKFORD.fullmatch(conversation_key(conversation_id))


def test_conversations_that_differ_in_case_have_different_keys() -> None:
    assert conversation_key("Plan") != conversation_key("plan")


@given(st.text(max_size=20), st.integers(0, 999_999_998))
def test_neighbours_of_a_turn_are_the_turns_at_the_positions_beside_it(conversation: str, position: int) -> None:
    here, following = turn_memory_id(conversation, position), turn_memory_id(conversation, position + 1)
    assert turn_neighbours(here).after == following
    assert turn_neighbours(following).before == here


def test_nothing_stands_before_the_first_turn() -> None:
    assert turn_neighbours(turn_memory_id("c", 0)) == Neighbours(None, turn_memory_id("c", 1))


def test_a_memory_that_is_no_turn_has_no_neighbours() -> None:
    assert turn_neighbours(new_memory_id()) == Neighbours(None, None)


@pytest.mark.parametrize("position", [-1, 1_000_000_000])
def test_a_position_that_an_id_cannot_hold_is_refused(position: int) -> None:
    with pytest.raises(ValueError, match="position"):
        turn_memory_id("c", position)


@given(st.text(max_size=20), st.integers(0, 999_999_999))
def test_what_is_made_here_passes_the_check_unchanged(conversation: str, position: int) -> None:
    for id_ in (new_memory_id(), turn_memory_id(conversation, position)):
        assert check_memory_id(id_) == id_


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("7H3KQ9X2MA", "7h3kq9x2ma"),
        ("  7h3kq9x2ma\n", "7h3kq9x2ma"),
        ("oOiIlL2345", "0011112345"),
        ("7H3KQ9X2MA-1O", "7h3kq9x2ma-10"),
        ("7h3kq9x2ma-0", "7h3kq9x2ma-0"),
    ],
)
def test_an_id_copied_by_a_person_is_read_as_it_was_meant(written: str, meant: str) -> None:
    assert check_memory_id(written) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "7h3kq9x2m",
        "7h3kq9x2mab",
        "7h3kq9x2mu",
        "7h3kq9x2m-",
        "7h3kq9x2ma-",
        "7h3kq9x2ma-01",
        "7h3kq9x2ma-1234567890",
        "7h3kq9x2ma--1",
        "7h3kq9x2ma-1-2",
        "7h3kq 9x2ma",
        "７h3kq9x2ma",
        "7h3kq9x2ma-٣",
        "../7h3kq9x2",
        "7h3kq9x2ma/",
        "7h3kq9x2ma\x00",
        "\ud800",
        "x" * 100_000,
        f"{' ' * 100}7h3kq9x2ma",
    ],
)
def test_what_cannot_be_an_id_is_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        check_memory_id(text)
    message = str(raised.value)
    assert "7h3kq9x2ma-12" in message
    assert len(message) < 500


@given(st.text(max_size=100))
def test_any_text_is_an_id_or_refused(text: str) -> None:
    try:
        found = check_memory_id(text)
    except InvalidArgumentError:
        return
    assert check_memory_id(found) == found
