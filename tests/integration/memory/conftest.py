"""Memory services on a real Chroma server, the real model, and a journal in moto's S3."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from remora.chroma.client import ChromaClient
from remora.collections.models import Engine
from remora.embedding import MiniLM
from remora.journal import Journal, JournalStore
from remora.memory.index import MemoryIndex
from remora.memory.service import MemoryService
from remora.spaces import Spaces
from remora.transfer.service import TransferService
from tests.integration.journal.conftest import anyio_backend, bucket, s3, s3_server
from tests.support.chroma_server import ChromaServer

__all__ = ["anyio_backend", "bucket", "s3", "s3_server"]

MakeService = Callable[..., MemoryService]
MakeTransfer = Callable[..., TransferService]


class Clock:
    """A clock that goes on by a second each time it is looked at, and stands where a test puts it."""

    def __init__(self) -> None:
        self._ticks = itertools.count()
        self.start = datetime(2026, 5, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.start + timedelta(seconds=next(self._ticks))


@pytest.fixture(scope="session")
def embedder(model_dir: Path) -> MiniLM:
    """The real model."""
    return MiniLM(model_dir)


@pytest.fixture
def clock() -> Clock:
    """A clock of the test's own."""
    return Clock()


@pytest.fixture
def make_service(
    chroma_server: ChromaServer, bucket: str, space_name: str, embedder: MiniLM, clock: Clock
) -> MakeService:
    """Make services of the test's space, each with connections of its own, as execution environments have."""

    def make(by: str = "alice", port: int = chroma_server.port, space: str = "") -> MemoryService:
        chroma = ChromaClient("127.0.0.1", port)
        name = f"{space_name}{space}"
        journal = Journal(JournalStore(bucket), name)
        return MemoryService(journal, MemoryIndex(chroma.database(name), embedder), by=by, clock=clock)

    return make


@pytest.fixture
def make_transfer(
    chroma_server: ChromaServer, bucket: str, space_name: str, embedder: MiniLM, clock: Clock
) -> MakeTransfer:
    """Make transfer services of the test's space."""

    def make(port: int = chroma_server.port) -> TransferService:
        spaces = Spaces(ChromaClient("127.0.0.1", port), embedder, engine=Engine.SINGLE_NODE, memory_bucket=bucket)
        return spaces.transfer(space_name, "alice")

    return make


@pytest.fixture
def service(make_service: MakeService) -> MemoryService:
    """The memory of the test's space."""
    return make_service()
