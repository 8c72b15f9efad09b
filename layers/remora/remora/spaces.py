"""Spaces: each is one Chroma database and one part of the journal, reached through handles that are bound to it.

Isolation is by construction: nothing that works in a space can name another one.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Self

from remora.aws import Aws, Secret
from remora.chroma.client import ChromaClient
from remora.chroma.token import KEPT_SECONDS, Token
from remora.collections.models import Engine
from remora.collections.service import Collections
from remora.config import MemorySettings
from remora.embedding import Embedder, MiniLM

if TYPE_CHECKING:
    from remora.chroma.census import Census
    from remora.chroma.deadline import Deadline
    from remora.ingest.service import IngestionService
    from remora.jobs.files import FileStore
    from remora.jobs.jobs import Jobs
    from remora.memory.index import MemoryIndex
    from remora.memory.service import MemoryService
    from remora.transfer.backups import Backups
    from remora.transfer.service import TransferService
    from remora.transfer.vectors import KnownVectors

_KEPT_HANDLES = 256
# Each holds in memory what it knows of its memories: some 34 MB for 20,000.
_KEPT_INDEXES = 8


def chroma_client(settings: MemorySettings) -> ChromaClient:
    """Return a client of the Chroma server that a function's settings name; nothing is connected yet."""
    token = None
    if settings.chroma_secret:
        token = Token(Secret(Aws(), settings.chroma_secret, seconds=KEPT_SECONDS))
    return ChromaClient(
        host=settings.chroma_host,
        port=settings.chroma_port,
        ssl=settings.chroma_ssl,
        tenant=settings.chroma_tenant,
        token=token,
    )


class Spaces:
    """Gives out what there is of a space. What a caller does not ask for is not even imported."""

    def __init__(self, chroma: ChromaClient, embedder: Embedder, *, engine: Engine, memory_bucket: str) -> None:
        """Note where everything is.

        Args:
            chroma: The Chroma server.
            embedder: Makes vectors of text.
            engine: What kind of Chroma answers.
            memory_bucket: The S3 bucket of the journal and of jobs.
        """
        self._chroma = chroma
        self._embedder = embedder
        self._memory_bucket = memory_bucket

        @lru_cache(maxsize=_KEPT_HANDLES)
        def collections(space: str) -> Collections:
            return Collections(chroma.database(space), embedder, engine=engine)

        @lru_cache(maxsize=_KEPT_INDEXES)
        def index(space: str) -> tuple[MemoryIndex, KnownVectors]:
            from remora.memory.index import MemoryIndex
            from remora.transfer.vectors import KnownVectors

            # One index for all uses of a space, since it lets one writer in at a time.
            vectors = KnownVectors(embedder)
            return MemoryIndex(chroma.database(space), vectors), vectors

        self._collections = collections
        self._index = index

    @classmethod
    def of_function(cls, settings: MemorySettings, *, engine: Engine = Engine.SINGLE_NODE) -> Self:
        """Return the spaces that a function's settings lead to; nothing is connected yet.

        Args:
            settings: The function's settings.
            engine: What kind of Chroma answers; matters only to the Chroma tools.
        """
        embedder = MiniLM(settings.model_dir, threads=settings.embedding_threads)
        return cls(chroma_client(settings), embedder, engine=engine, memory_bucket=settings.memory_bucket)

    def collections(self, space: str) -> Collections:
        """Return the collections of a space, whose database is created on first use."""
        return self._collections(space)

    def memory(self, space: str, by: str) -> MemoryService:
        """Return the memory of a space.

        Args:
            space: The space.
            by: The principal in whose name it is used.
        """
        from remora.journal import Journal
        from remora.memory.service import MemoryService

        index, _ = self._index(space)
        return MemoryService(Journal(self._files, space), index, by=by)

    def ingestion(self, space: str, by: str) -> IngestionService:
        """Return what reads documents into the memory of a space, in the name of the principal `by`."""
        from remora.ingest.service import IngestionService

        return IngestionService(self.memory(space, by), self.jobs(space), self._embedder, by=by)

    def jobs(self, space: str) -> Jobs:
        """Return the jobs of a space."""
        from remora.jobs.jobs import Jobs

        return Jobs(self._files, space)

    async def names(self, *, deadline: Deadline) -> list[str]:
        """Return the spaces whose journals hold memories."""
        from remora.journal import ALL_MEMORIES

        return await self._files.folders(ALL_MEMORIES, deadline=deadline)

    async def unfinished_writes(self, *, deadline: Deadline) -> dict[str, int]:
        """Return the spaces whose journals hold intents, and how many."""
        from remora.journal import count_intents

        return await count_intents(self._files, deadline=deadline)

    async def sweep(self, space: str, *, deadline: Deadline) -> int:
        """Remove what purges have left of a space's memories; return of how many."""
        from remora.journal import Journal, sweep

        return await sweep(Journal(self._files, space), deadline=deadline)

    def backups(self, space: str, by: str) -> Backups:
        """Return what writes a space's memory to S3, in the name of the principal `by`."""
        from remora.transfer.backups import Backups

        return Backups(self._files, self.transfer(space, by), space)

    async def census(self, *, deadline: Deadline) -> Census:
        """Return how much Chroma holds."""
        from remora.chroma.census import take_census

        return await take_census(self._chroma, deadline=deadline)

    def prepare(self) -> None:
        """Import now what would be imported at first use, the AWS client's package included."""
        import boto3  # noqa: F401

        import remora.journal
        import remora.memory.service
        import remora.transfer.service  # noqa: F401

    def renew(self) -> None:
        """Let go of the client of S3; the next use makes another."""
        self.__dict__.pop("_files", None)

    @property
    def files(self) -> FileStore:
        """The memory's bucket."""
        return self._files

    def transfer(self, space: str, by: str) -> TransferService:
        """Return what exports, imports and rebuilds the memory of a space, in the name of the principal `by`."""
        from remora.journal import Journal
        from remora.transfer.service import TransferService

        index, vectors = self._index(space)
        memory = self.memory(space, by)
        return TransferService(
            Journal(self._files, space), index, memory.settle, memory.store, self.collections(space), vectors
        )

    @cached_property
    def _files(self) -> FileStore:
        from remora.jobs.files import FileStore

        return FileStore(self._memory_bucket)
