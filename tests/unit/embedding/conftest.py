from pathlib import Path

import pytest

from remora.embedding import MiniLM


@pytest.fixture(scope="session")
def embedder(model_dir: Path) -> MiniLM:
    return MiniLM(model_dir)
