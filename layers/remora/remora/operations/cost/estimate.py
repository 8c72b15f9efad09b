"""Estimates what a deployment costs in a month: what it costs when nobody calls, and what calls add.

What a call uses is assumed (`Usage`); everything else follows from the template's parameters.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from remora.errors import InvalidArgumentError
from remora.operations.cost import prices
from remora.operations.cost.prices import Price

HOURS: Final = Decimal(730)
_SECONDS: Final = HOURS * 3600
_MB: Final = Decimal(1024)
_BYTES: Final = Decimal(1024**3)

SYSTEM_DISK_GB: Final = Decimal(8)
"""Of the Chroma server; see stacks/chroma.yaml."""
ALARMS: Final = Decimal(17)
"""That every deployment has; see stacks/observability.yaml."""
SERVER_ALARMS: Final = Decimal(3)
"""That one with a server has besides."""
UPKEEP_METRICS: Final = Decimal(9)
"""That the upkeep writes every time, and the watch in one hour of three."""
SERVER_METRICS: Final = Decimal(7)
"""That the server's agent writes: disk, memory and Chroma's process, some with more dimensions than one."""
CALL_METRICS: Final = Decimal(20)
"""That are written in an hour in which somebody calls: times, credentials, and two for each tool that is called."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How a deployment is used in a month.

    Attributes:
        requests: Requests of assistants.
        hours: Hours in which there are some.
        seconds: Seconds that the connector works for one.
        authorized: Share of requests that the authorizer runs for; the others' answer is in the cache.
        writes: Share of requests that write a memory.
        objects: Objects that one such writes.
        log_bytes: Bytes that are logged for one.
        answer_bytes: Bytes of an answer.
        data_gb: GB that Chroma's volume holds.
        journal_gb: GB that the memory bucket holds.
        daily_change: Share of Chroma's data that changes in a day, which a snapshot keeps.
    """

    requests: int = 0
    hours: Decimal = Decimal(100)
    seconds: Decimal = Decimal("0.15")
    authorized: Decimal = Decimal("0.2")
    writes: Decimal = Decimal("0.2")
    objects: int = 4
    log_bytes: int = 2000
    answer_bytes: int = 8000
    data_gb: Decimal = Decimal(2)
    journal_gb: Decimal = Decimal("0.5")
    daily_change: Decimal = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the bill.

    Attributes:
        name: What it is for.
        quantity: Units in a month.
        price: The price of one.
    """

    name: str
    quantity: Decimal
    price: Price

    @property
    def cost(self) -> Decimal:
        """US dollars in a month, after what is free."""
        return max(Decimal(0), self.quantity - self.price.free) * self.price.amount


def total(items: tuple[Item, ...]) -> Decimal:
    """Return what items cost together, in US dollars."""
    return sum((item.cost for item in items), Decimal(0))


def estimate(parameters: Mapping[str, str], usage: Usage) -> tuple[Item, ...]:
    """Return the lines of the bill of a month.

    Args:
        parameters: The template's parameters; one that is missing is as if it were off.
        usage: How it is used.

    Raises:
        InvalidArgumentError: A parameter has no value that can be counted with, or a price is not known.
    """
    return tuple(item for item in _items(_Parameters(parameters), usage) if item.quantity)


