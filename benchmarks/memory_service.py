"""Memory services on a real Chroma server and an S3 server, for measurements."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from remora.chroma.client import ChromaClient
from remora.embedding import MiniLM
from remora.journal import Journal, JournalStore
from remora.local.aws import LocalAws
from remora.local.chroma import ChromaServer
from remora.memory.index import MemoryIndex
from remora.memory.service import MemoryService

MODEL_DIR = Path(__file__).parents[1] / ".build" / "embedding-model"
_BUCKET = "journal"


@asynccontextmanager
async def memory_services(folder: Path) -> AsyncIterator[Callable[[str], MemoryService]]:
    """Start the servers, and give a function that makes the memory service of a space.

    Args:
        folder: An empty folder for Chroma's data.
    """
    aws = LocalAws()
    os.environ |= aws.environment()
    aws.s3_client.create_bucket(Bucket=_BUCKET)
    aws.s3_client.put_bucket_versioning(Bucket=_BUCKET, VersioningConfiguration={"Status": "Enabled"})
    chroma_server = ChromaServer(folder / "chroma", folder / "chroma.log")
    await chroma_server.start()
    chroma = ChromaClient(host="127.0.0.1", port=chroma_server.port)
    store, embedder = JournalStore(_BUCKET), MiniLM(MODEL_DIR)

    def service_of(space: str) -> MemoryService:
        return MemoryService(Journal(store, space), MemoryIndex(chroma.database(space), embedder), by="bench")

    try:
        yield service_of
    finally:
        await chroma.aclose()
        await chroma_server.stop()
        aws.stop()
