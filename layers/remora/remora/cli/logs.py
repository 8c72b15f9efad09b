"""The command `remora logs`: shows what the functions of a deployment have written."""

import argparse
from datetime import UTC, datetime

from remora.cli.terminal import DONE, add_deployment_options, finish, named_stack, say
from remora.cli.times import read_duration

_FUNCTIONS = ("authorizer", "connector", "oauth", "ingest", "upkeep", "watch", "api")


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command to the parser."""
    parser = commands.add_parser(
        "logs",
        help="show what the functions have written",
        description="Show the functions' logs as one stream, oldest first: of the stack named by --stack or "
        "REMORA_STACK, else of the one that `remora dev` runs here. Times are in UTC.",
    )
    parser.add_argument(
        "--function",
        choices=_FUNCTIONS,
        action="append",
        help="only this one; repeatable. api is API Gateway's access log (default: all functions)",
    )
    parser.add_argument("--since", default="1h", metavar="DURATION", help="how far back (default: %(default)s)")
    parser.add_argument("--follow", action="store_true", help="wait for more, until Ctrl-C")
    parser.add_argument("--errors", action="store_true", help="only what failed")
    add_deployment_options(parser)
    parser.set_defaults(run=finish(_run, "Stopped."))


def _run(arguments: argparse.Namespace) -> int:
    from remora.operations.deployment import Whereabouts, find
    from remora.operations.logs import FUNCTIONS, read

    since = datetime.now(UTC) - read_duration(arguments.since)
    deployment = find(Whereabouts(named_stack(arguments), arguments.region, arguments.profile, arguments.data))
    functions = tuple(dict.fromkeys(arguments.function or FUNCTIONS))
    for entry in read(deployment, functions, since, errors=arguments.errors, follow=arguments.follow):
        say(entry.text())
    return DONE
