"""The command `remora backup`: snapshots of the Chroma server's volume, and the way back to one."""

import argparse
from typing import TYPE_CHECKING

from remora.cli.server import add_action
from remora.cli.terminal import DONE, confirm, say

if TYPE_CHECKING:
    from remora.chroma_server.backups import Backups
    from remora.chroma_server.service import ChromaServer


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command to the parser."""
    parser = commands.add_parser(
        "backup",
        help="list, make or restore backups of the Chroma server",
        description="Work with snapshots of the Chroma server's volume, with your AWS credentials. What is "
        "remembered is also in the journal, from which `remora memory rebuild` makes the index anew.",
    )
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_action(actions, "list", _list, "list the snapshots, the newest first")
    add_action(actions, "create", _create, "make a snapshot now")
    restore = add_action(actions, "restore", _restore, "go back to a snapshot; the volume in use is kept")
    restore.add_argument("source", metavar="SNAPSHOT|VOLUME", help="id of a snapshot, or of a volume that was kept")
    restore.add_argument("--chroma-version", metavar="VERSION", help="version of Chroma that goes with it")
    restore.add_argument("--yes", action="store_true", help="do not ask")


def _list(_: argparse.Namespace, server: "ChromaServer", backups: "Backups") -> int:
    deployment = server.deployment()
    found = backups.list(deployment)
    for backup in found:
        state = backup.state if backup.state == "completed" else f"{backup.state} {backup.progress}"
        say(f"{backup.id}  {backup.made_at:%Y-%m-%d %H:%M} UTC  {backup.gib:>5} GiB  {backup.made:<8}  {state}")
    if not found:
        say(f"{deployment.stack} has no snapshots yet. `remora backup create` makes one.")
    return DONE


def _create(_: argparse.Namespace, server: "ChromaServer", backups: "Backups") -> int:
    backup = backups.create(server.deployment(), "by hand", say)
    say(f"{backup.id} is complete. It stays until you delete it (`aws ec2 delete-snapshot`).")
    return DONE


def _restore(arguments: argparse.Namespace, server: "ChromaServer", _: "Backups") -> int:
    deployment = server.deployment()
    question = (
        f"Chroma of {deployment.stack} goes back to {arguments.source}, on a new machine. Memory does not answer for "
        f"some minutes meanwhile; the volume {deployment.volume} is kept as it is. Go on?"
    )
    confirm(question, yes=arguments.yes)
    restored = server.restore(arguments.source, say, arguments.chroma_version)
    say(
        f"{deployment.stack} uses {restored.after}. Memories that were stored since are in the journal: "
        "`remora memory rebuild` puts them back, once for each space. Collections are as they were then.\n"
        f"The volume before, {restored.before}, is kept and costs what it did. To go back to it:\n"
        f"  remora backup restore {restored.before} --stack {deployment.stack}\n"
        f"To be rid of it: aws ec2 delete-volume --volume-id {restored.before}"
    )
    return DONE
