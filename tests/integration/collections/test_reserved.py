"""The memory's own collections: there in the database, and out of sight and reach of every collection operation."""

from collections.abc import Awaitable, Callable

import pytest

from remora.chroma.client import Database
from remora.chroma.wire import Filter, NewCollection
from remora.collections.models import Engine
from remora.collections.service import Collections
from remora.embedding.embedder import Embedder
from remora.errors import InvalidArgumentError, NotFoundError
from tests.integration.collections.conftest import soon

pytestmark = pytest.mark.anyio

OWN = "remora.memory.passages"

Operation = Callable[[Collections, str], Awaitable[object]]
OPERATIONS: dict[str, Operation] = {
    "create": lambda space, name: space.create(name, deadline=soon()),
    "get_or_create": lambda space, name: space.get_or_create(name, deadline=soon()),
    "info": lambda space, name: space.info(name, deadline=soon()),
    "count": lambda space, name: space.count(name, deadline=soon()),
    "peek": lambda space, name: space.peek(name, deadline=soon()),
    "get": lambda space, name: space.get(name, deadline=soon()),
    "query": lambda space, name: space.query(name, texts=["secret"], deadline=soon()),
    "add": lambda space, name: space.add(name, documents=["x"], deadline=soon()),
    "upsert": lambda space, name: space.upsert(name, documents=["x"], deadline=soon()),
    "update": lambda space, name: space.update(name, ids=["a"], documents=["x"], deadline=soon()),
    "delete records": lambda space, name: space.delete_documents(name, ids=["a"], deadline=soon()),
    "modify": lambda space, name: space.modify(name, new_name="mine", deadline=soon()),
    "rename to": lambda space, name: space.modify("notes", new_name=name, deadline=soon()),
    "fork": lambda space, name: space.fork(name, "copy", deadline=soon()),
    "fork to": lambda space, name: space.fork("notes", name, deadline=soon()),
    "delete": lambda space, name: space.delete(name, deadline=soon()),
}
DISTRIBUTED_OPERATIONS: dict[str, Operation] = {
    "search": lambda space, name: space.search(name, [{}], deadline=soon()),
    "indexing status": lambda space, name: space.indexing_status(name, deadline=soon()),
    "fork count": lambda space, name: space.fork_count(name, deadline=soon()),
}


@pytest.fixture
async def reserved(database: Database) -> str:
    """A collection of Remora's own beside the space's; its id."""
    created = await database.create_collection(NewCollection(name=OWN), deadline=soon())
    return created.id


async def test_remoras_own_collections_are_neither_listed_nor_counted(space: Collections, reserved: str) -> None:
    await space.create("notes", deadline=soon())
    await space.create("remora-notes", deadline=soon())
    page = await space.list_collections(deadline=soon())
    assert [collection.name for collection in page.collections] == ["notes", "remora-notes"]
    assert page.total == await space.count_collections(deadline=soon()) == 2


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_no_operation_takes_the_name_of_one(
    space: Collections, database: Database, reserved: str, operation: str
) -> None:
    await space.create("notes", deadline=soon())
    for name in (OWN, "remora.of-tomorrow"):
        with pytest.raises(InvalidArgumentError, match=r"reserved for the memory; use the memory_\* tools"):
            await OPERATIONS[operation](space, name)
    assert (await space.list_collections(deadline=soon())).total == 1
    assert await database.count_collections(deadline=soon()) == 2
    assert not await database.get(reserved, Filter(), deadline=soon())


@pytest.mark.parametrize("operation", DISTRIBUTED_OPERATIONS)
async def test_no_operation_of_a_distributed_engine_takes_it_either(
    database: Database, embedder: Embedder, operation: str
) -> None:
    space = Collections(database, embedder, engine=Engine.DISTRIBUTED)
    with pytest.raises(InvalidArgumentError, match="reserved"):
        await DISTRIBUTED_OPERATIONS[operation](space, OWN)


async def test_one_cannot_be_reached_by_its_id(space: Collections, reserved: str) -> None:
    for operation in ("info", "get", "delete"):
        with pytest.raises((InvalidArgumentError, NotFoundError), match=r"reserved|no collection named"):
            await OPERATIONS[operation](space, reserved)
    assert await space.count_collections(deadline=soon()) == 0
