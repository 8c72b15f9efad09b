"""Runs the MCP conformance suite against a URL."""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

NODE_MODULES = Path(__file__).parents[2] / ".tools" / "node" / "node_modules"
# `server-<scenario>-<time>`
_REPORT = re.compile(r"server-(?P<scenario>.+)-[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9-]+Z")
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

    def run(self, url: str, revision: str, reports: Path) -> Mapping[str, Sequence[Check]]:
        """Run every scenario of a revision, and return what each of them looked at, by its name.

        Args:
            url: The MCP endpoint, without authorization.
            revision: The protocol revision that is spoken.
            reports: An empty folder for what the suite writes.
        """
        run = subprocess.run(
            [*self.node, str(_SUITE), "server", "--url", url, "--suite", "all", "--spec-version", revision,
             "--output-dir", str(reports)],
            capture_output=True,
            text=True,
            timeout=300,
            env=self.environment,
            check=False,
        )  # fmt: skip
        found = {}
        for report in reports.glob("*/checks.json"):
            named = _REPORT.fullmatch(report.parent.name)
            assert named is not None, report
            found[named["scenario"]] = [
                Check(check["id"], check["status"], check.get("errorMessage", ""))
                for check in json.loads(report.read_text(encoding="utf-8"))
            ]
        assert found, run.stdout + run.stderr
        return found
