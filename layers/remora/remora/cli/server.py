"""What the commands share that operate a stack's Chroma server."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from remora.cli.terminal import add_deployment_options, finish, named_stack
from remora.errors import InvalidArgumentError

if TYPE_CHECKING:
    from remora.chroma_server.backups import Backups
    from remora.chroma_server.service import ChromaServer

Action = Callable[[argparse.Namespace, "ChromaServer", "Backups"], int]

_INTERRUPTED = "Interrupted. What AWS has begun goes on by itself."


def add_action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, run: Action, summary: str
) -> argparse.ArgumentParser:
    """Add a command that works with the Chroma server of a stack.

    Args:
        actions: The commands that it is one of.
        name: Its name.
        run: What it does.
        summary: What it is for.
    """
    parser = actions.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    add_deployment_options(parser)
    parser.set_defaults(run=finish(lambda arguments: run(arguments, *_server(arguments)), _INTERRUPTED))
    return parser


def _server(arguments: argparse.Namespace) -> "tuple[ChromaServer, Backups]":
    stack = named_stack(arguments)
    if stack is None:
        raise InvalidArgumentError(
            "No stack is named. Give --stack, or set REMORA_STACK. The local run's Chroma is kept in the folder "
            f"{arguments.data / 'chroma'}."
        )
    from remora.chroma_server.backups import Backups
    from remora.chroma_server.deployment import Stack
    from remora.chroma_server.service import ChromaServer
    from remora.operations.deployment import Whereabouts, find

    deployment = find(Whereabouts(stack, arguments.region, arguments.profile, arguments.data))
    backups = Backups(deployment.client("ec2"))
    server = ChromaServer(
        Stack(deployment.client("cloudformation"), deployment.name), backups, deployment.client("autoscaling")
    )
    return server, backups
