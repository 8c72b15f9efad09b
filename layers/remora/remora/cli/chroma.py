"""The command `remora chroma`: upgrades the Chroma server of a deployment, and renews its machine."""

import argparse
from typing import TYPE_CHECKING, Final

from remora.cli.server import add_action
from remora.cli.terminal import DONE, confirm, say

if TYPE_CHECKING:
    from remora.chroma_server.backups import Backups
    from remora.chroma_server.service import ChromaServer

TESTED_VERSION: Final = "1.5.9"
"""The version of Chroma that this version of Remora is tested with."""


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command to the parser."""
    parser = commands.add_parser(
        "chroma",
        help="upgrade or replace the Chroma server",
        description="Work with the Chroma server of a deployment, with your AWS credentials.",
    )
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    upgrade = add_action(actions, "upgrade", _upgrade, "make a snapshot, then run a newer version of Chroma")
    upgrade.add_argument(
        "--to", metavar="VERSION", default=TESTED_VERSION, help="the version (default: %(default)s, as tested)"
    )
    upgrade.add_argument("--yes", action="store_true", help="do not ask")
    replace = add_action(actions, "replace", _replace, "put a new machine in the place of this one; the data stays")
    replace.add_argument("--yes", action="store_true", help="do not ask")


def _upgrade(arguments: argparse.Namespace, server: "ChromaServer", _: "Backups") -> int:
    deployment = server.deployment()
    question = (
        f"Chroma {deployment.version} of {deployment.stack} becomes {arguments.to}, on a new machine. Memory does "
        "not answer for some minutes meanwhile; a snapshot is made first. Go on?"
    )
    confirm(question, yes=arguments.yes)
    upgraded = server.upgrade(arguments.to, say)
    say(
        f"{deployment.stack} runs Chroma {upgraded.after}. To go back to {upgraded.before}, and to the data from "
        "before:\n"
        f"  remora backup restore {upgraded.backup.id} --chroma-version {upgraded.before} --stack {deployment.stack}"
    )
    return DONE


def _replace(arguments: argparse.Namespace, server: "ChromaServer", _: "Backups") -> int:
    deployment = server.deployment()
    question = (
        f"The machine of {deployment.stack} ends, and a new one takes over its volume and address. Memory does not "
        "answer for some minutes meanwhile. Go on?"
    )
    confirm(question, yes=arguments.yes)
    server.replace(say)
    say(f"{deployment.stack} has a new machine. It answers once Chroma has started there.")
    return DONE
