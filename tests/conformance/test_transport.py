"""The MCP conformance suite against its own diagnostic server, served by Remora's gateway and transport."""

import pytest

from tests.conformance.conftest import ReportsOf

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
# What a server without sessions that answers in JSON does not do, by design: requests to the client, sessions,
# streams and notifications. And what test_conformance.py asks of Remora itself.
LEFT_OUT = {
    "2025-11-25": {
        *(
            "tools-call-sampling",
            "tools-call-elicitation",
            "elicitation-sep1034-defaults",
            "elicitation-sep1330-enums",
        ),
        *("server-session-lifecycle", "server-sse-multiple-streams", "server-sse-polling"),
        *("tools-call-with-logging", "logging-set-level", "tools-call-with-progress"),
        *("resources-subscribe", "resources-unsubscribe"),
        *("server-initialize", "ping", "dns-rebinding-protection"),
    },
    "2026-07-28": {"server-sse-multiple-streams", "tools-call-with-progress", "dns-rebinding-protection"},
}
SCENARIOS = [
    *((scenario, "2025-11-25") for scenario in BOTH),
    *((scenario, "2026-07-28") for scenario in [*BOTH, *STATELESS_ONLY]),
]


@pytest.mark.parametrize(("scenario", "revision"), SCENARIOS)
def test_the_transport_conforms(scenario: str, revision: str, transport_reports: ReportsOf) -> None:
    checks = transport_reports(revision)[scenario]
    assert not [check for check in checks if check.status in {"FAILURE", "WARNING"}]
    assert any(check.status == "SUCCESS" for check in checks)


@pytest.mark.parametrize("revision", LEFT_OUT)
def test_no_scenario_is_left_out_in_silence(revision: str, transport_reports: ReportsOf) -> None:
    looked_at = {scenario for scenario, of in SCENARIOS if of == revision}
    assert set(transport_reports(revision)) == looked_at | LEFT_OUT[revision]
