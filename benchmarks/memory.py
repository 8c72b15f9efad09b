"""How long a memory search takes at three sizes, against Chroma's own vector query; how fast memories are stored.

The searches go through the handler that Lambda runs, in turn with the raw Chroma query of the same collection. For
them the index is filled directly, as the journal has no part in a search. Stores go through the memory service and a
journal in S3's stand-in, which answers faster than S3 does.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import httpx2

from benchmarks.memory_service import memory_services
from benchmarks.query import documents, load_handler
from benchmarks.statistics import measure, table
from remora.chroma.client import ChromaClient
from remora.chroma.deadline import Deadline
from remora.embedding import MiniLM
from remora.memory.ids import new_memory_id
from remora.memory.index import MemoryIndex
from remora.memory.index.layout import PASSAGES
from remora.memory.models import Memory, NewMemory
from tests.support.lambda_event import SPACE, result_of, tool_call

SIZES = (2_000, 20_000, 100_000)
ROUNDS = 200
_BATCH = 500
_SINGLE_STORES = 100
_BATCHES = 10
_MEMORIES_A_BATCH = 100
_TARGET_SIZE = 20_000
_QUESTIONS = (
    "Who repaired the north wall near the river?",
    "What happened to the database index before the meeting?",
    "Which supplier ordered two hundred tulips?",
    "entry 117 of volume 42",
    "Did my sister forget the contract in Lisbon?",
    "invoices that the choir measured without a budget",
    "bicycle",
    "What was translated at the clinic on Tuesday?",
)


def run(chroma_port: int, model_dir: Path) -> None:
    """Measure and print.

    Args:
        chroma_port: Loopback port of an empty Chroma server.
        model_dir: Folder of the embedding model.
    """
    embedder = MiniLM(model_dir)
    vectors = [[float(number) for number in row] for row in embedder.embed(_QUESTIONS).vectors]
    texts = documents(SIZES[-1])
    filling = asyncio.new_event_loop()
    with Path(os.devnull).open("w") as nowhere:
        handler = load_handler(chroma_port, model_dir, nowhere)
        filled = 0
        for size in SIZES:
            # A loop of its own: asyncio.run would take the handler's away.
            seconds = filling.run_until_complete(_fill(chroma_port, embedder, texts[filled:size], filled))
            print(f"\n{size:,} memories, 10 hits, {ROUNDS} searches each in turn", end="; ")
            print(f"indexed the last {size - filled:,} at {(size - filled) / seconds:,.0f} a second")
            filled = size
            with httpx2.Client() as http:
                raw = _raw_query(http, chroma_port, vectors)

                def search(number: int, mode: str) -> None:
                    arguments = {"query": _QUESTIONS[number % len(_QUESTIONS)], "mode": mode}
                    result_of(handler(tool_call("memory_search", arguments)))

                samples = measure(
                    {
                        "raw Chroma query, vector given": raw,
                        "memory_search, hybrid": lambda number: search(number, "hybrid"),
                        "memory_search, dense": lambda number: search(number, "dense"),
                        "memory_search, lexical": lambda number: search(number, "lexical"),
                    },
                    rounds=ROUNDS,
                )
            print(table(samples))
            over = samples[1].percentile(50) - samples[0].percentile(50)
            target = " (target: 10 ms)" if size == _TARGET_SIZE else ""
            print(f"hybrid over raw Chroma: {over:.2f} ms at p50{target}")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_store(Path(folder)))


async def _fill(chroma_port: int, embedder: MiniLM, texts: list[str], offset: int) -> float:
    """Index memories; return the seconds that it took."""
    chroma = ChromaClient(host="127.0.0.1", port=chroma_port)
    index = MemoryIndex(chroma.database(SPACE), embedder)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    began = perf_counter()
    for first in range(0, len(texts), _BATCH):
        part = [
            Memory(
                id=new_memory_id(),
                version=1,
                content=text,
                tags=(f"tag-{number % 20}",),
                created_at=start + timedelta(minutes=offset + first + number),
                updated_at=start,
            )
            for number, text in enumerate(texts[first : first + _BATCH])
        ]
        await index.put(part, deadline=Deadline.after(600))
        print(f"\r  {offset + first + len(part):,} memories indexed", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    await chroma.aclose()
    return perf_counter() - began


def _raw_query(http: httpx2.Client, chroma_port: int, vectors: list[list[float]]) -> Callable[[int], None]:
    root = f"http://127.0.0.1:{chroma_port}/api/v2/tenants/default_tenant/databases/{SPACE}/collections"
    collection_id = http.get(f"{root}/{PASSAGES}").json()["id"]

    def query(number: int) -> None:
        body = {
            "query_embeddings": [vectors[number % len(vectors)]],
            "n_results": 10,
            "include": ["documents", "metadatas", "distances"],
        }
        http.post(f"{root}/{collection_id}/query", json=body).raise_for_status()

    return query


async def _store(folder: Path) -> None:
    async with memory_services(folder) as service_of:
        service = service_of("throughput")
        texts = documents(_SINGLE_STORES + _BATCHES * _MEMORIES_A_BATCH)
        await service.store([NewMemory(content="The first one makes the collections.")], deadline=Deadline.after(60))
        began = perf_counter()
        for text in texts[:_SINGLE_STORES]:
            await service.store([NewMemory(content=text)], deadline=Deadline.after(60))
        single = perf_counter() - began
        began = perf_counter()
        for start in range(_SINGLE_STORES, len(texts), _MEMORIES_A_BATCH):
            batch = [NewMemory(content=text) for text in texts[start : start + _MEMORIES_A_BATCH]]
            await service.store(batch, deadline=Deadline.after(60))
        batches = perf_counter() - began
    print(f"\nmemory_store, one memory a call: {_SINGLE_STORES / single:,.0f} memories a second")
    print(
        f"memory_store, {_MEMORIES_A_BATCH} memories a call: {_BATCHES * _MEMORIES_A_BATCH / batches:,.0f} a second"
    )
