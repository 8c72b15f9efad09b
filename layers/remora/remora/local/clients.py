"""What `remora dev` prints when it serves: the endpoint, the key, and ready lines for the clients on this machine."""

from remora.connecting.clients import Client, Server, guide
from remora.local.connection import Connection

_HERE = (Client.CLAUDE_CODE, Client.CURSOR, Client.VSCODE, Client.INSPECTOR)


def instructions(connection: Connection) -> str:
    """Return the URL, the key, and what to paste into each client."""
    server = Server(connection.url, by_key=True, key=connection.key)
    guides = [guide(client, server) for client in _HERE]
    return "\n".join(
        [
            f"URL  {connection.url}",
            *(f"     {part}" for part in connection.parts),
            f"Key  {connection.key}",
            "",
            *(line for found in guides for line in (f"{found.title}:", *(f"  {text}" for text in found.lines))),
        ]
    )
