"""The local gateway: an ASGI application that answers as API Gateway does for a REST API with one stage.

A request goes the same way as in AWS: stage, route, authorizer, usage plan, stage throttles, function. Whatever
stops it on the way is a gateway response. What is not below the stage goes through the distribution first, if there
is one: its root leads to the stage.
"""

import asyncio
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from remora.local import proxy
from remora.local.authorizers import Authorizer
from remora.local.deployment import ACCOUNT_ID, REGION, RestApi, Route
from remora.local.edge import Edge
from remora.local.functions import Function, PayloadTooLargeError
from remora.local.gateway_responses import (
    INTEGRATION_FAILURE,
    INTEGRATION_TIMEOUT,
    INVALID_API_KEY,
    INVALID_SIGNATURE,
    MISSING_AUTHENTICATION_TOKEN,
    REQUEST_TOO_LARGE,
    THROTTLED,
    GatewayError,
    GatewayResponses,
)
from remora.local.messages import BODILESS, Authorization, Reply, Request, RequestContext
from remora.local.routes import Router
from remora.local.usage import TokenBucket, UsageMeter

access_log = logging.getLogger("remora.local.access")
logger = logging.getLogger(__name__)

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
MAX_BODY = 10 * 1024 * 1024
_LOCAL_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key, and the usage plan that it is in.

    Attributes:
        id: Its id.
        plan: Id of the plan.
    """

    id: str
    plan: str


class Gateway:
    """Serves one REST API over ASGI."""

    def __init__(
        self,
        api: RestApi,
        functions: Mapping[str, Function],
        find_api_key: Callable[[str], Awaitable[ApiKey | None]],
        edge: Edge | None = None,
    ) -> None:
        """Prepare to serve.

        Args:
            api: The API.
            functions: By name.
            find_api_key: Returns the key that has this value and is in a usage plan, or None.
            edge: The distribution in front of the API, if any.
        """
        self._api = api
        self._functions = functions
        self._find_api_key = find_api_key
        self._edge = edge
        self._router = Router(api.routes)
        self._responses = GatewayResponses(api.gateway_responses)
        self._authorizers = {
            name: Authorizer(definition, functions[definition.function])
            for name, definition in api.authorizers.items()
        }
        self._meters = {plan.id: UsageMeter(plan) for plan in api.usage_plans}
        self._buckets: dict[tuple[str, str], TokenBucket] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        try:
            body = await _read_body(receive)
        except ConnectionAbortedError:
            return
        path = scope["raw_path"].decode("latin-1")
        request = Request(
            method=scope["method"],
            path=path,
            headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]),
            query=Request.parse_query(scope["query_string"]),
            body=body or b"",
            source_ip=(scope.get("client") or ("127.0.0.1", 0))[0],
            protocol=f"HTTP/{scope['http_version']}",
        )
        context, reply = await self._answer(request, scope["query_string"], too_large=body is None)
        await send({"type": "http.response.start", "status": reply.status, "headers": list(reply.raw_headers())})
        await send({"type": "http.response.body", "body": b"" if reply.status in BODILESS else reply.body})
        access_log.info(
            "%s %s %d%s %s %.0f ms",
            request.method,
            path,
            reply.status,
            f" {reply.error}" if reply.error else "",
            context.authorization.principal_id if context.authorization else "-",
            (time.perf_counter() - started) * 1000,
        )

    async def _answer(self, request: Request, query: bytes, *, too_large: bool) -> tuple[RequestContext, Reply]:
        context = RequestContext(
            request=request,
            account_id=ACCOUNT_ID,
            api_id=self._api.id,
            stage=self._api.stage,
            stage_variables=self._api.stage_variables,
        )
        # API Gateway and CloudFront answer only for their own host names. Here this also stops a page that had its
        # name resolved to this machine (DNS rebinding).
        if not _LOCAL_HOST.fullmatch(request.header("host") or ""):
            return context, _forbidden(request)
        stage, path = _split_stage(request.path)
        if stage == self._api.stage:
            context = replace(context, request=replace(request, path=path))
        elif self._edge is None:
            return context, _forbidden(request)
        else:
            passed_on = await self._edge.serve(request, query)
            if isinstance(passed_on, Reply):
                return context, passed_on
            context = replace(context, request=passed_on)
        if too_large:
            return context, self._responses.reply(REQUEST_TOO_LARGE, context)
        context, outcome = await self._process(context)
        if isinstance(outcome, GatewayError):
            return context, self._responses.reply(outcome, context)
        return context, outcome

    async def _process(self, context: RequestContext) -> tuple[RequestContext, Reply | GatewayError]:
        request = context.request
        match = self._router.match(request.method, request.path)
        if match is None:
            signed = request.header("authorization") is not None
            return context, INVALID_SIGNATURE if signed else MISSING_AUTHENTICATION_TOKEN
        route = match.route
        context = replace(context, resource=route.resource, path_parameters=match.path_parameters)
        if route.authorizer is not None:
            answer = await self._authorizers[route.authorizer].authorize(context, self._method_arn(request))
            if isinstance(answer, GatewayError):
                return context, answer
            context = replace(context, authorization=answer)
        if route.api_key_required:
            api_key = await self._api_key(request, context.authorization)
            if api_key is None:
                return context, INVALID_API_KEY
            context = replace(context, api_key_id=api_key.id)
            refusal = self._meters[api_key.plan].admit(api_key.id)
            if refusal is not None:
                return context, refusal
        if not self._admit(route):
            return context, THROTTLED
        return context, await self._integrate(context, route)

    def _method_arn(self, request: Request) -> str:
        path = request.path.removeprefix("/")
        return f"arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:{self._api.id}/{self._api.stage}/{request.method}/{path}"

    async def _api_key(self, request: Request, authorization: Authorization | None) -> ApiKey | None:
        if self._api.api_key_source == "HEADER":
            value = request.header("x-api-key")
        else:
            value = authorization.usage_key if authorization else None
        return await self._find_api_key(value) if value else None

    def _admit(self, route: Route) -> bool:
        """Hold a method to the stage's throttle for it: its own, else the stage's default."""
        key = (route.resource, route.method)
        throttle = self._api.method_throttles.get(key) or self._api.method_throttles.get(("/*", "*"))
        if throttle is None:
            return True
        if key not in self._buckets:
            self._buckets[key] = TokenBucket(throttle)
        return self._buckets[key].take()

    async def _integrate(self, context: RequestContext, route: Route) -> Reply | GatewayError:
        event = json.dumps(proxy.proxy_event(context, self._api.binary_media_types)).encode()
        try:
            invocation = await asyncio.wait_for(self._functions[route.function].invoke(event), route.timeout)
        except TimeoutError:
            return INTEGRATION_TIMEOUT
        except PayloadTooLargeError:
            return REQUEST_TOO_LARGE
        if invocation.failed:
            logger.warning("%s failed: %s", route.function, json.loads(invocation.payload).get("errorType"))
            return INTEGRATION_FAILURE
        try:
            return proxy.reply(invocation.payload, context, self._api.binary_media_types)
        except proxy.MalformedResponseError as error:
            logger.warning("%s: malformed proxy response: %s", route.function, error)
            return INTEGRATION_FAILURE


async def _read_body(receive: Receive) -> bytes | None:
    """Return the body, or None if it is larger than API Gateway takes.

    Raises:
        ConnectionAbortedError: The client hung up before it had sent everything.
    """
    body = bytearray()
    too_large = False
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionAbortedError
        # Read to the end even then: a client that is still sending does not read an answer.
        too_large = too_large or len(body) + len(message.get("body", b"")) > MAX_BODY
        if not too_large:
            body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return None if too_large else bytes(body)


def _split_stage(path: str) -> tuple[str, str]:
    stage, slash, rest = path.removeprefix("/").partition("/")
    return stage, slash + rest or "/"


def _forbidden(request: Request) -> Reply:
    """Return what API Gateway answers where there is no API at all: no gateway response applies."""
    headers = (
        ("content-type", "application/json"),
        ("x-amzn-errortype", "ForbiddenException"),
        ("x-amzn-requestid", request.id),
        ("x-amz-apigw-id", request.extended_id),
    )
    return Reply(403, headers, b'{"message":"Forbidden"}', error="FORBIDDEN")
