"""States what every embedder promises, whichever model or provider is behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors of some texts, in the order in which the texts were given.

    Attributes:
        vectors: float32, [texts, dimension], each of length 1.
        token_counts: How many tokens each text has, special tokens included, before any truncation. Where
            this is more than the embedder's window, the vector speaks for the first `window` tokens only,
            and the caller must say so.
    """

    vectors: npt.NDArray[np.float32]
    token_counts: tuple[int, ...]


class Embedder(Protocol):
    """A model that turns texts into vectors. May be used from several threads at once."""

    @property
    def name(self) -> str:
        """The model's usual name; vectors of embedders with the same name can be compared."""

    @property
    def dimension(self) -> int:
        """The length of a vector, in numbers."""

    @property
    def window(self) -> int:
        """How many tokens of a text the model reads, special tokens included."""

    def load(self) -> None:
        """Do now what would otherwise happen at first use. Does nothing when it has been done.

        Raises:
            UnavailableError: The model cannot be loaded.
        """

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Return the vectors of any number of texts; a text's vector does not depend on the others.

        Raises:
            InvalidArgumentError: A text is not valid Unicode.
            UnavailableError: The model cannot be loaded.
        """

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has, special tokens included.

        Raises:
            InvalidArgumentError: The text is not valid Unicode.
            UnavailableError: The model cannot be loaded.
        """
