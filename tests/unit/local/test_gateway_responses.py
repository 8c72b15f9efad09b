"""Gateway responses as the template customises them."""

import json

from hypothesis import given
from hypothesis import strategies as st

from remora.local.deployment import GatewayResponse
from remora.local.expressions import mapped_value, render
from remora.local.gateway_responses import INTEGRATION_FAILURE, THROTTLED, GatewayResponses
from remora.local.messages import Authorization, Request, RequestContext

CONTEXT = RequestContext(
    request=Request(
        method="GET",
        path="/a",
        headers=(("origin", "https://one.example"), ("origin", "https://two.example")),
        query=(("q", "1"),),
        body=b"",
        source_ip="127.0.0.1",
        protocol="HTTP/1.1",
    ),
    account_id="1",
    api_id="api",
    stage="dev",
    stage_variables={"tone": "blue"},
    path_parameters={"id": "7"},
    authorization=Authorization(principal_id="me", policy={}, context={"space": "mine"}, usage_key=None),
)


def test_mapping_expressions() -> None:
    expressions = {
        "'static, with a comma'": "static, with a comma",
        "method.request.header.Origin": "https://two.example",
        "method.request.querystring.q": "1",
        "method.request.path.id": "7",
        "context.stage": "dev",
        "context.identity.sourceIp": "127.0.0.1",
        "context.authorizer.space": "mine",
        "stageVariables.tone": "blue",
        "method.request.header.Missing": None,
        "context.no.such.thing": None,
        "something.else": None,
    }
    assert {expression: mapped_value(expression, CONTEXT) for expression in expressions} == expressions


def test_a_template_knows_variables_and_nothing_else_of_vtl() -> None:
    template = '#if(true) {"m":$context.error.messageString,"t":"$context.error.responseType","s":"$context.stage"}'
    assert render(template, CONTEXT, "THROTTLED", 'a "quote"') == (
        '#if(true) {"m":"a \\"quote\\"","t":"THROTTLED","s":"dev"}'
    )


@given(st.none() | st.text())
def test_a_message_is_json_whatever_is_in_it(message: str | None) -> None:
    assert json.loads(render('{"message":$context.error.messageString}', CONTEXT, "X", message)) == {
        "message": message
    }


def test_a_type_without_a_response_of_its_own_has_that_of_its_class_with_its_own_status() -> None:
    responses = GatewayResponses(
        {"DEFAULT_4XX": GatewayResponse(None, {"gatewayresponse.header.X-Class": "'4'"}, {})}
    )
    reply = responses.reply(THROTTLED, CONTEXT)
    assert reply.status == 429
    assert ("x-class", "4") in reply.headers
    assert json.loads(reply.body) == {"message": "Too Many Requests"}
    assert ("x-class", "4") not in responses.reply(INTEGRATION_FAILURE, CONTEXT).headers


def test_a_response_of_its_own_wins_and_may_replace_any_header() -> None:
    responses = GatewayResponses(
        {
            "DEFAULT_4XX": GatewayResponse(400, {}, {}),
            "THROTTLED": GatewayResponse(
                503, {"gatewayresponse.header.Content-Type": "'text/plain'"}, {"application/json": "later"}
            ),
        }
    )
    reply = responses.reply(THROTTLED, CONTEXT)
    assert reply.status == 503
    assert reply.body == b"later"
    assert [value for name, value in reply.headers if name == "content-type"] == ["text/plain"]
