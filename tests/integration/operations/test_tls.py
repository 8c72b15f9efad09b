"""What `remora doctor` says of certificates, on a server with certificates of a test's own authority."""

import datetime
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.integration.operations.conftest import Remora


@contextmanager
def server(folder: Path, host: str, days: int) -> Iterator[tuple[str, Path]]:
    """Serve HTTPS on localhost with a certificate for a host, valid for some days; give URL and certificate."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=30))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as listening:
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"https://localhost:{listening.server_port}", path
        listening.shutdown()


@pytest.fixture
def examined(remora: Remora, tmp_path: Path) -> Callable[[str, int, bool], dict[str, str]]:
    """Examine a server; return what is found of TLS."""

    def examine(host: str, days: int, trusted: bool) -> dict[str, str]:
        with server(tmp_path, host, days) as (url, certificate):
            trust = {"SSL_CERT_FILE": str(certificate)} if trusted else {}
            done = remora("doctor", "--url", url, "--json", **trust)
        (found,) = [finding for finding in json.loads(done.stdout)["findings"] if finding["check"] == "TLS"]
        return dict(found)

    return examine


@pytest.mark.parametrize(
    ("host", "days", "trusted", "status", "said"),
    [
        ("localhost", 90, True, "ok", "valid until"),
        ("localhost", 5, True, "warning", "valid until"),
        ("localhost", -1, True, "broken", "expired"),
        ("elsewhere.example", 90, True, "broken", "not valid"),
        ("localhost", 90, False, "broken", "not valid"),
    ],
)
def test_certificates_are_judged_as_a_client_does(
    examined: Callable[[str, int, bool], dict[str, str]], host: str, days: int, trusted: bool, status: str, said: str
) -> None:
    found = examined(host, days, trusted)
    assert found["status"] == status, found
    assert said in found["found"]
