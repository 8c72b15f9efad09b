"""The conformance suite and the Inspector against Remora, and against the suite's own server in its place."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

from tests.conformance.proxy import keyless
from tests.conformance.suite import NODE_MODULES, Check, Suite
from tests.support.local_stack import LocalStack, start_local_stack

Reports = Mapping[str, Sequence[Check]]
ReportsOf = Callable[[str], Reports]

_FIXTURE = Path(__file__).parent / "fixture" / "template.yaml"


@pytest.fixture(scope="session")
def node() -> list[str]:
    """The command that runs Node 22."""
    program = NODE_MODULES / "node" / "bin" / "node"
    if not program.exists():
        pytest.fail("Node's tools are not installed; `make test` installs them (it needs npm)")
    return [str(program)]


@pytest.fixture(scope="session")
def node_environment() -> dict[str, str]:
    """The environment for programs on Node 22, which start `node` themselves too."""
    return {**os.environ, "PATH": f"{NODE_MODULES / 'node' / 'bin'}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="session")
def suite(node: list[str], node_environment: dict[str, str]) -> Suite:
    """The conformance suite."""
    return Suite(node, node_environment)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, model_dir: object) -> Iterator[LocalStack]:
    """A running Remora with nothing in it."""
    with start_local_stack(tmp_path_factory.mktemp("conformance")) as stack:
        yield stack


@pytest.fixture(scope="session")
def keyless_url(stack: LocalStack) -> Iterator[str]:
    """A URL that reaches the MCP endpoint without a key."""
    with keyless(stack) as url:
        yield url


@pytest.fixture(scope="session")
def diagnostic_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A URL that reaches the suite's own server, behind Remora's gateway and transport, without a key."""
    data_dir = tmp_path_factory.mktemp("diagnostics")
    with start_local_stack(data_dir, template=_FIXTURE, parameters={}) as stack, keyless(stack) as url:
        yield url


@pytest.fixture(scope="session")
def remora_reports(suite: Suite, keyless_url: str, tmp_path_factory: pytest.TempPathFactory) -> ReportsOf:
    """What the suite finds of Remora, by the revision that it speaks; each is run once."""
    return cache(lambda revision: suite.run(keyless_url, revision, tmp_path_factory.mktemp("reports")))


@pytest.fixture(scope="session")
def transport_reports(suite: Suite, diagnostic_url: str, tmp_path_factory: pytest.TempPathFactory) -> ReportsOf:
    """What the suite finds of its own server behind Remora's gateway and transport, in the same way."""
    return cache(lambda revision: suite.run(diagnostic_url, revision, tmp_path_factory.mktemp("reports")))
