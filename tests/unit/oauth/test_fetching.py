"""Fetching from a URL that a stranger chose: which addresses are reached, and how much is waited for."""

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpcore2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from remora.errors import InvalidArgumentError
from remora.oauth import fetching
from remora.oauth.documents import FetchError
from remora.oauth.fetching import fetch_json, is_public

HOST = "client.example"
URL = f"https://{HOST}/oauth/client.json"
PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"),
        *("169.254.169.254", "169.254.170.2", "192.0.0.8", "192.0.2.1", "198.18.0.1", "224.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::", "2001::1"),
        *("", "localhost", "2130706433", "0x7f.1", "127.1"),
    ],
)
def test_what_is_not_the_public_internet_is_recognised(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_the_public_internet_is_recognised(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_no_ipv6_address_that_stands_for_an_ipv4_address_is_public(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for disguise in (number, (0xFFFF << 32) | number, (0x0064FF9B << 96) | number, (0x2002 << 112) | (number << 80)):
        assert not is_public(str(ipaddress.IPv6Address(disguise)))


# ---- A real TLS server, at whatever address the fetcher wants to reach ----


@dataclass
class Site:
    """A web site on a loopback port.

    Attributes:
        trust: Trusts its certificate, and no other.
        serving: What it writes for each request.
        reached: The addresses that were connected to.
        requests: What it was asked.
    """

    trust: ssl.SSLContext
    listening: socket.socket
    serving: Callable[[ssl.SSLSocket], None]
    reached: list[str] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)

    def network(self) -> httpcore2.NetworkBackend:
        """Return a network in which every address is this site."""
        site = self

        class Redirected(httpcore2.SyncBackend):
            def connect_tcp(
                self,
                host: str,
                port: int,
                timeout: float | None = None,
                local_address: str | None = None,
                socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
            ) -> httpcore2.NetworkStream:
                site.reached.append(f"{host}:{port}")
                return super().connect_tcp("127.0.0.1", site.listening.getsockname()[1], timeout)

        return Redirected()


def certificate(host: str, folder: Path) -> tuple[Path, Path]:
    """Write a certificate of a host and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site with a certificate of its own."""
    certificate_file, key_file = certificate(HOST, tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    listening = socket.create_server(("127.0.0.1", 0))
    made = Site(ssl.create_default_context(cafile=str(certificate_file)), listening, answering(b"{}"))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(connection, server_side=True) as secure:
                    made.requests.append(secure.recv(4096))
                    made.serving(secure)
            except OSError:
                pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield made
    # Closing alone would not wake the thread.
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(timeout=5)


def answering(
    body: bytes, *, status: str = "200 OK", headers: str = "", media_type: str = "application/json"
) -> Callable[[ssl.SSLSocket], None]:
    """Return what writes one answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return lambda connection: connection.sendall(head.encode() + body)


def fetch(site: Site, *, url: str = URL, addresses: Sequence[str] = (PUBLIC,)) -> bytes:
    """Fetch from the site."""
    return fetch_json(url, resolve=lambda _: addresses, network=site.network(), tls=site.trust)


def test_a_document_is_fetched_from_the_address_that_was_looked_at(site: Site) -> None:
    site.serving = answering(b'{"client_id": "x"}')
    assert fetch(site) == b'{"client_id": "x"}'
    assert site.reached == [f"{PUBLIC}:443"]
    assert site.requests[0].startswith(b"GET /oauth/client.json HTTP/1.1\r\nHost: client.example\r\n")


def test_dns_rebinding_changes_nothing_because_a_name_is_resolved_once(site: Site) -> None:
    answers = iter([[PUBLIC], ["169.254.169.254"], ["127.0.0.1"]])
    fetch_json(URL, resolve=lambda _: next(answers), network=site.network(), tls=site.trust)
    assert site.reached == [f"{PUBLIC}:443"]
    assert next(answers) == ["169.254.169.254"]


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["169.254.169.254"], ["10.0.0.1"], ["::1"], [PUBLIC, "10.0.0.1"], ["fd00:ec2::254"], []],
)
def test_a_name_with_any_private_or_link_local_address_is_not_connected_to(site: Site, addresses: list[str]) -> None:
    with pytest.raises(FetchError, match="not on the public internet"):
        fetch(site, addresses=addresses)
    assert site.reached == []


@pytest.mark.parametrize(
    "location", ["https://169.254.169.254/latest/meta-data", "https://client.example/other", "http://127.0.0.1:9000/"]
)
@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
def test_redirects_are_not_followed(site: Site, location: str, status: str) -> None:
    site.serving = answering(b"", status=status, headers=f"Location: {location}\r\n")
    with pytest.raises(FetchError, match="answered 30"):
        fetch(site)
    assert len(site.reached) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://client.example/x",
        "https://client.example:8443/x",
        "https://user@client.example/x",
        "file:///etc/passwd",
        "gopher://client.example/x",
        "https:///x",
        "https://client.example:x/",
    ],
)
def test_only_plain_https_urls_are_fetched(site: Site, url: str) -> None:
    with pytest.raises(InvalidArgumentError):
        fetch(site, url=url)
    assert site.reached == []


def test_a_certificate_of_another_host_is_not_accepted(site: Site) -> None:
    with pytest.raises(FetchError, match="safe connection"):
        fetch(site, url="https://other.example/x")


def test_a_certificate_that_nobody_vouches_for_is_not_accepted(site: Site) -> None:
    with pytest.raises(FetchError, match="safe connection"):
        fetch_json(URL, resolve=lambda _: [PUBLIC], network=site.network())


def test_more_than_a_description_can_be_is_not_read(site: Site) -> None:
    site.serving = answering(b" " * (fetching.MAXIMUM_BYTES + 1))
    with pytest.raises(FetchError, match="more than"):
        fetch(site)


@pytest.mark.parametrize(
    "media_type", ["text/html", "application/jsonp", "text/json", "", "application/json, text/html"]
)
def test_anything_else_than_json_is_not_accepted(site: Site, media_type: str) -> None:
    site.serving = answering(b"{}", media_type=media_type)
    with pytest.raises(FetchError, match="something else than JSON"):
        fetch(site)


@pytest.mark.parametrize("media_type", ["application/json", "Application/JSON; charset=utf-8", "application/x+json"])
def test_json_by_any_of_its_names_is_accepted(site: Site, media_type: str) -> None:
    site.serving = answering(b"{}", media_type=media_type)
    assert fetch(site) == b"{}"


@pytest.mark.parametrize("trickling", ["headers", "body"])
def test_a_site_that_trickles_is_not_waited_for_longer_than_the_total(
    site: Site, monkeypatch: pytest.MonkeyPatch, trickling: str
) -> None:
    monkeypatch.setattr(fetching, "TOTAL_SECONDS", 0.5)
    over = threading.Event()

    def trickle(connection: ssl.SSLSocket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        if trickling == "body":
            connection.sendall(b"Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
        # Each piece comes well before any single read would give up.
        while not over.wait(0.05):
            connection.sendall(b"X-Y: z\r\n" if trickling == "headers" else b" ")

    site.serving = trickle
    try:
        with pytest.raises(FetchError, match="in time"):
            fetch(site)
    finally:
        over.set()


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"])
def test_what_is_no_http_is_no_document(site: Site, answer: bytes) -> None:
    site.serving = lambda connection: connection.sendall(answer)
    with pytest.raises(FetchError):
        fetch(site)


def test_a_name_without_an_address_is_told() -> None:
    def nobody(_: str) -> list[str]:
        raise socket.gaierror("Name or service not known")

    with pytest.raises(FetchError, match="has no address"):
        fetch_json(URL, resolve=nobody)


def test_this_machine_is_not_reached_by_its_names() -> None:
    with pytest.raises(FetchError):
        fetch_json("https://localhost/x")
