"""The MCP server: lists what a caller may use, runs it, and turns errors into answers.

There is one stateless server object for each URL (`offers.py`). Each speaks every protocol revision: the SDK serves
2026-07-28 (each POST carries its own envelope) and the handshake revisions (2024-11-05 to 2025-11-25) from the same
handlers. Nothing is kept between requests, so any execution environment can serve any of them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, TypeVar

import mcp_types as types
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.browser import refusal
from connector.identity import NoPrincipalError, deadline_of, principal_of
from connector.offers import Offer
from connector.tools.tool import Call, Tool
from remora import __version__
from remora.auth.principal import Principal
from remora.auth.principal import Scope as AccessScope
from remora.collections.administration import DatabaseAdministration
from remora.collections.models import DeleteResult, WriteResult
from remora.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError, RemoraError
from remora.observability.timing import Timings, timed_call
from remora.observability.tracing import subsegment
from remora.spaces import Spaces

# Lambda takes 6 MB of request; more cannot arrive.
_MAX_BODY_BYTES = 6 * 1024 * 1024
# Definitions change with a deployment or with the caller's scopes, never otherwise.
_DEFINITIONS = CacheHint(ttl_ms=5 * 60 * 1000, scope="private")
# What the memory holds changes at any time, by any assistant.
_CONTENT = CacheHint(ttl_ms=0, scope="private")
# Past the deadline a service has this long to say what was done before it is cut off.
_GRACE_SECONDS = 0.75

Context = ServerRequestContext[Any, Request]
R = TypeVar("R")

logger = Logger(child=True)
metrics = Metrics()

_definition = cache(Tool.definition)


def create_server(offer: Offer, spaces: Spaces, administration: DatabaseAdministration) -> Server[Any]:
    """Return the MCP server of one URL.

    Args:
        offer: What there is at that URL; each caller sees what its scopes cover.
        spaces: Where the tools work.
        administration: What the administration tools work on.
    """

    def call_of(context: Context) -> Call:
        scope = _http(context)
        return Call(principal_of(scope), spaces, administration, deadline_of(scope))

    async def list_tools(context: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        _only_page("tools/list", params)
        scopes = principal_of(_http(context)).scopes
        return types.ListToolsResult(tools=[_definition(tool) for tool in offer.tools() if tool.scope in scopes])

    async def call_tool(context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = offer.tool(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name[:100]!r}. tools/list names them all.")
        call = call_of(context)
        with timed_call() as timings, subsegment(tool.name):
            answer, outcome = await _answer(tool, call, params.arguments)
        _record(tool.name, outcome, timings, call.principal)
        return answer

    # Clients ask for resources and prompts whatever a server declares; an empty list is the cheapest answer. What the
    # memory has of them is imported when it is asked for: a call of a tool does without.
    def shows(context: Context, *scopes: AccessScope) -> bool:
        return offer.has_memory and principal_of(_http(context)).scopes.issuperset(scopes)

    async def list_resources(
        context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        _only_page("resources/list", params)
        if not shows(context, AccessScope.READ):
            return types.ListResourcesResult(resources=[])
        from connector import resources

        return types.ListResourcesResult(resources=resources.resources())

    async def list_resource_templates(
        context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        _only_page("resources/templates/list", params)
        if not shows(context, AccessScope.READ):
            return types.ListResourceTemplatesResult(resource_templates=[])
        from connector import resources

        return types.ListResourceTemplatesResult(resource_templates=resources.templates())

    async def read_resource(context: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        async def read(call: Call) -> types.ReadResourceResult:
            if not offer.has_memory:
                raise NotFoundError("Resource not found")
            from connector import resources

            return await resources.read(call, params.uri)

        return await _served("resources/read", call_of(context), read, {"uri": params.uri})

    async def list_prompts(context: Context, params: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        _only_page("prompts/list", params)
        if not offer.has_memory:
            return types.ListPromptsResult(prompts=[])
        from connector import prompts

        shown = [prompt.definition for prompt in prompts.PROMPTS if shows(context, *prompt.scopes)]
        return types.ListPromptsResult(prompts=shown)

    async def get_prompt(context: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        try:
            if not offer.has_memory:
                raise NotFoundError(f"Unknown prompt: {params.name[:100]!r}")
            from connector import prompts

            for scope in sorted(prompts.find(params.name).scopes):
                _require(scope, principal_of(_http(context)), f"The prompt {params.name}")
            return prompts.get(params.name, params.arguments)
        except RemoraError as error:
            raise _protocol_error(error) from None

    async def complete(context: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        async def completed(call: Call) -> types.CompleteResult:
            if not offer.has_memory:
                raise NotFoundError("There is nothing to complete here")
            from connector import completion

            return await completion.complete(call, params)

        return await _served("completion/complete", call_of(context), completed)

    server: Server[Any] = Server(
        "remora",
        version=__version__,
        title="Remora",
        instructions=offer.instructions,
        cache_hints={
            "tools/list": _DEFINITIONS,
            "prompts/list": _DEFINITIONS,
            "resources/list": _DEFINITIONS,
            "resources/templates/list": _DEFINITIONS,
            "resources/read": _CONTENT,
        },
        # No tool declares Mcp-Param headers, so there is nothing to check them against.
        get_tool_input_schema=lambda _name: None,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_list_resources=list_resources,
        on_list_resource_templates=list_resource_templates,
        on_read_resource=read_resource,
        on_completion=complete,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
    # The SDK's OpenTelemetry spans have no exporter here (traces go to X-Ray), and are not free.
    server.middleware.clear()
    return server


def _http(context: Context) -> Scope:
    if context.request is None:
        raise RuntimeError("This server is only ever reached over HTTP")
    return context.request.scope


def _only_page(method: str, params: types.PaginatedRequestParams | None) -> None:
    if params is not None and params.cursor is not None:
        raise MCPError(types.INVALID_PARAMS, f"{method} has one page; this server never gave that cursor")


def _require(scope: AccessScope, principal: Principal, what: str) -> None:
    if scope not in principal.scopes:
        held = ", ".join(sorted(principal.scopes)) or "none"
        raise PermissionDeniedError(f"{what} needs the scope '{scope}'; this key has: {held}.")


def _time_left(call: Call) -> asyncio.Timeout:
    return asyncio.timeout(call.deadline.remaining() + _GRACE_SECONDS)


async def _answer(tool: Tool[Any], call: Call, arguments: dict[str, Any] | None) -> tuple[types.CallToolResult, str]:
    """Run a tool. Whatever goes wrong becomes a tool error: the model sees those, and never a protocol error."""
    try:
        _require(tool.scope, call.principal, tool.name)
        parsed = tool.parse(arguments)
        async with _time_left(call):
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


async def _served(
    method: str, call: Call, run: Callable[[Call], Awaitable[R]], data: dict[str, str] | None = None
) -> R:
    """Read the memory for something that is no tool. Whatever goes wrong becomes a protocol error.

    Args:
        method: The protocol's method.
        call: Who calls, and until when.
        run: Does it.
        data: What an error says besides its message.
    """
    outcome = "Success"
    with timed_call() as timings, subsegment(method.replace("/", "_")):
        try:
            _require(AccessScope.READ, call.principal, method)
            async with _time_left(call):
                return await run(call)
        except RemoraError as error:
            outcome = type(error).__name__
            raise _protocol_error(error, data) from None
        except TimeoutError:
            outcome = "Timeout"
            raise MCPError(types.INTERNAL_ERROR, f"{method} did not finish in time; try again in a moment.") from None
        except Exception:
            outcome = "Bug"
            logger.exception("Request failed", method=method)
            raise MCPError(types.INTERNAL_ERROR, f"{method} failed inside Remora; its log has the details.") from None
        finally:
            _record(method, outcome, timings, call.principal)


def _protocol_error(error: RemoraError, data: dict[str, str] | None = None) -> MCPError:
    """Return the error as JSON-RPC has it.

    What is not found is -32602 in 2026-07-28; the handshake revisions' own -32002 is retired.
    """
    if isinstance(error, NotFoundError | InvalidArgumentError):
        return MCPError(types.INVALID_PARAMS, str(error), data)
    if isinstance(error, PermissionDeniedError):
        return MCPError(types.INVALID_REQUEST, str(error), data)
    return MCPError(types.INTERNAL_ERROR, str(error), data)


def _record(name: str, outcome: str, timings: Timings, principal: Principal) -> None:
    embed, chroma, total = timings.seconds("embed"), timings.seconds("chroma"), timings.total()
    milliseconds = {
        "Duration": total * 1000,
        "EmbedDuration": embed * 1000,
        "ChromaDuration": chroma * 1000,
        "OtherDuration": max(total - embed - chroma, 0.0) * 1000,
    }
    # Published by the handler when the invocation ends: of all tools together, as percentiles cannot be added up.
    for metric, value in milliseconds.items():
        metrics.add_metric(metric, MetricUnit.Milliseconds, round(value, 3))
    # By tool only what is asked by tool: each metric is paid for with every combination of its dimensions.
    by_tool = EphemeralMetrics()
    by_tool.add_dimension("tool", name)
    by_tool.add_dimension("outcome", outcome)
    by_tool.add_metric("ToolCalls", MetricUnit.Count, 1)
    by_tool.add_metric("Duration", MetricUnit.Milliseconds, round(milliseconds["Duration"], 3))
    by_tool.flush_metrics()
    if outcome == "Bug":
        metrics.add_metric("Bugs", MetricUnit.Count, 1)
    logger.info(
        "Tool call",
        tool=name,
        outcome=outcome,
        principal=principal.id,
        space=principal.space,
        milliseconds={name: round(value, 1) for name, value in milliseconds.items()},
    )


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
        """Serve one request of a principal; refuse one without, or for a space that the principal may not name."""
        respond: ASGIApp = self._manager.handle_request
        # Routes go by the decoded path, and what was allowed is the path as it was sent.
        if scope["aws.event"]["path"] != scope["path"]:
            await refusal(404, "There is nothing at this address.")(scope, receive, send)
            return
        try:
            principal_of(scope)
        except NoPrincipalError:
            respond = refusal(401, "This request carries no principal; it did not come through the authorizer.")
        except InvalidArgumentError as error:
            respond = refusal(400, str(error))
        except PermissionDeniedError as error:
            respond = refusal(403, str(error))
        await respond(scope, receive, send)
