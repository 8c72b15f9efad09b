"""What only a distributed engine does, against a server that answers those routes as Chroma's API describes them."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from remora.chroma.client import ChromaClient
from remora.collections.models import Engine
from remora.collections.service import Collections
from remora.errors import InvalidArgumentError, UnsupportedError
from tests.integration.collections.conftest import WordHashEmbedder, soon

pytestmark = pytest.mark.anyio

COLLECTION = {
    "id": "9be4475e-eadc-4a26-91f0-bb8d115a3e9e",
    "name": "notes",
    "configuration_json": {
        "hnsw": None,
        "spann": {"space": "cosine", "search_nprobe": 64},
        "embedding_function": {"type": "known", "name": "default", "config": {}},
    },
    "metadata": None,
    "dimension": 384,
    "tenant": "default_tenant",
    "database": "team",
    "log_position": 7,
    "version": 3,
}
FORK = {**COLLECTION, "id": "8efae664-67ea-4f83-9139-05be180c7900", "name": "copy"}
ANSWERS: dict[str, Any] = {
    "collections/notes": COLLECTION,
    "/count": 12,
    "/fork": FORK,
    "/fork_count": {"count": 2},
    "/indexing_status": {
        "op_indexing_progress": 0.75,
        "num_unindexed_ops": 3,
        "num_indexed_ops": 9,
        "total_ops": 12,
    },
    "/search": {
        "ids": [["a", "b"], []],
        "documents": [["text a", None], None],
        "embeddings": [None, None],
        "metadatas": [[{"n": 1}, None], None],
        "scores": [[0.25, 0.5], None],
        "select": [["Document"], []],
    },
}


@dataclass
class Distributed:
    """The server's port, and the bodies it was sent by the end of their path."""

    port: int = 0
    bodies: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
async def engine() -> AsyncIterator[Distributed]:
    """A server with the routes of a distributed engine; one cannot be run on a single machine."""
    engine = Distributed()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                path = head.split(" ", 2)[1]
                lengths = [line for line in head.lower().split("\r\n") if line.startswith("content-length:")]
                body = await reader.readexactly(int(lengths[0].split(":")[1])) if lengths else b"null"
                end = next(end for end in ANSWERS if path.endswith(end))
                engine.bodies[end] = json.loads(body)
                answer = json.dumps(ANSWERS[end]).encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(answer), answer))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    engine.port = listener.sockets[0].getsockname()[1]
    yield engine
    listener.close()


@pytest.fixture
async def team(engine: Distributed) -> AsyncIterator[Collections]:
    """The service in a space of that engine."""
    client = ChromaClient("127.0.0.1", engine.port)
    yield Collections(client.database("team"), WordHashEmbedder(), engine=Engine.DISTRIBUTED)
    await client.aclose()


async def test_a_collection_with_another_index_is_described(team: Collections) -> None:
    info = await team.info("notes", deadline=soon())
    assert (info.count, info.space, info.hnsw, info.embeds_text) == (12, "cosine", None, True)


async def test_a_fork_is_native(team: Collections, engine: Distributed) -> None:
    fork = await team.fork("notes", "copy", deadline=soon())
    assert (fork.name, fork.records, fork.native) == ("copy", 12, True)
    assert engine.bodies["/fork"] == {"new_name": "copy"}
    assert await team.fork_count("notes", deadline=soon()) == 2


async def test_indexing_status_is_told(team: Collections) -> None:
    status = await team.indexing_status("notes", deadline=soon())
    assert status.model_dump() == {"progress": 0.75, "indexed": 9, "unindexed": 3, "total": 12}


async def test_searches_go_out_with_texts_embedded_and_come_back_with_scores(
    team: Collections, engine: Distributed
) -> None:
    searches = [
        {"rank": {"$sum": [{"$knn": {"query": "hello", "limit": 5}}, {"$val": 1.0}]}, "filter": {"n": 1}},
        {"limit": {"limit": 3}, "select": {"keys": ["#score"]}},
    ]
    result = await team.search("notes", searches, deadline=soon())
    hits, nothing = result.results
    assert [hit.model_dump() for hit in hits.hits] == [
        {"id": "a", "document": "text a", "metadata": {"n": 1}, "search_score": 0.25},
        {"id": "b", "search_score": 0.5},
    ]
    assert nothing.hits == []
    first, second = engine.bodies["/search"]["searches"]
    nearest = first["rank"]["$sum"][0]["$knn"]
    assert len(nearest["query"]) == 384
    assert nearest["limit"] == 5
    assert first["limit"] == {"offset": 0, "limit": 10}
    assert first["select"] == {"keys": ["#document", "#metadata", "#score"]}
    assert second == {"limit": {"offset": 0, "limit": 3}, "select": {"keys": ["#score"]}}


@pytest.mark.parametrize(
    "searches",
    [[], {}, ["x"], [{"where": {}}], [{"limit": {"limit": 0}}], [{"limit": {"limit": 5_000}}], [{"rank": []}]],
)
async def test_a_search_of_another_form_is_refused(team: Collections, searches: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        await team.search("notes", searches, deadline=soon())


async def test_a_text_for_a_sparse_index_is_refused(team: Collections) -> None:
    with pytest.raises(UnsupportedError, match="sparse_key"):
        await team.search("notes", [{"rank": {"$knn": {"query": "hello", "key": "sparse_key"}}}], deadline=soon())
