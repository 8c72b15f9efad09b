"""The command `remora destroy`: takes a deployment down, after saying what stays."""

import argparse
import sys
from typing import TYPE_CHECKING

from remora.cli.terminal import DONE, add_deployment_options, answer, finish, named_stack, say, tell
from remora.errors import InvalidArgumentError

if TYPE_CHECKING:
    from remora.operations.removal import Plan

_INTERRUPTED = "Interrupted. What CloudFormation has begun it goes on with; give the same command again to watch."


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command to the parser."""
    parser = commands.add_parser(
        "destroy",
        help="delete a deployment, except for what it remembers",
        description="Delete the stack named by --stack or REMORA_STACK. Principals, memories and Chroma's volume "
        "stay, and what is printed says how to come back to them, or be rid of them.",
    )
    parser.add_argument("--confirm", metavar="NAME", help="the stack's name, which is asked for otherwise")
    add_deployment_options(parser)
    parser.set_defaults(run=finish(_run, _INTERRUPTED))


def _run(arguments: argparse.Namespace) -> int:
    from remora.operations.deployment import Whereabouts, find
    from remora.operations.removal import plan, remove

    deployment = find(Whereabouts(named_stack(arguments), arguments.region, arguments.profile, arguments.data))
    found = plan(deployment)
    _show(deployment.name, found)
    if not _is_confirmed(arguments, deployment.name):
        raise InvalidArgumentError("That is not the stack's name. Nothing was deleted.")
    remove(deployment, found.keys, tell)
    tell(f"{deployment.name} is gone.")
    say("\nTo come back to what stayed:")
    for kept in found.kept:
        say(f"  {kept.what}\n    {kept.come_back}")
    say("\nTo remove it for good:")
    for kept in found.kept:
        say(f"  {kept.what}\n    {kept.remove}")
    return DONE


def _show(name: str, found: "Plan") -> None:
    tell(f"Deleting {name} deletes:")
    for gone in found.goes:
        tell(f"  {gone}")
    tell("It keeps:")
    for kept in found.kept:
        tell(f"  {kept.what}")


def _is_confirmed(arguments: argparse.Namespace, name: str) -> bool:
    if arguments.confirm is not None:
        return bool(arguments.confirm == name)
    if not sys.stdin.isatty():
        raise InvalidArgumentError(f"Nobody is there to be asked: give --confirm {name}. Nothing was deleted.")
    return answer(f"Type the stack's name to delete it ({name}): ") == name
