"""Finding a version of Chroma, with a listener in PyPI's place."""

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.chroma_server.releases import Release, find_release, order
from remora.errors import InvalidArgumentError, NotFoundError, UnavailableError

DIGEST = "9192d111bd662241625867962333d99369a00769a50f8b2f58cb388731274d7e"
WHEEL = "chromadb-1.5.9-cp39-abi3-manylinux_2_17_aarch64.manylinux2014_aarch64.whl"


def file(name: str, digest: str = DIGEST, **more: Any) -> dict[str, Any]:
    return {"filename": name, "digests": {"sha256": digest}, **more}


OTHERS = [
    file("chromadb-1.5.9-cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "0" * 64),
    file("chromadb-1.5.9-cp39-abi3-macosx_11_0_arm64.whl", "1" * 64),
    file("chromadb-1.5.9.tar.gz", "2" * 64),
]


@pytest.fixture
def answers() -> dict[str, bytes]:
    return {}


@pytest.fixture
def index(answers: dict[str, bytes]) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers.get(self.path)
            self.send_response(404 if body is None else 200 if body else 500)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/pypi"
    server.shutdown()
    server.server_close()


def test_a_version_comes_with_the_hash_of_the_wheel_for_the_server(index: str, answers: dict[str, bytes]) -> None:
    answers["/pypi/chromadb/1.5.9/json"] = json.dumps({"urls": [*OTHERS, file(WHEEL)]}).encode()
    assert find_release("1.5.9", index) == Release("1.5.9", DIGEST)


@pytest.mark.parametrize(
    "files",
    [[], OTHERS, [file(WHEEL, yanked=True)], [file(WHEEL, "not a hash")]],
    ids=["none", "others", "yanked", "hash"],
)
def test_a_version_that_the_server_cannot_run_is_refused(
    index: str, answers: dict[str, bytes], files: list[dict[str, Any]]
) -> None:
    answers["/pypi/chromadb/1.5.9/json"] = json.dumps({"urls": files}).encode()
    with pytest.raises(InvalidArgumentError, match="no wheel for Linux on ARM"):
        find_release("1.5.9", index)


def test_a_version_that_is_not_there_and_an_index_that_fails_are_told_apart(
    index: str, answers: dict[str, bytes]
) -> None:
    answers |= {"/pypi/chromadb/1.0.0/json": b"", "/pypi/chromadb/1.0.1/json": b"{"}
    with pytest.raises(NotFoundError):
        find_release("9.9.9", index)
    for version in ("1.0.0", "1.0.1"):
        with pytest.raises(UnavailableError):
            find_release(version, index)


@pytest.mark.parametrize("version", ["", "1.5", "1.5.9rc1", "1.5.9/../../other", "v1.5.9", "1.5.9\n", "٣.٢.١"])
def test_what_is_no_version_is_never_asked_for(version: str) -> None:
    with pytest.raises(InvalidArgumentError):
        find_release(version, "http://127.0.0.1:9/nobody")


@given(st.lists(st.tuples(*[st.integers(0, 9999)] * 3), min_size=2))
def test_versions_are_in_the_order_of_their_numbers(versions: list[tuple[int, int, int]]) -> None:
    texts = sorted((".".join(map(str, version)) for version in versions), key=order)
    assert [order(text) for text in texts] == sorted(versions)
