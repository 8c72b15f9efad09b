"""What API Gateway sends to the connector, what Lambda gives it besides, and how to read its answer."""

import json
from typing import Any

SPACE = "example"


class Context:
    """What the handler needs of Lambda's context."""

    function_name = "connector"
    memory_limit_in_mb = 1769
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:connector"
    aws_request_id = "00000000-0000-0000-0000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        """Return the time that a new invocation has."""
        return 29_000


HANDSHAKE = "2025-11-25"
MODERN = "2026-07-28"


def event(
    method: str,
    params: dict[str, Any] | None = None,
    *,
    scopes: str = "read write",
    space: str = SPACE,
    revision: str = HANDSHAKE,
) -> dict[str, Any]:
    """Return the proxy event of one MCP request.

    Args:
        method: MCP method.
        params: Its parameters.
        scopes: The principal's scopes, as the authorizer writes them.
        space: The principal's space.
        revision: Protocol revision; `MODERN` carries its envelope and routing headers.
    """
    params = params or {}
    headers = {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": revision,
        "Host": "localhost",
    }
    if revision == MODERN:
        headers |= {"Mcp-Method": method} | ({"Mcp-Name": params["name"]} if "name" in params else {})
        params = params | {
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": revision,
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": {"name": "example", "version": "1"},
            }
        }
    return {
        "resource": "/mcp",
        "path": "/mcp",
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "stage": "dev",
            "identity": {"sourceIp": "127.0.0.1"},
            "authorizer": {"principal_id": "example", "scopes": scopes, "space": space},
        },
        "body": json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}),
        "isBase64Encoded": False,
    }


def tool_call(name: str, arguments: dict[str, Any], *, revision: str = HANDSHAKE) -> dict[str, Any]:
    """Return the proxy event of one tool call.

    Args:
        name: The tool.
        arguments: What it is given.
        revision: Protocol revision.
    """
    return event("tools/call", {"name": name, "arguments": arguments}, revision=revision)


def result_of(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the result in the connector's answer.

    Raises:
        RuntimeError: It is an error.
    """
    message: dict[str, Any] = json.loads(answer["body"]) if "body" in answer else answer
    result: dict[str, Any] = message.get("result", {"isError": True})
    if result.get("isError"):
        raise RuntimeError(json.dumps(message)[:500])
    return result
