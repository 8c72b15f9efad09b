"""Adding the server to clients' files: what was there stays, and what cannot be read is left alone."""

import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.connecting.clients import Client, Server
from remora.connecting.installing import Nothing, RunCommand, WriteFile, plan
from remora.errors import InvalidArgumentError, UnavailableError

URL = "https://d111111abcdef8.cloudfront.net/mcp"
KEY = "rmr_alice_" + "k" * 43


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory, and a PATH without clients."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("sys.platform", "linux")
    (tmp_path / "bin").mkdir()
    return tmp_path


def program(home: Path, name: str, script: str = "exit 0") -> Path:
    """Put a program on the PATH that writes its arguments into a file."""
    path = home / "bin" / name
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{home}/{name}.arguments"\n{script}\n')
    path.chmod(0o755)
    return path


def test_cursor_keeps_everything_it_had(home: Path) -> None:
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text('{"other": [1, "ü"], "mcpServers": {"mine": {"command": "x"}}}')
    planned = plan(Client.CURSOR, Server(URL), home)
    assert isinstance(planned, WriteFile)
    assert path.read_text().startswith('{"other"'), "nothing is written before it is asked for"

    planned.carry_out()

    assert json.loads(path.read_text()) == {
        "other": [1, "ü"],
        "mcpServers": {"mine": {"command": "x"}, "remora": {"url": URL}},
    }
    assert isinstance(plan(Client.CURSOR, Server(URL), home), Nothing)


def test_a_file_with_a_key_is_readable_by_its_owner_alone(home: Path) -> None:
    planned = plan(Client.CURSOR, Server(URL, by_key=True, key=KEY), home)
    assert isinstance(planned, WriteFile)
    assert "The key will be in that file" in planned.question
    planned.carry_out()
    path = home / ".cursor" / "mcp.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KEY in path.read_text()


def test_a_server_of_that_name_is_replaced_only_knowingly(home: Path) -> None:
    first = plan(Client.CURSOR, Server("https://elsewhere.example/mcp"), home)
    assert isinstance(first, WriteFile)
    first.carry_out()
    second = plan(Client.CURSOR, Server(URL), home)
    assert isinstance(second, WriteFile)
    assert second.replaces
    assert "Replace it?" in second.question


def test_a_link_to_a_file_stays_a_link(home: Path) -> None:
    (home / ".cursor").mkdir()
    (home / "kept.json").write_text("{}")
    (home / ".cursor" / "mcp.json").symlink_to(home / "kept.json")
    planned = plan(Client.CURSOR, Server(URL), home)
    assert isinstance(planned, WriteFile)
    planned.carry_out()
    assert (home / ".cursor" / "mcp.json").is_symlink()
    assert json.loads((home / "kept.json").read_text())["mcpServers"]["remora"] == {"url": URL}


@pytest.mark.parametrize("content", ['{"mcpServers": {} /* mine */}', "[1]", '{"mcpServers": []}', "\x00\xff", "{"])
def test_what_cannot_be_kept_whole_is_left_as_it_is(home: Path, content: str) -> None:
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(InvalidArgumentError, match="was left as it is"):
        plan(Client.CURSOR, Server(URL), home)
    assert path.read_bytes() == content.encode("latin-1")


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@given(
    st.dictionaries(st.text().filter(lambda name: name != "mcpServers"), _values), st.dictionaries(st.text(), _values)
)
def test_nothing_of_a_file_is_ever_lost(
    tmp_path_factory: pytest.TempPathFactory, rest: dict[str, object], servers: dict[str, object]
) -> None:
    home = tmp_path_factory.mktemp("home")
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text(json.dumps({**rest, "mcpServers": servers}))
    planned = plan(Client.CURSOR, Server(URL), home)
    assert isinstance(planned, WriteFile)
    planned.carry_out()
    assert json.loads(path.read_text()) == {**rest, "mcpServers": {**servers, "remora": {"url": URL}}}


def test_claude_code_is_told_by_its_own_command_without_a_key(home: Path) -> None:
    program(home, "claude", "echo Added")
    planned = plan(Client.CLAUDE_CODE, Server(URL), home)
    assert isinstance(planned, RunCommand)
    assert not planned.shows_key
    assert planned.carry_out() == "Added"
    assert (home / "claude.arguments").read_text().split() == [
        *("mcp", "add", "--transport", "http", "--scope", "user", "remora"),
        URL,
    ]


def test_a_key_in_arguments_is_said_before(home: Path) -> None:
    program(home, "claude")
    planned = plan(Client.CLAUDE_CODE, Server(URL, by_key=True, key=KEY), home)
    assert isinstance(planned, RunCommand)
    assert "other users of this machine can see it" in planned.question
    assert KEY not in planned.question


def test_what_a_client_complains_about_is_said(home: Path) -> None:
    program(home, "claude", "echo 'MCP server remora already exists' >&2; exit 1")
    planned = plan(Client.CLAUDE_CODE, Server(URL), home)
    assert isinstance(planned, RunCommand)
    with pytest.raises(UnavailableError, match="already exists"):
        planned.carry_out()


def test_vs_code_is_told_by_its_command_and_asks_for_a_key_itself(home: Path) -> None:
    program(home, "code")
    planned = plan(Client.VSCODE, Server(URL), home)
    assert isinstance(planned, RunCommand)
    planned.carry_out()
    flag, definition = (home / "code.arguments").read_text().splitlines()
    assert flag == "--add-mcp"
    assert json.loads(definition) == {"name": "remora", "type": "http", "url": URL}

    by_key = plan(Client.VSCODE, Server(URL, by_key=True, key=KEY), home)
    assert isinstance(by_key, WriteFile)
    by_key.carry_out()
    written = (home / "config" / "Code" / "User" / "mcp.json").read_text()
    assert KEY not in written
    assert json.loads(written)["inputs"][0]["password"] is True
    assert isinstance(plan(Client.VSCODE, Server(URL, by_key=True), home), Nothing)


@pytest.mark.parametrize("client", [Client.CLAUDE_CODE, Client.VSCODE])
def test_a_client_that_is_not_there_is_named(home: Path, client: Client) -> None:
    with pytest.raises(UnavailableError):
        plan(client, Server(URL), home)


@pytest.mark.parametrize("client", [Client.CLAUDE, Client.CHATGPT, Client.INSPECTOR])
def test_who_cannot_be_told_is_shown_steps_instead(home: Path, client: Client) -> None:
    with pytest.raises(InvalidArgumentError, match=f"remora connect {client}"):
        plan(client, Server(URL), home)
