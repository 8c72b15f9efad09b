"""The runner of viewer-request functions: what CloudFront would not run or accept fails here too, and is bounded."""

import asyncio
import json

import pytest

from remora.errors import InvalidArgumentError
from remora.local.deployment import EdgeSettings
from remora.local.edge import Edge, EdgeFunctionError, ViewerRequestFunction
from remora.local.messages import Reply, Request

REQUEST = Request(
    method="GET",
    path="/a%20b",
    headers=(("host", "127.0.0.1:1"), ("x-tag", "one"), ("x-tag", "two"), ("cookie", "a=1; b=2; a=3; c")),
    query=(),
    body=b"",
    source_ip="127.0.0.1",
    protocol="HTTP/1.1",
)


def returning(expression: str) -> ViewerRequestFunction:
    """Return a function that returns this."""
    return ViewerRequestFunction(f"function handler(event) {{ return {expression}; }}")


def test_the_event_has_the_structure_of_cloudfront() -> None:
    answer = returning("({statusCode: 200, body: JSON.stringify(event)})").run(REQUEST, b"x=1&y=%20&x=2&z&=v")
    assert isinstance(answer, Reply)
    event = json.loads(answer.body)
    assert event["version"] == "1.0"
    assert event["context"]["eventType"] == "viewer-request"
    assert event["viewer"] == {"ip": "127.0.0.1"}
    assert event["request"] == {
        "method": "GET",
        "uri": "/a%20b",
        "querystring": {
            "x": {"value": "1", "multiValue": [{"value": "1"}, {"value": "2"}]},
            "y": {"value": "%20"},
            "z": {"value": ""},
            "": {"value": "v"},
        },
        "headers": {
            "host": {"value": "127.0.0.1:1"},
            "x-tag": {"value": "one", "multiValue": [{"value": "one"}, {"value": "two"}]},
        },
        "cookies": {
            "a": {"value": "1", "multiValue": [{"value": "1"}, {"value": "3"}]},
            "b": {"value": "2"},
            "c": {"value": ""},
        },
    }


def test_an_unchanged_request_goes_on_with_its_cookies_and_query() -> None:
    outcome = returning("event.request").run(REQUEST, b"x=1&y=%20&x=2")
    assert not isinstance(outcome, Reply)
    request, query = outcome
    assert request.path == "/a%20b"
    assert request.header("cookie") == "a=1; a=3; b=2; c="
    assert [value for name, value in request.headers if name == "x-tag"] == ["one", "two"]
    assert query == b"x=1&x=2&y=%20"


@pytest.mark.parametrize(
    "body",
    [
        "return undefined;",
        "return 'text';",
        "return {statusCode: '401'};",
        "return {statusCode: 42};",
        "throw new Error('no');",
        "event.request.method = 'PUT'; return event.request;",
        "event.request.uri = 'no-slash'; return event.request;",
        "event.request.headers.host = {value: 'elsewhere'}; return event.request;",
        "delete event.request.headers.host; return event.request;",
        "event.request.headers.connection = {value: 'close'}; return event.request;",
        "event.request.headers['X-Upper'] = {value: '1'}; return event.request;",
        "event.request.headers.tag = 'no object'; return event.request;",
        "for (;;) {}",
        "let all = []; for (;;) { all.push(new Array(100000).fill(7)); }",
    ],
)
def test_what_cloudfront_would_not_accept_is_an_error_after_which_the_next_request_is_served(body: str) -> None:
    function = ViewerRequestFunction(
        f"function handler(event) {{ if (event.request.uri === '/fine') return event.request; {body} }}"
    )
    with pytest.raises(EdgeFunctionError):
        function.run(REQUEST, b"")
    fine = Request(
        method="GET", path="/fine", headers=(), query=(), body=b"", source_ip="127.0.0.1", protocol="HTTP/1.1"
    )
    assert not isinstance(function.run(fine, b""), Reply)


@pytest.mark.parametrize("code", ["function (", "x" * 10_241])
def test_a_function_that_cannot_be_loaded_is_refused_with_the_reason(code: str) -> None:
    with pytest.raises(InvalidArgumentError, match="function cannot be used"):
        asyncio.run(Edge.of(EdgeSettings(function=code, origin_headers={})))


def test_origin_headers_replace_those_of_the_viewer() -> None:
    edge = Edge(returning("event.request"), {"X-Tag": "secret"})
    request = asyncio.run(edge.serve(REQUEST, b"q=a+b"))
    assert isinstance(request, Request)
    assert [value for name, value in request.headers if name == "x-tag"] == ["secret"]
    assert request.query == (("q", "a b"),)


def test_a_function_that_fails_answers_an_error_without_the_request() -> None:
    answer = asyncio.run(Edge(returning("no_such_thing"), {}).serve(REQUEST, b"secret=1"))
    assert isinstance(answer, Reply)
    assert answer.status == 503
    assert b"secret" not in answer.body
