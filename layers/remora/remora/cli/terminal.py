"""What commands share: how they name a deployment, end, ask, and print."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from remora.errors import InvalidArgumentError, RemoraError

DONE, FAILED, INTERRUPTED = 0, 1, 130
"""Exit statuses: done; it could not be done; Ctrl-C."""


def add_deployment_options(parser: argparse.ArgumentParser) -> None:
    """Let a command be told which deployment it is about."""
    parser.add_argument("--stack", help="name of the CloudFormation stack (default: REMORA_STACK)")
    parser.add_argument("--region", help="its AWS region (default: that of your AWS configuration)")
    parser.add_argument("--profile", help="profile of your AWS configuration (default: AWS_PROFILE)")
    add_data_option(parser)


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """Let a command be told where the local run keeps its data."""
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(".remora"),
        metavar="DIR",
        help="data directory of the local run (default: %(default)s)",
    )


def add_template_options(parser: argparse.ArgumentParser) -> None:
    """Let a command be told of a template, and of values for its parameters."""
    parser.add_argument(
        "--template", type=Path, default=Path("template.yaml"), help="the SAM template (default: %(default)s)"
    )
    parser.add_argument(
        "--parameter-overrides",
        type=_parameter,
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="other values for the template's parameters, as `sam deploy` takes them",
    )


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    return name, value


def named_stack(arguments: argparse.Namespace) -> str | None:
    """Return the name of the stack that a command was given, or None for the local run."""
    return arguments.stack or os.environ.get("REMORA_STACK") or None


def finish(
    action: Callable[[argparse.Namespace], int], interrupted: str = "Interrupted."
) -> Callable[[argparse.Namespace], int]:
    """Return a command that says what went wrong, and returns an exit status in every case.

    Args:
        action: The command.
        interrupted: What Ctrl-C leaves behind.
    """

    def run(arguments: argparse.Namespace) -> int:
        try:
            return action(arguments)
        except RemoraError as error:
            tell(f"remora: {error}")
            return FAILED
        except BrokenPipeError:
            # Whoever read the output has seen enough. What is still buffered has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return DONE
        except OSError as error:
            tell(f"remora: {error.filename or 'Input or output'}: {error.strerror or error}")
            return FAILED
        except KeyboardInterrupt:
            tell(f"remora: {interrupted}")
            return INTERRUPTED

    return run


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless it was answered already.

    Args:
        question: What to ask.
        yes: Whether the answer was given with the command.

    Raises:
        InvalidArgumentError: The answer is no, or nobody is there to give one.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidArgumentError(f"{question} Nobody is there to be asked: give --yes.")
    if answer(f"{question} [y/N] ").lower() not in ("y", "yes"):
        raise InvalidArgumentError("Nothing was changed.")


def answer(question: str) -> str:
    """Return what a person types after a question."""
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows below a head, in columns."""
    lines = [tuple(head), *(tuple(cell or "-" for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def say(text: str) -> None:
    """Print what was asked for."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def tell(text: str) -> None:
    """Tell the person something that is not what was asked for."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
