"""The command line `remora`: parses arguments and hands them to a command."""

import argparse
from collections.abc import Sequence

from remora import __version__
from remora.cli import backup, chroma, connect, cost, deploy, destroy, dev, doctor, edge, key, logs, memory


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status.

    Args:
        arguments: Those after the program's name; from the command line unless given.
    """
    parser = argparse.ArgumentParser(
        prog="remora", description="A remote MCP server for Chroma, in your own AWS account."
    )
    parser.add_argument("--version", action="version", version=f"remora {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (dev, deploy, key, connect, doctor, logs, cost, memory, chroma, backup, edge, destroy):
        command.add_command(commands)
    parsed = parser.parse_args(arguments)
    status: int = parsed.run(parsed)
    return status
