"""The estimate: the promise for a deployment that nobody calls, and what each parameter adds."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from remora.errors import InvalidArgumentError
from remora.local.template import parameter_defaults
from remora.operations.cost import prices
from remora.operations.cost.estimate import ALARMS, SERVER_ALARMS, Usage, estimate, total
from remora.operations.cost.prices import Price
from tests.template.stacks import stack

TEMPLATE = Path(__file__).parents[3] / "template.yaml"
WITH_SERVER = {"ChromaMode": "instance", **parameter_defaults(TEMPLATE)}
IDLE = Usage()


def cost(usage: Usage = IDLE, parameters: Mapping[str, str] | None = None) -> Decimal:
    return total(estimate({**WITH_SERVER, **(parameters or {})}, usage))


def test_an_idle_deployment_with_the_defaults_costs_under_20_dollars() -> None:
    assert Decimal(10) < cost() < Decimal(20)


def test_every_alarm_is_counted() -> None:
    alarms = [
        item for item in stack("observability")["Resources"].values() if item["Type"] == "AWS::CloudWatch::Alarm"
    ]
    of_server = [item for item in alarms if item.get("Condition") == "HasChroma"]
    assert (Decimal(len(alarms) - len(of_server)), Decimal(len(of_server))) == (ALARMS, SERVER_ALARMS)


def test_a_chroma_elsewhere_costs_nothing_here() -> None:
    assert cost(parameters={"ChromaMode": "external", "SnapStart": "false"}) < Decimal(5)


@pytest.mark.parametrize(
    ("parameters", "at_least"),
    [
        ({"NatGateway": "true"}, 36),
        ({"SnapStart": "true"}, 6),
        ({"RateLimitPerAddress": "1000"}, 6),
        ({"ChromaInstanceType": "t4g.medium"}, 18),
        ({"ChromaVolumeGiB": "120"}, 8),
    ],
)
def test_what_costs_more_is_in_the_estimate(parameters: dict[str, str], at_least: int) -> None:
    without = {name: "false" if value == "true" else "" for name, value in parameters.items()}
    assert (
        cost(parameters=parameters) - cost(parameters={name: value for name, value in without.items() if value})
        >= at_least
    )


def test_calls_cost_by_the_million() -> None:
    million = cost(Usage(requests=1_000_000)) - cost()
    assert Decimal("3.5") < million < Decimal(20)
    assert cost(Usage(requests=2_000_000)) > cost(Usage(requests=1_000_000))


def test_what_is_free_is_not_charged() -> None:
    (requests,) = (
        item for item in estimate(WITH_SERVER, Usage(requests=9_000_000)) if item.name == "CloudFront: requests"
    )
    assert requests.cost == 0


def test_an_instance_type_without_a_known_price_is_not_guessed() -> None:
    with pytest.raises(InvalidArgumentError, match="x2gd"):
        cost(parameters={"ChromaInstanceType": "x2gd.medium"})


def test_a_parameter_that_is_no_number_is_named() -> None:
    with pytest.raises(InvalidArgumentError, match="ChromaVolumeGiB"):
        cost(parameters={"ChromaVolumeGiB": "large"})


def test_every_price_says_where_it_is_from() -> None:
    known = [value for value in vars(prices).values() if isinstance(value, Price)] + list(prices.INSTANCES.values())
    assert len(known) > 20
    for price in known:
        assert price.source.startswith("https://aws.amazon.com/")
        assert price.amount > 0
