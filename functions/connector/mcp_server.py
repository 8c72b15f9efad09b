"""The MCP server: lists the tools that a caller may call, calls them, and turns errors into answers.

One stateless server object speaks every protocol revision: the SDK serves 2026-07-28 (each POST carries its
own envelope) and the handshake revisions (2024-11-05 to 2025-11-25) from the same handlers. Nothing is kept
between requests, so any execution environment can serve any of them.
"""

import asyncio
from typing import Any, Protocol

import mcp_types as types
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.browser import refusal
from connector.tools.tool import Call, Tool
from remora import __version__
from remora.auth.principal import Principal
from remora.chroma.deadline import Deadline
from remora.collections.administration import DatabaseAdministration
from remora.collections.models import DeleteResult, WriteResult
from remora.errors import PermissionDeniedError, RemoraError
from remora.observability.timing import Timings, timed_call
from remora.observability.tracing import subsegment
from remora.spaces import Spaces

# Lambda takes 6 MB of request; more cannot arrive.
_MAX_BODY_BYTES = 6 * 1024 * 1024
# Tool definitions change with a deployment or with the caller's scopes, never otherwise.
_DEFINITIONS_TTL_MS = 5 * 60 * 1000
# Kept back from the invocation's time for the answer to be rendered and to leave.
_ANSWER_SECONDS = 1.5
# Past the deadline a service has this long to say what was done before it is cut off.
_GRACE_SECONDS = 0.75

_INSTRUCTIONS = (
    "Remora is a private Chroma vector database. Documents live in collections: list them with "
    "chroma_list_collections, search by meaning with chroma_query_documents (mode=hybrid also weighs exact "
    "words), fetch by id or filter with chroma_get_documents. Answers are cut to max_tokens; pass next_cursor "
    "back as cursor for more."
)

logger = Logger(child=True)
metrics = Metrics()

_Context = ServerRequestContext[Any, Request]


class _LambdaContext(Protocol):
    def get_remaining_time_in_millis(self) -> int: ...


def create_server(
    tools: tuple[Tool[Any], ...], spaces: Spaces, administration: DatabaseAdministration
) -> Server[Any]:
    """Return the MCP server.

    Args:
        tools: Every tool there is; each caller sees those that its scopes cover.
        spaces: Where the tools work.
        administration: What the administration tools work on.
    """
    by_name = {tool.name: tool for tool in tools}
    definitions: dict[str, types.Tool] = {}

    async def list_tools(context: _Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        if params is not None and params.cursor is not None:
            raise MCPError(types.INVALID_PARAMS, "tools/list has one page; this server never gave that cursor")
        scopes = _principal(context).scopes
        visible = [tool for tool in tools if tool.scope in scopes]
        for tool in visible:
            if tool.name not in definitions:
                definitions[tool.name] = tool.definition()
        return types.ListToolsResult(tools=[definitions[tool.name] for tool in visible])

    async def call_tool(context: _Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = by_name.get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name[:100]!r}. tools/list names them all.")
        principal = _principal(context)
        deadline = _deadline(context)
        call = Call(principal, spaces.collections(principal.space), administration, deadline)
        with timed_call() as timings, subsegment(tool.name):
            answer, outcome = await _answer(tool, call, params.arguments)
        _record(tool, outcome, timings, principal)
        return answer

    # Clients ask for these whatever a server declares; an empty list that they may keep is the cheapest answer.
    async def list_prompts(_: _Context, __: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=[])

    async def list_resources(_: _Context, __: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=[])

    async def list_resource_templates(
        _: _Context, __: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=[])

    definitions_are_kept = CacheHint(ttl_ms=_DEFINITIONS_TTL_MS, scope="private")
    server: Server[Any] = Server(
        "remora",
        version=__version__,
        title="Remora",
        instructions=_INSTRUCTIONS,
        cache_hints={
            "tools/list": definitions_are_kept,
            "prompts/list": definitions_are_kept,
            "resources/list": definitions_are_kept,
            "resources/templates/list": definitions_are_kept,
        },
        # No tool declares Mcp-Param headers, so there is nothing to check them against.
        get_tool_input_schema=lambda _name: None,
        on_list_prompts=list_prompts,
        on_list_resources=list_resources,
        on_list_resource_templates=list_resource_templates,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
    # The SDK's OpenTelemetry spans have no exporter here (traces go to X-Ray), and are not free.
    server.middleware.clear()
    return server


async def _answer(tool: Tool[Any], call: Call, arguments: dict[str, Any] | None) -> tuple[types.CallToolResult, str]:
    """Run a tool. Whatever goes wrong becomes a tool error: the model sees those, and never a protocol error."""
    try:
        if tool.scope not in call.principal.scopes:
            held = ", ".join(sorted(call.principal.scopes)) or "none"
            raise PermissionDeniedError(f"{tool.name} needs the scope {tool.scope!r}; this key has: {held}.")
        parsed = tool.parse(arguments)
        async with asyncio.timeout(max(call.deadline.remaining(), 0) + _GRACE_SECONDS):
            result = await tool.run(call, parsed)
    except RemoraError as error:
        return _tool_error(str(error)), type(error).__name__
    except TimeoutError:
        message = f"{tool.name} did not finish in time. Ask for less at once, or try again in a moment."
        return _tool_error(message), "Timeout"
    except Exception:
        logger.exception("Tool failed", tool=tool.name)
        return _tool_error(
            f"{tool.name} failed inside Remora; its log has the details. Trying again may help."
        ), "Bug"
    incomplete = isinstance(result, WriteResult | DeleteResult) and result.reason is not None
    answer = types.CallToolResult(
        content=[types.TextContent(text=tool.render(result))],
        structured_content=result.model_dump(mode="json", exclude_none=True),
        is_error=incomplete,
    )
    return answer, "Incomplete" if incomplete else "Success"


def _tool_error(message: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=message)], is_error=True)


