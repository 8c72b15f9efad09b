"""What every folder of tests may use."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.aws import aws_environment, aws_session, moto_url, secretsmanager, shared_secretsmanager

__all__ = ["aws_environment", "aws_session", "model_dir", "moto_url", "secretsmanager", "shared_secretsmanager"]

# Machines that run tests are busy ones: how long an example takes says nothing.
settings.register_profile("busy", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def model_dir() -> Path:
    """The embedding model's folder, built if it is missing or its sources have changed."""
    path = REPOSITORY / ".build" / "embedding-model"
    script = REPOSITORY / "layers" / "embedding-model" / "build.py"
    subprocess.run([sys.executable, str(script), str(path)], check=True)
    return path
