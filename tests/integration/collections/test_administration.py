"""Creating, reading, listing and deleting databases, and resetting a server."""

import pytest

from remora.chroma.client import ChromaClient
from remora.collections.administration import DatabaseAdministration
from remora.collections.service import Collections
from remora.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError, UnsupportedError
from tests.integration.collections.conftest import soon

pytestmark = pytest.mark.anyio


@pytest.fixture
def administration(client: ChromaClient) -> DatabaseAdministration:
    """The service on the shared server."""
    return DatabaseAdministration(client)


async def test_a_database_comes_and_goes(administration: DatabaseAdministration, space_name: str) -> None:
    created = await administration.create(space_name, deadline=soon())
    assert created == await administration.get(space_name, deadline=soon())
    assert (created.name, created.tenant) == (space_name, "default_tenant")
    with pytest.raises(AlreadyExistsError, match=space_name):
        await administration.create(space_name, deadline=soon())
    assert await administration.delete(space_name, deadline=soon()) == created
    for call in (administration.get, administration.delete):
        with pytest.raises(NotFoundError, match=space_name):
            await call(space_name, deadline=soon())


async def test_databases_are_paged_by_name(administration: DatabaseAdministration, space_name: str) -> None:
    names = [f"{space_name}-{letter}" for letter in "dbac"]
    for name in names:
        await administration.create(name, deadline=soon())
    seen: list[str] = []
    cursor = None
    while True:
        page = await administration.list(limit=2, cursor=cursor, deadline=soon())
        seen += [database.name for database in page.databases]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == sorted(seen)
    assert [name for name in seen if name.startswith(f"{space_name}-")] == sorted(names)


async def test_deleting_a_database_takes_its_collections_and_no_others(
    administration: DatabaseAdministration, space: Collections, space_name: str
) -> None:
    await space.create("notes", deadline=soon())
    await administration.delete(space_name, deadline=soon())
    assert await space.count_collections(deadline=soon()) == 0


@pytest.mark.parametrize("name", ["", "ab", "../default_database", "a/b", "default_database/collections"])
async def test_a_name_that_is_none_is_refused(administration: DatabaseAdministration, name: str) -> None:
    for call in (administration.create, administration.get, administration.delete):
        with pytest.raises(InvalidArgumentError, match="3 to 512 characters"):
            await call(name, deadline=soon())


async def test_a_reset_that_the_server_does_not_allow_is_said_to_be_unsupported(
    administration: DatabaseAdministration,
) -> None:
    with pytest.raises(UnsupportedError, match="allow_reset"):
        await administration.reset(deadline=soon())
