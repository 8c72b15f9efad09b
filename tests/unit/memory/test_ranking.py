"""Evidence, against values worked out by hand."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from math import log

import numpy as np
import pytest

from remora.memory.index.segments import NewEntry, NewPassage, Precedence, body_of, decode, encode
from remora.memory.index.view import View
from remora.memory.models import Memory
from remora.memory.ranking import (
    DENSE_DECAYS,
    HALF_WORDS,
    K1,
    PRESENCE,
    QUESTION_PENALTY,
    B,
    dense_evidence,
    form,
    lexical_evidence,
    recency,
)

MOMENT = datetime(2026, 5, 1, tzinfo=UTC)


def conversation(*said: str, questions: Sequence[int] = (), key: str = "7h3kq9x2ma-") -> View:
    """A view of turns (or of notes, with an empty key), in their order."""
    entries = []
    for number, text in enumerate(said):
        memory = Memory(id=f"{key}{number}", version=1, content=text, created_at=MOMENT, updated_at=MOMENT)
        tenths = questions[number] if questions else 0
        passage = NewPassage(text, words=len(text.split()), questions=tenths, terms=Counter(text.split()))
        entries.append(NewEntry(memory.id, Precedence(1, 1), "d", body_of(memory), 0, number, (), (passage,)))
    segment = decode(encode(entries))
    return View([segment], [np.ones(len(said), dtype=bool)])


def idf(passages: int, holding: int) -> float:
    return log(1 + (passages - holding + 0.5) / (holding + 0.5))


def test_lexical_evidence_is_the_share_of_bm25_that_a_passage_holds() -> None:
    view = conversation("zebra zebra apple", "one two", "apple", "three four five six", key="")
    own, around = lexical_evidence(view, ["zebra", "apple", "unknown"])
    zebra, apple = idf(4, 1), idf(4, 2)
    most = PRESENCE * (zebra + apple + idf(4, 0))
    norm = K1 * (1 - B + B * 3 / 2.5)
    first = zebra * 2 * (K1 + 1) / (2 + norm) + apple * (K1 + 1) / (1 + norm)
    third = apple * (K1 + 1) / (1 + K1 * (1 - B + B * 1 / 2.5))
    rows = [row for number in range(4) if (row := view.row(f"{number}.1.d.0")) is not None]
    assert own[rows].tolist() == pytest.approx([first / most, 0, third / most, 0])
    assert around.tolist() == own.tolist(), "notes have no neighbours"


def test_a_term_counts_at_its_best_over_the_neighbours_of_a_turn() -> None:
    view = conversation("zebra", "x", "y", "apple", "z", "zz", "zzz", "zzzz")
    own, around = lexical_evidence(view, ["zebra", "apple"])
    whole = float(own[0])
    # Both words are in one turn each, so both weigh the same.
    assert own.tolist() == pytest.approx([whole, 0, 0, whole, 0, 0, 0, 0])
    zebra = [1, 0.8, 0.6, 0.4, 0, 0, 0, 0]
    apple = [0.2, 0.4, 0.6, 1, 0.8, 0.6, 0.4, 0]
    assert around.tolist() == pytest.approx([whole * (one + two) for one, two in zip(zebra, apple, strict=True)])


def test_nothing_is_evidence_for_a_query_without_words() -> None:
    own, around = lexical_evidence(conversation("apple"), [])
    assert (own.tolist(), around.tolist()) == ([0.0], [0.0])


def test_similarity_above_the_floor_is_evidence_for_the_neighbours() -> None:
    view = conversation("a", "b", "c", "d", "e")
    rows, similarities = np.array([1, 4]), np.array([0.65, 0.2], dtype=np.float32)
    dense, context, is_near = dense_evidence(view, rows, similarities, is_all=False)
    total = sum(DENSE_DECAYS.values())
    assert dense.tolist() == pytest.approx([0.2, 0.65, 0.2, 0.2, 0.2]), "the others may be as near as the last"
    # 0.65 is half way from the floor to 1; 0.2 is below it.
    decays = [DENSE_DECAYS[1], 0, DENSE_DECAYS[-1], DENSE_DECAYS[-2], DENSE_DECAYS[-3]]
    assert context.tolist() == pytest.approx([0.5 * decay / total for decay in decays])
    assert is_near.tolist() == [False, True, False, False, True]
    dense, _, _ = dense_evidence(view, rows, similarities, is_all=True)
    assert dense.tolist() == pytest.approx([0, 0.65, 0, 0, 0.2])


def test_turns_that_are_short_or_ask_count_less_and_notes_do_not() -> None:
    said = ("one two three four", "one two three four", "a")
    turns = form(conversation(*said, questions=(0, 10, 0)))
    half = 4 / (4 + HALF_WORDS)
    assert turns.tolist() == pytest.approx([half, half * (1 - QUESTION_PENALTY), 1 / (1 + HALF_WORDS)])
    assert form(conversation(*said, questions=(0, 10, 0), key="")).tolist() == [1, 1, 1]


def test_recency_halves_with_each_half_life_and_is_whole_for_the_future() -> None:
    day = 86_400_000
    assert recency(np.array([0, 5 * day, 10 * day, 12 * day]), 10 * day, 5.0).tolist() == pytest.approx(
        [0.25, 0.5, 1, 1]
    )
