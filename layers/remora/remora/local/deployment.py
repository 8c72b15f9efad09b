"""What a template deploys, as the local run needs it: an API, functions, buckets and rules, all resolved."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ACCOUNT_ID = "123456789012"
REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class FunctionSettings:
    """A Lambda function.

    Attributes:
        name: Its logical id in the template, which is its name locally.
        arn: Its ARN.
        handler: `package.module.function`.
        code_dir: The folder that Lambda would have unpacked; first on the import path.
        timeout: Seconds after which an invocation is ended.
        memory_mb: What the context object reports; not enforced locally.
        environment: The variables of the template, resolved.
        retries: How often an event that it failed to handle is given to it again, if nobody waits for the answer.
        on_failure: Name of the function that is told of such an event in the end, if any.
    """

    name: str
    arn: str
    handler: str
    code_dir: Path
    timeout: float
    memory_mb: int
    environment: Mapping[str, str]
    retries: int = 2
    on_failure: str | None = None


@dataclass(frozen=True, slots=True)
class Expiration:
    """Objects whose keys begin with `prefix` are removed when they were last written `days` ago."""

    prefix: str
    days: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """An S3 bucket.

    Attributes:
        name: Its name, the same in every run.
        versioned: Whether it keeps versions.
        notifies: Whether EventBridge is told of its objects.
        expirations: What is removed after some time.
    """

    name: str
    versioned: bool
    notifies: bool
    expirations: tuple[Expiration, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """An EventBridge rule that leads to functions.

    Attributes:
        name: Its logical id in the template.
        pattern: Which events it is for, if it is for events.
        schedule: When it runs, if it is for a schedule, as the template writes it.
        functions: Names of the functions.
    """

    name: str
    pattern: Mapping[str, Any] | None
    schedule: str | None
    functions: tuple[str, ...]

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/{self.name}"


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one resource.

    Attributes:
        resource: The path as the template writes it, such as `/things/{id}` or `/{proxy+}`.
        method: An upper-case HTTP method, or `ANY`.
        function: Name of the function behind it.
        timeout: Seconds that API Gateway waits for the function.
        authorizer: Name of the authorizer that is asked first, if any.
        api_key_required: Whether the caller needs a key that belongs to the usage plan.
    """

    resource: str
    method: str
    function: str
    timeout: float
    authorizer: str | None
    api_key_required: bool


@dataclass(frozen=True, slots=True)
class RequestAuthorizer:
    """A Lambda authorizer of type REQUEST.

    Attributes:
        name: Its name in the API's definition.
        function: Name of the function that it calls.
        identity_sources: Mapping expressions such as `method.request.header.Authorization`.
        ttl: Seconds that an answer is cached; 0 for never.
    """

    name: str
    function: str
    identity_sources: tuple[str, ...]
    ttl: float


@dataclass(frozen=True, slots=True)
class GatewayResponse:
    """What the template says about one type of gateway response.

    Attributes:
        status: The status to answer with, or None for the type's own.
        parameters: `gatewayresponse.header.<name>` to a mapping expression.
        templates: Media type to body template.
    """

    status: int | None
    parameters: Mapping[str, str]
    templates: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Throttle:
    """A token bucket: `rate` requests a second, at most `burst` at once."""

    rate: float
    burst: int


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `limit` requests in a calendar period."""

    limit: int
    period: Literal["DAY", "WEEK", "MONTH"]


@dataclass(frozen=True, slots=True)
class UsagePlan:
    """Limits that hold for each API key of the plan. `id` is the plan's id in the local API Gateway."""

    id: str
    throttle: Throttle | None
    quota: Quota | None


@dataclass(frozen=True, slots=True)
class RestApi:
    """A REST API and its one stage.

    Attributes:
        id: Its id.
        stage: Name of the stage.
        api_key_source: Where the caller's API key comes from.
        binary_media_types: Media types whose bodies travel as base64.
        routes: Every method of every resource.
        authorizers: By name.
        gateway_responses: By type, such as `UNAUTHORIZED`.
        stage_variables: Of the stage.
        usage_plans: The plans that hold the stage.
        method_throttles: Stage settings, by `(resource, method)`; `("/*", "*")` is the default of the stage.
    """

    id: str
    stage: str
    api_key_source: Literal["HEADER", "AUTHORIZER"]
    binary_media_types: frozenset[str]
    routes: tuple[Route, ...]
    authorizers: Mapping[str, RequestAuthorizer]
    gateway_responses: Mapping[str, GatewayResponse]
    stage_variables: Mapping[str, str]
    usage_plans: tuple[UsagePlan, ...]
    method_throttles: Mapping[tuple[str, str], Throttle]


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """The CloudFront distribution in front of the API.

    Attributes:
        function: JavaScript of its viewer-request function.
        origin_headers: Headers that it adds to each request to the API.
    """

    function: str
    origin_headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Deployment:
    """Everything that a template deploys and the local run serves.

    `edge` is there if the template describes a distribution, whether or not the parameters ask for one: the local
    run always plays it.
    """

    api: RestApi
    functions: Mapping[str, FunctionSettings]
    buckets: tuple[Bucket, ...]
    rules: tuple[Rule, ...]
    edge: EdgeSettings | None = None
