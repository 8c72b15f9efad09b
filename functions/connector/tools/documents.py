"""Tools for what collections hold: add, change, search, read and delete records."""

from typing import Annotated, Any

from pydantic import Field

from connector.tools import rendering
from connector.tools.arguments import (
    DEFAULT_INCLUDE,
    DEFAULT_TOKENS,
    CollectionName,
    Cursor,
    Documents,
    Embeddings,
    Ids,
    IncludeParts,
    MaxTokens,
    Metadatas,
    Uris,
    Where,
    WhereDocument,
)
from connector.tools.tool import Arguments, Call, Tool
from remora.auth.principal import Scope
from remora.collections.models import DeleteResult, QueryMode, QueryResult, RecordPage, WriteResult
from remora.errors import PermissionDeniedError


class _Write(Arguments):
    collection_name: CollectionName
    documents: Annotated[Documents | None, Field(description="Texts; embedded here unless embeddings are given")] = (
        None
    )
    ids: Annotated[Ids | None, Field(description="Made up if absent")] = None
    metadatas: Annotated[
        Metadatas | None,
        Field(description="One object per record; values: scalars or arrays of one scalar type"),
    ] = None
    embeddings: Embeddings | None = None
    uris: Uris | None = None


class _Update(Arguments):
    collection_name: CollectionName
    ids: Ids
    documents: Documents | None = None
    metadatas: Annotated[Metadatas | None, Field(description="Merged into the old; null removes a key")] = None
    embeddings: list[list[float] | None] | None = None
    uris: Uris | None = None


class _Query(Arguments):
    collection_name: CollectionName
    query_texts: list[str] | None = None
    query_embeddings: Annotated[Embeddings | None, Field(description="Instead of query_texts")] = None
    n_results: Annotated[int, Field(ge=1, le=1000, description="Per query")] = 10
    where: Where = None
    where_document: WhereDocument = None
    ids: Annotated[Ids | None, Field(description="Search only these")] = None
    include: IncludeParts = DEFAULT_INCLUDE
    mode: Annotated[
        QueryMode,
        Field(description="dense: by meaning; lexical: by words (BM25); hybrid: both, best for names and codes"),
    ] = QueryMode.DENSE
    min_score: Annotated[float | None, Field(ge=0, le=1, description="Leave out hits below this similarity")] = None
    max_tokens: MaxTokens = DEFAULT_TOKENS
    cursor: Cursor = None


class _Get(Arguments):
    collection_name: CollectionName
    ids: Ids | None = None
    where: Where = None
    where_document: WhereDocument = None
    limit: int = Field(default=100, ge=1, le=1000)
    include: IncludeParts = DEFAULT_INCLUDE
    max_tokens: MaxTokens = DEFAULT_TOKENS
    cursor: Cursor = None


class _Delete(Arguments):
    collection_name: CollectionName
    ids: Ids | None = None
    where: Where = None
    where_document: WhereDocument = None
    dry_run: Annotated[bool, Field(description="Only say what would go")] = False


async def _add(call: Call, arguments: _Write) -> WriteResult:
    return await call.collections.add(
        arguments.collection_name,
        ids=arguments.ids,
        documents=arguments.documents,
        embeddings=arguments.embeddings,
        metadatas=arguments.metadatas,
        uris=arguments.uris,
        deadline=call.deadline,
    )


async def _upsert(call: Call, arguments: _Write) -> WriteResult:
    return await call.collections.upsert(
        arguments.collection_name,
        ids=arguments.ids,
        documents=arguments.documents,
        embeddings=arguments.embeddings,
        metadatas=arguments.metadatas,
        uris=arguments.uris,
        deadline=call.deadline,
    )


async def _update(call: Call, arguments: _Update) -> WriteResult:
    return await call.collections.update(
        arguments.collection_name,
        ids=arguments.ids,
        documents=arguments.documents,
        embeddings=arguments.embeddings,
        metadatas=arguments.metadatas,
        uris=arguments.uris,
        deadline=call.deadline,
    )


async def _query(call: Call, arguments: _Query) -> QueryResult:
    return await call.collections.query(
        arguments.collection_name,
        texts=arguments.query_texts,
        embeddings=arguments.query_embeddings,
        n_results=arguments.n_results,
        ids=arguments.ids,
        where=arguments.where,
        where_document=arguments.where_document,
        include=arguments.include,
        mode=arguments.mode,
        min_score=arguments.min_score,
        max_tokens=arguments.max_tokens,
        cursor=arguments.cursor,
        deadline=call.deadline,
    )


async def _get(call: Call, arguments: _Get) -> RecordPage:
    return await call.collections.get(
        arguments.collection_name,
        ids=arguments.ids,
        where=arguments.where,
        where_document=arguments.where_document,
        limit=arguments.limit,
        include=arguments.include,
        max_tokens=arguments.max_tokens,
        cursor=arguments.cursor,
        deadline=call.deadline,
    )


async def _delete(call: Call, arguments: _Delete) -> DeleteResult:
    if arguments.dry_run and not call.may_read:
        # Which records a filter finds tells what they say, a question at a time.
        raise PermissionDeniedError("dry_run shows what is stored, so it needs the scope 'read' besides 'write'.")
    return await call.collections.delete_documents(
        arguments.collection_name,
        ids=arguments.ids,
        where=arguments.where,
        where_document=arguments.where_document,
        dry_run=arguments.dry_run,
        deadline=call.deadline,
    )


TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        name="chroma_query_documents",
        title="Search documents",
        description="Find the records nearest to each query, best first, with a similarity score from 0 to 1.",
        scope=Scope.READ,
        arguments=_Query,
        result=QueryResult,
        run=_query,
        render=rendering.query_result,
    ),
    Tool(
        name="chroma_get_documents",
        title="Get documents",
        description="Get records by id or filter; all of them, page by page, if neither is given.",
        scope=Scope.READ,
        arguments=_Get,
        result=RecordPage,
        run=_get,
        render=rendering.record_page,
    ),
    Tool(
        name="chroma_add_documents",
        title="Add documents",
        description="Add records. Ids that exist are left as they are and reported.",
        scope=Scope.WRITE,
        arguments=_Write,
        result=WriteResult,
        run=_add,
        render=rendering.write_result,
        # Without ids each call adds new records.
        idempotent=False,
    ),
    Tool(
        name="chroma_upsert_documents",
        title="Upsert documents",
        description="Add records, or replace those whose ids exist.",
        scope=Scope.WRITE,
        arguments=_Write,
        result=WriteResult,
        run=_upsert,
        render=rendering.write_result,
        destructive=True,
        idempotent=False,
    ),
    Tool(
        name="chroma_update_documents",
        title="Update documents",
        description="Change parts of existing records; what is not given stays. Unknown ids are reported.",
        scope=Scope.WRITE,
        arguments=_Update,
        result=WriteResult,
        run=_update,
        render=rendering.write_result,
        destructive=True,
    ),
    Tool(
        name="chroma_delete_documents",
        title="Delete documents",
        description="Delete records by ids and/or filters, for good. Try dry_run first with a filter.",
        scope=Scope.WRITE,
        arguments=_Delete,
        result=DeleteResult,
        run=_delete,
        render=rendering.plain,
        destructive=True,
    ),
)