def _record(tool: Tool[Any], outcome: str, timings: Timings, principal: Principal) -> None:
    embed, chroma, total = timings.seconds("embed"), timings.seconds("chroma"), timings.total()
    milliseconds = {
        "Duration": total * 1000,
        "EmbedDuration": embed * 1000,
        "ChromaDuration": chroma * 1000,
        "OtherDuration": max(total - embed - chroma, 0.0) * 1000,
    }
    # Published by the handler when the invocation ends.
    metrics.add_dimension("tool", tool.name)
    metrics.add_dimension("outcome", outcome)
    metrics.add_metric("ToolCalls", MetricUnit.Count, 1)
    for name, value in milliseconds.items():
        metrics.add_metric(name, MetricUnit.Milliseconds, round(value, 3))
    logger.info(
        "Tool call",
        tool=tool.name,
        outcome=outcome,
        principal=principal.id,
        milliseconds={name: round(value, 1) for name, value in milliseconds.items()},
    )


def _principal(context: _Context) -> Principal:
    principal = _request(context).scope["remora.principal"]
    assert isinstance(principal, Principal)  # noqa: S101 - set by McpEndpoint, which lets no request in without one
    return principal


def _deadline(context: _Context) -> Deadline:
    lambda_context: _LambdaContext = _request(context).scope["aws.context"]
    return Deadline.after(lambda_context.get_remaining_time_in_millis() / 1000 - _ANSWER_SECONDS)


def _request(context: _Context) -> Request:
    if context.request is None:
        raise RuntimeError("This server is only ever reached over HTTP")
    return context.request


class McpEndpoint:
    """The ASGI endpoint of the MCP server; `start` it once on the loop that will serve every request."""

    def __init__(self, server: Server[Any]) -> None:
        self._manager = StreamableHTTPSessionManager(
            server, json_response=True, stateless=True, max_request_body_size=_MAX_BODY_BYTES
        )
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the session manager, which may be entered once and must be left by the task that entered it."""
        started = asyncio.Event()

        async def serve() -> None:
            async with self._manager.run():
                started.set()
                await asyncio.Event().wait()

        self._serving = asyncio.create_task(serve())
        await started.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request of a principal; refuse one that the authorizer did not vouch for."""
        respond: ASGIApp = self._manager.handle_request
        context = scope.get("aws.event", {}).get("requestContext", {}).get("authorizer") or {}
        try:
            scope["remora.principal"] = Principal.from_authorizer_context(context)
        except (KeyError, ValueError):
            respond = refusal(401, "This request carries no principal; it did not come through the authorizer.")
        await respond(scope, receive, send)
