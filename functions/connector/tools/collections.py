"""Tools for collections themselves: list, create, inspect, change, copy, delete."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from connector.tools import rendering
from connector.tools.arguments import (
    DEFAULT_TOKENS,
    CollectionMetadata,
    CollectionName,
    Cursor,
    Hnsw,
    HnswUpdate,
    MaxTokens,
)
from connector.tools.tool import Arguments, Call, NoArguments, Tool
from remora.auth.principal import Scope
from remora.collections.models import (
    CollectionInfo,
    CollectionPage,
    DeletedCollection,
    ForkResult,
    RecordPage,
    Space,
)


class _List(Arguments):
    limit: int = Field(default=100, ge=1, le=1000)
    cursor: Cursor = None
    max_tokens: MaxTokens = DEFAULT_TOKENS


class _Create(Arguments):
    collection_name: Annotated[str, Field(description="3-512 of a-z A-Z 0-9 . _ -")]
    embedding_function: Annotated[
        str, Field(description='"default" (all-MiniLM-L6-v2), or "none" to bring your own embeddings')
    ] = "default"
    space: Literal["cosine", "l2", "ip"] = "cosine"
    hnsw: Hnsw = None
    metadata: CollectionMetadata = None


class _Named(Arguments):
    collection_name: CollectionName


class _Peek(Arguments):
    collection_name: CollectionName
    limit: int = Field(default=5, ge=1, le=100)
    max_tokens: MaxTokens = DEFAULT_TOKENS


class _Modify(Arguments):
    collection_name: CollectionName
    new_name: str | None = None
    new_metadata: Annotated[dict[str, Any] | None, Field(description="Replaces all of the old")] = None
    hnsw: HnswUpdate = None


class _Fork(Arguments):
    collection_name: CollectionName
    new_collection_name: str


class Count(BaseModel):
    """A number of things."""

    count: int


async def _list(call: Call, arguments: _List) -> CollectionPage:
    return await call.collections.list_collections(
        limit=arguments.limit,
        cursor=arguments.cursor,
        max_tokens=arguments.max_tokens,
        deadline=call.deadline,
    )


async def _count_collections(call: Call, _: NoArguments) -> Count:
    return Count(count=await call.collections.count_collections(deadline=call.deadline))


async def _create(call: Call, arguments: _Create) -> CollectionInfo:
    return await call.collections.create(
        arguments.collection_name,
        embedding_function=arguments.embedding_function,
        space=Space(arguments.space),
        hnsw=arguments.hnsw,
        metadata=arguments.metadata,
        deadline=call.deadline,
    )


async def _get_or_create(call: Call, arguments: _Create) -> CollectionInfo:
    return await call.collections.get_or_create(
        arguments.collection_name,
        embedding_function=arguments.embedding_function,
        space=Space(arguments.space),
        hnsw=arguments.hnsw,
        metadata=arguments.metadata,
        deadline=call.deadline,
    )


async def _peek(call: Call, arguments: _Peek) -> RecordPage:
    return await call.collections.peek(
        arguments.collection_name,
        limit=arguments.limit,
        max_tokens=arguments.max_tokens,
        deadline=call.deadline,
    )


async def _info(call: Call, arguments: _Named) -> CollectionInfo:
    return await call.collections.info(arguments.collection_name, deadline=call.deadline)


async def _count(call: Call, arguments: _Named) -> Count:
    return Count(count=await call.collections.count(arguments.collection_name, deadline=call.deadline))


async def _modify(call: Call, arguments: _Modify) -> CollectionInfo:
    return await call.collections.modify(
        arguments.collection_name,
        new_name=arguments.new_name,
        metadata=arguments.new_metadata,
        hnsw=arguments.hnsw,
        deadline=call.deadline,
    )


async def _delete(call: Call, arguments: _Named) -> DeletedCollection:
    return await call.collections.delete(arguments.collection_name, deadline=call.deadline)


async def _fork(call: Call, arguments: _Fork) -> ForkResult:
    return await call.collections.fork(
        arguments.collection_name, arguments.new_collection_name, deadline=call.deadline
    )


TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        name="chroma_list_collections",
        title="List collections",
        description="List the collections with their record counts.",
        scope=Scope.READ,
        arguments=_List,
        result=CollectionPage,
        run=_list,
        render=rendering.collection_page,
    ),
    Tool(
        name="chroma_count_collections",
        title="Count collections",
        description="Count the collections.",
        scope=Scope.READ,
        arguments=NoArguments,
        result=Count,
        run=_count_collections,
        render=rendering.plain,
    ),
    Tool(
        name="chroma_create_collection",
        title="Create a collection",
        description="Create a collection. Fails if it exists.",
        scope=Scope.WRITE,
        arguments=_Create,
        result=CollectionInfo,
        run=_create,
        render=rendering.plain,
        idempotent=False,
    ),
    Tool(
        name="chroma_get_or_create_collection",
        title="Get or create a collection",
        description="Return the collection, created with these settings if it does not exist.",
        scope=Scope.WRITE,
        arguments=_Create,
        result=CollectionInfo,
        run=_get_or_create,
        render=rendering.plain,
    ),
    Tool(
        name="chroma_get_collection_info",
        title="Describe a collection",
        description="Count, dimension, distance, index settings, embedding function of a collection.",
        scope=Scope.READ,
        arguments=_Named,
        result=CollectionInfo,
        run=_info,
        render=rendering.plain,
    ),
    Tool(
        name="chroma_get_collection_count",
        title="Count records",
        description="Count the records of a collection.",
        scope=Scope.READ,
        arguments=_Named,
        result=Count,
        run=_count,
        render=rendering.plain,
    ),
    Tool(
        name="chroma_peek_collection",
        title="Peek into a collection",
        description="Show the first records of a collection.",
        scope=Scope.READ,
        arguments=_Peek,
        result=RecordPage,
        run=_peek,
        render=rendering.record_page,
    ),
    Tool(
        name="chroma_modify_collection",
        title="Change a collection",
        description="Rename a collection, replace its metadata, or tune its index.",
        scope=Scope.WRITE,
        arguments=_Modify,
        result=CollectionInfo,
        run=_modify,
        render=rendering.plain,
        destructive=True,
    ),
    Tool(
        name="chroma_delete_collection",
        title="Delete a collection",
        description="Delete a collection and all its records, for good.",
        scope=Scope.WRITE,
        arguments=_Named,
        result=DeletedCollection,
        run=_delete,
        render=rendering.plain,
        destructive=True,
        idempotent=False,
    ),
    Tool(
        name="chroma_fork_collection",
        title="Fork a collection",
        description="Copy a collection under a new name.",
        scope=Scope.WRITE,
        arguments=_Fork,
        result=ForkResult,
        run=_fork,
        render=rendering.plain,
        idempotent=False,
    ),
)
