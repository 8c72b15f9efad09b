"""Fetches a document from a URL that a stranger chose, without letting the stranger choose what is reached.

The danger is request forgery: a URL, a redirect or a name server that leads to this function's own surroundings
(OWASP, Server-Side Request Forgery Prevention). So: https on the usual port alone; the name is resolved once, each
of its addresses must be public, and the connection goes to the very address that was looked at, so that a second
answer of the name server (DNS rebinding) changes nothing; redirects are not followed; proxies of the environment
are not used; and time and size are limited in total, not for each read. Only a caller whose own configuration points
to this machine may ask for http there.
"""

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore2
from httpcore2 import SOCKET_OPTION, NetworkBackend, NetworkStream

from remora.errors import InvalidArgumentError
from remora.oauth.documents import FetchError

MAXIMUM_BYTES: Final = 10_240
"""Twice what the draft suggests (draft-ietf-oauth-client-id-metadata-document, section 6.6)."""

TOTAL_SECONDS: Final = 5.0

_PORT = 443
_LOOPBACK: Final = {"localhost": "127.0.0.1", "127.0.0.1": "127.0.0.1", "::1": "::1"}
# What not every version of Python's `ipaddress` counts as other than global (RFC 6890), and the IPv6 blocks that
# stand for IPv4 addresses (RFC 4291, RFC 6052, RFC 8215, RFC 3056, RFC 4380).
_SPECIAL: Final = tuple(
    ipaddress.ip_network(block)
    for block in (
        *("192.0.0.0/24", "192.88.99.0/24"),
        *("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/23", "2002::/16", "fec0::/10"),
    )
)

Resolve = Callable[[str], Sequence[str]]
"""Returns the addresses of a host name; raises OSError if it has none."""


def is_public(address: str) -> bool:
    """Return whether an address is one of the public internet.

    IPv6 addresses that stand for an IPv4 address (mapped, 6to4, Teredo, NAT64) are not: no web site is found by one,
    and what they stand for depends on who translates them.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if any(parsed in special for special in _SPECIAL if special.version == parsed.version):
        return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


def resolve(host: str) -> list[str]:
    """Return the addresses of a host name.

    Raises:
        OSError: It has none, or the name server did not answer.
    """
    found = socket.getaddrinfo(host, _PORT, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def fetch_json(
    url: str,
    *,
    maximum_bytes: int = MAXIMUM_BYTES,
    seconds: float | None = None,
    local: bool = False,
    resolve: Resolve = resolve,
    network: NetworkBackend | None = None,
    tls: ssl.SSLContext | None = None,
) -> bytes:
    """Return the JSON document at a URL.

    Args:
        url: An https URL that names a host by name.
        maximum_bytes: The longest document that is read.
        seconds: How long all of it may take; `TOTAL_SECONDS` unless given.
        local: Whether an http URL of this machine is fetched too, for a local run.
        resolve: How the name is resolved.
        network: How connections are made; the network of this machine unless given.
        tls: Whom to trust; the usual authorities unless given.

    Raises:
        InvalidArgumentError: The URL is of another kind.
        FetchError: The host is not public, did not answer in time, or answered something else.
    """
    host, loopback = _host_of(url, local=local)
    deadline = time.monotonic() + (TOTAL_SECONDS if seconds is None else seconds)
    address = loopback or _public_address(host, resolve)
    backend = _Pinned(address, deadline, network or httpcore2.SyncBackend())
    headers = [("Host", host), ("Accept", "application/json"), ("User-Agent", "Remora")]
    trust = tls or ssl.create_default_context()
    try:
        with (
            httpcore2.ConnectionPool(ssl_context=trust, network_backend=backend) as pool,
            pool.stream("GET", url, headers=headers) as response,
        ):
            if response.status != 200:
                raise FetchError(f"{host} answered {response.status} instead of a document.")
            if not _is_json(_content_type(response.headers)):
                raise FetchError(f"{host} answered something else than JSON.")
            return _read(response.iter_stream(), host, maximum_bytes)
    except (OSError, httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError):
        raise FetchError(f"{host} did not answer in time, or not over a safe connection.") from None


def _content_type(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return next((value for name, value in headers if name.lower() == b"content-type"), b"")


def _is_json(media_type: bytes) -> bool:
    essence = media_type.split(b";")[0].strip().lower()
    return essence == b"application/json" or (essence.startswith(b"application/") and essence.endswith(b"+json"))


def _read(chunks: Iterable[bytes], host: str, maximum_bytes: int) -> bytes:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > maximum_bytes:
            raise FetchError(f"{host} answered more than {maximum_bytes} bytes.")
    return bytes(body)


def _host_of(url: str, *, local: bool) -> tuple[str, str | None]:
    """Return what is asked for as the host, and its address if it is this machine and may be."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidArgumentError("The URL is malformed") from None
    if local and parts.scheme == "http" and parts.hostname in _LOOPBACK and parts.username is None:
        return parts.netloc, _LOOPBACK[parts.hostname]
    if parts.scheme != "https" or not parts.hostname or parts.username is not None or port not in {None, _PORT}:
        raise InvalidArgumentError("Only https URLs without user and port are fetched")
    return parts.hostname, None


def _public_address(host: str, resolve: Resolve) -> str:
    try:
        addresses = resolve(host)
    except (OSError, UnicodeError):
        raise FetchError(f"{host} has no address.") from None
    # One private address among public ones is no accident.
    if not addresses or not all(is_public(address) for address in addresses):
        raise FetchError(f"{host} is not on the public internet.")
    return next((address for address in addresses if ":" not in address), addresses[0])


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("The document took too long")
    return remaining


class _Pinned(NetworkBackend):
    """A network in which every name is one address, and everything ends at one moment."""

    def __init__(self, address: str, deadline: float, network: NetworkBackend) -> None:
        self._address = address
        self._deadline = deadline
        self._network = network

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> NetworkStream:
        stream = self._network.connect_tcp(self._address, port, _remaining(self._deadline))
        return _Timed(stream, self._deadline)


class _Timed(NetworkStream):
    """A connection with one deadline for all that is done with it, whatever each call asks for."""

    def __init__(self, stream: NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _remaining(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _remaining(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, _remaining(self._deadline))
        return _Timed(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401
        return self._stream.get_extra_info(info)
