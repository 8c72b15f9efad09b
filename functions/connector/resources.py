"""The memory as resources: what a person can attach to a conversation, as Markdown, page by page.

A page ends with the address of the next. Addresses are those of the listed resources and templates, in which a tag or
id stands percent-encoded (RFC 6570).
"""

from collections.abc import Awaitable, Callable
from functools import cache

import mcp_types as types
from mcp.shared.uri_template import UriTemplate

from connector.tools.memory import rendering
from connector.tools.tool import Call
from remora.errors import NotFoundError
from remora.memory.models import MemoryFilter

_MARKDOWN = "text/markdown"
# A resource is attached whole, and its reader cannot choose a budget.
_MAX_TOKENS = 10_000
_PAGE_MEMORIES = 50

_Values = dict[str, str]

OVERVIEW = UriTemplate.parse("memory://overview")
RECENT = UriTemplate.parse("memory://recent{?cursor}")
MEMORY = UriTemplate.parse("memory://memories/{id}")
TAG = UriTemplate.parse("memory://tags/{tag}{?cursor}")
CONVERSATION = UriTemplate.parse("memory://conversations/{conversation_id}{?cursor}")


@cache
def resources() -> list[types.Resource]:
    """Return the resources that have one address."""
    return [
        types.Resource(
            uri="memory://overview",
            name="overview",
            title="Memory overview",
            description="What the memory holds, in numbers: tags, types, sources, months",
            mime_type=_MARKDOWN,
        ),
        types.Resource(
            uri="memory://recent",
            name="recent",
            title="Recent memories",
            description="The memories of late, newest first",
            mime_type=_MARKDOWN,
        ),
    ]


@cache
def templates() -> list[types.ResourceTemplate]:
    """Return the resources that there is one of for each memory, tag and conversation."""
    return [
        types.ResourceTemplate(
            uri_template=str(MEMORY),
            name="memory",
            title="One memory",
            description="A memory with its history and the turns around it",
            mime_type=_MARKDOWN,
        ),
        types.ResourceTemplate(
            uri_template=str(TAG),
            name="tag",
            title="Memories with a tag",
            description="The memories that have a tag, newest first",
            mime_type=_MARKDOWN,
        ),
        types.ResourceTemplate(
            uri_template=str(CONVERSATION),
            name="conversation",
            title="One conversation",
            description="The turns of a conversation, newest first",
            mime_type=_MARKDOWN,
        ),
    ]


async def read(call: Call, uri: str) -> types.ReadResourceResult:
    """Return a resource.

    Args:
        call: Whose memory, and until when.
        uri: The resource's address.

    Raises:
        NotFoundError: There is no resource at that address.
        RemoraError: The memory could not be read.
    """
    for template, reader in _READERS:
        matched = template.match(uri)
        # An empty tag or id is none.
        if matched is not None and all(matched.values()):
            text = await reader(call, {name: str(value) for name, value in matched.items()})
            return types.ReadResourceResult(
                contents=[types.TextResourceContents(uri=uri, mime_type=_MARKDOWN, text=text)]
            )
    raise NotFoundError("Resource not found")


async def _overview(call: Call, _: _Values) -> str:
    return f"# Memory overview\n\n{rendering.overview(await call.memory.overview(deadline=call.deadline))}"


async def _memory(call: Call, values: _Values) -> str:
    found = await call.memory.get([values["id"]], history=True, max_tokens=_MAX_TOKENS, deadline=call.deadline)
    if found.missing:
        raise NotFoundError("Resource not found")
    return f"# Memory {values['id']}\n\n{rendering.get_result(found)}"


async def _recent(call: Call, values: _Values) -> str:
    return await _page(call, RECENT, "Recent memories", MemoryFilter(), values)


async def _tag(call: Call, values: _Values) -> str:
    return await _page(call, TAG, f"Memories tagged {values['tag']}", MemoryFilter(tags=(values["tag"],)), values)


async def _conversation(call: Call, values: _Values) -> str:
    conversation_id = values["conversation_id"]
    selection = MemoryFilter(conversation_id=conversation_id)
    return await _page(call, CONVERSATION, f"Conversation {conversation_id}", selection, values)


async def _page(call: Call, template: UriTemplate, title: str, selection: MemoryFilter, values: _Values) -> str:
    page = await call.memory.page(
        selection,
        limit=_PAGE_MEMORIES,
        cursor=values.get("cursor"),
        max_tokens=_MAX_TOKENS,
        deadline=call.deadline,
    )
    text = f"# {title}\n\n{rendering.memory_page(page.model_copy(update={'next_cursor': None}))}"
    if page.next_cursor is None:
        return text
    return f"{text}\n\nMore: {template.expand({**values, 'cursor': page.next_cursor})}"


_READERS: tuple[tuple[UriTemplate, Callable[[Call, _Values], Awaitable[str]]], ...] = (
    (OVERVIEW, _overview),
    (RECENT, _recent),
    (MEMORY, _memory),
    (TAG, _tag),
    (CONVERSATION, _conversation),
)
