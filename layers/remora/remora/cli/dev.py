"""The command `remora dev`: serves Remora on this machine until it is stopped."""

import argparse
import asyncio
import importlib
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from remora.cli.terminal import add_template_options, say, tell
from remora.errors import RemoraError

if TYPE_CHECKING:
    from remora.local.connection import Connection

DEFAULT_PORT = 8765
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command to the parser."""
    parser = commands.add_parser(
        "dev",
        help="run Remora on this machine",
        description="Run the handlers of template.yaml on this machine, behind a gateway that behaves as API "
        "Gateway does, with a real Chroma server and AWS services by moto. Ctrl-C stops it.",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=DEFAULT_PORT,
        help="port on 127.0.0.1; 0 for any free one (default: %(default)s)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(".remora"),
        metavar="DIR",
        help="where data, logs, the key and connection.json are kept (default: %(default)s)",
    )
    parser.add_argument(
        "--log-level",
        choices=["debug", "info", "warning", "error"],
        type=str.lower,
        default="info",
        help="least severe messages shown; debug shows the functions' output too (default: %(default)s)",
    )
    add_template_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal, and return the exit status: 0 after Ctrl-C or SIGTERM, 1 if it cannot go on."""
    for number in _STOP_SIGNALS:
        # Until the event loop has its own handlers.
        signal.signal(number, lambda *_: sys.exit(0))
    level = getattr(logging, arguments.log_level.upper())
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("remora").setLevel(level)
    try:
        asyncio.run(_serve(arguments))
    except asyncio.CancelledError:
        say("Stopped")
    except RemoraError as error:
        tell(f"remora: {error}")
        return 1
    return 0


async def _serve(arguments: argparse.Namespace) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - this is a coroutine of asyncio.run

    def stop() -> None:
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, lambda: None)
        say("Stopping")
        task.cancel()

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    # A second's worth of imports: in a thread, so that signals are answered meanwhile.
    local_run = await asyncio.to_thread(importlib.import_module, "remora.local.run")
    options = local_run.Options(
        template=arguments.template.resolve(),
        data_dir=arguments.data.resolve(),
        port=arguments.port,
        log_level=arguments.log_level,
        parameters=dict(arguments.parameter_overrides),
    )
    await local_run.run(options, say, _show)


def _show(connection: "Connection") -> None:
    from remora.local.clients import instructions

    say(f"\n{instructions(connection)}\n\nCtrl-C stops it.")


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 0 to 65535")
    return int(text)
