"""An authorization server with its table and secrets on moto, and the people and clients who use it."""

import base64
import hashlib
import html
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import jwt
from mypy_boto3_secretsmanager import SecretsManagerClient
from starlette.testclient import TestClient

from oauth.app import create_app
from oauth.browser import BrowserSafety
from remora.auth.keys import generate_key, hash_key
from remora.aws import Aws
from remora.oauth.documents import FetchError
from remora.oauth.settings import OAuthSettings
from remora.oauth.site import Site

ISSUER = "https://remora.example"
MCP = ISSUER + "/mcp"
CLAUDE_CALLBACK = "https://claude.ai/api/mcp/auth_callback"
HIDDEN_FORM = re.compile(r'name="form" value="([^"]+)"')

Response = httpx2.Response


@dataclass
class Web:
    """The part of the web that the authorization server fetches documents from.

    Attributes:
        documents: What each URL answers; others do not.
        asked: The URLs that were asked, in order.
    """

    documents: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def fetch(self, url: str) -> bytes:
        """Return a document."""
        self.asked.append(url)
        if url not in self.documents:
            raise FetchError("There is nothing there.")
        return self.documents[url]

    def publish(self, url: str, **members: object) -> str:
        """Publish a client's description, and return its URL."""
        document = {"client_id": url, "client_name": "Example", "redirect_uris": ["https://client.example/callback"]}
        self.documents[url] = json.dumps(document | members).encode()
        return url


@dataclass(frozen=True)
class Pkce:
    """A verifier and its challenge."""

    verifier: str
    challenge: str

    @classmethod
    def generate(cls) -> "Pkce":
        """Return a new pair."""
        verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(verifier.encode()).digest()
        return cls(verifier, base64.urlsafe_b64encode(digest).decode().rstrip("="))


@dataclass(frozen=True)
class RegisteredClient:
    """A client as it knows itself."""

    id: str
    redirect_uri: str
    secret: str | None = None

    @property
    def credentials(self) -> dict[str, str]:
        """What it adds to each request to the token endpoint."""
        return {"client_id": self.id} | ({"client_secret": self.secret} if self.secret else {})


