"""The reference client's command line, used as the start-up message of `make dev` says."""

import json
import subprocess
from typing import Any

from tests.conformance.suite import NODE_MODULES
from tests.support.local_stack import LocalStack


def inspect(node: list[str], environment: dict[str, str], stack: LocalStack, *arguments: str) -> dict[str, Any]:
    """Run the Inspector's command line against the stack and return what it prints."""
    program = NODE_MODULES / ".bin" / "mcp-inspector"
    run = subprocess.run(
        [*node, str(program), "--cli", stack.url, "--transport", "http",
         "--header", f"Authorization: Bearer {stack.key}", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    printed: dict[str, Any] = json.loads(run.stdout)
    return printed


def test_it_lists_the_tools_and_finds_their_schemas_portable(
    node: list[str], node_environment: dict[str, str], stack: LocalStack
) -> None:
    listed = inspect(node, node_environment, stack, "--method", "tools/list", "--strict")
    assert "chroma_query_documents" in {tool["name"] for tool in listed["tools"]}


def test_it_calls_a_tool(node: list[str], node_environment: dict[str, str], stack: LocalStack) -> None:
    called = inspect(
        node, node_environment, stack,
        "--method", "tools/call", "--tool-name", "chroma_get_or_create_collection",
        "--tool-arg", "collection_name=from-the-inspector",
    )  # fmt: skip
    assert called["structuredContent"]["name"] == "from-the-inspector"
    assert not called.get("isError", False)
