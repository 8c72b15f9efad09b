"""The MCP conformance suite's scenarios for authorization servers."""

import json
import os
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from mypy_boto3_secretsmanager import SecretsManagerClient

from remora.oauth.settings import OAuthSettings
from tests.conformance.suite import NODE_MODULES
from tests.integration.oauth.deployment import Deployment, Web
from tests.integration.oauth.loopback import served

_NODE = NODE_MODULES / "node" / "bin" / "node"
_SUITE = NODE_MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_every_scenario_for_authorization_servers_passes(
    new_settings: Callable[[], OAuthSettings],
    secretsmanager: SecretsManagerClient,
    tmp_path: Path,
    revision: str,
) -> None:
    if not _NODE.exists():
        pytest.fail("Node's tools are not installed; `make test` installs them (it needs npm)")

    def deploy(url: str) -> Deployment:
        deployment = Deployment(new_settings(), url, Web(), secretsmanager)
        deployment.write_principals()
        return deployment

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with served(deploy) as deployment:
        issuer = deployment.issuer
        client = deployment.register(redirect_uris=[f"http://127.0.0.1:{port}/callback"])
        program = subprocess.Popen(
            [
                *(str(_NODE), str(_SUITE), "authorization", "--url", issuer, "--client-id", client.id),
                *("--resource", f"{issuer}/mcp", "--port", str(port), "--spec-version", revision),
                *("--output-dir", str(tmp_path)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "NO_COLOR": "1"},
        )
        try:
            assert program.stdout is not None
            output = ""
            for line in program.stdout:
                output += line
                if line.startswith(f"{issuer}/authorize?"):
                    redirect = deployment.consent(dict(parse_qsl(urlsplit(line.strip()).query)))
                    assert httpx2.get(redirect.headers["location"]).status_code == 200
            assert program.wait(timeout=60) == 0, output
        finally:
            program.kill()
            program.wait()

    checks = [
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
