"""How long a search takes: Chroma alone, embedding alone, and `chroma_query_documents` through the handler.

The three take turns in one run, over the same collection and the same queries. The handler is the one that
Lambda runs, given API Gateway's event, so everything is in its figure but the gateway and the network.
"""

import asyncio
import os
import random
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import httpx2

from benchmarks.statistics import Sample, measure, table
from remora.chroma.client import ChromaClient
from remora.chroma.deadline import Deadline
from remora.collections.models import Engine
from remora.collections.service import Collections
from remora.embedding import MiniLM
from tests.support.lambda_event import HANDSHAKE, MODERN, SPACE, Context, result_of, tool_call

Handler = Callable[[dict[str, Any]], dict[str, Any]]

SIZES = (2_000, 20_000)
ROUNDS = 300
_BATCH = 1_000

_SUBJECTS = ("The harbour", "My sister", "A committee", "The old server", "Our supplier", "The choir", "A patient")
_VERBS = ("repaired", "forgot", "ordered", "reviewed", "painted", "cancelled", "measured", "translated", "planted")
_OBJECTS = ("the invoice", "a bicycle", "the database index", "two hundred tulips", "a contract", "the north wall")
_PLACES = ("in Lisbon", "before the meeting", "on Tuesday", "at the clinic", "near the river", "without a budget")


def documents(count: int) -> list[str]:
    """Return different sentences, the same ones on every run."""
    chance = random.Random(20_000)
    return [
        f"{chance.choice(_SUBJECTS)} {chance.choice(_VERBS)} {chance.choice(_OBJECTS)} {chance.choice(_PLACES)},"
        f" as noted in entry {number} of volume {chance.randrange(100)}."
        for number in range(count)
    ]


def load_handler(chroma_port: int, model_dir: Path, output: TextIO) -> Handler:
    """Import the handler as Lambda would; its log lines and metrics are made as there, and go to `output`."""
    os.environ.update(
        {
            "REMORA_CHROMA_HOST": "127.0.0.1",
            "REMORA_CHROMA_PORT": str(chroma_port),
            "REMORA_MEMORY_BUCKET": "remora-memory",
            "REMORA_MODEL_DIR": str(model_dir),
            "POWERTOOLS_SERVICE_NAME": "connector",
            "POWERTOOLS_METRICS_NAMESPACE": "Remora",
        }
    )
    functions = str(Path(__file__).parents[1] / "functions")
    if functions not in sys.path:
        sys.path.insert(0, functions)
    with redirect_stdout(output):
        from connector.handler import handler

    def quietly(request: dict[str, Any]) -> dict[str, Any]:
        with redirect_stdout(output):
            answer: dict[str, Any] = handler(request, Context())
        return answer

    return quietly


async def _fill(collections: Collections, name: str, texts: list[str]) -> None:
    await collections.create(name, deadline=Deadline.after(10))
    for start in range(0, len(texts), _BATCH):
        batch = texts[start : start + _BATCH]
        ids = [f"{start + offset}" for offset in range(len(batch))]
        result = await collections.add(name, ids=ids, documents=batch, deadline=Deadline.after(300))
        if result.stored != len(batch):
            raise RuntimeError(f"Only {result.stored} of {len(batch)} documents were stored: {result.reason}")
        print(f"\r  {name}: {start + len(batch):,} of {len(texts):,} documents", end="", file=sys.stderr)
    print(file=sys.stderr)


def run(chroma_port: int, model_dir: Path) -> None:
    """Measure and print.

    Args:
        chroma_port: Loopback port of an empty Chroma server.
        model_dir: Folder of the embedding model.
    """
    embedder = MiniLM(model_dir)

    async def fill_all() -> None:
        chroma = ChromaClient(host="127.0.0.1", port=chroma_port)
        collections = Collections(chroma.database(SPACE), embedder, engine=Engine.SINGLE_NODE)
        for size in SIZES:
            await _fill(collections, f"documents-{size}", documents(size))
        await chroma.aclose()

    asyncio.run(fill_all())

    queries = [f"Who {verb} {thing} {place}?" for verb in _VERBS for thing in _OBJECTS for place in _PLACES]
    vectors = [[float(number) for number in row] for row in embedder.embed(queries).vectors]
    with Path(os.devnull).open("w") as nowhere:
        handler = load_handler(chroma_port, model_dir, nowhere)
        for size in SIZES:
            print(f"\n{size:,} documents, 10 results, {ROUNDS} queries each in turn")
            samples = _compare(handler, embedder, chroma_port, f"documents-{size}", queries, vectors)
            print(table(samples))
            raw, embedding, *handled = (sample.percentile(50) for sample in samples)
            over = " and ".join(f"{through - raw - embedding:.2f}" for through in handled)
            print(f"handler over raw Chroma and embedding: {over} ms at p50 (target: 3 ms)")


def _compare(
    handler: Handler,
    embedder: MiniLM,
    chroma_port: int,
    collection: str,
    queries: list[str],
    vectors: list[list[float]],
) -> list[Sample]:
    root = f"http://127.0.0.1:{chroma_port}/api/v2/tenants/default_tenant/databases/{SPACE}/collections"
    with httpx2.Client() as http:
        collection_id = http.get(f"{root}/{collection}").json()["id"]

        def raw(number: int) -> None:
            body = {
                "query_embeddings": [vectors[number % len(vectors)]],
                "n_results": 10,
                "include": ["documents", "metadatas", "distances"],
            }
            http.post(f"{root}/{collection_id}/query", json=body).raise_for_status()

        def embed(number: int) -> None:
            embedder.embed([queries[number % len(queries)]])

        def through_handler(number: int, revision: str) -> None:
            arguments = {"collection_name": collection, "query_texts": [queries[number % len(queries)]]}
            result_of(handler(tool_call("chroma_query_documents", arguments, revision=revision)))

        return measure(
            {
                "raw Chroma query, vector given": raw,
                "embedding of the query": embed,
                f"through the handler, revision {MODERN}": partial(through_handler, revision=MODERN),
                f"through the handler, revision {HANDSHAKE}": partial(through_handler, revision=HANDSHAKE),
            },
            rounds=ROUNDS,
        )
