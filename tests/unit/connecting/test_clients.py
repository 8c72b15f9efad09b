"""What each client is told: in the client's own form, and never with a key that was not to be shown."""

import base64
import json
import shlex
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.connecting.clients import Client, Server, guide

URL = "https://d111111abcdef8.cloudfront.net/mcp"
KEY = "rmr_alice_" + "k" * 43


@pytest.mark.parametrize("client", Client)
def test_every_client_is_told_the_url(client: Client) -> None:
    assert any(URL in line for line in guide(client, Server(URL)).lines)


@pytest.mark.parametrize("client", Client)
def test_who_signs_in_is_told_of_no_header(client: Client) -> None:
    assert "Authorization" not in " ".join(guide(client, Server(URL)).lines)


@pytest.mark.parametrize("client", [Client.CLAUDE_CODE, Client.CURSOR, Client.VSCODE, Client.INSPECTOR])
def test_a_key_that_is_to_be_shown_is_in_the_header(client: Client) -> None:
    assert f"Authorization: Bearer {KEY}" in guide(client, Server(URL, by_key=True, key=KEY)).lines[0].replace(
        '"Authorization": "Bearer', "Authorization: Bearer"
    )


@pytest.mark.parametrize("client", Client)
def test_a_link_holds_no_key(client: Client) -> None:
    link = guide(client, Server(URL, by_key=True, key=KEY)).link
    assert link is None or "rmr_" not in unquote(link)


@pytest.mark.parametrize("client", [Client.CLAUDE, Client.CHATGPT])
def test_clients_in_the_cloud_are_not_sent_to_this_machine(client: Client) -> None:
    (line,) = guide(client, Server("http://127.0.0.1:8765/mcp")).lines
    assert "cannot reach this machine" in line


@given(
    st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True),
    st.from_regex(r"https://[a-z0-9.]{1,40}/mcp", fullmatch=True),
)
def test_links_say_what_the_configuration_says(name: str, url: str) -> None:
    cursor = guide(Client.CURSOR, Server(url, name)).link
    assert cursor is not None
    query = parse_qs(urlsplit(cursor).query)
    assert query["name"] == [name]
    assert json.loads(base64.b64decode(query["config"][0])) == {"url": url}

    vscode = guide(Client.VSCODE, Server(url, name)).link
    assert vscode is not None
    assert json.loads(unquote(vscode.removeprefix("vscode:mcp/install?"))) == {
        "name": name,
        "type": "http",
        "url": url,
    }


def test_a_command_line_comes_out_of_a_shell_as_it_should() -> None:
    (line,) = guide(Client.CLAUDE_CODE, Server(URL, by_key=True, key=KEY)).lines
    assert shlex.split(line)[-2:] == ["--header", f"Authorization: Bearer {KEY}"]


def test_vs_code_asks_for_a_key_that_is_not_shown() -> None:
    document = json.loads(guide(Client.VSCODE, Server(URL, by_key=True)).lines[0])
    (asked,) = document["inputs"]
    assert asked["password"] is True
    assert document["servers"]["remora"]["headers"] == {"Authorization": f"Bearer ${{input:{asked['id']}}}"}


def test_the_key_is_not_in_the_representation() -> None:
    assert KEY not in repr(Server(URL, by_key=True, key=KEY))
