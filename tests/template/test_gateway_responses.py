"""What API Gateway answers by itself: a client must be able to read it, from a browser too, and act on it."""

import json
import re

import pytest

from tests.template.deployed import chosen, deployed

RESPONSES = deployed().gateway_responses()
# https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
DEFAULT_STATUS = {
    "ACCESS_DENIED": 403,
    "INTEGRATION_TIMEOUT": 504,
    "INVALID_API_KEY": 403,
    "INVALID_SIGNATURE": 403,
    "MISSING_AUTHENTICATION_TOKEN": 403,
    "QUOTA_EXCEEDED": 429,
    "REQUEST_TOO_LARGE": 413,
    "RESOURCE_NOT_FOUND": 404,
    "THROTTLED": 429,
    "UNAUTHORIZED": 401,
    "DEFAULT_4XX": None,
    "DEFAULT_5XX": None,
}
CHANGED = {"MISSING_AUTHENTICATION_TOKEN": 404, "INVALID_SIGNATURE": 404}


def header(kind: str, name: str) -> str:
    value: str = RESPONSES[kind]["responseParameters"][f"gatewayresponse.header.{name}"]
    assert value.startswith("'")  # a static value: nothing in a header here is copied from the request
    assert value.endswith("'")
    return value[1:-1]


def texts(value: object) -> list[str]:
    """Return every text that a value may come to, whatever its conditions say."""
    if isinstance(value, str):
        return [value]
    assert isinstance(value, dict)
    ((function, argument),) = value.items()
    return [argument] if function == "Fn::Sub" else [text for branch in argument[1:] for text in texts(branch)]


def body(kind: str) -> str:
    (template,) = RESPONSES[kind]["responseTemplates"].values()
    assert isinstance(template, str)
    return template


def test_every_response_that_clients_meet_is_defined() -> None:
    assert set(RESPONSES) == set(DEFAULT_STATUS)


@pytest.mark.parametrize("kind", sorted(DEFAULT_STATUS))
def test_the_status_is_aws_own_unless_that_would_mislead(kind: str) -> None:
    expected = CHANGED.get(kind, DEFAULT_STATUS[kind])
    status = RESPONSES[kind].get("statusCode")
    assert (int(status) if status is not None else None) == expected


@pytest.mark.parametrize("kind", sorted(DEFAULT_STATUS))
def test_a_browser_may_read_it_wherever_it_comes_from(kind: str) -> None:
    assert header(kind, "Access-Control-Allow-Origin") == "*"
    exposed = {name.strip() for name in header(kind, "Access-Control-Expose-Headers").split(",")}
    assert exposed == {"WWW-Authenticate", "Retry-After", "Mcp-Session-Id", "MCP-Protocol-Version"}
    assert "gatewayresponse.header.Access-Control-Allow-Credentials" not in RESPONSES[kind]["responseParameters"]


@pytest.mark.parametrize("kind", sorted(DEFAULT_STATUS))
def test_it_is_not_cached(kind: str) -> None:
    assert header(kind, "Cache-Control") == "no-store"


@pytest.mark.parametrize("kind", sorted(RESPONSES))
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Security-Policy", "default-src; frame-ancestors; sandbox"),
        ("Referrer-Policy", "no-referrer"),
        ("Strict-Transport-Security", "max-age=63072000; includeSubDomains"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
    ],
)
def test_it_has_the_security_headers_of_a_strict_site(kind: str, name: str, value: str) -> None:
    assert header(kind, name) == value


def test_no_static_value_holds_a_quote_within_its_quotes() -> None:
    """How API Gateway reads one is not documented."""
    for kind, response in RESPONSES.items():
        for name, value in response["responseParameters"].items():
            for text in texts(value):
                assert "'" not in text[1:-1], (kind, name)


@pytest.mark.parametrize("kind", sorted(DEFAULT_STATUS))
def test_the_body_is_a_json_rpc_error(kind: str) -> None:
    # The gateway substitutes `$context` variables and runs no VTL; `messageString` comes with its quotes.
    text = body(kind).replace("$context.error.messageString", '"Forbidden"')
    answer = json.loads(text)
    assert answer["jsonrpc"] == "2.0"
    assert answer["id"] is None
    code = answer["error"]["code"]
    assert code in {-32600, -32603} or -32019 <= code <= -32000
    assert code != -32002  # retired by an earlier protocol version, never to be used again
    assert answer["error"]["message"]
    assert answer["error"]["data"]["type"]
    assert answer["error"]["data"]["requestId"] == "$context.extendedRequestId"


@pytest.mark.parametrize("kind", sorted(DEFAULT_STATUS))
def test_the_body_uses_context_variables_and_nothing_else_of_vtl(kind: str) -> None:
    used = set(re.findall(r"\$[A-Za-z.]+", body(kind)))
    assert used <= {
        "$context.error.messageString",
        "$context.error.responseType",
        "$context.extendedRequestId",
    }
    assert "#" not in body(kind)


def challenge(*, distribution: bool, domain: bool) -> str | dict[str, str]:
    value = RESPONSES["UNAUTHORIZED"]["responseParameters"]["gatewayresponse.header.WWW-Authenticate"]
    decided: str | dict[str, str] = chosen(value, {"HasDistribution": distribution, "HasDomain": domain})
    return decided


def test_a_refused_credential_without_a_root_is_answered_with_a_plain_challenge() -> None:
    assert challenge(distribution=False, domain=False) == "'Bearer realm=\"remora\"'"


def test_a_refused_credential_at_a_domain_is_answered_with_where_its_metadata_is() -> None:
    assert challenge(distribution=False, domain=True) == {
        "Fn::Sub": (
            '\'Bearer resource_metadata="${PublicUrl}/.well-known/oauth-protected-resource/mcp", scope="read write"\''
        )
    }


@pytest.mark.parametrize("domain", [False, True])
def test_behind_the_distribution_the_challenge_is_what_its_function_says(domain: bool) -> None:
    # The definition of the API cannot name the distribution, which is made after it.
    assert challenge(distribution=True, domain=domain) == "method.request.header.x-remora-challenge"


@pytest.mark.parametrize("kind", ["THROTTLED", "QUOTA_EXCEEDED"])
def test_a_limited_client_learns_when_to_come_back(kind: str) -> None:
    assert int(header(kind, "Retry-After")) >= 1
