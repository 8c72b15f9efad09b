"""The connector's handler in an execution environment of its own, before a real Chroma server."""

import importlib
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.chroma_server import ChromaServer
from tests.support.lambda_event import Context, event

Handle = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def handle(chroma_server: ChromaServer, model_dir: object, monkeypatch: pytest.MonkeyPatch) -> Handle:
    """The connector's handler in a new execution environment, with every tool offered that can be."""
    for name, value in {
        "REMORA_CHROMA_HOST": chroma_server.host,
        "REMORA_CHROMA_PORT": str(chroma_server.port),
        "REMORA_MODEL_DIR": str(model_dir),
        "REMORA_MEMORY_BUCKET": "memory",
        "REMORA_DATABASE_ADMINISTRATION": "true",
        "POWERTOOLS_SERVICE_NAME": "connector",
        "POWERTOOLS_METRICS_NAMESPACE": "Remora",
    }.items():
        monkeypatch.setenv(name, value)
    sys.modules.pop("connector.handler", None)
    handler = importlib.import_module("connector.handler").handler

    def call(request: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = handler(request, Context())
        return answer

    return call


def at(path: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return a request as it comes in at another URL."""
    return request | {"path": path, "resource": path}


def message(handle: Handle, method: str, params: dict[str, Any], *, path: str, scopes: str) -> dict[str, Any]:
    """Send a request and return the JSON-RPC message that answers it."""
    answered: dict[str, Any] = json.loads(handle(at(path, event(method, params, scopes=scopes)))["body"])
    return answered
