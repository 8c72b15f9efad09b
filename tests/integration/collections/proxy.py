"""A TCP proxy before Chroma that stalls or cuts connections as a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.support.chroma_server import ChromaServer

Decide = Callable[[bytes], str]


@dataclass
class Proxy:
    """A proxy whose behaviour can change at any time.

    Attributes:
        port: Where it listens.
        decide: Given the head of a request, what to do: `pass`, `stall` (never answer), `lose` (let the server
            act, then close without the answer), or `close` (close without passing the request on).
        requests: The first lines of the requests it saw.
    """

    port: int = 0
    decide: Decide = lambda _head: "pass"
    requests: list[str] = field(default_factory=list)


@asynccontextmanager
async def chroma_behind_proxy(server: ChromaServer) -> AsyncIterator[Proxy]:
    """Run a proxy before a server."""
    proxy = Proxy()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            upstream_reader, upstream = await asyncio.open_connection(server.host, server.port)
            try:
                while True:
                    request = await _message(reader)
                    head = request.partition(b"\r\n\r\n")[0]
                    proxy.requests.append(head.partition(b"\r\n")[0].decode())
                    action = proxy.decide(head)
                    if action == "close":
                        return
                    if action == "stall":
                        await reader.read()
                        return
                    upstream.write(request)
                    answer = await _message(upstream_reader)
                    if action == "lose":
                        return
                    writer.write(answer)
                    await writer.drain()
            finally:
                upstream.close()
                writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head + await reader.readexactly(length)