@dataclass
class Deployment:
    """A running authorization server.

    Attributes:
        settings: Its settings.
        issuer: Its public URL.
        web: Where it fetches from.
        aws: Where its AWS clients come from.
        secretsmanager: For changing what it reads.
        key: The key of alice, who may do everything.
        bobs_key: The key of bob, if he is there too.
    """

    settings: OAuthSettings
    issuer: str
    web: Web
    aws: Aws
    secretsmanager: SecretsManagerClient
    key: str = field(default_factory=lambda: generate_key("alice"))
    bobs_key: str = field(default_factory=lambda: generate_key("bob"))

    def __post_init__(self) -> None:
        self.app: BrowserSafety = create_app(self.settings, Site.of_url(self.issuer), self.aws, self.web.fetch)
        self.browser = self.new_browser()

    def new_browser(self) -> TestClient:
        """Return a browser without cookies."""
        return TestClient(self.app, base_url=self.issuer, follow_redirects=False)

    def restart(self) -> None:
        """Go on in a new execution environment."""
        cookies = self.browser.cookies
        self.__post_init__()
        self.browser.cookies = cookies

    # ---- People ----

    def write_principals(self, **alice: object) -> None:
        """Make alice the only principal.

        Args:
            alice: Members that differ from the usual.
        """
        self._write({"alice": _principal("alice", self.key) | alice})

    def let_bob_in_too(self) -> None:
        """Make alice and bob the principals."""
        self._write({"alice": _principal("alice", self.key), "bob": _principal("bob", self.bobs_key)})

    def _write(self, principals: dict[str, dict[str, object]]) -> None:
        self.secretsmanager.put_secret_value(
            SecretId=self.settings.principals_secret, SecretString=json.dumps({"principals": principals})
        )

    # ---- Clients ----

    def register(self, **members: object) -> RegisteredClient:
        """Register a client that is public unless said otherwise."""
        body = {"client_name": "Example", "redirect_uris": [CLAUDE_CALLBACK], "token_endpoint_auth_method": "none"}
        answer = self.browser.post("/register", json=body | members)
        assert answer.status_code == 201, answer.text
        registered = answer.json()
        return RegisteredClient(
            registered["client_id"], registered["redirect_uris"][0], registered.get("client_secret")
        )

    def request(self, client: RegisteredClient, pkce: Pkce, **changes: str | None) -> dict[str, str]:
        """Return the parameters of a good authorization request, with changes; None takes one away."""
        parameters = {
            "response_type": "code",
            "client_id": client.id,
            "redirect_uri": client.redirect_uri,
            "code_challenge": pkce.challenge,
            "code_challenge_method": "S256",
            "state": "the-state",
            "scope": "read write",
            "resource": self.issuer + "/mcp",
        }
        return {name: value for name, value in (parameters | changes).items() if value is not None}

    # ---- Steps ----

    @property
    def session(self) -> str | None:
        """The browser's session."""
        return self.browser.cookies.get(session_cookie(self.issuer))

    def open_page(self, parameters: Mapping[str, str]) -> Response:
        """Open the authorization endpoint in the browser."""
        return self.browser.get("/authorize", params=dict(parameters))

    def step(self, page: Response, action: str, **fields: str) -> Response:
        """Press a button on a page."""
        return self.browser.post("/authorize", data={"form": form_of(page), "action": action, **fields})

    def sign_out(self) -> None:
        """Forget the session, as a browser does."""
        self.browser.cookies.delete(session_cookie(self.issuer))

    def sign_in(self, key: str | None = None) -> Response:
        """Sign in to the account."""
        return self.post("/sign-in", key=key or self.key)

    def post(self, path: str, **fields: str) -> Response:
        """Send a form of a page, as a browser does."""
        return self.browser.post(path, data=fields, headers={"Origin": self.issuer})

    def consent(self, parameters: Mapping[str, str], *, key: str | None = None) -> Response:
        """Sign in and allow, and return the redirect."""
        if self.session:
            self.sign_out()
        page = self.open_page(parameters)
        assert page.status_code == 200, page.text
        decision = self.step(page, "sign-in", key=key or self.key)
        assert decision.status_code == 200, decision.text
        return self.step(decision, "allow")

    def code(self, client: RegisteredClient, pkce: Pkce, **changes: str | None) -> str:
        """Return a code that a person has given a client."""
        return query_of(self.consent(self.request(client, pkce, **changes)))["code"]

    def token(self, client: RegisteredClient, **parameters: str) -> Response:
        """Ask the token endpoint."""
        return self.browser.post("/token", data=client.credentials | parameters)

    def redeem(self, client: RegisteredClient, pkce: Pkce, code: str, **changes: str) -> Response:
        """Redeem a code."""
        parameters = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": client.redirect_uri,
            "code_verifier": pkce.verifier,
        }
        return self.token(client, **(parameters | changes))

    def refresh(self, client: RegisteredClient, refresh_token: str, **changes: str) -> Response:
        """Use a refresh token."""
        return self.token(client, **({"grant_type": "refresh_token", "refresh_token": refresh_token} | changes))

    def connect(self, client: RegisteredClient | None = None, **changes: str | None) -> dict[str, Any]:
        """Go all the way, and return the token endpoint's answer."""
        client = client or self.register()
        pkce = Pkce.generate()
        answer = self.redeem(client, pkce, self.code(client, pkce, **changes))
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens


def _principal(name: str, key: str) -> dict[str, object]:
    return {
        "scopes": ["read", "write", "admin"],
        "space": f"{name}-space",
        "usage_key": f"usage-key-of-{name}-0123456789",
        "keys": [{"sha256": hash_key(key), "expires_at": None}],
    }


def session_cookie(issuer: str) -> str:
    """Return the name of the session's cookie."""
    return ("__Host-" if issuer.startswith("https:") else "") + "remora-session"


def form_of(page: Response) -> str:
    """Return the hidden form of a page."""
    found = HIDDEN_FORM.search(page.text)
    assert found is not None, page.text
    return html.unescape(found[1])


def query_of(redirect: Response) -> dict[str, str]:
    """Return the parameters that a redirect carries, each of which must come once."""
    assert redirect.status_code == 303, redirect.text
    parameters = parse_qs(urlsplit(redirect.headers["location"]).query, keep_blank_values=True)
    assert all(len(values) == 1 for values in parameters.values())
    return {name: values[0] for name, values in parameters.items()}


def claims_of(access_token: str) -> dict[str, Any]:
    """Return what an access token says, as its bearer can read it."""
    claims: dict[str, Any] = jwt.decode(access_token, options={"verify_signature": False})
    return claims


Deploy = Callable[[str], Deployment]
