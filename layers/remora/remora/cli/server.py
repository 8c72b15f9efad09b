"""What the commands share that operate a Chroma server: which stack is meant, and how errors are told."""

import argparse
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from remora.errors import InvalidArgumentError, RemoraError

if TYPE_CHECKING:
    from remora.chroma_server.backups import Backups
    from remora.chroma_server.service import ChromaServer

DONE, FAILED, DECLINED, INTERRUPTED = 0, 1, 2, 130
"""Exit statuses: done; it could not be done; the person said no; Ctrl-C."""

Action = Callable[[argparse.Namespace, "ChromaServer", "Backups"], int]


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
    parser.add_argument("--stack", help="name of the CloudFormation stack (default: REMORA_STACK)")
    parser.add_argument("--region", help="its AWS region (default: that of your AWS configuration)")
    parser.add_argument("--profile", help="profile of your AWS configuration (default: AWS_PROFILE)")
    parser.set_defaults(run=lambda arguments: _run(run, arguments))
    return parser


def say(text: str) -> None:
    """Print a line for whoever waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def agreed(arguments: argparse.Namespace, question: str) -> bool:
    """Return whether the person wants it, unless `--yes` says so.

    Raises:
        InvalidArgumentError: There is nobody to ask.
    """
    if arguments.yes:
        return True
    if not sys.stdin.isatty():
        raise InvalidArgumentError("Nobody can be asked here. Give --yes.")
    say(question)
    sys.stdout.write("Go on? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _run(action: Action, arguments: argparse.Namespace) -> int:
    try:
        server, backups = _server(arguments)
        return action(arguments, server, backups)
    except RemoraError as error:
        sys.stderr.write(f"remora: {error}\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("remora: Interrupted. What AWS has begun goes on by itself.\n")
        return INTERRUPTED


def _server(arguments: argparse.Namespace) -> "tuple[ChromaServer, Backups]":
    name = arguments.stack or os.environ.get("REMORA_STACK")
    if not name:
        raise InvalidArgumentError("No stack is named. Give --stack, or set REMORA_STACK.")
    import boto3

    from remora.chroma_server.backups import Backups
    from remora.chroma_server.deployment import Stack
    from remora.chroma_server.failures import explained
    from remora.chroma_server.service import ChromaServer

    with explained():
        session = boto3.Session(profile_name=arguments.profile, region_name=arguments.region)
        stack = Stack(session.client("cloudformation"), name)
        backups = Backups(session.client("ec2"))
        return ChromaServer(stack, backups, session.client("autoscaling")), backups
