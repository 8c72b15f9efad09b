"""The command `remora cost`: estimates what a deployment costs in a month."""

import argparse
import json
from typing import TYPE_CHECKING

from remora.cli.terminal import (
    DONE,
    add_deployment_options,
    add_template_options,
    finish,
    named_stack,
    say,
    table,
    tell,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_REQUESTS = 10**10


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command to the parser."""
    parser = commands.add_parser(
        "cost",
        help="estimate the bill of a month",
        description="Estimate what a deployment costs in a month, with AWS's list prices in us-east-1: with the "
        "parameters of the stack named by --stack or REMORA_STACK, else with the template's defaults.",
    )
    parser.add_argument(
        "--requests",
        type=_requests,
        default=0,
        metavar="N",
        help="requests in the month (default: none, which is idle)",
    )
    add_template_options(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_deployment_options(parser)
    parser.set_defaults(run=finish(_run))


def _run(arguments: argparse.Namespace) -> int:
    from remora.operations.cost import prices
    from remora.operations.cost.estimate import Usage, estimate, total

    parameters = {**_parameters(arguments), **dict(arguments.parameter_overrides)}
    usage = Usage(requests=arguments.requests)
    items = estimate(parameters, usage)
    if arguments.json:
        lines = [
            {
                "item": item.name,
                "quantity": float(item.quantity),
                "unit": item.price.unit,
                "price": float(item.price.amount),
                "free": float(item.price.free),
                "cost": float(round(item.cost, 4)),
                "source": item.price.source,
            }
            for item in items
        ]
        document = {"currency": "USD", "region": prices.REGION, "prices_of": prices.AS_OF, "items": lines}
        say(json.dumps(document | {"total": float(round(total(items), 2))}, indent=2))
        return DONE
    rows = [
        (
            item.name,
            f"{item.quantity:,.2f} {item.price.unit}".replace(".00 ", " "),
            f"{item.price.amount:f}",
            f"{item.price.free:,}" if item.price.free else "",
            f"{item.cost:,.2f}",
        )
        for item in items
    ]
    rows.append(("total", " ", " ", " ", f"{total(items):,.2f}"))
    say(table(("WHAT", "A MONTH", "USD EACH", "FREE", "USD"), rows))
    tell(
        f"List prices of {prices.REGION}, {prices.AS_OF}, without taxes; other regions differ, some by a third. "
        "What is free is so for the whole account, every month. Assumed are "
        f"{usage.seconds * 1000:.0f} ms and {usage.answer_bytes:,} bytes a request, a write in five, "
        f"requests in {usage.hours} hours, "
        f"{usage.data_gb} GB in Chroma and {usage.journal_gb} GB in S3."
    )
    return DONE


def _parameters(arguments: argparse.Namespace) -> "Mapping[str, str]":
    if named_stack(arguments) is not None:
        from remora.operations.deployment import Whereabouts, find

        where = Whereabouts(named_stack(arguments), arguments.region, arguments.profile, arguments.data)
        return find(where).parameters
    from remora.local.template import parameter_defaults

    return parameter_defaults(arguments.template)


def _requests(text: str) -> int:
    digits = text.replace(",", "").replace("_", "")
    if not digits.isascii() or not digits.isdigit() or int(digits[:20]) > _MOST_REQUESTS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of requests: give one up to {_MOST_REQUESTS:,}")
    return int(digits)
