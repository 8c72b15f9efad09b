"""The collection service in a fresh space of a real Chroma server."""

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import numpy as np
import pytest

from remora.chroma.client import ChromaClient, Database
from remora.chroma.deadline import Deadline
from remora.collections.models import Engine
from remora.collections.service import Collections
from remora.embedding.embedder import Embedded, Embedder
from tests.support.chroma_server import ChromaServer

SECONDS = 30.0


def soon(seconds: float = SECONDS) -> Deadline:
    """A deadline that a healthy server never reaches."""
    return Deadline.after(seconds)


class WordHashEmbedder:
    """An embedder whose vectors are normalised counts of hashed words: exact, instant, and it needs no model.

    Texts that share words are close to each other, which is all that these tests ask of meaning.
    """

    name = "all-MiniLM-L6-v2"
    dimension = 384
    window = 256

    def __init__(self) -> None:
        """Count what is embedded."""
        self.texts_embedded = 0

    def load(self) -> None:
        """There is nothing to load."""

    def count_tokens(self, text: str) -> int:
        """Count a text's words, and two more as tokenizers do."""
        return len(re.findall(r"\w+", text)) + 2

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed the first 254 words of each text."""
        self.texts_embedded += len(texts)
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        counts = []
        for row, text in zip(vectors, texts, strict=True):
            words = re.findall(r"\w+", text.lower())
            counts.append(self.count_tokens(text))
            for word in words[: self.window - 2]:
                row[zlib.crc32(word.encode()) % self.dimension] += 1.0
            row /= np.linalg.norm(row) or 1.0
        return Embedded(vectors, tuple(counts))


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, as the connector does."""
    return "asyncio"


@pytest.fixture
def embedder() -> WordHashEmbedder:
    """An embedder without a model."""
    return WordHashEmbedder()


@pytest.fixture
async def client(chroma_server: ChromaServer) -> AsyncIterator[ChromaClient]:
    """A client of the shared server."""
    client = ChromaClient(chroma_server.host, chroma_server.port)
    yield client
    await client.aclose()


@pytest.fixture
def database(client: ChromaClient, space_name: str) -> Database:
    """A database that does not exist yet."""
    return client.database(space_name)


@pytest.fixture
def space(database: Database, embedder: Embedder) -> Collections:
    """The service in a fresh space."""
    return Collections(database, embedder, engine=Engine.SINGLE_NODE)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """An event loop for tests that drive it themselves, as property tests do."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def lasting_space(
    chroma_server: ChromaServer, new_space_name: Callable[[], str], runner: asyncio.Runner
) -> Iterator[Collections]:
    """The service in a space that all tests of a module share, for use in `runner`."""
    client = ChromaClient(chroma_server.host, chroma_server.port)
    yield Collections(client.database(new_space_name()), WordHashEmbedder(), engine=Engine.SINGLE_NODE)
    runner.run(client.aclose())
