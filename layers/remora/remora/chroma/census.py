"""Counts what Chroma holds, for those who watch it."""

import asyncio
from dataclasses import dataclass

from remora.chroma.client import ChromaClient, Database
from remora.chroma.deadline import Deadline

_PAGE = 1_000
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Census:
    """How much there is.

    Attributes:
        databases: Databases of the tenant.
        collections: Collections in them.
        vectors: Records in those; each has one vector.
    """

    databases: int
    collections: int
    vectors: int


async def take_census(client: ChromaClient, *, deadline: Deadline) -> Census:
    """Count everything that a tenant has.

    Args:
        client: The server, seen by the tenant.
        deadline: When the answer must be there.

    Raises:
        UnavailableError: Chroma did not answer in time.
    """
    names = await _databases(client, deadline)
    collections = vectors = 0
    for name in names:
        counts = await _counts(client.database(name), deadline)
        collections += len(counts)
        vectors += sum(counts)
    return Census(len(names), collections, vectors)


async def _databases(client: ChromaClient, deadline: Deadline) -> list[str]:
    names: list[str] = []
    while True:
        page = await client.list_databases(limit=_PAGE, offset=len(names), deadline=deadline)
        names += [database.name for database in page]
        if len(page) < _PAGE:
            return names


async def _counts(database: Database, deadline: Deadline) -> list[int]:
    counts: list[int] = []
    while True:
        page = await database.list_collections(limit=_PAGE, offset=len(counts), deadline=deadline)
        for start in range(0, len(page), _AT_ONCE):
            part = page[start : start + _AT_ONCE]
            counts += await asyncio.gather(*(database.count(each.id, deadline=deadline) for each in part))
        if len(page) < _PAGE:
            return counts
