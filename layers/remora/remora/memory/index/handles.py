"""A collection of Remora's own: made on the first write, empty while it is missing, found again once dropped."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from remora.chroma.client import Database
from remora.chroma.deadline import Deadline
from remora.chroma.wire import NewCollection
from remora.errors import NotFoundError, UnavailableError

T = TypeVar("T")

_ATTEMPTS = 3


class OwnCollection:
    """One of the collections that hold the index.

    Nobody else may use its name, so its id changes only when the index is dropped. The server then does not know the
    old id any more and says so: that is soon enough to look the new one up, and no read waits for a lookup.
    """

    def __init__(self, database: Database, name: str, hnsw: Mapping[str, Any]) -> None:
        """Note what it is called, and how it is made.

        Args:
            database: The space's database.
            name: Its name.
            hnsw: Settings of its vector index.
        """
        self._database = database
        self._name = name
        self._hnsw = hnsw
        self._id: str | None = None

    async def read(self, operation: Callable[[str], Awaitable[T]], *, missing: T, deadline: Deadline) -> T:
        """Run a read.

        Args:
            operation: The read, given the collection's id. It may run twice.
            missing: What it finds where there is no collection.
            deadline: For looking up the collection.
        """
        known = self._id
        if known is not None:
            try:
                return await operation(known)
            except NotFoundError:
                self._forget(known)
        found = await self._look_up(deadline)
        if found is None:
            return missing
        try:
            return await operation(found)
        except NotFoundError:
            self._forget(found)
            return missing

    async def write(self, operation: Callable[[str], Awaitable[T]], *, deadline: Deadline) -> T:
        """Run a write, which makes the collection first if it is missing.

        Args:
            operation: The write, given the collection's id. It may run twice.
            deadline: For making the collection.

        Raises:
            UnavailableError: Somebody drops the collection all the time.
        """
        for _ in range(_ATTEMPTS):
            used = self._id or await self._make(deadline)
            try:
                return await operation(used)
            except NotFoundError:
                self._forget(used)
        raise UnavailableError("The memory's index is being dropped by somebody else. It is safe to try again.")

    async def drop(self, *, deadline: Deadline) -> None:
        """Delete the collection, if there is one."""
        self._id = None
        try:
            await self._database.delete_collection(self._name, deadline=deadline)
        except NotFoundError:
            return

    async def _look_up(self, deadline: Deadline) -> str | None:
        try:
            self._id = (await self._database.get_collection(self._name, deadline=deadline)).id
        except NotFoundError:
            self._id = None
        return self._id

    async def _make(self, deadline: Deadline) -> str:
        new = NewCollection(self._name, hnsw=self._hnsw)
        made = await self._database.create_collection(new, get_or_create=True, deadline=deadline)
        self._id = made.id
        return made.id

    def _forget(self, collection_id: str) -> None:
        if self._id == collection_id:
            self._id = None
