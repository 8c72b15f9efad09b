"""Whatever is sent to the authorization server, it answers, and never with its own failure."""

from base64 import b64encode
from collections.abc import Callable
from json import dumps
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from mypy_boto3_secretsmanager import SecretsManagerClient
from starlette.testclient import TestClient

from remora.aws import Aws
from remora.oauth.settings import OAuthSettings
from tests.integration.oauth.deployment import ISSUER, Deployment, Pkce, RegisteredClient, Web, claims_of, form_of

FUZZ = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))

PARAMETERS = [
    *("client_id", "client_secret", "code", "code_challenge", "code_challenge_method", "code_verifier", "grant_type"),
    *("redirect_uri", "refresh_token", "resource", "response_type", "scope", "state", "token", "token_type_hint"),
    *("form", "action", "key", "prompt", "request_uri"),
]
WORDS = [
    *(
        "",
        "code",
        "token",
        "S256",
        "plain",
        "authorization_code",
        "refresh_token",
        "none",
        "allow",
        "deny",
        "sign-in",
    ),
    *("https://claude.ai/api/mcp/auth_callback", "http://[::1", "https://[x]/", "https://a.example/\u2028", "a\x00b"),
    *("https://remora.example/mcp", "urn:x", "rmo_x.y", "rmo_", "eyJ.eyJ.x", "eyJhbGciOiJub25lIn0.e30.", '"', "\\"),
    *(
        "https://client.example/x",
        "rmc_x",
        "%",
        "%zz",
        "😀",
        "\ud83d".encode("utf-8", "replace").decode(),
        "x" * 5000,
    ),
]


@pytest.fixture
def made(
    new_settings: Callable[[], OAuthSettings],
    secretsmanager: SecretsManagerClient,
    monkeypatch: pytest.MonkeyPatch,
) -> Deployment:
    """An authorization server that counts nothing, so that it goes on answering."""
    monkeypatch.setattr("remora.oauth.throttling.Throttle.admit", lambda *_: None)
    deployment = Deployment(new_settings(), ISSUER, Web(), Aws(), secretsmanager)
    deployment.write_principals()
    deployment.web.publish("https://client.example/x")
    return deployment


def values(*, known: list[str]) -> SearchStrategy[str]:
    """Draw values that mean something and values that do not."""
    return st.one_of(st.sampled_from([*WORDS, *known]), st.text(max_size=60))


@st.composite
def forms(draw: DrawFn, known: list[str]) -> list[tuple[str, str]]:
    """Draw the parameters of a request."""
    names = st.one_of(st.sampled_from(PARAMETERS), st.text(max_size=10))
    return draw(st.lists(st.tuples(names, values(known=known)), max_size=12))


def ask(browser: TestClient, method: str, path: str, **request: Any) -> None:
    """Send a request, and see that it is answered."""
    answer = browser.request(method, path, **request)
    assert answer.status_code < 500
    assert answer.headers["x-content-type-options"] == "nosniff"


def encoded(pairs: list[tuple[str, str]]) -> str:
    """Return parameters as a form."""
    return urlencode([(name, value.encode("utf-8", "replace")) for name, value in pairs])


def test_no_form_breaks_an_endpoint(made: Deployment) -> None:
    client = made.register(token_endpoint_auth_method="client_secret_post")
    pkce = Pkce.generate()
    page = made.open_page(made.request(client, pkce))
    tokens = made.connect(client)
    known = [client.id, client.secret or "", client.redirect_uri, form_of(page), made.key, *map(str, tokens.values())]
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    @FUZZ
    @given(path=st.sampled_from(["/token", "/revoke", "/authorize"]), pairs=forms(known))
    def send(path: str, pairs: list[tuple[str, str]]) -> None:
        ask(made.browser, "POST", path, content=encoded(pairs), headers=headers)

    send()


