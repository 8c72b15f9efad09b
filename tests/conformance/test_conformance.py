"""The MCP conformance suite: the server scenarios that need no fixture tools, for each revision they apply to."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.conformance.conftest import NODE_MODULES

SCENARIOS = [
    ("server-initialize", "2025-11-25"),
    ("ping", "2025-11-25"),
    ("tools-list", "2025-11-25"),
    ("dns-rebinding-protection", "2025-11-25"),
    ("tools-list", "2026-07-28"),
    ("server-stateless", "2026-07-28"),
    ("caching", "2026-07-28"),
    ("http-header-validation", "2026-07-28"),
    ("dns-rebinding-protection", "2026-07-28"),
]


# Some checks inside a scenario call a diagnostic tool by name, which no product has.
NEEDS_A_FIXTURE_TOOL = re.compile(r"Not testable: server does not (list|have|expose) ")


@pytest.mark.parametrize(("scenario", "revision"), SCENARIOS)
def test_scenario(
    scenario: str, revision: str, node: list[str], node_environment: dict[str, str], keyless_url: str, tmp_path: Path
) -> None:
    suite = NODE_MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    run = subprocess.run(
        [*node, str(suite), "server", "--url", keyless_url, "--scenario", scenario, "--spec-version", revision,
         "--output-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        env=node_environment,
        check=False,
    )  # fmt: skip
    reports = list(tmp_path.glob("*/checks.json"))
    assert len(reports) == 1, run.stdout + run.stderr
    checks = json.loads(reports[0].read_text())
    failed = [
        check
        for check in checks
        if check["status"] == "FAILURE" and not NEEDS_A_FIXTURE_TOOL.match(check.get("errorMessage", ""))
    ]
    assert not failed, json.dumps(failed, indent=2)
    assert any(check["status"] == "SUCCESS" for check in checks)
