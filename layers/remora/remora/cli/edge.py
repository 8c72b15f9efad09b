"""The command `remora edge`: looks after the distribution in front of a deployment."""

import argparse

from remora.cli.terminal import DONE, add_deployment_options, finish, named_stack, say, tell

_INTERRUPTED = "Interrupted. Nobody is refused by that; give the same command again to finish the rotation."


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command to the parser."""
    parser = commands.add_parser(
        "edge", help="rotate the secret of the distribution", description="Look after the distribution."
    )
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    rotate = actions.add_parser(
        "rotate",
        help="make a new origin secret",
        description="Make a new version of the secret by which the functions know that a request came through the "
        "distribution, of the stack named by --stack or REMORA_STACK. The version before stays good until the next "
        "rotation, so nobody is refused. A rotation that was cut short is finished instead.",
    )
    add_deployment_options(rotate)
    rotate.set_defaults(run=finish(_rotate, _INTERRUPTED))


def _rotate(arguments: argparse.Namespace) -> int:
    from remora.operations.deployment import Whereabouts, find
    from remora.operations.rotation import Outcome, rotate

    deployment = find(Whereabouts(named_stack(arguments), arguments.region, arguments.profile, arguments.data))
    outcome = rotate(deployment, tell)
    if outcome is Outcome.FINISHED:
        say("The earlier rotation is finished, and no new version was made. You may rotate again now.")
    else:
        say(
            "Rotated. You may rotate again now. The version before is accepted until then: if it has leaked, do so, "
            "and five minutes later it is worth nothing."
        )
    return DONE
