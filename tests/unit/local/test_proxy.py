"""Events that functions receive, and answers that they give."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.local import proxy
from remora.local.messages import Request, RequestContext


def context(**request: Any) -> RequestContext:
    fields = {"method": "POST", "path": "/mcp", "headers": (), "query": (), "body": b"", **request}
    return RequestContext(
        request=Request(source_ip="127.0.0.1", protocol="HTTP/1.1", **fields),
        account_id="1",
        api_id="a",
        stage="s",
        stage_variables={},
    )


@given(st.binary(max_size=200), st.booleans())
def test_a_body_can_be_had_back_from_the_event(body: bytes, binary: bool) -> None:
    headers = (("content-type", "image/png"),)
    event = proxy.proxy_event(
        context(body=body, headers=headers), frozenset({"image/png"}) if binary else frozenset()
    )
    assert json.loads(json.dumps(event)) == event
    if not body:
        assert event["body"] is None
    elif binary:
        assert base64.b64decode(event["body"]) == body
    else:
        assert event["body"] == body.decode(errors="replace")


@given(st.lists(st.tuples(st.text(min_size=1), st.text())))
def test_a_query_is_decoded_in_order(pairs: list[tuple[str, str]]) -> None:
    from urllib.parse import urlencode

    assert Request.parse_query(urlencode(pairs, errors="replace").encode()) == tuple(
        (name.encode(errors="replace").decode(), value.encode(errors="replace").decode()) for name, value in pairs
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    json_values
    | st.fixed_dictionaries(
        {},
        optional={
            "statusCode": json_values,
            "headers": json_values,
            "multiValueHeaders": json_values,
            "body": json_values,
            "isBase64Encoded": json_values,
        },
    )
)
def test_whatever_a_function_returns_is_a_reply_or_malformed(value: Any) -> None:
    try:
        reply = proxy.reply(json.dumps(value).encode(), context(), frozenset({"*/*"}))
    except proxy.MalformedResponseError:
        return
    assert 100 <= reply.status <= 599
    assert all(b"\n" not in header for pair in reply.raw_headers() for header in pair)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        ("text", "is an object, not str"),
        ({"statusCode": 200, "cookies": []}, "has no cookies"),
        ({"statusCode": 99}, "from 100 to 599"),
        ({"statusCode": "ok"}, "must be a number"),
        ({"body": {}}, "body must be a string"),
        ({"headers": []}, "must be objects"),
        ({"headers": {"X": {}}}, "the header X must be a string"),
        ({"headers": {"X": "a\r\nSet-Cookie: b"}}, "line break"),
        ({"multiValueHeaders": {"X": "a"}}, "X must be a list"),
        ({"body": "%", "isBase64Encoded": True}, "not base64"),
    ],
)
def test_a_malformed_answer_says_what_is_wrong(response: Any, reason: str) -> None:
    with pytest.raises(proxy.MalformedResponseError, match=reason):
        proxy.reply(json.dumps(response).encode(), context(), frozenset({"*/*"}))


def test_numbers_and_booleans_become_header_values() -> None:
    reply = proxy.reply(b'{"headers": {"A": 1, "B": true, "C": 1.5}}', context(), frozenset())
    assert {("a", "1"), ("b", "true"), ("c", "1.5")} <= set(reply.headers)
