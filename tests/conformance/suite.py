"""Runs one scenario of the MCP conformance suite against a URL."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

NODE_MODULES = Path(__file__).parents[2] / ".tools" / "node" / "node_modules"
_SUITE = NODE_MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"


@dataclass(frozen=True)
class Check:
    """One requirement that a scenario looked at.

    Attributes:
        id: What the suite calls it.
        status: `SUCCESS`, `FAILURE`, `WARNING`, `SKIPPED` or `INFO`.
        message: Why it was not met; empty if it was.
    """

    id: str
    status: str
    message: str


@dataclass(frozen=True)
class Suite:
    """The suite's program.

    Attributes:
        node: The command that runs Node 22.
        environment: The environment that it runs in.
    """

    node: Sequence[str]
    environment: Mapping[str, str]

    def run(self, url: str, scenario: str, revision: str, reports: Path) -> list[Check]:
        """Run a scenario.

        Args:
            url: The MCP endpoint, without authorization.
            scenario: Name of the scenario.
            revision: The protocol revision that it speaks.
            reports: An empty folder for what the suite writes.
        """
        run = subprocess.run(
            [*self.node, str(_SUITE), "server", "--url", url, "--scenario", scenario, "--spec-version", revision,
             "--output-dir", str(reports)],
            capture_output=True,
            text=True,
            timeout=120,
            env=self.environment,
            check=False,
        )  # fmt: skip
        written = list(reports.glob("*/checks.json"))
        assert len(written) == 1, run.stdout + run.stderr
        return [
            Check(check["id"], check["status"], check.get("errorMessage", ""))
            for check in json.loads(written[0].read_text(encoding="utf-8"))
        ]
