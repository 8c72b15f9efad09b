"""A real Chroma server for the integration tests, and a fresh space in it for each test."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.chroma_server import ChromaServer

_space_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def chroma_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaServer]:
    """A Chroma server for the whole run; nobody may stop it."""
    server = ChromaServer(tmp_path_factory.mktemp("chroma"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_chroma_server(tmp_path: Path) -> Iterator[ChromaServer]:
    """A Chroma server of the test's own, to be killed and restarted."""
    server = ChromaServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def new_space_name() -> Callable[[], str]:
    """Make names of spaces that nothing has used yet."""
    return lambda: f"space-{os.getpid()}-{next(_space_numbers)}"


@pytest.fixture
def space_name(new_space_name: Callable[[], str]) -> str:
    """The name of a space that does not exist yet."""
    return new_space_name()
