"""SnapStart: what a connector does before its snapshot and after it is restored, in Lambda's own runtime client."""

import random
from collections.abc import Callable

import pytest
import snapshot_restore_py

from remora.snapshots import around_snapshot
from tests.integration.observability.conftest import Start
from tests.support.chroma_server import ChromaServer
from tests.support.lambda_event import result_of, tool_call

SEARCH = tool_call("memory_search", {"query": "lamp"})


def test_a_restored_connector_answers(start: Start) -> None:
    connector = start("connector", snap_start=True)
    connector.wait_for_snapshot()
    connector.restore()
    result_of(connector.invoke(tool_call("memory_store", {"content": "The lamp is in the cellar."})) or {})
    found = result_of(connector.invoke(SEARCH) or {})
    assert "cellar" in found["content"][0]["text"]


def test_a_snapshot_is_taken_without_chroma_so_that_no_connection_is_in_it(
    start: Start, own_chroma_server: ChromaServer
) -> None:
    port = str(own_chroma_server.port)
    own_chroma_server.kill()
    connector = start("connector", snap_start=True, REMORA_CHROMA_PORT=port)
    connector.wait_for_snapshot()
    own_chroma_server.start()
    connector.restore()
    assert result_of(connector.invoke(SEARCH) or {})


def test_a_connector_without_snap_start_waits_for_nothing(start: Start) -> None:
    assert result_of(start("connector").invoke(SEARCH) or {})


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Run the hooks that were registered, as the runtime does: before in reverse, after in order."""
    before, after = [], []  # type: ignore[var-annotated]
    monkeypatch.setattr(snapshot_restore_py, "_before_snapshot_registry", before)
    monkeypatch.setattr(snapshot_restore_py, "_after_restore_registry", after)

    def run() -> None:
        for function, arguments, named in (*reversed(before), *after):
            function(*arguments, **named)

    return run


def test_environments_of_one_snapshot_do_not_draw_the_same_numbers(
    hooks: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    around_snapshot(lambda: None, lambda: None)
    state, drawn = random.getstate(), []
    for _ in range(2):
        random.setstate(state)
        hooks()
        drawn.append(random.random())
    assert drawn[0] != drawn[1]


def test_what_is_loaded_is_loaded_before_and_what_is_renewed_is_renewed_after(
    hooks: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    around_snapshot(lambda: done.append("prepared"), lambda: done.append("renewed"))
    hooks()
    assert done == ["prepared", "renewed"]


def test_without_snap_start_nothing_is_registered(hooks: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
    around_snapshot(lambda: done.append("prepared"), lambda: done.append("renewed"))
    hooks()
    assert done == []
