"""Vectors that travel with an export, so that an import needs no model: kept by the text that they were made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from remora.embedding import Embedded, Embedder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_DIGEST_BYTES = 16


def text_digest(text: str) -> bytes:
    """Return what a text's vector is known by."""
    return sha256(text.encode()).digest()[:_DIGEST_BYTES]


class KnownVectors:
    """An embedder that asks its model only for texts whose vectors it was not told before."""

    def __init__(self, embedder: Embedder) -> None:
        """Wrap an embedder; nothing is known yet.

        Args:
            embedder: The model.
        """
        self._embedder = embedder
        self._known: Mapping[bytes, bytes] = {}

    @property
    def name(self) -> str:
        """The model's name."""
        return self._embedder.name

    @property
    def dimension(self) -> int:
        """The length of a vector, in numbers."""
        return self._embedder.dimension

    @property
    def window(self) -> int:
        """How many tokens of a text the model reads."""
        return self._embedder.window

    def know(self, vectors: Iterable[tuple[bytes, bytes]]) -> None:
        """Know these vectors from now on, and no others.

        Args:
            vectors: Digests of texts (`text_digest`) with packed vectors; those of another length than the model's
                are passed over.
        """
        size = 4 * self.dimension
        self._known = {digest: vector for digest, vector in vectors if len(vector) == size}

    def load(self) -> None:
        """Load the model."""
        self._embedder.load()

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has."""
        return self._embedder.count_tokens(text)

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Return the vectors of texts, from the model only where they are not known."""
        known = self._known
        found = {text: known.get(text_digest(text)) for text in texts} if known else {}
        if not any(found.values()):
            return self._embedder.embed(texts)
        import numpy as np

        rest = [text for text in texts if found[text] is None]
        made = iter(self._embedder.embed(rest).vectors) if rest else iter(())
        vectors: npt.NDArray[np.float32] = np.empty((len(texts), self.dimension), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            vector = found[text]
            row[:] = next(made) if vector is None else np.frombuffer(vector, dtype="<f4")
        return Embedded(vectors, tuple(map(self.count_tokens, texts)))
