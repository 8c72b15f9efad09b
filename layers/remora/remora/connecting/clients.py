"""Says, for each MCP client, what to do or paste so that it reaches a deployment.

A client signs in with OAuth, which needs nothing but the URL, or sends a key in a header. Where a key is needed and
not known, each client's own way of asking for it or reading it from the environment stands in its place.

Each client's form, as its maker documents it (looked up in November 2026):

- Claude: https://support.claude.com/en/articles/11175166-getting-started-with-custom-connectors-using-remote-mcp
- Claude Code: https://code.claude.com/docs/en/mcp
- ChatGPT: https://developers.openai.com/apps-sdk/deploy/connect-chatgpt
- Cursor: https://cursor.com/docs/mcp and https://cursor.com/docs/mcp/install-links
- VS Code: https://code.visualstudio.com/docs/agents/reference/mcp-configuration and
  https://code.visualstudio.com/docs/copilot/guides/mcp-developer-guide
- MCP Inspector: https://modelcontextprotocol.io/docs/2026-07-28/tools/inspector/cli
"""

import base64
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

KEY_VARIABLE: Final = "REMORA_KEY"
"""Environment variable that holds a key."""

_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


class Client(StrEnum):
    """The clients whose ways are known."""

    CLAUDE = "claude"
    CLAUDE_CODE = "claude-code"
    CHATGPT = "chatgpt"
    CURSOR = "cursor"
    VSCODE = "vscode"
    INSPECTOR = "inspector"


@dataclass(frozen=True, slots=True)
class Server:
    """An MCP server, as a client is told of it.

    Attributes:
        url: URL of the endpoint.
        name: What the client calls it.
        by_key: Whether the client sends a key; else it signs in.
        key: That key, if it is to be shown; never part of the representation.
    """

    url: str
    name: str = "remora"
    by_key: bool = False
    key: str | None = field(default=None, repr=False)

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return urlsplit(self.url).hostname in _LOCAL_HOSTS


@dataclass(frozen=True, slots=True)
class Guide:
    """What to do for one client.

    Attributes:
        title: The client, and where to do it.
        lines: Steps for a person, or lines to paste.
        link: Deep link or page that begins it, if there is one. Never holds a key.
    """

    title: str
    lines: tuple[str, ...]
    link: str | None = None


def guide(client: Client, server: Server) -> Guide:
    """Return what to do so that a client reaches a server."""
    return _GUIDES[client](server)


def cursor_entry(server: Server) -> Mapping[str, Any]:
    """Return the server as Cursor's `mcp.json` has it, below `mcpServers`."""
    # Cursor reads ${env:NAME} from the environment that it was started in.
    return {"url": server.url, **_headers(server, f"${{env:{KEY_VARIABLE}}}")}


def vscode_entry(server: Server) -> Mapping[str, Any]:
    """Return the server as VS Code's `mcp.json` has it, below `servers`."""
    return {"type": "http", "url": server.url, **_headers(server, f"${{input:{vscode_input(server)['id']}}}")}


def vscode_input(server: Server) -> Mapping[str, Any]:
    """Return what VS Code asks for, once: it keeps the answer where the system keeps passwords."""
    return {
        "type": "promptString",
        "id": f"{server.name}-key",
        "description": f"Key for {server.name}",
        "password": True,
    }


def _headers(server: Server, placeholder: str) -> Mapping[str, Any]:
    if not server.by_key:
        return {}
    return {"headers": {"Authorization": f"Bearer {server.key or placeholder}"}}


def _claude(server: Server) -> Guide:
    if server.is_local:
        return Guide("Claude (web, desktop, phone)", (_unreachable("Claude"),))
    steps = [
        "1. On claude.ai or in the desktop app: Settings > Connectors > Add custom connector.",
        f"2. Name: {server.name.capitalize()}. URL: {server.url}",
    ]
    if server.by_key:
        steps.append("3. Where your plan shows request headers, add: Authorization: Bearer YOUR_KEY. Then Add.")
    else:
        steps.append("3. Add, then Connect, and sign in with your Remora key on the page that opens.")
    steps.append("It is there on your phone too. In a team, an owner adds it first, and each member connects.")
    return Guide("Claude (web, desktop, phone)", tuple(steps), "https://claude.ai/customize/connectors")


