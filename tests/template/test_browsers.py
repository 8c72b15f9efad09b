"""What browsers need of the template: a preflight that takes no credential, and the origins that may call."""

import re

from tests.template.deployed import deployed, source

PARAMETER = source()["Parameters"]["AllowedOrigins"]


def test_every_path_that_wants_a_credential_can_be_preflighted_without_one() -> None:
    routes = deployed().routes()
    protected = {route.path for route in routes if route.security}
    preflights = {route.path for route in routes if route.method == "OPTIONS" and not route.security}
    assert protected
    assert protected <= preflights


def test_claude_and_chatgpt_may_call_unless_the_owner_says_otherwise() -> None:
    assert PARAMETER["Default"].split(",") == ["https://claude.ai", "https://claude.com", "https://chatgpt.com"]
    assert deployed().environment("ConnectorFunction")["REMORA_ALLOWED_ORIGINS"] == {"Ref": "AllowedOrigins"}


def test_origins_are_taken_as_browsers_write_them_and_no_other_text_is() -> None:
    pattern = re.compile(PARAMETER["AllowedPattern"])
    for good in ("", "https://claude.ai", "http://localhost:6274", "http://localhost:*", "https://a.b,https://c.d:8"):
        assert pattern.search(good), good
    for bad in ("*", "claude.ai", "https://claude.ai/", "https://claude.ai, https://x.y", "null", "https://a.b,"):
        assert not pattern.search(bad), bad
