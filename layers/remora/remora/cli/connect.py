"""The command `remora connect`: says how a client reaches a deployment, and tells the client where it can."""

import argparse
import os
import webbrowser
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from remora.cli.terminal import DONE, add_deployment_options, confirm, finish, named_stack, say, tell
from remora.errors import InvalidArgumentError

if TYPE_CHECKING:
    from remora.connecting.clients import Client, Server

_CLIENTS = ("claude", "claude-code", "chatgpt", "cursor", "vscode", "inspector")
_PARTS = {"all": "", "memory": "/memory", "chroma": "/chroma"}


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command to the parser."""
    parser = commands.add_parser(
        "connect",
        help="connect an assistant",
        description="Show what to do or paste for each client, with the URL of a deployment: of the stack named by "
        "--stack or REMORA_STACK, of --url, or of the one that `remora dev` runs here. Clients sign in; with --key "
        "they send a key.",
    )
    parser.add_argument("client", choices=_CLIENTS, nargs="?", metavar="CLIENT", help=f"{', '.join(_CLIENTS)}")
    parser.add_argument(
        "--tools", choices=tuple(_PARTS), default="all", help="which tools it gets (default: %(default)s)"
    )
    parser.add_argument(
        "--name", default="remora", type=_name, help="what the client calls it (default: %(default)s)"
    )
    parser.add_argument(
        "--key",
        action="store_true",
        help="send a key instead of signing in; it is taken from REMORA_KEY, or asked for, and never given here",
    )
    parser.add_argument("--install", action="store_true", help="add it to the client: claude-code, cursor or vscode")
    parser.add_argument("--open", action="store_true", help="open the client's page or link for adding it")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--url", help="URL of the deployment, as clients use it")
    add_deployment_options(parser)
    parser.set_defaults(run=finish(_run))


def _run(arguments: argparse.Namespace) -> int:
    from remora.connecting.clients import Client, Server, guide

    server = Server(_url(arguments), arguments.name, by_key=arguments.key)
    if arguments.client is None:
        if arguments.install or arguments.open:
            raise InvalidArgumentError(f"Name the client: {', '.join(_CLIENTS)}.")
        say(f"URL: {server.url}")
        for client in Client:
            _show(guide(client, server).title, guide(client, server).lines)
        return DONE
    client = Client(arguments.client)
    found = guide(client, server)
    if arguments.install:
        return _install(client, server, arguments)
    if arguments.open:
        if found.link is None:
            raise InvalidArgumentError(
                f"There is no link that adds it to {client} with a key: links can be seen by others. Use --install."
                if arguments.key
                else f"There is no link that adds it to {client}."
            )
        confirm(f"Open {found.link}?", yes=arguments.yes)
        if not webbrowser.open(found.link):
            raise InvalidArgumentError(f"Nothing here opens links. Open it yourself: {found.link}")
        return DONE
    _show(found.title, found.lines)
    return DONE


def _install(client: "Client", server: "Server", arguments: argparse.Namespace) -> int:
    from remora.connecting.clients import Client, Server
    from remora.connecting.installing import Nothing, plan

    if server.by_key and client is not Client.VSCODE:
        server = Server(server.url, server.name, by_key=True, key=_key(arguments))
    found = plan(client, server, Path.home())
    if isinstance(found, Nothing):
        tell(f"It is in {found.path} already.")
        return DONE
    confirm(found.question, yes=arguments.yes)
    said = found.carry_out()
    tell(said or "Done.")
    if not server.by_key:
        tell("The client asks you to sign in when it first uses it.")
    return DONE


def _url(arguments: argparse.Namespace) -> str:
    """Return the URL of the endpoint that is meant."""
    from remora.operations.doctor.outside import Place

    return f"{Place.of_url(_base(arguments)).url}/mcp{_PARTS[arguments.tools]}"


def _base(arguments: argparse.Namespace) -> str:
    if arguments.url:
        return str(arguments.url)
    if named_stack(arguments) is None and not (arguments.region or arguments.profile):
        from remora.local.connection import Connection

        return Connection.of(arguments.data).url
    from remora.operations.deployment import CONNECTOR_OUTPUT, Whereabouts, find

    where = Whereabouts(named_stack(arguments), arguments.region, arguments.profile, arguments.data)
    return find(where).output(CONNECTOR_OUTPUT)


def _key(arguments: argparse.Namespace) -> str:
    """Return the key: of the environment, of the local run, or as a person types it."""
    from remora.connecting.clients import KEY_VARIABLE
    from remora.local.connection import Connection

    key = os.environ.get(KEY_VARIABLE, "")
    if not key and not arguments.url and named_stack(arguments) is None:
        key = Connection.of(arguments.data).key
    key = key or getpass("Key (not shown): ")
    if not key.startswith("rmr_") or not key.isascii() or not key.replace("_", "").replace("-", "").isalnum():
        raise InvalidArgumentError("That is no key of Remora: one begins with rmr_. `remora key create` makes one.")
    return key


def _name(text: str) -> str:
    if not text or len(text) > 64 or not text.isascii() or not text.replace("-", "").replace("_", "").isalnum():
        raise argparse.ArgumentTypeError(f"{text!r} is no name: give letters, digits, - and _, 64 at most")
    return text


def _show(title: str, lines: tuple[str, ...]) -> None:
    say(f"\n{title}:")
    for line in lines:
        say(f"  {line}")
