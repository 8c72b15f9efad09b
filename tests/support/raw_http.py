"""Sends a request byte by byte as a test writes it, which well-behaved HTTP clients do not."""

import json
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

_SECONDS = 30


@dataclass(frozen=True)
class RawAnswer:
    """What came back.

    Attributes:
        status: The HTTP status.
        headers: The headers, names in lower case; the last of those with one name.
        body: The body.
    """

    status: int
    headers: dict[str, str]
    body: bytes


def send_raw(url: str, method: str, target: str, headers: list[tuple[str, str]], body: object = None) -> RawAnswer:
    """Send a request and return the answer.

    Args:
        url: Where the server is; only host and port count.
        method: The method, as it stands.
        target: The request's target, as it stands.
        headers: Headers in their order, repeated where they repeat; `Host` is added where none is given.
        body: Sent as JSON.
    """
    server = urlsplit(url)
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {target} HTTP/1.1"]
    if not any(name.lower() == "host" for name, _ in headers):
        lines.append(f"Host: {server.netloc}")
    lines += [f"{name}: {value}" for name, value in headers]
    lines += ["Connection: close", f"Content-Length: {len(content)}"]
    with socket.create_connection((server.hostname or "", server.port or 80), timeout=_SECONDS) as connection:
        connection.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content)
        received = bytearray()
        while part := connection.recv(65_536):
            received += part
    head, _, rest = bytes(received).partition(b"\r\n\r\n")
    first, *others = head.decode("latin-1").split("\r\n")
    found = (line.partition(":") for line in others)
    return RawAnswer(
        int(first.split()[1]), {name.strip().lower(): value.strip() for name, _, value in found}, bytes(rest)
    )
