"""What every folder of tests may use."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.aws import aws_environment, moto_url, secretsmanager

__all__ = ["aws_environment", "model_dir", "moto_url", "secretsmanager"]

REPOSITORY = Path(__file__).parents[1]


# Folders whose tests share something costly, which is made once for all of them: built layers, a running system.
_SHARING = {"build": "layers", "runtime_emulator": "layers", "conformance": "conformance", "e2e": "e2e"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together what runs in one process when tests are spread over several: a file, or a folder that shares."""
    for item in items:
        parts = item.path.relative_to(REPOSITORY / "tests").parts
        item.add_marker(pytest.mark.xdist_group(_SHARING.get(parts[0], "/".join(parts))))


@pytest.fixture(scope="session")
def model_dir() -> Path:
    """The embedding model's folder, built if it is missing or its sources have changed."""
    path = REPOSITORY / ".build" / "embedding-model"
    script = REPOSITORY / "layers" / "embedding-model" / "build.py"
    subprocess.run([sys.executable, str(script), str(path)], check=True)
    return path
