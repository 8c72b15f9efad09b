"""Spaces with a real journal, a real index and the real service, and a deployment of their REST API over HTTP."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import boto3
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from connector.api import add_api
from remora.auth.principal import Principal
from remora.auth.principal import Scope as AccessScope
from remora.chroma.client import ChromaClient, Database
from remora.chroma.deadline import Deadline
from remora.collections.models import Engine
from remora.collections.service import Collections
from remora.journal import Journal, JournalStore
from remora.memory.index import MemoryIndex
from remora.memory.service import MemoryService
from remora.memory.settling import Settler
from remora.transfer.service import TransferService
from remora.transfer.vectors import KnownVectors
from tests.integration.collections.conftest import WordHashEmbedder
from tests.support.chroma_server import ChromaServer

_numbers = itertools.count(1)


def soon(seconds: float = 60) -> Deadline:
    """A deadline that healthy servers never reach."""
    return Deadline.after(seconds)


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, as the connector does."""
    return "asyncio"


@dataclass(frozen=True)
class Space:
    """A space with everything that works in it.

    Attributes:
        name: Its name.
        journal: Its journal.
        index: Its index.
        settler: Makes the index agree with the journal.
        memory: The memory service, as the principal `tester`.
        collections: Its collections.
        database: Its Chroma database.
        transfer: The transfer service.
    """

    name: str
    journal: Journal
    index: MemoryIndex
    settler: Settler
    memory: MemoryService
    collections: Collections
    database: Database
    transfer: TransferService

    async def export(self, *, embeddings: bool = False, max_bytes: int = 4_000_000) -> list[str]:
        """Export everything, page by page."""
        lines: list[str] = []
        cursor: str | None = None
        while True:
            page = await self.transfer.export_page(
                cursor, embeddings=embeddings, max_bytes=max_bytes, deadline=soon()
            )
            lines.extend(page.lines)
            cursor = page.next_cursor
            if cursor is None:
                return lines

    async def rebuild(self, *, fresh: bool = False) -> int:
        """Rebuild, step by step; return how many memories were repaired."""
        progress = await self.transfer.rebuild(fresh=fresh, deadline=soon())
        repaired = progress.repaired
        while progress.next_cursor is not None:
            progress = await self.transfer.rebuild(progress.next_cursor, deadline=soon())
            repaired += progress.repaired
        assert progress.done == progress.total
        return repaired


NewSpace = Callable[[], Space]


@pytest.fixture
def bucket(aws_environment: dict[str, str]) -> str:
    """The name of an empty versioned bucket."""
    s3 = boto3.client("s3")
    name = f"transfer-{next(_numbers)}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


class LocalSpaces:
    """Gives out what there is of a space, as `Spaces` does, with an embedder that needs no model.

    Attributes:
        embedder: The embedder.
    """

    def __init__(self, chroma: ChromaClient, bucket: str) -> None:
        self._chroma = chroma
        self._store = JournalStore(bucket)
        self.embedder = WordHashEmbedder()

    def space(self, name: str, by: str = "tester") -> Space:
        """Return all of a space."""
        database = self._chroma.database(name)
        vectors = KnownVectors(self.embedder)
        journal, index = Journal(self._store, name), MemoryIndex(database, vectors)
        settler = Settler(journal, index)
        memory = MemoryService(journal, index, by=by)
        collections = Collections(database, self.embedder, engine=Engine.SINGLE_NODE)
        transfer = TransferService(journal, index, settler.settle, memory.store, collections, vectors)
        return Space(name, journal, index, settler, memory, collections, database, transfer)

    def memory(self, space: str, by: str) -> MemoryService:
        """Return the memory of a space."""
        return self.space(space, by).memory

    def transfer(self, space: str, by: str) -> TransferService:
        """Return what moves memories."""
        return self.space(space, by).transfer


@pytest.fixture
async def spaces(chroma_server: ChromaServer, bucket: str) -> AsyncIterator[LocalSpaces]:
    """Spaces on the shared Chroma server and an S3 bucket of the test's own."""
    client = ChromaClient(chroma_server.host, chroma_server.port)
    yield LocalSpaces(client, bucket)
    await client.aclose()


@pytest.fixture
def new_space(spaces: LocalSpaces, new_space_name: Callable[[], str]) -> NewSpace:
    """Make spaces that are empty."""
    return lambda: spaces.space(new_space_name())


class Gateway:
    """Gives each request what the gateway and Lambda give it, and fails as a test says.

    Attributes:
        space: The space of whoever calls.
        scopes: What the caller may do.
        seconds: How long an invocation has.
        failures: Statuses that the next requests are answered with, first to last.
        requests: Method and path of each request so far.
    """

    def __init__(self, app: FastAPI, space: str) -> None:
        self._app = app
        self.space = space
        self.scopes = set(AccessScope)
        self.seconds = 29.0
        self.failures: list[int] = []
        self.requests: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            self.requests.append(f"{scope['method']} {scope['path']}")
            if self.failures:
                answer = Response("failed as the test says", self.failures.pop(0), headers={"Retry-After": "0"})
                await answer(scope, receive, send)
                return
            principal = Principal("tester", frozenset(self.scopes), self.space)
            scope["aws.event"] = {"requestContext": {"authorizer": principal.to_authorizer_context()}}
            scope["aws.context"] = self
        await self._app(scope, receive, send)

    def get_remaining_time_in_millis(self) -> int:
        """Return the time that an invocation has left."""
        return int(self.seconds * 1000)


@dataclass(frozen=True)
class LocalDeployment:
    """A REST API over real HTTP on this machine.

    Attributes:
        url: Its URL, as clients use it.
        gateway: What stands before it.
        runner: An event loop for the test.
        space: The caller's space, for use on that loop.
    """

    url: str
    gateway: Gateway
    runner: asyncio.Runner
    space: Space


@pytest.fixture
def deployment(
    chroma_server: ChromaServer, bucket: str, new_space_name: Callable[[], str]
) -> Iterator[LocalDeployment]:
    """A deployment whose caller has every scope."""

    def spaces_of(client: ChromaClient) -> LocalSpaces:
        return LocalSpaces(client, bucket)

    name = new_space_name()
    web = FastAPI()
    # It has what the routes use of `Spaces`.
    add_api(web, spaces_of(ChromaClient(chroma_server.host, chroma_server.port)))  # type: ignore[arg-type]
    gateway = Gateway(web, name)
    server = uvicorn.Server(uvicorn.Config(gateway, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = soon()
    while not server.started:
        assert thread.is_alive()
        assert not deadline.expired
        threading.Event().wait(0.01)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    own_client = ChromaClient(chroma_server.host, chroma_server.port)
    with asyncio.Runner() as runner:
        yield LocalDeployment(f"http://127.0.0.1:{port}/mcp", gateway, runner, spaces_of(own_client).space(name))
        runner.run(own_client.aclose())
    server.should_exit = True
    thread.join()
