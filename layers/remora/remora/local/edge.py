"""Plays the CloudFront distribution: runs its viewer-request function on a request, and does what the function says.

The function is the text of the template, run by V8 instead of CloudFront's own engine. What CloudFront would not run
or not accept as an answer fails here too:
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/edge-function-restrictions-all.html
"""

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace

from py_mini_racer import JSEvalException, MiniRacer
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from remora.errors import InvalidArgumentError
from remora.local.deployment import EdgeSettings
from remora.local.messages import Reply, Request

logger = logging.getLogger(__name__)

Pairs = tuple[tuple[str, str], ...]

# CloudFront allows a function about a millisecond and 2 MB. V8 needs some megabytes for itself.
_SECONDS = 1.0
_MEMORY = 64 * 1024 * 1024
_MAXIMUM_CODE = 10 * 1024
_RUN = "(function (event) { return JSON.stringify(handler(JSON.parse(event))); })"
# Not shown to functions, nor passed on; and shown, but not theirs to change.
_HIDDEN = frozenset(
    {"connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "trailer"}
    | {"upgrade"}
)
_READ_ONLY = ("content-length", "host", "transfer-encoding", "via")


class EdgeFunctionError(Exception):
    """The function failed, took too long, or answered what CloudFront does not accept; `str(error)` says which."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    value: str


class _Entry(_Value):
    """A header, query parameter or cookie. `value` is the first of several, and all are in `multi_value`."""

    multi_value: tuple[_Value, ...] | None = Field(default=None, alias="multiValue")

    @property
    def values(self) -> Iterable[str]:
        return (item.value for item in self.multi_value) if self.multi_value else (self.value,)


_Entries = dict[str, _Entry]


class _ChangedRequest(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    method: str
    uri: str = Field(pattern=r"^/")
    headers: _Entries
    querystring: _Entries
    cookies: _Entries


class _Response(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)

    status: int = Field(alias="statusCode", ge=100, le=599)
    headers: _Entries = {}
    body: str = ""


_ANSWER: TypeAdapter[_Response | _ChangedRequest] = TypeAdapter(_Response | _ChangedRequest)


class ViewerRequestFunction:
    """A viewer-request function of CloudFront's JavaScript runtime 2.0."""

    def __init__(self, code: str) -> None:
        """Load the function. May not be called where an event loop runs: the engine would use that one.

        Args:
            code: Its text.

        Raises:
            EdgeFunctionError: It is too long, or not JavaScript.
        """
        if len(code.encode()) > _MAXIMUM_CODE:
            raise EdgeFunctionError(f"it is longer than {_MAXIMUM_CODE} bytes")
        self._code = code
        self._engine = self._load()

    def run(self, request: Request, query: bytes) -> tuple[Request, bytes] | Reply:
        """Return what becomes of a request: the request and query as they go on, or the answer to it.

        Args:
            request: What the viewer sent.
            query: Its query string, as it was sent.

        Raises:
            EdgeFunctionError: The function is at fault.
        """
        event = _event(request, query)
        try:
            answer = self._engine.eval(f"{_RUN}({json.dumps(json.dumps(event))})", timeout_sec=_SECONDS)
        except JSEvalException as error:
            # What ran out of time or memory leaves an engine that cannot be relied on.
            self._engine = self._load()
            raise EdgeFunctionError(f"{type(error).__name__} in it") from None
        try:
            result = _ANSWER.validate_json(answer if isinstance(answer, str) else "null")
        except ValidationError:
            raise EdgeFunctionError("what it returned is neither a request nor a response") from None
        if isinstance(result, _Response):
            return Reply(result.status, _flat(result.headers), result.body.encode(), error="EDGE")
        return _passed_on(request, result)

    def _load(self) -> MiniRacer:
        engine = MiniRacer()
        engine.set_hard_memory_limit(_MEMORY)
        try:
            engine.eval(self._code, timeout_sec=_SECONDS)
        except JSEvalException as error:
            raise EdgeFunctionError(f"{type(error).__name__} in it") from None
        return engine


class Edge:
    """The distribution.

    Args:
        function: Its viewer-request function.
        origin_headers: What it adds to every request to the API, in place of what the viewer sent.
    """

    def __init__(self, function: ViewerRequestFunction, origin_headers: Mapping[str, str]) -> None:
        self._function = function
        self._origin_headers = {name.lower(): value for name, value in origin_headers.items()}

    @classmethod
    async def of(cls, settings: EdgeSettings) -> "Edge":
        """Return the distribution that a template describes.

        Raises:
            InvalidArgumentError: Its function cannot be loaded.
        """
        try:
            function = await asyncio.to_thread(ViewerRequestFunction, settings.function)
        except EdgeFunctionError as error:
            raise InvalidArgumentError(f"The distribution's function cannot be used: {error}.") from None
        return cls(function, settings.origin_headers)

    async def serve(self, request: Request, query: bytes) -> Request | Reply:
        """Return the request as it reaches the API, or the answer that the edge itself gives.

        Args:
            request: What the viewer sent; its path is below the root.
            query: Its query string, as it was sent.
        """
        try:
            outcome = await asyncio.to_thread(self._function.run, request, query)
        except EdgeFunctionError as error:
            logger.error("The viewer-request function failed: %s", error)
            return Reply(503, (("content-type", "text/plain"),), b"The edge function failed.\n", error="EDGE")
        if isinstance(outcome, Reply):
            return outcome
        passed_on, passed_query = outcome
        kept = tuple(pair for pair in passed_on.headers if pair[0] not in self._origin_headers)
        return replace(
            passed_on,
            headers=(*kept, *self._origin_headers.items()),
            query=Request.parse_query(passed_query),
        )


def _event(request: Request, query: bytes) -> Mapping[str, object]:
    """Return the event: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/functions-event-structure.html."""
    shown = [pair for pair in request.headers if pair[0] not in _HIDDEN]
    parts = [part.partition("=") for part in query.decode("latin-1").split("&") if part]
    crumbs = [
        crumb.strip().partition("=")
        for name, value in shown
        if name == "cookie"
        for crumb in value.split(";")
        if crumb.strip()
    ]
    return {
        "version": "1.0",
        "context": {
            "distributionDomainName": request.header("host") or "",
            "distributionId": "local",
            "eventType": "viewer-request",
            "requestId": request.id,
        },
        "viewer": {"ip": request.source_ip},
        "request": {
            "method": request.method,
            "uri": request.path,
            # Not decoded, as CloudFront does not either.
            "querystring": _entries((name, value) for name, _, value in parts),
            "headers": _entries(pair for pair in shown if pair[0] != "cookie"),
            "cookies": _entries((name, value) for name, _, value in crumbs),
        },
    }


def _entries(pairs: Iterable[tuple[str, str]]) -> Mapping[str, object]:
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return {
        name: {"value": values[0]}
        | ({"multiValue": [{"value": value} for value in values]} if len(values) > 1 else {})
        for name, values in grouped.items()
    }


def _flat(entries: _Entries) -> Pairs:
    return tuple((name, value) for name, entry in entries.items() for value in entry.values)


def _passed_on(request: Request, changed: _ChangedRequest) -> tuple[Request, bytes]:
    """Apply a changed request.

    Raises:
        EdgeFunctionError: CloudFront would not accept the change.
    """
    headers = _flat(changed.headers)
    if changed.method != request.method:
        raise EdgeFunctionError("it changed the method")
    if any(name != name.lower() or name in _HIDDEN for name, _ in headers):
        raise EdgeFunctionError("it set a header that is in upper case, or that functions may not set")
    for name in _READ_ONLY:
        before = [value for key, value in request.headers if key == name]
        if before != [value for key, value in headers if key == name]:
            raise EdgeFunctionError(f"it changed the header {name}")
    if changed.cookies:
        headers += (("cookie", "; ".join(f"{name}={value}" for name, value in _flat(changed.cookies))),)
    query = "&".join(f"{name}={value}" for name, value in _flat(changed.querystring))
    return replace(request, path=changed.uri, headers=headers), query.encode("latin-1", "replace")