def _claude_code(server: Server) -> Guide:
    add = f"claude mcp add --transport http --scope user {shlex.quote(server.name)} {shlex.quote(server.url)}"
    if server.by_key:
        return Guide("Claude Code", (f"{add} --header {_shell_header(server)}",))
    return Guide("Claude Code", (add, f"Then, in a session: /mcp, choose {server.name}, and sign in."))


def _chatgpt(server: Server) -> Guide:
    if server.is_local:
        return Guide("ChatGPT", (_unreachable("ChatGPT"),))
    steps = [
        "1. On chatgpt.com: Settings > Apps & Connectors > Advanced settings, and switch on Developer mode.",
        f"2. Back in Apps & Connectors: Create. Name: {server.name.capitalize()}. URL: {server.url}. "
        "Authentication: OAuth.",
        "3. Create, and sign in with your Remora key on the page that opens.",
        "4. In a chat: +, Developer mode, and switch it on. Which plans may do this, OpenAI changes now and then.",
    ]
    if server.by_key:
        steps.append("ChatGPT sends no key: it signs in.")
    return Guide("ChatGPT", tuple(steps), "https://chatgpt.com/#settings/Connectors")


def _cursor(server: Server) -> Guide:
    document = json.dumps({"mcpServers": {server.name: cursor_entry(server)}})
    lines = [document]
    link = None
    if server.by_key:
        if server.key is None:
            lines.append(f"Cursor takes the key from the variable {KEY_VARIABLE} of the shell that starts it.")
    else:
        configuration = base64.b64encode(json.dumps(cursor_entry(server)).encode()).decode()
        query = urlencode({"name": server.name, "config": configuration}, quote_via=quote)
        link = f"cursor://anysphere.cursor-deeplink/mcp/install?{query}"
        lines.append(f"Or open: {link}")
    return Guide("Cursor, in ~/.cursor/mcp.json", tuple(lines), link)


def _vscode(server: Server) -> Guide:
    if server.by_key and server.key is None:
        document = {"servers": {server.name: vscode_entry(server)}, "inputs": [vscode_input(server)]}
        lines = (json.dumps(document), "VS Code asks for the key once and keeps it with the system's passwords.")
        return Guide("VS Code, in the file that `MCP: Open User Configuration` opens", lines)
    definition = json.dumps(vscode_definition(server))
    command = f"code --add-mcp {shlex.quote(definition)}"
    if server.by_key:
        return Guide("VS Code", (command,))
    link = f"vscode:mcp/install?{quote(definition, safe='')}"
    return Guide("VS Code", (command, f"Or open: {link}"), link)


def vscode_definition(server: Server) -> Mapping[str, Any]:
    """Return the server as `code --add-mcp` and links of VS Code take it."""
    return {"name": server.name, **vscode_entry(server)}


def _inspector(server: Server) -> Guide:
    command = f"npx @modelcontextprotocol/inspector --cli {shlex.quote(server.url)} --transport http"
    if server.by_key:
        return Guide("MCP Inspector", (f"{command} --header {_shell_header(server)} --method tools/list",))
    web = f"npx @modelcontextprotocol/inspector --server-url {shlex.quote(server.url)} --transport http"
    return Guide("MCP Inspector", (web, "It opens in the browser and signs in there."))


def _shell_header(server: Server) -> str:
    """Return the header as a word of a shell; the shell puts in a key that is not shown."""
    if server.key is None:
        return f'"Authorization: Bearer ${KEY_VARIABLE}"'
    return shlex.quote(f"Authorization: Bearer {server.key}")


def _unreachable(client: str) -> str:
    return f"{client} calls from its maker's network and cannot reach this machine. Deploy to AWS, and connect that."


_GUIDES: Final[Mapping[Client, Callable[[Server], Guide]]] = {
    Client.CLAUDE: _claude,
    Client.CLAUDE_CODE: _claude_code,
    Client.CHATGPT: _chatgpt,
    Client.CURSOR: _cursor,
    Client.VSCODE: _vscode,
    Client.INSPECTOR: _inspector,
}
