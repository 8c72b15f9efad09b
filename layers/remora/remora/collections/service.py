"""The collection service: what every face (MCP tool, REST route) calls to work in one space."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from remora.budget import check_max_tokens
from remora.chroma.client import Database
from remora.chroma.deadline import Deadline
from remora.chroma.names import check_name
from remora.chroma.wire import Filter, StoredCollection
from remora.collections import catalogue
from remora.collections.copying import fork_collection
from remora.collections.deleting import check_selects, delete_records
from remora.collections.filters import check_where, check_where_document
from remora.collections.handles import Handles
from remora.collections.limits import DEFAULT_MAX_TOKENS, MAX_PAGE_RECORDS
from remora.collections.models import (
    CollectionInfo,
    CollectionPage,
    DeletedCollection,
    DeleteResult,
    Engine,
    ForkResult,
    HnswChanges,
    HnswSettings,
    Include,
    IndexingStatus,
    QueryMode,
    QueryResult,
    RecordPage,
    ServerInfo,
    Space,
    WriteResult,
)
from remora.collections.querying import QueryRequest, check_queries, check_request, run_query
from remora.collections.reading import read_page
from remora.collections.records import check_collection_metadata, check_ids, check_records
from remora.collections.reserved import refuse_reserved
from remora.collections.searching import check_searches, run_searches
from remora.collections.texts import DEFAULT, TextFunctions
from remora.collections.workspace import Workspace
from remora.collections.writing import WriteKind, write_records
from remora.embedding.embedder import Embedder
from remora.errors import AlreadyExistsError, InvalidArgumentError, UnsupportedError

DEFAULT_INCLUDE = (Include.DOCUMENTS, Include.METADATAS)


class Collections:
    """The collections of one space.

    Every method checks all its arguments before anything is sent, answers by its deadline, and raises nothing but
    the errors of `remora.errors`: InvalidArgumentError for arguments that cannot be used, NotFoundError for a
    collection that is not there, UnavailableError when Chroma does not answer in time.

    Keep one object for a space while the process lives: it remembers which collections there are.
    """

    def __init__(self, database: Database, embedder: Embedder, *, engine: Engine) -> None:
        """Bind the service to a space.

        Args:
            database: The space's database; created when something is first put there.
            embedder: Makes vectors of text.
            engine: What kind of Chroma answers.
        """
        self._database = database
        self._handles = Handles(database)
        self._space = Workspace(database, embedder, engine, self._handles, TextFunctions(database, embedder))

    async def list_collections(
        self,
        *,
        limit: int = 100,
        cursor: str | None = None,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        deadline: Deadline,
    ) -> CollectionPage:
        """Return a page of the collections in the order of their names, with their counts.

        Args:
            limit: Most collections of the page.
            cursor: `next_cursor` of the page before.
            max_tokens: Budget of the answer.
            deadline: When the answer must be there.
        """
        check_max_tokens(max_tokens)
        return await catalogue.list_page(
            self._space, limit=limit, cursor=cursor, max_tokens=max_tokens, deadline=deadline
        )

    async def count_collections(self, *, deadline: Deadline) -> int:
        """Return how many collections there are."""
        return await catalogue.count_all(self._space, deadline=deadline)

    async def create(
        self,
        name: str,
        *,
        embedding_function: str = DEFAULT,
        space: Space | None = None,
        hnsw: HnswSettings | None = None,
        metadata: Mapping[str, Any] | None = None,
        deadline: Deadline,
    ) -> CollectionInfo:
        """Create a collection.

        Args:
            name: 3 to 512 characters of a-z, A-Z, 0-9, '.', '_', '-'.
            embedding_function: `default` (or the model's name) for text; `none` for embeddings of the caller's.
            space: Distance of the index; Chroma's default is `l2`.
            hnsw: Other settings of the index.
            metadata: Scalars by key.
            deadline: When the answer must be there.

        Raises:
            AlreadyExistsError: There is one of that name.
            UnsupportedError: Remora does not have the embedding function.
        """
        new = catalogue.check_new_collection(
            self._space,
            name,
            embedding_function=embedding_function,
            index_space=space,
            hnsw=hnsw,
            metadata=metadata,
        )
        created = await catalogue.create(self._space, new, deadline=deadline)
        return await catalogue.describe(self._space, created, created=True, deadline=deadline)

    async def get_or_create(
        self,
        name: str,
        *,
        embedding_function: str = DEFAULT,
        space: Space | None = None,
        hnsw: HnswSettings | None = None,
        metadata: Mapping[str, Any] | None = None,
        deadline: Deadline,
    ) -> CollectionInfo:
        """Return the collection of that name as it is, or create it like `create`.

        `created` in the answer says which; the settings given here do not change a collection that exists.
        """
        new = catalogue.check_new_collection(
            self._space,
            name,
            embedding_function=embedding_function,
            index_space=space,
            hnsw=hnsw,
            metadata=metadata,
        )
        try:
            collection = await catalogue.create(self._space, new, deadline=deadline)
        except AlreadyExistsError:
            collection = await self._handles.look_up(name, deadline=deadline)
            return await catalogue.describe(self._space, collection, created=False, deadline=deadline)
        return await catalogue.describe(self._space, collection, created=True, deadline=deadline)

    async def peek(
        self, collection: str, *, limit: int = 5, max_tokens: int = DEFAULT_MAX_TOKENS, deadline: Deadline
    ) -> RecordPage:
        """Return the first records of a collection; its cursor goes on with `get`."""
        return await self.get(collection, limit=limit, max_tokens=max_tokens, deadline=deadline)

    async def info(self, collection: str, *, deadline: Deadline) -> CollectionInfo:
        """Return what there is to know about a collection."""
        return await self._handles.read(
            collection,
            lambda found: catalogue.describe(self._space, found, deadline=deadline),
            deadline=deadline,
        )

    async def count(self, collection: str, *, deadline: Deadline) -> int:
        """Return how many records a collection has."""
        return await self._handles.read(
            collection, lambda found: self._database.count(found.id, deadline=deadline), deadline=deadline
        )

    async def modify(
        self,
        collection: str,
        *,
        new_name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        hnsw: HnswChanges | None = None,
        deadline: Deadline,
    ) -> CollectionInfo:
        """Change a collection; what is None stays as it is.

        Args:
            collection: Its name.
            new_name: Its new name.
            metadata: Its new metadata, in place of all it has; empty counts as none given.
            hnsw: Settings of the index to change.
            deadline: When the answer must be there.

        Raises:
            AlreadyExistsError: Another collection has the new name.
        """
        if new_name is not None:
            check_name(new_name, "collection")
            refuse_reserved(new_name)
        checked = check_collection_metadata(metadata)
        if new_name is None and checked is None and not catalogue.check_hnsw(hnsw):
            raise InvalidArgumentError("Nothing is to be changed: give new_name, metadata or hnsw settings.")
        found = await self._handles.look_up(collection, deadline=deadline)
        return await catalogue.modify(
            self._space, found, new_name=new_name, metadata=checked, hnsw=hnsw, deadline=deadline
        )

    async def delete(self, collection: str, *, deadline: Deadline) -> DeletedCollection:
        """Delete a collection with all its records, and say how many those were."""
        found = await self._handles.look_up(collection, deadline=deadline)
        return await catalogue.delete(self._space, found, deadline=deadline)

    async def add(
        self,
        collection: str,
        *,
        ids: Sequence[str] | None = None,
        documents: Sequence[str | None] | None = None,
        embeddings: Sequence[Sequence[float]] | None = None,
        metadatas: Sequence[Mapping[str, Any] | None] | None = None,
        uris: Sequence[str | None] | None = None,
        deadline: Deadline,
    ) -> WriteResult:
        """Add records; those whose id exists are left as they are and named in `already_existed`.

        Args:
            collection: The collection's name.
            ids: Ids, unique in the call; made and returned when missing.
            documents: Texts; embedded when no embeddings are given.
            embeddings: Vectors, one for each record.
            metadatas: Scalars, or lists of scalars of one kind, by key.
            uris: URIs.
            deadline: When the answer must be there. A write that it interrupts is answered, not raised: `reason`
                is set then, and `stored`, `uncertain` and `not_stored` say what became of each record.

        Raises:
            UnsupportedError: Texts need vectors of a function that Remora does not have.
        """
        return await self._write(WriteKind.ADD, collection, ids, documents, embeddings, metadatas, uris, deadline)

    async def upsert(
        self,
        collection: str,
        *,
        ids: Sequence[str] | None = None,
        documents: Sequence[str | None] | None = None,
        embeddings: Sequence[Sequence[float]] | None = None,
        metadatas: Sequence[Mapping[str, Any] | None] | None = None,
        uris: Sequence[str | None] | None = None,
        deadline: Deadline,
    ) -> WriteResult:
        """Add records, or change those whose id exists; arguments and answer are as in `add`."""
        return await self._write(WriteKind.UPSERT, collection, ids, documents, embeddings, metadatas, uris, deadline)

    async def update(
        self,
        collection: str,
        *,
        ids: Sequence[str],
        documents: Sequence[str | None] | None = None,
        embeddings: Sequence[Sequence[float] | None] | None = None,
        metadatas: Sequence[Mapping[str, Any] | None] | None = None,
        uris: Sequence[str | None] | None = None,
        deadline: Deadline,
    ) -> WriteResult:
        """Change records; ids that do not exist are named in `missing`.

        What is None stays as it is. Metadata is merged key by key, and a key with None is removed. A new document
        gets a new vector. Arguments and answer are otherwise as in `add`.
        """
        return await self._write(WriteKind.UPDATE, collection, ids, documents, embeddings, metadatas, uris, deadline)

    async def _write(
        self,
        kind: WriteKind,
        collection: str,
        ids: Sequence[str] | None,
        documents: Sequence[str | None] | None,
        embeddings: Sequence[Sequence[float] | None] | None,
        metadatas: Sequence[Mapping[str, Any] | None] | None,
        uris: Sequence[str | None] | None,
        deadline: Deadline,
    ) -> WriteResult:
        records = check_records(
            ids=ids,
            documents=documents,
            embeddings=embeddings,
            metadatas=metadatas,
            uris=uris,
            own_dimension=self._space.embedder.dimension,
            update=kind is WriteKind.UPDATE,
        )
        found = await self._handles.look_up(collection, deadline=deadline)
        return await write_records(self._space, found, kind, records, ids_given=ids is not None, deadline=deadline)

    async def query(
        self,
        collection: str,
        *,
        texts: Sequence[str] | None = None,
        embeddings: Sequence[Sequence[float]] | None = None,
        n_results: int = 10,
        ids: Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
        where_document: Mapping[str, Any] | None = None,
        include: Sequence[Include] = DEFAULT_INCLUDE,
        mode: QueryMode = QueryMode.DENSE,
        min_score: float | None = None,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        cursor: str | None = None,
        deadline: Deadline,
    ) -> QueryResult:
        """Return the records that answer each query best.

        Args:
            collection: The collection's name.
            texts: Queries as text.
            embeddings: Queries as vectors, instead of texts; in the modes lexical and hybrid beside them.
            n_results: Most hits for each query.
            ids: Look only at these records.
            where: Look only at records whose metadata match.
            where_document: Look only at records whose documents match.
            include: Parts of a record besides its id.
            mode: `dense` is Chroma's own order; `lexical` finds words (BM25); `hybrid` fuses both half and half.
            min_score: Leave out hits whose similarity (`score`, 0 to 1) is lower, in every mode.
            max_tokens: Budget of the answer.
            cursor: `next_cursor` of the answer before, with the same arguments and one query.
            deadline: When the answer must be there.

        Raises:
            UnsupportedError: Texts need vectors of a function that Remora does not have.
        """
        check_max_tokens(max_tokens)
        request = check_request(
            QueryRequest(
                queries=check_queries(texts, embeddings, mode),
                n_results=n_results,
                matching=_filter(ids, where, where_document),
                include=_include(include),
                mode=mode,
                min_score=min_score,
                max_tokens=max_tokens,
                cursor=cursor,
            )
        )
        return await self._handles.read(
            collection,
            lambda found: run_query(self._space, found, request, deadline=deadline),
            deadline=deadline,
        )

    async def get(
        self,
        collection: str,
        *,
        ids: Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
        where_document: Mapping[str, Any] | None = None,
        limit: int = 100,
        include: Sequence[Include] = DEFAULT_INCLUDE,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        cursor: str | None = None,
        deadline: Deadline,
    ) -> RecordPage:
        """Return a page of records, in the order in which they were first written.

        Args:
            collection: The collection's name.
            ids: Only these; unknown ones are passed over.
            where: Only records whose metadata match.
            where_document: Only records whose documents match.
            limit: Most records of the page.
            include: Parts of a record besides its id.
            max_tokens: Budget of the page; a record larger than all of it is shown in part, and says so.
            cursor: `next_cursor` of the page before, with the same ids and filters.
            deadline: When the page must be there.
        """
        check_max_tokens(max_tokens)
        if not 1 <= limit <= MAX_PAGE_RECORDS:
            raise InvalidArgumentError(f"limit is {limit}; it may be 1 to {MAX_PAGE_RECORDS}.")
        matching = _filter(ids, where, where_document)
        parts = _include(include)

        async def page(found: StoredCollection) -> RecordPage:
            return await read_page(
                self._database,
                found,
                matching,
                include=parts,
                limit=limit,
                max_tokens=max_tokens,
                cursor=cursor,
                deadline=deadline,
            )

        return await self._handles.read(collection, page, deadline=deadline)

    async def delete_documents(
        self,
        collection: str,
        *,
        ids: Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
        where_document: Mapping[str, Any] | None = None,
        dry_run: bool = False,
        deadline: Deadline,
    ) -> DeleteResult:
        """Delete the records that match all that is given; nothing given is an error, never everything.

        Args:
            collection: The collection's name.
            ids: Only these.
            where: Only records whose metadata match.
            where_document: Only records whose documents match.
            dry_run: Only say which records it would be.
            deadline: When the answer must be there. A deletion that it interrupts is answered with `reason` and
                `remaining`.
        """
        matching = check_selects(_filter(ids, where, where_document))
        found = await self._handles.look_up(collection, deadline=deadline)
        return await delete_records(self._space, found, matching, dry_run=dry_run, deadline=deadline)

    async def fork(self, collection: str, new_name: str, *, deadline: Deadline) -> ForkResult:
        """Make a new collection with the records of another: natively where the engine can, else by copying.

        Raises:
            AlreadyExistsError: The name is taken.
            UnavailableError: A copy could not be finished in time; it was removed again, or the message says not.
        """
        check_name(new_name, "collection")
        refuse_reserved(new_name)
        found = await self._handles.look_up(collection, deadline=deadline)
        try:
            return await fork_collection(self._space, found, new_name, deadline=deadline)
        except AlreadyExistsError:
            raise AlreadyExistsError(
                f"A collection named {new_name!r} exists already; nothing was changed. Choose another name."
            ) from None

    async def server_info(self, *, deadline: Deadline) -> ServerInfo:
        """Return what there is to know about the Chroma server."""
        client = self._database.client
        heartbeat, version, preflight, identity = await asyncio.gather(
            client.heartbeat(deadline=deadline),
            client.version(deadline=deadline),
            client.preflight(deadline=deadline),
            client.identity(deadline=deadline),
        )
        return ServerInfo(
            version=version,
            heartbeat_ns=heartbeat,
            clock=datetime.fromtimestamp(heartbeat / 1e9, tz=UTC).isoformat(timespec="milliseconds"),
            max_batch_size=preflight.max_batch_size,
            engine=self._space.engine,
            tenant=client.tenant,
            database=self._database.name,
            user_id=identity.user_id or None,
        )

    async def search(
        self,
        collection: str,
        searches: Sequence[Mapping[str, Any]],
        *,
        max_tokens: int = DEFAULT_MAX_TOKENS,
        deadline: Deadline,
    ) -> QueryResult:
        """Run searches of Chroma's Search API.

        Args:
            collection: The collection's name.
            searches: Objects as `Search.to_dict()` of Chroma's client makes them; a text in `$knn` is embedded.
            max_tokens: Budget of the answer.
            deadline: When the answer must be there.

        Raises:
            UnsupportedError: The engine is not distributed, or a text needs a function that Remora does not have.
        """
        self._require_distributed("The Search API")
        check_max_tokens(max_tokens)
        checked = check_searches(searches)
        return await self._handles.read(
            collection,
            lambda found: run_searches(self._space, found, checked, max_tokens=max_tokens, deadline=deadline),
            deadline=deadline,
        )

    async def indexing_status(self, collection: str, *, deadline: Deadline) -> IndexingStatus:
        """Return how much of a collection's log has reached its index.

        Raises:
            UnsupportedError: The engine is not distributed.
        """
        self._require_distributed("Indexing status")
        status = await self._handles.read(
            collection,
            lambda found: self._database.indexing_status(found.id, deadline=deadline),
            deadline=deadline,
        )
        return IndexingStatus(
            progress=status.progress, indexed=status.indexed, unindexed=status.unindexed, total=status.total
        )

    async def fork_count(self, collection: str, *, deadline: Deadline) -> int:
        """Return how many forks a collection has.

        Raises:
            UnsupportedError: The engine is not distributed.
        """
        self._require_distributed("Counting forks")
        return await self._handles.read(
            collection, lambda found: self._database.fork_count(found.id, deadline=deadline), deadline=deadline
        )

    def _require_distributed(self, what: str) -> None:
        if self._space.engine is not Engine.DISTRIBUTED:
            raise UnsupportedError(f"{what} needs a distributed Chroma engine; this space is on a single node.")


def _filter(
    ids: Sequence[str] | None, where: Mapping[str, Any] | None, where_document: Mapping[str, Any] | None
) -> Filter:
    return Filter(
        ids=None if ids is None else check_ids(ids),
        where=check_where(where),
        where_document=check_where_document(where_document),
    )


def _include(include: Sequence[Include]) -> tuple[str, ...]:
    try:
        return tuple(Include(part).value for part in dict.fromkeys(include))
    except ValueError:
        raise InvalidArgumentError(f"include holds any of {', '.join(Include)}.") from None
