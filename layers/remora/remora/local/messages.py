"""The request and the reply as the local gateway passes them between its steps."""

import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

Json = Any

# Answers of these statuses have no body: https://www.rfc-editor.org/rfc/rfc9110#section-6.4.1
BODILESS = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Request:
    """A request below the stage.

    Attributes:
        method: Upper case.
        path: Without the stage, percent-encoded as it was sent.
        headers: In the order they came, as `(name, value)`. Names are lower case: the HTTP server gives them
            so, where API Gateway passes them as they were sent.
        query: Decoded, in the order it came.
        body: The whole body.
        source_ip: Address of the caller.
        protocol: Such as `HTTP/1.1`.
        id: `requestId`, a UUID.
        extended_id: `extendedRequestId`.
        received_at: Seconds since the epoch.
    """

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    query: tuple[tuple[str, str], ...]
    body: bytes
    source_ip: str
    protocol: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    extended_id: str = field(default_factory=lambda: f"{uuid.uuid4().hex[:15]}=")
    received_at: float = field(default_factory=time.time)

    def header(self, name: str) -> str | None:
        """Return the last header of this name (in any case), or None."""
        wanted = name.lower()
        return next((value for key, value in reversed(self.headers) if key == wanted), None)

    def query_value(self, name: str) -> str | None:
        """Return the last query parameter of this name, or None."""
        return next((value for key, value in reversed(self.query) if key == name), None)

    @staticmethod
    def parse_query(query: bytes) -> tuple[tuple[str, str], ...]:
        """Decode a query string as API Gateway does: empty values kept, `+` a space, broken UTF-8 replaced."""
        return tuple(parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="utf-8", errors="replace"))


@dataclass(frozen=True, slots=True)
class Authorization:
    """What an authorizer answered.

    Attributes:
        principal_id: Its `principalId`.
        policy: Its `policyDocument`.
        context: Its `context`; values are strings.
        usage_key: Its `usageIdentifierKey`, if any.
    """

    principal_id: str
    policy: Mapping[str, Json]
    context: Mapping[str, str]
    usage_key: str | None


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What is known about a request after routing and authorization: the source of `$context`.

    Attributes:
        request: The request.
        account_id: The AWS account.
        api_id: The API.
        stage: The stage.
        stage_variables: The stage's variables.
        resource: The resource's path in the template, if a route was found.
        path_parameters: Decoded.
        authorization: If there was an authorizer and it answered.
        api_key_id: Id of the caller's key in the usage plan, if it has been found.
    """

    request: Request
    account_id: str
    api_id: str
    stage: str
    stage_variables: Mapping[str, str]
    resource: str | None = None
    path_parameters: Mapping[str, str] = field(default_factory=dict)
    authorization: Authorization | None = None
    api_key_id: str | None = None

    def to_event(self) -> dict[str, Json]:
        """Return the `requestContext` of a proxy event (format 1.0)."""
        request = self.request
        host = (request.header("host") or "").partition(":")[0]
        received = datetime.fromtimestamp(request.received_at, UTC)
        context: dict[str, Json] = {
            "resourceId": "local",
            "resourcePath": self.resource,
            "httpMethod": request.method,
            "extendedRequestId": request.extended_id,
            "requestTime": received.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "path": f"/{self.stage}{request.path}",
            "accountId": self.account_id,
            "protocol": request.protocol,
            "stage": self.stage,
            "domainPrefix": host.partition(".")[0],
            "requestTimeEpoch": int(request.received_at * 1000),
            "requestId": request.id,
            "identity": {
                "cognitoIdentityPoolId": None,
                "accountId": None,
                "cognitoIdentityId": None,
                "caller": None,
                "sourceIp": request.source_ip,
                "principalOrgId": None,
                "accessKey": None,
                "cognitoAuthenticationType": None,
                "cognitoAuthenticationProvider": None,
                "userArn": None,
                "userAgent": request.header("user-agent"),
                "user": None,
            },
            "domainName": host,
            "deploymentId": "local",
            "apiId": self.api_id,
        }
        if self.authorization is not None:
            context["authorizer"] = {
                **self.authorization.context,
                "principalId": self.authorization.principal_id,
                "integrationLatency": 0,
            }
            if self.api_key_id is not None:
                context["identity"]["apiKey"] = self.authorization.usage_key
                context["identity"]["apiKeyId"] = self.api_key_id
        return context


@dataclass(frozen=True, slots=True)
class Reply:
    """What the gateway answers. `error` names the gateway response, if it is one."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    error: str | None = None

    def raw_headers(self) -> Iterator[tuple[bytes, bytes]]:
        """Return the headers as ASGI wants them, with the body's length where the status allows one."""
        length = () if self.status in BODILESS else (("content-length", str(len(self.body))),)
        for name, value in (*self.headers, *length):
            yield name.lower().encode("latin-1", "replace"), value.encode("latin-1", "replace")


def matches_media_type(content_type: str | None, media_types: frozenset[str]) -> bool:
    """Return whether bodies of this type are binary, as the API's binary media types say."""
    if "*/*" in media_types:
        return True
    return content_type is not None and content_type.partition(";")[0].strip().lower() in media_types
