"""Lines of logs: what is shown of them, what is left out, and that no terminal obeys them."""

import json
import re
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from remora.operations.logs import API, Entry, parse

MOMENT = datetime(2026, 11, 21, 8, tzinfo=UTC)


def parsed(line: str, function: str = "connector") -> Entry:
    entry = parse(line, function, MOMENT)
    assert entry is not None
    return entry


def test_a_structured_record_becomes_a_line() -> None:
    document = {
        "level": "WARNING",
        "location": "handler:65",
        "message": "Credential refused",
        "timestamp": "2026-11-21 08:00:01,250+0000",
        "service": "authorizer",
        "function_request_id": "d0898d6a-3819-498b-a4f7-892ff210e1a8",
        "reason": "expired",
    }
    entry = parsed(json.dumps(document))
    assert entry.text() == (
        "2026-11-21T08:00:01.250Z WARNING  authorizer Credential refused  reason=expired [d0898d6a]"
    )
    assert not entry.is_error


def test_metrics_and_the_platforms_own_lines_are_left_out() -> None:
    for line in ('{"_aws": {}, "ColdStart": [1.0]}', "START RequestId: 1 Version: 2", "REPORT RequestId: 1", "  "):
        assert parse(line, "connector", MOMENT) is None


def test_a_timeout_is_an_error() -> None:
    assert parsed("2026-11-21T08:00:00Z 1234 Task timed out after 29.00 seconds").is_error


def test_an_exception_says_what_it_was_before_where() -> None:
    text = "[ERROR] KeyError: 'x'\nTraceback (most recent call last):\n  File \"/var/task/a.py\", line 1, in handler"
    entry = parsed(text)
    assert entry.is_error
    assert entry.message == "KeyError: 'x'"
    assert "/var/task/a.py" in entry.text()


def test_a_refused_credential_is_no_failure_of_the_authorizer() -> None:
    for text in (
        '[ERROR] Exception: Unauthorized\nTraceback (most recent call last):\n  File "/var/task/h.py", line 66',
        'Traceback (most recent call last):\n  File "h.py", line 66, in handler\nException: Unauthorized\n',
    ):
        assert parse(text, "authorizer", MOMENT) is None


def test_the_access_log_has_levels_by_status() -> None:
    document = {"method": "POST", "resource": "/mcp", "status": "504", "principal": "alice", "latency": "29001"}
    entry = parsed(json.dumps(document), API)
    assert entry.is_error
    assert "POST /mcp 504  principal=alice latency=29001" in entry.text()


@given(st.text(), st.text(), st.text())
def test_no_record_makes_a_terminal_do_anything(message: str, value: str, text: str) -> None:
    lines = [json.dumps({"message": message, "field": value, "exception": value}), text]
    for line in lines:
        entry = parse(line, "connector", MOMENT)
        if entry is not None:
            assert not [part for part in entry.text().split("\n") if re.search(r"[\x00-\x1f\x7f-\x9f]", part)]
