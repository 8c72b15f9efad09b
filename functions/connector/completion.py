"""Completes what a person types into a prompt's or a resource template's argument: tags, ids, conversations."""

from collections.abc import Iterable

import mcp_types as types

from connector import prompts, resources
from connector.tools.tool import Call
from remora.errors import NotFoundError
from remora.memory.models import Memory, MemoryFilter

# The protocol allows no more in one answer.
_MOST = 100
# Ids are completed from memories of late: those that a person has just seen.
_RECENT_MEMORIES = 100
_RECENT_TOKENS = 20_000


async def complete(call: Call, params: types.CompleteRequestParams) -> types.CompleteResult:
    """Return the values that go on from what was typed.

    Args:
        call: Whose memory, and until when.
        params: What is completed: an argument, of a prompt or a template.

    Raises:
        NotFoundError: There is no such prompt or template.
    """
    name, typed = params.argument.name, params.argument.value
    values: Iterable[str] = ()
    if isinstance(params.ref, types.PromptReference):
        prompts.find(params.ref.name)
        if name == prompts.TAGS_ARGUMENT:
            values = await _tag_list(call, typed)
    elif params.ref.uri == str(resources.TAG):
        if name == "tag":
            values = await call.memory.tags(typed, limit=_MOST, deadline=call.deadline)
    elif params.ref.uri == str(resources.MEMORY):
        if name == "id":
            values = (memory.id for memory in await _recent(call) if memory.id.startswith(typed))
    elif params.ref.uri == str(resources.CONVERSATION):
        if name == "conversation_id":
            conversations = (memory.conversation_id for memory in await _recent(call))
            values = (known for known in conversations if known is not None and known.startswith(typed))
    else:
        raise NotFoundError(f"Unknown resource template: {params.ref.uri[:100]!r}")
    found = list(dict.fromkeys(values))[:_MOST]
    return types.CompleteResult(completion=types.Completion(values=found, has_more=len(found) == _MOST))


async def _tag_list(call: Call, typed: str) -> list[str]:
    """Complete the last of several tags, keeping those before it."""
    before, comma, last = typed.rpartition(",")
    kept = f"{before}{comma} " if comma else ""
    tags = await call.memory.tags(last.lstrip(), limit=_MOST, deadline=call.deadline)
    return [f"{kept}{tag}" for tag in tags]


async def _recent(call: Call) -> tuple[Memory, ...]:
    page = await call.memory.page(
        MemoryFilter(), limit=_RECENT_MEMORIES, max_tokens=_RECENT_TOKENS, deadline=call.deadline
    )
    return page.memories
