"""Vectors that an import brings: used for the very texts that they were made of, and for no others."""

from collections.abc import Sequence

import numpy as np
import pytest

from remora.embedding import Embedded
from remora.transfer.vectors import KnownVectors, text_digest


class Counting:
    """An embedder of two numbers, a text's length and 1, that remembers what it was asked for."""

    name = "counting"
    dimension = 2
    window = 256

    def __init__(self) -> None:
        """Nothing was asked for yet."""
        self.asked: list[str] = []

    def load(self) -> None:
        """There is nothing to load."""

    def count_tokens(self, text: str) -> int:
        """Count words."""
        return len(text.split())

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed texts."""
        self.asked += texts
        rows = [[len(text), 1.0] for text in texts]
        return Embedded(np.array(rows, dtype=np.float32), tuple(map(self.count_tokens, texts)))


@pytest.fixture
def model() -> Counting:
    """The model behind."""
    return Counting()


def packed(*numbers: float) -> bytes:
    """A vector as it travels."""
    return np.array(numbers, dtype="<f4").tobytes()


def test_only_texts_that_are_not_known_are_embedded(model: Counting) -> None:
    vectors = KnownVectors(model)
    vectors.know([(text_digest("two words"), packed(0.25, 0.5))])

    made = vectors.embed(["one", "two words", "three more words", "two words"])

    assert made.vectors.tolist() == [[3, 1], [0.25, 0.5], [16, 1], [0.25, 0.5]]
    assert made.token_counts == (1, 2, 3, 2)
    assert model.asked == ["one", "three more words"]


def test_when_all_are_known_the_model_is_not_asked(model: Counting) -> None:
    vectors = KnownVectors(model)
    vectors.know([(text_digest("one"), packed(1, 2))])

    assert vectors.embed(["one"]).vectors.tolist() == [[1, 2]]
    assert model.asked == []


def test_vectors_of_another_length_are_passed_over(model: Counting) -> None:
    vectors = KnownVectors(model)
    vectors.know([(text_digest("one"), packed(1, 2, 3)), (text_digest("two"), b"")])

    assert vectors.embed(["one", "two"]).vectors.tolist() == [[3, 1], [3, 1]]


def test_what_was_known_before_is_forgotten(model: Counting) -> None:
    vectors = KnownVectors(model)
    vectors.know([(text_digest("one"), packed(1, 2))])
    vectors.know([])

    assert vectors.embed(["one"]).vectors.tolist() == [[3, 1]]
