"""Lambda proxy integration: a request into an event, and what the function returned into a reply.

Format: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
"""

import base64
import binascii
import json

from remora.local.messages import Json, Reply, RequestContext, matches_media_type

_FORWARDED_PROTOCOL = "http"
_RESPONSE_KEYS = {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}
# Headers of a function's response that API Gateway renames to `x-amzn-Remapped-…`, and those that it drops:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
_REMAPPED = {
    "authorization",
    "connection",
    "content-length",
    "content-md5",
    "date",
    "host",
    "max-forwards",
    "server",
    "user-agent",
    "www-authenticate",
}
_DROPPED = {"expect", "proxy-authenticate", "te", "trailer", "transfer-encoding", "upgrade"}


class MalformedResponseError(Exception):
    """What the function returned is not a proxy response; `str(error)` says why."""


def authorizer_event(context: RequestContext, method_arn: str) -> dict[str, Json]:
    """Return the event of a REQUEST authorizer."""
    return {"type": "REQUEST", "methodArn": method_arn, **_common(context)}


def proxy_event(context: RequestContext, binary_media_types: frozenset[str]) -> dict[str, Json]:
    """Return the event of a proxy integration, format 1.0.

    Args:
        context: The request.
        binary_media_types: A body of one of these types travels as base64, any other as UTF-8 text.
    """
    request = context.request
    binary = bool(request.body) and matches_media_type(request.header("content-type"), binary_media_types)
    body = None
    if binary:
        body = base64.b64encode(request.body).decode()
    elif request.body:
        body = request.body.decode(errors="replace")
    return {**_common(context), "body": body, "isBase64Encoded": binary}


def _common(context: RequestContext) -> dict[str, Json]:
    request = context.request
    _, _, port = (request.header("host") or "").partition(":")
    headers: dict[str, list[str]] = {}
    for name, value in request.headers:
        headers.setdefault(name, []).append(value)
    forwarded_for = ", ".join([*headers.get("x-forwarded-for", []), request.source_ip])
    headers.update(
        {
            "x-forwarded-for": [forwarded_for],
            "x-forwarded-port": [port or "80"],
            "x-forwarded-proto": [_FORWARDED_PROTOCOL],
            "x-amzn-trace-id": [f"Root=1-{int(request.received_at):08x}-{request.id.replace('-', '')[:24]}"],
        }
    )
    query: dict[str, list[str]] = {}
    for name, value in request.query:
        query.setdefault(name, []).append(value)
    return {
        "resource": context.resource,
        "path": request.path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": dict(context.path_parameters) or None,
        "stageVariables": dict(context.stage_variables) or None,
        "requestContext": context.to_event(),
    }


def reply(payload: bytes, context: RequestContext, binary_media_types: frozenset[str]) -> Reply:
    """Return the reply that a function's answer means.

    Args:
        payload: What the function returned, as JSON.
        context: The request.
        binary_media_types: A base64 body is decoded only if the first type that the caller accepts is one
            of these.

    Raises:
        MalformedResponseError: API Gateway would answer 502.
    """
    response = json.loads(payload)
    if not isinstance(response, dict):
        raise MalformedResponseError(f"a proxy response is an object, not {type(response).__name__}")
    if unknown := set(response) - _RESPONSE_KEYS:
        raise MalformedResponseError(f"a proxy response has no {', '.join(sorted(unknown))}")
    return Reply(
        status=_status(response.get("statusCode", 200)),
        headers=_headers(response, context),
        body=_body(response, context, binary_media_types),
    )


def _status(value: Json) -> int:
    try:
        status = int(value)
    except (TypeError, ValueError):
        raise MalformedResponseError(f"statusCode must be a number, not {value!r}") from None
    if not 100 <= status <= 599:
        raise MalformedResponseError(f"statusCode must be from 100 to 599, not {status}")
    return status


def _headers(response: dict[str, Json], context: RequestContext) -> tuple[tuple[str, str], ...]:
    single, multiple = response.get("headers"), response.get("multiValueHeaders")
    single, multiple = {} if single is None else single, {} if multiple is None else multiple
    if not isinstance(single, dict) or not isinstance(multiple, dict):
        raise MalformedResponseError("headers and multiValueHeaders must be objects")
    merged: dict[str, list[str]] = {}
    for name, values in multiple.items():
        if not isinstance(values, list):
            raise MalformedResponseError(f"multiValueHeaders: {name} must be a list")
        merged[name.lower()] = [_header_value(name, value) for value in values]
    # A header in both maps: the value of `headers` counts only if the other map does not hold it already.
    for name, value in single.items():
        values, text = merged.setdefault(name.lower(), []), _header_value(name, value)
        if text not in values:
            values.append(text)
    headers = [
        (f"x-amzn-remapped-{name}" if name in _REMAPPED else name, value)
        for name, values in merged.items()
        if name not in _DROPPED
        for value in values
    ]
    if "content-type" not in merged:
        headers.append(("content-type", "application/json"))
    return (
        *headers,
        ("x-amzn-requestid", context.request.id),
        ("x-amz-apigw-id", context.request.extended_id),
    )


def _header_value(name: str, value: Json) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise MalformedResponseError(f"the header {name} must be a string")
    if any(character in str(value) for character in "\r\n"):
        raise MalformedResponseError(f"the header {name} has a line break in it")
    return str(value)


def _body(response: dict[str, Json], context: RequestContext, binary_media_types: frozenset[str]) -> bytes:
    body = response.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise MalformedResponseError(f"body must be a string, not {type(body).__name__}")
    accepted = (context.request.header("accept") or "").partition(",")[0]
    if response.get("isBase64Encoded") is True and matches_media_type(accepted, binary_media_types):
        try:
            return base64.b64decode(body, validate=True)
        except binascii.Error:
            raise MalformedResponseError("body is not base64, though isBase64Encoded says so") from None
    return body.encode(errors="replace")
