"""The suite's authorization-server scenarios and the Inspector's sign-in, against the running system."""

import json
import os
import pty
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.conformance.suite import NODE_MODULES
from tests.support.consent import Person
from tests.support.local_stack import LocalStack

_SUITE = NODE_MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
_SECONDS = 90


@pytest.fixture
def free_port() -> int:
    """A loopback port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def consent_when_asked(program: subprocess.Popen[str], authorize: str, allow: Callable[[str], str]) -> str:
    """Read what a program prints until it ends, and allow each authorization URL that it asks a person to open."""
    assert program.stdout is not None
    output = ""
    asked = re.compile(re.escape(authorize) + r"\?[^\s\"']+")
    try:
        for line in program.stdout:
            output += line
            if found := asked.search(line):
                assert httpx2.get(allow(found[0]), timeout=30).status_code < 400
        assert program.wait(timeout=_SECONDS) == 0, output
    finally:
        program.kill()
        program.wait()
    return output


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_the_authorization_server_conforms(
    stack: LocalStack,
    node: list[str],
    node_environment: dict[str, str],
    free_port: int,
    tmp_path: Path,
    revision: str,
) -> None:
    root = stack.url.removesuffix("/mcp")
    callback = f"http://127.0.0.1:{free_port}/callback"
    registration = {"redirect_uris": [callback], "token_endpoint_auth_method": "none", "client_name": "Conformance"}
    client_id = httpx2.post(f"{root}/register", json=registration).json()["client_id"]
    program = subprocess.Popen(
        [*node, str(_SUITE), "authorization", "--url", root, "--client-id", client_id,
         "--resource", stack.url, "--port", str(free_port), "--spec-version", revision,
         "--output-dir", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**node_environment, "NO_COLOR": "1"},
    )  # fmt: skip
    output = consent_when_asked(program, f"{root}/authorize", Person(stack.key).allow)
    checks: list[dict[str, Any]] = [
        check
        for report in sorted(tmp_path.rglob("checks.json"))
        for check in json.loads(report.read_text(encoding="utf-8"))
    ]
    assert {check["id"] for check in checks} >= {
        "authorization-server-metadata",
        "authorization-server-metadata-cimd",
        "authorization-code-grant",
    }
    assert [check for check in checks if check["status"] not in {"SUCCESS", "INFO"}] == []
    assert re.search(r"Total: \d+ passed, 0 failed", output)


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_signs_in_and_calls_a_tool(
    stack: LocalStack, node: list[str], node_environment: dict[str, str], free_port: int, tmp_path: Path, era: str
) -> None:
    root = stack.url.removesuffix("/mcp")
    result = tmp_path / "result.json"
    callback = f"http://127.0.0.1:{free_port}/oauth/callback"
    person = Person(stack.key)
    environment = {**node_environment, "NO_COLOR": "1", "HOME": str(tmp_path), "BROWSER": "none"}
    # It asks only people, whom it knows by their terminal.
    terminal, keyboard = pty.openpty()
    program = subprocess.Popen(
        [*node, str(NODE_MODULES / ".bin" / "mcp-inspector"), "--cli", f"{stack.url}/memory", "--transport", "http",
         "--protocol-era", era, "--callback-url", callback, "--output", str(result),
         "--method", "tools/call", "--tool-name", "memory_overview"],
        stdin=keyboard, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    )  # fmt: skip
    try:
        consent_when_asked(program, f"{root}/authorize", person.allow)
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert person.consented == 1
    assert not json.loads(result.read_text(encoding="utf-8")).get("isError", False)


def test_the_url_that_a_person_opens_names_the_resource(stack: LocalStack) -> None:
    root = stack.url.removesuffix("/mcp")
    metadata = httpx2.get(f"{root}/.well-known/oauth-authorization-server").json()
    assert parse_qs(urlsplit(metadata["authorization_endpoint"]).query) == {}
    assert metadata["protected_resources"] == [stack.url, f"{stack.url}/memory", f"{stack.url}/chroma"]
