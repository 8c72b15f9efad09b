"""Scores: the cosine, whatever the space."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.collections.models import Space
from remora.collections.scores import cosine, scaled, to_score

vectors = st.lists(st.floats(-10, 10), min_size=3, max_size=3).filter(lambda vector: math.hypot(*vector) > 0.1)


@given(query=vectors, record=vectors)
def test_every_spaces_distance_gives_back_the_cosine(query: list[float], record: list[float]) -> None:
    product = sum(a * b for a, b in zip(query, record, strict=True))
    lengths = math.hypot(*query), math.hypot(*record)
    true = product / lengths[0] / lengths[1]
    distances = {
        Space.COSINE: 1.0 - true,
        Space.L2: sum((a - b) ** 2 for a, b in zip(query, record, strict=True)),
        Space.IP: 1.0 - product,
    }
    for space, distance in distances.items():
        assert cosine(space, distance, *lengths) == pytest.approx(true, abs=1e-6)


def test_a_vector_without_length_is_similar_to_nothing() -> None:
    assert cosine(Space.L2, 0.0, 0.0, 0.0) == 0.0
    assert cosine(Space.IP, 1.0, 0.0, 2.0) == 0.0


@given(value=st.floats(-2, 2))
def test_a_score_is_between_nothing_and_one(value: float) -> None:
    assert 0.0 <= to_score(value) <= 1.0


def test_values_are_scaled_linearly() -> None:
    assert scaled([2.0, 4.0, 3.0]) == [0.0, 1.0, 0.5]
    assert scaled([2.0, 2.0]) == [1.0, 1.0]
    assert scaled([]) == []
