"""Adds a deployment to clients that can be told of it from outside, and leaves the rest of theirs as it is."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remora.connecting.clients import (
    Client,
    Server,
    cursor_entry,
    vscode_definition,
    vscode_entry,
    vscode_input,
)
from remora.errors import InvalidArgumentError, UnavailableError
from remora.local.connection import write_private

_SECONDS = 60


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Running the client's own command.

    Attributes:
        arguments: Its command line; may hold the key, so it is not shown as it is.
        shows_key: Whether the key is among them, where other users of the machine can see it while it runs.
    """

    arguments: tuple[str, ...]
    shows_key: bool = False

    @property
    def question(self) -> str:
        """What to ask before it is done."""
        what = f"Run `{Path(self.arguments[0]).name}` to add it?"
        if not self.shows_key:
            return what
        return f"It takes the key as an argument only: other users of this machine can see it while it runs. {what}"

    def carry_out(self) -> str:
        """Do it, and return what the client said.

        Raises:
            UnavailableError: The command failed.
        """
        try:
            done = subprocess.run(  # noqa: S603 - the client's own command, with arguments of ours
                self.arguments,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnavailableError(f"`{self.arguments[0]}` could not be run ({type(error).__name__}).") from None
        said = (done.stdout.strip() or done.stderr.strip())[:500]
        if done.returncode:
            raise UnavailableError(
                f"`{Path(self.arguments[0]).name}` did not add it: {done.stderr.strip()[:500] or said}"
            )
        return said


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Adding to a configuration file.

    Attributes:
        path: The file.
        content: What it will hold.
        replaces: Whether it holds another server of that name now, which goes.
        shows_key: Whether the key will be in the file.
    """

    path: Path
    content: str
    replaces: bool
    shows_key: bool = False

    @property
    def question(self) -> str:
        """What to ask before it is done."""
        what = f"{self.path} has a server of that name. Replace it?" if self.replaces else f"Add it to {self.path}?"
        return f"{what} The key will be in that file, which only you may read then." if self.shows_key else what

    def carry_out(self) -> str:
        """Write the file, and return what was done.

        Raises:
            OSError: It cannot be written; what was there stays.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Through a link, which people have who keep their configuration elsewhere.
        write_private(self.path.resolve(), self.content)
        return f"Wrote {self.path}."


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing to do: the server is there already."""

    path: Path


Installation = RunCommand | WriteFile | Nothing


def plan(client: Client, server: Server, home: Path) -> Installation:
    """Return how a client is told of a server; nothing is done yet.

    Args:
        client: The client.
        server: The server; with its key if it is reached by one.
        home: The person's home directory.

    Raises:
        InvalidArgumentError: The client cannot be told from outside, or its configuration cannot be read.
        UnavailableError: The client's command is not there.
    """
    if client is Client.CLAUDE_CODE:
        return _claude_code(server)
    if client is Client.CURSOR:
        return _merged(
            home / ".cursor" / "mcp.json", "mcpServers", server.name, cursor_entry(server), by_key=server.by_key
        )
    if client is Client.VSCODE:
        return _vscode(server, home)
    raise InvalidArgumentError(
        f"{client} cannot be told from here. Follow the steps of `remora connect {client}`; "
        "claude-code, cursor and vscode can."
    )


def _claude_code(server: Server) -> RunCommand:
    program = shutil.which("claude")
    if program is None:
        raise UnavailableError(
            "`claude` is not on your PATH. Install Claude Code, or use what is printed without --install."
        )
    add = (program, "mcp", "add", "--transport", "http", "--scope", "user", server.name, server.url)
    if not server.by_key:
        return RunCommand(add)
    # Its configuration may name variables of the environment only where projects share it (.mcp.json), so the key
    # itself has to be in it, and its command takes it no other way.
    return RunCommand((*add, "--header", f"Authorization: Bearer {server.key}"), shows_key=True)


def _vscode(server: Server, home: Path) -> Installation:
    program = shutil.which("code")
    if program is not None and not server.by_key:
        return RunCommand((program, "--add-mcp", json.dumps(vscode_definition(server))))
    # VS Code asks for the key by itself, so it need not be written anywhere.
    asked = Server(server.url, server.name, by_key=server.by_key)
    inputs = [vscode_input(asked)] if server.by_key else []
    path = _vscode_folder(home) / "mcp.json"
    if program is None and not path.parent.is_dir():
        raise UnavailableError("VS Code is not there: neither `code` on your PATH nor its folder in your home.")
    return _merged(path, "servers", server.name, vscode_entry(asked), inputs=inputs)


def _vscode_folder(home: Path) -> Path:
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "Code" / "User"
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", home / "AppData" / "Roaming")) / "Code" / "User"
    return Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "Code" / "User"


def _merged(
    path: Path,
    section: str,
    name: str,
    entry: Mapping[str, Any],
    *,
    by_key: bool = False,
    inputs: list[Mapping[str, Any]] | None = None,
) -> Installation:
    """Return the writing of a file that has everything it had, and the entry."""
    document = _read(path)
    servers = document.setdefault(section, {})
    if not isinstance(servers, dict):
        raise _unreadable(path, f"its {section} is no object")
    is_there = servers.get(name) == entry
    replaces = name in servers and not is_there
    servers[name] = dict(entry)
    for new in inputs or []:
        known = document.setdefault("inputs", [])
        if not isinstance(known, list):
            raise _unreadable(path, "its inputs are no list")
        if not any(isinstance(item, dict) and item.get("id") == new["id"] for item in known):
            known.append(dict(new))
            is_there = False
    if is_there:
        return Nothing(path)
    content = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return WriteFile(path, content, replaces, shows_key=by_key)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError):
        raise _unreadable(path, "it cannot be read as text") from None
    if not text.strip():
        return {}
    try:
        document = json.loads(text)
    except ValueError:
        # Comments and trailing commas, which these clients allow, would be lost.
        raise _unreadable(path, "it is not plain JSON, as a file with comments is not") from None
    if not isinstance(document, dict):
        raise _unreadable(path, "it is no JSON object")
    return document


def _unreadable(path: Path, reason: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{path} was left as it is: {reason}. Add the lines that are printed without --install yourself."
    )
