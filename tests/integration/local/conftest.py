"""The local run on a deployment of its own, which uses everything that the local gateway knows."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.local_stack import LocalStack, start_local_stack

FIXTURE = Path(__file__).parent / "fixture" / "template.yaml"


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A running local stack of the fixture's template."""
    with start_local_stack(tmp_path_factory.mktemp("local"), template=FIXTURE, parameters={}) as stack:
        yield stack


@pytest.fixture
def http(stack: LocalStack) -> Iterator[httpx2.Client]:
    """A client whose paths are below the stage."""
    with httpx2.Client(base_url=stack.stage_url, timeout=30) as client:
        yield client