class _Parameters:
    """The template's parameters, by what they mean here."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    def is_on(self, name: str) -> bool:
        return self._given.get(name) == "true"

    def text(self, name: str, otherwise: str) -> str:
        return self._given.get(name) or otherwise

    def number(self, name: str, otherwise: int) -> Decimal:
        text = self.text(name, str(otherwise))
        if not text.isascii() or not text.isdigit() or len(text) > 12:
            raise InvalidArgumentError(f"The parameter {name} is {text!r}; it must be a whole number.")
        return Decimal(text)


def _items(parameters: _Parameters, usage: Usage) -> Iterator[Item]:
    has_server = parameters.text("ChromaMode", "external") == "instance"
    if has_server:
        yield from _server(parameters, usage)
    if parameters.is_on("NatGateway"):
        yield Item("NAT gateway", HOURS, prices.NAT_HOUR)
        yield Item("NAT gateway's address", HOURS, prices.PUBLIC_ADDRESS_HOUR)
    has_edge = parameters.is_on("Distribution")
    yield Item("secrets", Decimal(3 if has_edge else 2), prices.SECRET)
    yield Item("alarms", ALARMS + (SERVER_ALARMS if has_server else 0), prices.ALARM)
    called = usage.hours / HOURS if usage.requests else 0
    metrics = UPKEEP_METRICS + (SERVER_METRICS if has_server else 0) + CALL_METRICS * called
    yield Item("metrics of our own", metrics, prices.METRIC)
    if parameters.is_on("SnapStart"):
        memory = parameters.number("ConnectorMemory", 1769) / _MB
        yield Item("SnapStart: the connector's snapshot", memory * _SECONDS, prices.SNAPSTART_CACHE)
    if parameters.number("RateLimitPerAddress", 0):
        yield Item("web ACL", Decimal(1), prices.WEB_ACL)
        yield Item("web ACL's rule", Decimal(1), prices.WEB_ACL_RULE)
        yield Item("web ACL: requests", Decimal(usage.requests), prices.WEB_ACL_REQUEST)
    yield Item("journal and files in S3", usage.journal_gb, prices.OBJECT_STORAGE)
    yield from _requests(parameters, usage, has_edge=has_edge)


def _server(parameters: _Parameters, usage: Usage) -> Iterator[Item]:
    kind = parameters.text("ChromaInstanceType", "t4g.micro")
    if kind not in prices.INSTANCES:
        raise InvalidArgumentError(
            f"The price of the instance type {kind} is not known here; known are "
            f"{', '.join(sorted(prices.INSTANCES))}. "
            f"{prices.INSTANCES['t4g.small'].source} has it."
        )
    yield Item(f"Chroma server ({kind})", HOURS, prices.INSTANCES[kind])
    yield Item("Chroma server's disks", parameters.number("ChromaVolumeGiB", 20) + SYSTEM_DISK_GB, prices.VOLUME)
    kept = parameters.number("ChromaSnapshotsKept", 7)
    yield Item("snapshots", usage.data_gb * (1 + usage.daily_change * kept), prices.SNAPSHOT)


def _requests(parameters: _Parameters, usage: Usage, *, has_edge: bool) -> Iterator[Item]:
    requests = Decimal(usage.requests)
    upkeeps = HOURS * 60 / max(Decimal(1), parameters.number("UpkeepMinutes", 15))
    yield Item("API Gateway", requests, prices.API_REQUEST)
    if has_edge:
        yield Item("CloudFront: requests", requests, prices.EDGE_REQUEST)
        yield Item("CloudFront: function", requests, prices.EDGE_FUNCTION)
    traffic = requests * usage.answer_bytes / _BYTES
    yield Item("data out", traffic, prices.EDGE_TRAFFIC if has_edge else prices.TRAFFIC)
    yield Item("Lambda: calls", requests * (1 + usage.authorized) + upkeeps, prices.LAMBDA_REQUEST)
    connector = requests * usage.seconds * parameters.number("ConnectorMemory", 1769) / _MB
    # The authorizer has 512 MB and takes some 20 ms; the upkeep has 1,024 and takes about a second.
    others = requests * usage.authorized * Decimal("0.02") * Decimal("0.5") + upkeeps
    is_arm = parameters.text("Architecture", "arm64") == "arm64"
    yield Item("Lambda: work", connector + others, prices.LAMBDA_ARM if is_arm else prices.LAMBDA_X86)
    yield Item("logs", (requests * usage.log_bytes + upkeeps * 1000) / _BYTES, prices.LOGS)
    yield Item("traces", requests + upkeeps, prices.TRACE)
    yield Item("journal: writes", requests * usage.writes * usage.objects, prices.OBJECT_WRITE)
