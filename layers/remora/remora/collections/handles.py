"""From a collection's name to its id: remembered so that no read waits for it, and checked so that none is stale."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from remora.chroma.client import Database
from remora.chroma.deadline import Deadline
from remora.chroma.names import check_name
from remora.chroma.wire import StoredCollection
from remora.collections.reserved import refuse_reserved
from remora.errors import NotFoundError

T = TypeVar("T")

_REMEMBERED = 1_024


class Handles:
    """The collections of a database, as they were seen last."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[str, StoredCollection] = {}

    async def look_up(self, name: str, *, deadline: Deadline) -> StoredCollection:
        """Ask the server for a collection, as every write does first.

        Raises:
            NotFoundError: There is none of that name.
            InvalidArgumentError: That is not a name, or Remora's own.
        """
        check_name(name, "collection")
        refuse_reserved(name)
        try:
            found = await self._database.get_collection(name, deadline=deadline)
        except NotFoundError:
            self._seen.pop(name, None)
            raise missing(name) from None
        # Should a server ever find a collection by something else, such as its id.
        refuse_reserved(found.name)
        self._remember(found)
        return found

    async def read(
        self, name: str, operation: Callable[[StoredCollection], Awaitable[T]], *, deadline: Deadline
    ) -> T:
        """Run a read on a collection.

        With a collection seen before, the read and the lookup run side by side; if the lookup shows another
        collection under that name, or another configuration, the read is done again with that one.

        Args:
            name: The collection's name.
            operation: The read. It may run twice and must change nothing.
            deadline: For the lookup.

        Raises:
            NotFoundError: There is no collection of that name.
        """
        remembered = self._seen.get(name)
        if remembered is None:
            fresh = await self.look_up(name, deadline=deadline)
        else:
            attempt = asyncio.ensure_future(operation(remembered))
            try:
                fresh = await self.look_up(name, deadline=deadline)
                if fresh == remembered:
                    return await attempt
            except NotFoundError:
                raise missing(name) from None
            finally:
                # What was read of another collection, or not wanted any more, is of no interest.
                attempt.cancel()
                await asyncio.gather(attempt, return_exceptions=True)
        try:
            return await operation(fresh)
        except NotFoundError:
            raise missing(name) from None

    def _remember(self, collection: StoredCollection) -> None:
        self._seen.pop(collection.name, None)
        self._seen[collection.name] = collection
        while len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]


def missing(name: str) -> NotFoundError:
    """Return the error for a collection that is not there."""
    return NotFoundError(
        f"There is no collection named {name!r} in this space. List the collections to see those there are."
    )
