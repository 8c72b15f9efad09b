"""Decides whether a collection's vectors are of the kind Remora's embedder makes, and makes them.

A collection keeps the embedding function it was created with. Its stored configuration is compared with
Remora's own list and nothing is ever built from it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from remora.chroma.client import Database
from remora.chroma.deadline import Deadline
from remora.chroma.vectors import norm, pack
from remora.chroma.wire import EmbeddingFunction, Filter, StoredCollection
from remora.collections.limits import PROOF_RECORDS
from remora.embedding.embedder import Embedder
from remora.errors import InvalidArgumentError, UnsupportedError
from remora.observability.timing import measured

DEFAULT = "default"
NONE = "none"

# The names under which Chroma's clients store functions that make the vectors of all-MiniLM-L6-v2.
_SAME_MODEL = frozenset({DEFAULT, "onnx_mini_lm_l6_v2"})
_SENTENCE_TRANSFORMER = "sentence_transformer"

# The int8 model's vectors have a cosine above 0.99 to those of the fp32 one; other models' are far below this.
_SAME_VECTOR_COSINE = 0.97
_MAX_PROVEN = 1_024
_INLINE_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class EmbeddedText:
    """A text's vector.

    Attributes:
        vector: The numbers, of unit length.
        tokens: Tokens of the whole text, also where the vector covers only the first of them.
    """

    vector: Sequence[float]
    tokens: int

    def packed(self) -> bytes:
        """Return the vector as Chroma takes it in a write."""
        return pack(self.vector)


async def embed(embedder: Embedder, texts: Sequence[str]) -> list[EmbeddedText]:
    """Embed texts: a query's at once, more in a thread, so that requests under way go on meanwhile.

    Going through a thread costs more than embedding a short query does, since the two then wait for each other's
    turn at the interpreter. The lookup of the collection is on its way by then and is answered meanwhile.

    Args:
        embedder: The embedder.
        texts: One slice of texts; the caller looks at its deadline between two.
    """
    with measured("embed"):
        if sum(map(len, texts)) <= _INLINE_CHARACTERS:
            embedded = embedder.embed(texts)
        else:
            embedded = await asyncio.to_thread(embedder.embed, texts)
    return [
        EmbeddedText(vector.tolist(), int(tokens))
        for vector, tokens in zip(embedded.vectors, embedded.token_counts, strict=True)
    ]


def check_creatable(embedding_function: str, embedder: Embedder) -> bool:
    """Return whether a new collection with that function records Chroma's default as its own.

    Args:
        embedding_function: `default`, the embedder's own name, or `none` for a collection of the caller's vectors.
        embedder: The embedder.

    Raises:
        UnsupportedError: It is another function; Remora could not make its vectors.
    """
    if embedding_function in {DEFAULT, embedder.name}:
        return True
    if embedding_function == NONE:
        return False
    raise UnsupportedError(
        f"Remora cannot make vectors of the embedding function {embedding_function!r}. It has {DEFAULT!r} "
        f"({embedder.name}, {embedder.dimension} dimensions); use {NONE!r} to bring embeddings of your own."
    )


def is_own(function: EmbeddingFunction, embedder: Embedder) -> bool:
    """Return whether a stored function makes the vectors that the embedder makes."""
    if function.kind != "known":
        return False
    if function.name in _SAME_MODEL:
        return True
    models = {embedder.name, f"sentence-transformers/{embedder.name}"}
    return function.name == _SENTENCE_TRANSFORMER and function.model in models


def function_label(function: EmbeddingFunction | None) -> str | None:
    """Return a stored function's name for people, None when no name is stored."""
    if function is None or function.kind != "known" or function.name is None:
        return None
    return f"{function.name} ({function.model})" if function.model else function.name


class TextFunctions:
    """Which collections of a database take text."""

    def __init__(self, database: Database, embedder: Embedder) -> None:
        self._database = database
        self._embedder = embedder
        self._proven: dict[str, None] = {}

    async def refusal(self, collection: StoredCollection, *, deadline: Deadline) -> str | None:
        """Return why text cannot be stored or queried in a collection; None when it can.

        A collection that names no function (clients older than 1.0 stored none, and `embedding_function=None`
        stores none) takes text while it is empty, and later if the vectors of some of its documents are those
        that the embedder makes of them.
        """
        own = self._embedder.dimension
        function, dimension = collection.embedding_function, collection.dimension
        if function is not None and function.kind not in {"known", "legacy"}:
            return "its embedding function is a custom one without a name"
        if function is not None and function.kind == "known":
            if not is_own(function, self._embedder):
                return f"its vectors are made by the embedding function {function_label(function)!r}"
            if dimension not in {None, own}:
                return f"its vectors have {dimension} dimensions, those of {self._embedder.name} have {own}"
            return None
        if dimension is None or await self._is_proven(collection, deadline):
            return None
        return (
            f"it names no embedding function and holds vectors ({dimension} dimensions) that were not made of its "
            f"documents by {self._embedder.name}"
        )

    async def require(self, collection: StoredCollection, *, deadline: Deadline) -> None:
        """Check that text can be stored and queried in a collection.

        Raises:
            UnsupportedError: It cannot; the message says which function it needs.
        """
        reason = await self.refusal(collection, deadline=deadline)
        if reason is not None:
            raise UnsupportedError(
                f"Collection {collection.name!r} does not take text: {reason}. "
                "Give embeddings made by that function; reading and filtering work without."
            )

    async def _is_proven(self, collection: StoredCollection, deadline: Deadline) -> bool:
        if collection.dimension != self._embedder.dimension:
            return False
        if collection.id in self._proven:
            return True
        records = await self._database.get(
            collection.id,
            Filter(),
            include=("documents", "embeddings"),
            limit=4 * PROOF_RECORDS,
            deadline=deadline,
        )
        pairs = [
            (record.document, record.embedding)
            for record in records
            if record.document and record.embedding is not None
        ][:PROOF_RECORDS]
        if not pairs:
            return False
        made = await embed(self._embedder, [document for document, _ in pairs])
        if any(
            _cosine(text.vector, stored) < _SAME_VECTOR_COSINE for text, (_, stored) in zip(made, pairs, strict=True)
        ):
            return False
        self._proven[collection.id] = None
        while len(self._proven) > _MAX_PROVEN:
            del self._proven[next(iter(self._proven))]
        return True


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    length = norm(one) * norm(other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / length if length else 0.0


def check_dimension(given: int, collection: StoredCollection, what: str) -> None:
    """Check that a vector fits a collection.

    Raises:
        InvalidArgumentError: It has another dimension.
    """
    if collection.dimension is not None and given != collection.dimension:
        raise InvalidArgumentError(
            f"{what} {given} dimensions, collection {collection.name!r} has {collection.dimension}."
        )
