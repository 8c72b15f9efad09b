"""Tools that find what the memory holds: search, list, get, overview."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from connector.tools.arguments import DEFAULT_TOKENS, Cursor, MaxTokens
from connector.tools.memory import rendering
from connector.tools.memory.arguments import Listed, MemoryArguments, MetadataFilter, Tags
from connector.tools.memory.times import Timezone, When, interval
from connector.tools.tool import Call, NoArguments, Tool
from remora.auth.principal import Scope
from remora.memory.limits import MAX_HITS, MAX_PAGE_MEMORIES
from remora.memory.models import (
    GetResult,
    MemoryFilter,
    MemoryPage,
    Overview,
    SearchMode,
    SearchRequest,
    SearchResult,
    TagMatch,
)


class Filtered(MemoryArguments):
    """Arguments that say which memories a tool is about."""

    tags: Tags = None
    tag_match: TagMatch = TagMatch.ANY
    type: str | None = None
    source: str | None = None
    conversation_id: str | None = None
    metadata: MetadataFilter = None
    when: When = None
    timezone: Timezone = None

    def selection(self, now: datetime) -> MemoryFilter:
        """Return the filter.

        Args:
            now: What a relative `when` is relative to.

        Raises:
            InvalidArgumentError: `when` is not understood.
        """
        return MemoryFilter(
            tags=tuple(self.tags or ()),
            tag_match=self.tag_match,
            type=self.type,
            source=self.source,
            conversation_id=self.conversation_id,
            metadata=self.metadata or {},
            when=interval(self.when, self.timezone, now),
        )


class _Query(MemoryArguments):
    query: Annotated[str, Field(description="What to recall, in plain words")]


# The arguments of the last base are listed first.
class _Search(Filtered, _Query):
    mode: Annotated[SearchMode, Field(description="dense: by meaning; lexical: by words; hybrid: both")] = (
        SearchMode.HYBRID
    )
    limit: int = Field(default=10, ge=1, le=MAX_HITS)
    min_score: Annotated[float, Field(ge=0, le=1, description="Leave out weaker hits, perhaps all")] = 0
    recency_half_life_days: Annotated[
        float | None, Field(gt=0, description="Prefer newer ones: half the bonus after so many days")
    ] = None
    max_tokens: MaxTokens = DEFAULT_TOKENS
    cursor: Cursor = None


class _List(Filtered):
    limit: int = Field(default=20, ge=1, le=MAX_PAGE_MEMORIES)
    max_tokens: MaxTokens = DEFAULT_TOKENS
    cursor: Cursor = None


class _Get(MemoryArguments):
    ids: Listed[str]
    history: Annotated[bool, Field(description="Also every earlier version")] = False
    max_tokens: MaxTokens = DEFAULT_TOKENS


async def _search(call: Call, arguments: _Search) -> SearchResult:
    memory = call.memory
    request = SearchRequest(
        query=arguments.query,
        filter=arguments.selection(memory.now()),
        mode=arguments.mode,
        limit=arguments.limit,
        min_score=arguments.min_score,
        recency_half_life_days=arguments.recency_half_life_days,
    )
    return await memory.search(
        request, cursor=arguments.cursor, max_tokens=arguments.max_tokens, deadline=call.deadline
    )


async def _list(call: Call, arguments: _List) -> MemoryPage:
    memory = call.memory
    return await memory.page(
        arguments.selection(memory.now()),
        limit=arguments.limit,
        cursor=arguments.cursor,
        max_tokens=arguments.max_tokens,
        deadline=call.deadline,
    )


async def _get(call: Call, arguments: _Get) -> GetResult:
    return await call.memory.get(
        arguments.ids, history=arguments.history, max_tokens=arguments.max_tokens, deadline=call.deadline
    )


async def _overview(call: Call, _: NoArguments) -> Overview:
    return await call.memory.overview(deadline=call.deadline)


TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        name="memory_search",
        title="Recall",
        description=(
            "Search the memory by meaning and words, best first. Use it before answering anything that earlier "
            "conversations may tell about people, projects, preferences, decisions. Put times into when, not query."
        ),
        scope=Scope.READ,
        arguments=_Search,
        result=SearchResult,
        run=_search,
        render=rendering.search_result,
    ),
    Tool(
        name="memory_list",
        title="List memories",
        description="List memories, newest first; all, or those that match every filter given.",
        scope=Scope.READ,
        arguments=_List,
        result=MemoryPage,
        run=_list,
        render=rendering.memory_page,
    ),
    Tool(
        name="memory_get",
        title="Get memories",
        description="Get whole memories by id, deleted ones too, with the conversation turns around each.",
        scope=Scope.READ,
        arguments=_Get,
        result=GetResult,
        run=_get,
        render=rendering.get_result,
    ),
)
OVERVIEW: Tool[Any] = Tool(
    name="memory_overview",
    title="Memory overview",
    description="What the memory holds: counts, tags, types, sources, months. Shows which tags exist.",
    scope=Scope.READ,
    arguments=NoArguments,
    result=Overview,
    run=_overview,
    render=rendering.overview,
)