def test_nothing_breaks_the_account(made: Deployment) -> None:
    connection = claims_of(made.connect()["access_token"])["sid"]
    session = str(made.session)
    # The session stays what it is: signing out and in again would change what is tried next.
    made.sign_out()
    known = [connection, "alice", "disconnect", "disconnect-all", "switch", made.key, session]
    cookies = st.sampled_from([session, session[:-2], "", "x.y.z", session.replace(".", '."')])
    fields = st.sampled_from(["action", "principal", "connection", "key", "done"])

    @FUZZ
    @given(
        method=st.sampled_from(["GET", "POST"]),
        path=st.sampled_from(["/sign-in", "/account", "/authorize"]),
        pairs=st.lists(st.tuples(fields, values(known=known)), max_size=5),
        query=st.lists(st.tuples(fields, values(known=known)), max_size=3),
        cookie=cookies,
    )
    def send(method: str, path: str, pairs: list[tuple[str, str]], query: list[tuple[str, str]], cookie: str) -> None:
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": f"__Host-remora-session={cookie}",
            "Origin": ISSUER,
        }
        made.browser.cookies.clear()
        ask(made.browser, method, f"{path}?{encoded(query)}", content=encoded(pairs), headers=headers)

    send()


def test_no_query_breaks_the_authorization_endpoint(made: Deployment) -> None:
    client, pkce = made.register(), Pkce.generate()
    good = made.request(client, pkce)

    @FUZZ
    @given(
        changed=st.dictionaries(st.sampled_from(sorted(good)), values(known=[client.id]), max_size=3),
        more=forms([client.id]),
    )
    def send(changed: dict[str, str], more: list[tuple[str, str]]) -> None:
        ask(made.browser, "GET", f"/authorize?{encoded([*(good | changed).items(), *more])}")

    send()


def test_no_bytes_break_an_endpoint(made: Deployment) -> None:
    @FUZZ
    @given(
        path=st.sampled_from(["/token", "/revoke", "/register", "/authorize", "/sign-in", "/account"]),
        body=st.binary(max_size=300),
        media_type=st.sampled_from(
            ["application/x-www-form-urlencoded", "application/json", "multipart/form-data", ""]
        ),
    )
    def send(path: str, body: bytes, media_type: str) -> None:
        ask(made.browser, "POST", path, content=body, headers={"Content-Type": media_type, "Origin": ISSUER})

    send()


def test_no_json_breaks_registration(made: Deployment) -> None:
    json = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | values(known=[]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    )
    members = st.sampled_from(
        ["redirect_uris", "client_name", "grant_types", "response_types", "token_endpoint_auth_method", "scope"]
    )

    @FUZZ
    @given(document=st.dictionaries(members, json, max_size=6))
    def send(document: dict[str, Any]) -> None:
        ask(made.browser, "POST", "/register", content=dumps(document).encode("utf-8", "replace"))

    send()


def test_no_header_breaks_an_endpoint(made: Deployment) -> None:
    text = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)
    basic = st.binary(max_size=40).map(lambda raw: "Basic " + b64encode(raw).decode())
    client = made.register(token_endpoint_auth_method="client_secret_basic")

    @FUZZ
    @given(authorization=st.one_of(text, basic, text.map(lambda rest: "Basic " + rest)), cookie=text, origin=text)
    def send(authorization: str, cookie: str, origin: str) -> None:
        headers = {
            "Authorization": authorization.strip().encode("latin-1"),
            "Cookie": f"__Host-remora-consent={cookie}".strip().encode("latin-1"),
            "Content-Type": b"application/x-www-form-urlencoded",
        }
        ask(
            made.browser, "POST", "/token", content=f"grant_type=refresh_token&client_id={client.id}", headers=headers
        )
        headers["Origin"] = origin.strip().encode("latin-1")
        ask(made.browser, "POST", "/authorize", content="action=allow&form=x", headers=headers)

    send()


def test_no_document_breaks_the_authorization_endpoint(made: Deployment) -> None:
    url = "https://client.example/fuzzed"
    client = RegisteredClient(url, "https://client.example/callback")

    @FUZZ
    @given(
        content=st.one_of(
            st.binary(max_size=200),
            st.dictionaries(
                st.sampled_from(["client_id", "redirect_uris", "client_name", "token_endpoint_auth_method"]),
                st.one_of(st.just(url), values(known=[]), st.lists(values(known=[]), max_size=3), st.none()),
            ).map(lambda document: dumps(document).encode("utf-8", "replace")),
        )
    )
    def send(content: bytes) -> None:
        made.web.documents[url] = content
        made.web.asked.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("remora.oauth.store.Store.get_document", lambda *_: None)
            ask(made.browser, "GET", "/authorize", params=made.request(client, Pkce.generate()))
        assert made.web.asked == [url]

    send()
