"""The MCP conformance suite against its own diagnostic server, served by Remora's gateway and transport.

Left out is what a server without sessions that answers in JSON does not do, by design:
- handshake revisions: requests to the client (tools-call-sampling, tools-call-elicitation,
  elicitation-sep1034-defaults, elicitation-sep1330-enums), sessions (server-session-lifecycle,
  server-sse-multiple-streams), and streams (server-sse-polling);
- notifications: tools-call-with-logging, logging-set-level, tools-call-with-progress, resources-subscribe,
  resources-unsubscribe.
"""

from pathlib import Path

import pytest

from tests.conformance.suite import Suite

BOTH = [
    "completion-complete",
    "tools-list",
    "tools-call-simple-text",
    "tools-call-image",
    "tools-call-audio",
    "tools-call-embedded-resource",
    "tools-call-mixed-content",
    "tools-call-error",
    "json-schema-2020-12",
    "resources-list",
    "resources-read-text",
    "resources-read-binary",
    "resources-templates-read",
    "prompts-list",
    "prompts-get-simple",
    "prompts-get-with-args",
    "prompts-get-embedded-resource",
    "prompts-get-with-image",
]
STATELESS_ONLY = [
    "server-stateless",
    "caching",
    "sep-2164-resource-not-found",
    "http-header-validation",
    "http-custom-header-server-validation",
    "input-required-result-basic-elicitation",
    "input-required-result-basic-sampling",
    "input-required-result-basic-list-roots",
    "input-required-result-request-state",
    "input-required-result-multiple-input-requests",
    "input-required-result-multi-round",
    "input-required-result-missing-input-response",
    "input-required-result-non-tool-request",
    "input-required-result-result-type",
    "input-required-result-unsupported-methods",
    "input-required-result-tampered-state",
    "input-required-result-capability-check",
    "input-required-result-ignore-extra-params",
    "input-required-result-validate-input",
]
SCENARIOS = [
    *((scenario, "2025-11-25") for scenario in BOTH),
    *((scenario, "2026-07-28") for scenario in [*BOTH, *STATELESS_ONLY]),
]


@pytest.mark.parametrize(("scenario", "revision"), SCENARIOS)
def test_the_transport_conforms(
    scenario: str, revision: str, suite: Suite, diagnostic_url: str, tmp_path: Path
) -> None:
    checks = suite.run(diagnostic_url, scenario, revision, tmp_path)
    assert not [check for check in checks if check.status in {"FAILURE", "WARNING"}]
    assert any(check.status == "SUCCESS" for check in checks)
