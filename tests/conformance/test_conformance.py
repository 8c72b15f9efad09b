"""The MCP conformance suite against Remora: the server scenarios that need no diagnostic tools."""

import re

import pytest

from tests.conformance.conftest import ReportsOf

SCENARIOS = [
    ("server-initialize", "2025-11-25"),
    ("ping", "2025-11-25"),
    ("tools-list", "2025-11-25"),
    ("resources-list", "2025-11-25"),
    ("prompts-list", "2025-11-25"),
    ("dns-rebinding-protection", "2025-11-25"),
    ("tools-list", "2026-07-28"),
    ("resources-list", "2026-07-28"),
    ("prompts-list", "2026-07-28"),
    ("sep-2164-resource-not-found", "2026-07-28"),
    ("server-stateless", "2026-07-28"),
    ("server-sse-multiple-streams", "2026-07-28"),
    ("caching", "2026-07-28"),
    ("http-header-validation", "2026-07-28"),
    ("dns-rebinding-protection", "2026-07-28"),
]


# Some checks inside a scenario call a diagnostic tool by name, which no product has. test_transport.py runs them.
NEEDS_A_DIAGNOSTIC_TOOL = re.compile(r"Not testable: server does not (list|have|expose) ")


@pytest.mark.parametrize(("scenario", "revision"), SCENARIOS)
def test_remora_conforms(scenario: str, revision: str, remora_reports: ReportsOf) -> None:
    checks = remora_reports(revision)[scenario]
    failed = [
        check
        for check in checks
        if check.status in {"FAILURE", "WARNING"} and not NEEDS_A_DIAGNOSTIC_TOOL.match(check.message)
    ]
    assert not failed
    assert any(check.status == "SUCCESS" for check in checks)
