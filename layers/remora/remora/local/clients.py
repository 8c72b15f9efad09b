"""Ready lines that connect MCP clients to a Remora endpoint."""

import json
import shlex

from remora.local.connection import Connection


def instructions(connection: Connection) -> str:
    """Return the URL, the key, and what to paste into each client."""
    authorization = f"Authorization: Bearer {connection.key}"
    headers = {"Authorization": f"Bearer {connection.key}"}
    cursor = json.dumps({"mcpServers": {"remora": {"url": connection.url, "headers": headers}}})
    vs_code = json.dumps({"name": "remora", "type": "http", "url": connection.url, "headers": headers})
    return "\n".join(
        [
            f"URL  {connection.url}",
            *(f"     {part}" for part in connection.parts),
            f"Key  {connection.key}",
            "",
            "Claude Code:",
            f"  claude mcp add --transport http remora {connection.url} --header {shlex.quote(authorization)}",
            "Cursor, in ~/.cursor/mcp.json:",
            f"  {cursor}",
            "VS Code:",
            f"  code --add-mcp {shlex.quote(vs_code)}",
            "MCP Inspector:",
            f"  npx @modelcontextprotocol/inspector --cli {connection.url} --transport http"
            f" --header {shlex.quote(authorization)} --method tools/list",
        ]
    )
