"""Tools that only a distributed Chroma (or Chroma Cloud) can serve."""

from typing import Annotated, Any

from pydantic import Field

from connector.tools import rendering
from connector.tools.arguments import DEFAULT_TOKENS, CollectionName, MaxTokens
from connector.tools.collections import Count
from connector.tools.tool import Arguments, Call, Tool
from remora.auth.principal import Scope
from remora.collections.models import IndexingStatus, QueryResult


class _Search(Arguments):
    collection_name: CollectionName
    searches: Annotated[
        list[dict[str, Any]], Field(description="Search payloads: filter, rank, limit, select", min_length=1)
    ]
    max_tokens: MaxTokens = DEFAULT_TOKENS


class _Named(Arguments):
    collection_name: CollectionName


async def _search(call: Call, arguments: _Search) -> QueryResult:
    return await call.collections.search(
        arguments.collection_name, arguments.searches, max_tokens=arguments.max_tokens, deadline=call.deadline
    )


async def _indexing_status(call: Call, arguments: _Named) -> IndexingStatus:
    return await call.collections.indexing_status(arguments.collection_name, deadline=call.deadline)


async def _fork_count(call: Call, arguments: _Named) -> Count:
    return Count(count=await call.collections.fork_count(arguments.collection_name, deadline=call.deadline))


TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        name="chroma_search",
        title="Search API",
        description="Run Chroma Search API payloads.",
        scope=Scope.READ,
        arguments=_Search,
        result=QueryResult,
        run=_search,
        render=rendering.query_result,
    ),
    Tool(
        name="chroma_get_indexing_status",
        title="Indexing status",
        description="How much of a collection is indexed.",
        scope=Scope.READ,
        arguments=_Named,
        result=IndexingStatus,
        run=_indexing_status,
        render=rendering.plain,
    ),
    Tool(
        name="chroma_get_fork_count",
        title="Fork count",
        description="Count the forks of a collection.",
        scope=Scope.READ,
        arguments=_Named,
        result=Count,
        run=_fork_count,
        render=rendering.plain,
    ),
)
