"""The functions as built, each in an execution environment of its own, with real Chroma and AWS by moto."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from tests.runtime_emulator.emulator import REPOSITORY, Emulator, Layout, build_layout
from tests.support.aws import REGION, moto_url
from tests.support.chroma_server import ChromaServer
from tests.support.example_deployment import BUCKET, SECRET, SIGNING_SECRET, TABLE, furnish

__all__ = ["moto_url"]  # a fixture: pytest finds it here

Event = Mapping[str, Any]
Start = Callable[[str], Emulator]
WARMING = {
    "ConnectorFunction": "health",
    "AuthorizerFunction": "authorizer-allow",
    "OAuthFunction": "oauth-metadata",
    "IngestFunction": "ingest",
    "UpkeepFunction": "upkeep",
    "WatchFunction": "watch",
}


def load_event(name: str) -> dict[str, Any]:
    """Read one of the events that `sam local invoke` is given."""
    event: dict[str, Any] = json.loads((REPOSITORY / "events" / f"{name}.json").read_text())
    return event


@pytest.fixture(scope="session")
def layout() -> Layout:
    """The functions and layers, built for this machine by the Makefiles that `sam build` runs."""
    return build_layout()


@pytest.fixture(scope="session")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaServer]:
    """A Chroma server with nothing in it."""
    server = ChromaServer(tmp_path_factory.mktemp("chroma"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def environments(layout: Layout, chroma: ChromaServer, moto_url: str) -> Mapping[str, Mapping[str, str]]:
    """The environment variables of each function, as the template would set them."""
    aws = {
        "AWS_ENDPOINT_URL": moto_url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }
    furnish(moto_url)
    memory = {
        "REMORA_CHROMA_HOST": chroma.host,
        "REMORA_CHROMA_PORT": str(chroma.port),
        "REMORA_MEMORY_BUCKET": BUCKET,
        "REMORA_MODEL_DIR": str(layout.opt / "embedding-model"),
    }
    common = {"POWERTOOLS_METRICS_NAMESPACE": "Remora", "POWERTOOLS_LOG_LEVEL": "INFO"}
    return {
        "ConnectorFunction": {
            **common,
            "POWERTOOLS_SERVICE_NAME": "connector",
            **memory,
        },
        "AuthorizerFunction": {
            **common,
            **aws,
            "POWERTOOLS_SERVICE_NAME": "authorizer",
            "REMORA_PRINCIPALS_SECRET": SECRET,
        },
        "OAuthFunction": {
            **common,
            **aws,
            "POWERTOOLS_SERVICE_NAME": "oauth",
            "REMORA_OAUTH_TABLE": TABLE,
            "REMORA_PRINCIPALS_SECRET": SECRET,
            "REMORA_SIGNING_SECRET": SIGNING_SECRET,
        },
        "IngestFunction": {**common, **aws, **memory, "POWERTOOLS_SERVICE_NAME": "ingest"},
        "UpkeepFunction": {**common, **aws, **memory, "POWERTOOLS_SERVICE_NAME": "upkeep"},
        "WatchFunction": {
            **common,
            **aws,
            "POWERTOOLS_SERVICE_NAME": "watch",
            "REMORA_PRINCIPALS_SECRET": SECRET,
        },
    }


@pytest.fixture(scope="module")
def start(
    layout: Layout, environments: Mapping[str, Mapping[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    """Start a cold execution environment of a function; all end with the module."""
    with ExitStack() as stack:

        def started(function: str) -> Emulator:
            log = tmp_path_factory.mktemp("emulator") / f"{function}.log"
            return stack.enter_context(Emulator(layout, function, environments[function], log=log))

        yield started


@pytest.fixture(scope="module")
def warm(start: Start) -> Callable[[str], Emulator]:
    """Answer an execution environment that has served an invocation already, one for each function."""
    running: dict[str, Emulator] = {}

    def emulator(function: str) -> Emulator:
        if function not in running:
            running[function] = start(function)
            running[function].invoke(load_event(WARMING[function]))
        return running[function]

    return emulator
