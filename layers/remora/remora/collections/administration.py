"""Database administration: the few operations that reach beyond one space."""

from remora.chroma.client import ChromaClient
from remora.chroma.deadline import Deadline
from remora.chroma.names import check_name
from remora.chroma.wire import StoredDatabase
from remora.collections.cursors import CursorKind, decode_cursor, encode_cursor
from remora.collections.models import DatabaseInfo, DatabasePage
from remora.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError

_READ = 1_000
_MAX_PAGE = 1_000


class DatabaseAdministration:
    """Create, read, list and delete databases, and reset the server. For the scope `admin` alone."""

    def __init__(self, client: ChromaClient) -> None:
        """Bind the service to a server.

        Args:
            client: The server, seen by the tenant whose databases are administered.
        """
        self._client = client

    async def create(self, name: str, *, deadline: Deadline) -> DatabaseInfo:
        """Create a database.

        Raises:
            AlreadyExistsError: There is one of that name.
        """
        try:
            await self._client.create_database(name, deadline=deadline)
        except AlreadyExistsError:
            raise AlreadyExistsError(f"A database named {name!r} exists already.") from None
        return await self.get(name, deadline=deadline)

    async def get(self, name: str, *, deadline: Deadline) -> DatabaseInfo:
        """Return a database.

        Raises:
            NotFoundError: There is none of that name.
        """
        try:
            return _to_info(await self._client.get_database(name, deadline=deadline))
        except NotFoundError:
            raise NotFoundError(f"There is no database named {name!r}.") from None

    async def list(self, *, limit: int = 100, cursor: str | None = None, deadline: Deadline) -> DatabasePage:
        """Return a page of the tenant's databases in the order of their names.

        Args:
            limit: Most databases of the page.
            cursor: `next_cursor` of the page before.
            deadline: When the answer must be there.
        """
        if not 1 <= limit <= _MAX_PAGE:
            raise InvalidArgumentError(f"limit is {limit}; it may be 1 to {_MAX_PAGE}.")
        arguments = {"tenant": self._client.tenant}
        after = ""
        if cursor is not None:
            after = decode_cursor(cursor, CursorKind.DATABASES, arguments).decode("utf-8", "replace")
        found: dict[str, StoredDatabase] = {}
        offset = 0
        while True:
            part = await self._client.list_databases(limit=_READ, offset=offset, deadline=deadline)
            found.update((database.name, database) for database in part)
            offset += len(part)
            if len(part) < _READ:
                break
        rest = [found[name] for name in sorted(found) if name > after]
        shown = rest[:limit]
        return DatabasePage(
            databases=[_to_info(database) for database in shown],
            next_cursor=encode_cursor(CursorKind.DATABASES, arguments, shown[-1].name.encode())
            if len(rest) > limit
            else None,
        )

    async def delete(self, name: str, *, deadline: Deadline) -> DatabaseInfo:
        """Delete a database with everything in it, and return what it was.

        Raises:
            NotFoundError: There is none of that name.
        """
        check_name(name, "database")
        database = await self.get(name, deadline=deadline)
        await self._client.delete_database(name, deadline=deadline)
        return database

    async def reset(self, *, deadline: Deadline) -> None:
        """Delete everything on the server, whatever the tenant or database.

        Raises:
            UnsupportedError: The server's configuration does not allow it, as is the default.
        """
        await self._client.reset(deadline=deadline)


def _to_info(database: StoredDatabase) -> DatabaseInfo:
    return DatabaseInfo(name=database.name, id=database.id, tenant=database.tenant)
