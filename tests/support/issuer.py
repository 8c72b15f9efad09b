"""An outside issuer of tokens on a loopback port: discovery document, keys, and whatever goes wrong with them."""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey
Headers = dict[str, str]
Answer = tuple[int, Headers, bytes]

_ALGORITHMS: dict[str, Any] = {
    "RS256": jwt.algorithms.RSAAlgorithm,
    "PS256": jwt.algorithms.RSAAlgorithm,
    "ES256": jwt.algorithms.ECAlgorithm,
    "EdDSA": jwt.algorithms.OKPAlgorithm,
}


def encode(part: object) -> str:
    """Return a part of a token; text and bytes are taken as they are."""
    raw = part if isinstance(part, bytes) else (part if isinstance(part, str) else json.dumps(part)).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Key:
    """A key pair of an issuer."""

    id: str
    private: PrivateKey
    algorithm: str = "RS256"

    def jwk(self, **changes: object) -> dict[str, Any]:
        """Return the public key as Cognito, Google, Auth0 and Okta publish it, with changes."""
        public = self.private.public_key()
        members: dict[str, Any] = _ALGORITHMS[self.algorithm].to_jwk(public, as_dict=True)
        return members | {"kid": self.id, "alg": self.algorithm, "use": "sig"} | changes


def rsa_key(key_id: str = "rsa-1", size: int = 2048) -> Key:
    """Return a new RSA key."""
    return Key(key_id, rsa.generate_private_key(65537, size))


def ec_key(key_id: str = "ec-1") -> Key:
    """Return a new key on the curve P-256."""
    return Key(key_id, ec.generate_private_key(ec.SECP256R1()), "ES256")


def ed25519_key(key_id: str = "ed-1") -> Key:
    """Return a new Ed25519 key."""
    return Key(key_id, Ed25519PrivateKey.generate(), "EdDSA")


@dataclass
class Issuer:
    """An issuer.

    Attributes:
        origin: Where it is served.
        key: What it signs with.
        published: What its key set holds.
        discovery: Changes to its discovery document.
        answers: What it answers instead, by path.
        asked: The paths that were asked for.
        path: What follows the origin in its identifier.
    """

    origin: str
    key: Key
    published: list[Any]
    discovery: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Callable[[], Answer]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    path: str = ""

    @property
    def url(self) -> str:
        """Its identifier."""
        return self.origin + self.path

    @property
    def discovery_path(self) -> str:
        """Where its discovery document is."""
        return self.path.removesuffix("/") + "/.well-known/openid-configuration"

    def answer(self, path: str) -> Answer:
        """Return what it answers."""
        self.asked.append(path)
        if path in self.answers:
            return self.answers[path]()
        if path == self.discovery_path:
            return json_answer({"issuer": self.url, "jwks_uri": f"{self.origin}/keys"} | self.discovery)
        if path == "/keys":
            return json_answer({"keys": self.published})
        return 404, {}, b""

    def break_down(self) -> None:
        """Answer nothing but errors from now on."""
        for path in (self.discovery_path, "/keys"):
            self.answers[path] = lambda: (503, {}, b"")

    def recover(self) -> None:
        """Answer as before."""
        self.answers.clear()

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return claims that are good now, with changes; None takes one away."""
        now = int(time.time())
        members = {"iss": self.url, "sub": "alice-at-issuer", "aud": "remora-client", "iat": now, "exp": now + 300}
        return {name: value for name, value in (members | changes).items() if value is not None}

    def token(self, key: Key | None = None, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """Return a signed token with changes to its claims."""
        key = key or self.key
        headers = {"kid": key.id} | (header or {})
        return jwt.encode(self.claims(**changes), key.private, algorithm=key.algorithm, headers=headers)

    def signed(self, header: object, claims: object) -> str:
        """Return a token of parts as they are, signed with the issuer's key."""
        text = f"{encode(header)}.{encode(claims)}"
        algorithm = jwt.get_algorithm_by_name(self.key.algorithm)
        return f"{text}.{encode(algorithm.sign(text.encode(), self.key.private))}"


def json_answer(document: object, **headers: str) -> Answer:
    """Return an answer that is a JSON document."""
    return 200, {"Content-Type": "application/json"} | headers, json.dumps(document).encode()


@contextlib.contextmanager
def serving_issuer(key: Key | None = None) -> Iterator[Issuer]:
    """Serve an issuer on a free port."""
    key = key or rsa_key()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = issuer.answer(self.path)
            with contextlib.suppress(OSError):  # Whoever asked may have given up.
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = Issuer(f"http://127.0.0.1:{server.server_port}", key, [key.jwk()])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
