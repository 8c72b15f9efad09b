"""Attacks on the authorization server, each by its name."""

import base64
import hmac
import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from remora.auth.keys import Refusal, RefusedError, generate_key
from remora.auth.principal import Scope
from remora.auth.tokens import AccessToken, SigningKey, sign
from remora.oauth.settings import OAuthSettings
from remora.oauth.signing import TokenKeys
from tests.integration.oauth.deployment import (
    CLAUDE_CALLBACK,
    ISSUER,
    MCP,
    Deployment,
    Pkce,
    RegisteredClient,
    claims_of,
    form_of,
    query_of,
)


def signing_key(deployment: Deployment) -> SigningKey:
    """Return the deployment's own key, which an attacker does not have."""
    return TokenKeys(deployment.aws, deployment.settings.signing_secret, ISSUER).published()[0]


def refused_by(deployment: Deployment, token: str) -> Refusal:
    """Return why the authorizer would refuse a token."""
    with pytest.raises(RefusedError) as refused:
        TokenKeys(deployment.aws, deployment.settings.signing_secret, ISSUER).verify(token)
    return refused.value.reason


def encoded(part: object) -> str:
    """Return a part of a JWT."""
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def alert_of(page: str) -> str:
    """Return what a page complains about."""
    return page.split('role="alert">', 1)[1].split("<", 1)[0]


# ---- Codes ----


def test_code_replay_is_refused_and_ends_what_the_first_use_opened(deployment: Deployment) -> None:
    client, pkce = deployment.register(), Pkce.generate()
    code = deployment.code(client, pkce)
    tokens = deployment.redeem(client, pkce, code).json()
    replayed = deployment.redeem(client, pkce, code)
    assert replayed.status_code == 400
    assert replayed.json()["error"] == "invalid_grant"
    assert deployment.refresh(client, tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_code_for_another_client_is_refused_and_not_used_up(deployment: Deployment) -> None:
    client, thief, pkce = deployment.register(), deployment.register(), Pkce.generate()
    code = deployment.code(client, pkce)
    assert deployment.redeem(thief, pkce, code).json()["error"] == "invalid_grant"
    assert deployment.redeem(client, pkce, code).status_code == 200


def test_a_code_redeemed_with_another_redirect_uri_is_refused(deployment: Deployment) -> None:
    client, pkce = deployment.register(), Pkce.generate()
    code = deployment.code(client, pkce)
    refused = deployment.redeem(client, pkce, code, redirect_uri="https://claude.ai/api/mcp/other")
    assert refused.json()["error"] == "invalid_grant"


def test_a_code_is_good_for_a_minute(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    client, pkce = deployment.register(), Pkce.generate()
    code = deployment.code(client, pkce)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert deployment.redeem(client, pkce, code).json()["error"] == "invalid_grant"


# ---- Redirect URIs ----


@pytest.mark.parametrize(
    "trick",
    [
        "https://claude.ai/api/mcp/auth_callback/",
        "https://claude.ai/api/mcp/auth_callback?x=1",
        "https://claude.ai/api/mcp/auth_callback#x",
        "https://claude.ai/api/mcp/x/../auth_callback",
        "https://claude.ai/api/mcp/auth_callback%2f",
        "https://claude.ai:443/api/mcp/auth_callback",
        "https://CLAUDE.ai/api/mcp/auth_callback",
        "https://claude.ai.evil.example/api/mcp/auth_callback",
        "https://claude.ai@evil.example/api/mcp/auth_callback",
        "https://evil.example\\@claude.ai/api/mcp/auth_callback",
        "https://evil.example/?https://claude.ai/api/mcp/auth_callback",
        "http://claude.ai/api/mcp/auth_callback",
        "//claude.ai/api/mcp/auth_callback",
        "javascript:alert(1)",
        " https://claude.ai/api/mcp/auth_callback",
        "https://claude.ai/api/mcp/auth_callback\r\nX: y",
    ],
)
def test_redirect_uri_tricks_lead_nowhere(deployment: Deployment, trick: str) -> None:
    client = deployment.register()
    answer = deployment.open_page(deployment.request(client, Pkce.generate(), redirect_uri=trick))
    assert answer.status_code == 400
    assert "location" not in answer.headers
    # Nothing to click on either: it is not known to be the client's.
    assert "href=" not in answer.text


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:1234/callback",
        "http://127.0.0.1:65535/callback",
        "http://127.0.0.1/callback",
    ],
)
def test_a_loopback_redirect_may_differ_in_its_port(deployment: Deployment, uri: str) -> None:
    client = deployment.register(redirect_uris=["http://127.0.0.1:33418/callback"])
    answer = deployment.consent(deployment.request(client, Pkce.generate(), redirect_uri=uri))
    assert answer.headers["location"].startswith(uri + "?")


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:1234/other",
        "http://localhost:1234/callback",
        "http://127.0.0.2:1234/callback",
        "https://127.0.0.1:1234/callback",
        "http://127.0.0.1:1234/callback?x",
        "http://user@127.0.0.1:1234/callback",
        "http://127.0.0.1:99999/callback",
        "http://127.0.0.1.evil.example:1234/callback",
    ],
)
def test_a_loopback_redirect_may_differ_in_nothing_but_its_port(deployment: Deployment, uri: str) -> None:
    client = deployment.register(redirect_uris=["http://127.0.0.1:33418/callback"])
    assert deployment.open_page(deployment.request(client, Pkce.generate(), redirect_uri=uri)).status_code == 400


def test_the_endpoint_is_no_open_redirect(deployment: Deployment) -> None:
    """Anybody may register a client: an error must not send people on to it by itself."""
    client = deployment.register(redirect_uris=["https://phishing.example/"])
    for changes in ({"code_challenge": None}, {"resource": "https://other.example/mcp"}, {"response_type": "token"}):
        answer = deployment.open_page(deployment.request(client, Pkce.generate(), **changes))
        assert answer.status_code == 400
        assert "location" not in answer.headers
        assert "refresh" not in answer.headers
        assert "http-equiv" not in answer.text


def test_an_error_can_still_be_told_to_the_client_by_the_person(deployment: Deployment) -> None:
    client = deployment.register()
    page = deployment.open_page(deployment.request(client, Pkce.generate(), code_challenge_method="plain"))
    link = page.text.split('href="', 1)[1].split('"', 1)[0].replace("&amp;", "&")
    assert link.startswith(CLAUDE_CALLBACK + "?error=invalid_request")
    assert "state=the-state" in link
    assert "iss=https%3A%2F%2Fremora.example" in link


# ---- PKCE ----


@pytest.mark.parametrize("method", ["none", "client_secret_post", "client_secret_basic"])
@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge": None},
        {"code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": "s256"},
        {"code_challenge": "short"},
        {"code_challenge": "x" * 44},
    ],
)
def test_pkce_downgrade_and_missing_pkce_are_refused_for_every_kind_of_client(
    deployment: Deployment, method: str, changes: dict[str, str | None]
) -> None:
    client = deployment.register(token_endpoint_auth_method=method)
    page = deployment.open_page(deployment.request(client, Pkce.generate(), **changes))
    assert page.status_code == 400
    assert alert_of(page.text).startswith("PKCE is required")


@pytest.mark.parametrize("verifier", ["", "x" * 43, "short", "x" * 129])
def test_a_code_is_worth_nothing_without_its_verifier(deployment: Deployment, verifier: str) -> None:
    client, pkce = deployment.register(), Pkce.generate()
    code = deployment.code(client, pkce)
    refused = deployment.redeem(client, pkce, code, code_verifier=verifier)
    assert refused.status_code == 400
    assert refused.json()["error"] in {"invalid_grant", "invalid_request"}


def test_the_challenge_is_no_verifier(deployment: Deployment) -> None:
    client, pkce = deployment.register(), Pkce.generate()
    code = deployment.code(client, pkce)
    assert deployment.redeem(client, pkce, code, code_verifier=pkce.challenge).json()["error"] == "invalid_grant"


# ---- Mix-up, audience ----


def test_mix_up_is_noticed_by_the_issuer_in_every_answer(deployment: Deployment) -> None:
    client = deployment.register()
    yes = query_of(deployment.consent(deployment.request(client, Pkce.generate())))
    no = query_of(deployment.step(deployment.open_page(deployment.request(client, Pkce.generate())), "deny"))
    assert yes["iss"] == no["iss"] == ISSUER


def test_a_redirect_uri_cannot_bring_its_own_issuer_or_code(deployment: Deployment) -> None:
    """The server's own parameters come last, and a client that reads the first is not one that we can help."""
    client = deployment.register(redirect_uris=["https://client.example/callback?x=1"])
    location = deployment.consent(deployment.request(client, Pkce.generate())).headers["location"]
    assert urlsplit(location).query.startswith("x=1&code=")


@pytest.mark.parametrize(
    "resource",
    [
        "https://other.example/mcp",
        "https://remora.example.evil.example/mcp",
        "https://remora.example/mcp/../mcp",
        "https://remora.example/mcp?x",
        "https://remora.example/mcp#x",
        "https://remora.example/mc",
        "https://remora.example",
        "http://remora.example/mcp",
        "https://remora.example:8443/mcp",
        "https://user@remora.example/mcp",
        "urn:x",
    ],
)
def test_a_token_for_another_servers_audience_cannot_be_had(deployment: Deployment, resource: str) -> None:
    client = deployment.register()
    page = deployment.open_page(deployment.request(client, Pkce.generate(), resource=resource))
    assert page.status_code == 400
    assert "A resource is one of" in alert_of(page.text)


@pytest.mark.parametrize("resource", [MCP + "/", "https://REMORA.example/mcp", "HTTPS://remora.example/mcp"])
def test_spellings_of_the_same_resource_are_the_same_audience(deployment: Deployment, resource: str) -> None:
    assert claims_of(deployment.connect(resource=resource)["access_token"])["aud"] == MCP


def test_a_token_is_for_the_resource_that_was_asked_for_and_no_other(deployment: Deployment) -> None:
    tokens = deployment.connect(resource=MCP + "/memory")
    assert claims_of(tokens["access_token"])["aud"] == MCP + "/memory"


def test_a_client_that_names_no_resource_gets_a_token_for_this_deployments(deployment: Deployment) -> None:
    assert claims_of(deployment.connect(resource=None)["access_token"])["aud"] == [
        MCP,
        MCP + "/memory",
        MCP + "/chroma",
    ]


def test_the_token_endpoint_grants_no_other_audience_than_the_person_saw(deployment: Deployment) -> None:
    client, pkce = deployment.register(), Pkce.generate()
    code = deployment.code(client, pkce, resource=MCP + "/memory")
    refused = deployment.redeem(client, pkce, code, resource=MCP)
    assert refused.json()["error"] == "invalid_target"
    tokens = deployment.redeem(client, pkce, code, resource=MCP + "/memory").json()
    widened = deployment.refresh(client, tokens["refresh_token"], resource=MCP)
    assert widened.json()["error"] == "invalid_target"
    # Asking for too much does not use the token up.
    assert deployment.refresh(client, tokens["refresh_token"]).status_code == 200


# ---- Signatures ----


def test_tokens_with_the_algorithm_none_are_refused(deployment: Deployment) -> None:
    header, payload, _ = deployment.connect()["access_token"].split(".")
    forged_header = json.loads(base64.urlsafe_b64decode(header + "==")) | {"alg": "none"}
    for signature in ("", "x"):
        assert refused_by(deployment, f"{encoded(forged_header)}.{payload}.{signature}") is Refusal.MALFORMED


def test_alg_confusion_with_the_public_key_as_a_shared_secret_is_refused(deployment: Deployment) -> None:
    key = signing_key(deployment)
    public = key.private.public_key()
    _, payload, _ = deployment.connect()["access_token"].split(".")
    header = encoded({"alg": "HS256", "typ": "at+jwt", "kid": key.id})
    for secret in (
        public.public_bytes(Encoding.Raw, PublicFormat.Raw),
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(key.public_jwk()).encode(),
    ):
        signature = base64.urlsafe_b64encode(hmac.digest(secret, f"{header}.{payload}".encode(), "sha256"))
        assert refused_by(deployment, f"{header}.{payload}.{signature.decode().rstrip('=')}") is Refusal.MALFORMED


@pytest.mark.parametrize("header", ["jwk", "jku", "x5u", "x5c"])
def test_a_token_cannot_bring_the_key_that_it_is_verified_with(deployment: Deployment, header: str) -> None:
    attacker = SigningKey(Ed25519PrivateKey.generate(), signing_key(deployment).id)
    values: dict[str, object] = {
        "jwk": attacker.public_jwk(),
        "jku": "https://evil.example/jwks.json",
        "x5u": "https://evil.example/cert",
        "x5c": ["AAAA"],
    }
    forged = jwt.encode(
        claims_of(deployment.connect()["access_token"]),
        attacker.private,
        algorithm="EdDSA",
        headers={"kid": attacker.id, "typ": "at+jwt", header: values[header]},
    )
    assert refused_by(deployment, forged) is Refusal.UNKNOWN


def test_changing_one_claim_breaks_the_signature(deployment: Deployment) -> None:
    header, payload, signature = deployment.connect()["access_token"].split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    for name, value in {"sub": "bob", "scope": "read write admin", "space": "other", "exp": 2**40}.items():
        assert refused_by(deployment, f"{header}.{encoded(claims | {name: value})}.{signature}") is Refusal.UNKNOWN


@pytest.mark.parametrize(
    ("issued", "expires", "reason"),
    [
        (timedelta(hours=-1), timedelta(seconds=-10), Refusal.EXPIRED),
        (timedelta(minutes=10), timedelta(minutes=20), Refusal.UNKNOWN),
    ],
)
def test_expired_and_future_tokens_are_refused(
    deployment: Deployment, issued: timedelta, expires: timedelta, reason: Refusal
) -> None:
    now = datetime.now(UTC)
    token = AccessToken(
        principal_id="alice",
        key_id="0" * 16,
        client_id="x",
        scopes=frozenset({Scope.READ}),
        space="alice-space",
        audience=(MCP,),
        connection="x",
        id="x",
        issued_at=now + issued,
        expires_at=now + expires,
    )
    assert refused_by(deployment, sign(token, signing_key(deployment), ISSUER)) is reason


def test_a_token_of_another_deployment_is_refused(
    deployment: Deployment, new_settings: Callable[[], OAuthSettings]
) -> None:
    key = signing_key(deployment)
    claims = claims_of(deployment.connect()["access_token"]) | {"iss": "https://other.example"}
    same_key = jwt.encode(claims, key.private, algorithm="EdDSA", headers={"kid": key.id, "typ": "at+jwt"})
    assert refused_by(deployment, same_key) is Refusal.UNKNOWN
    other = TokenKeys(deployment.aws, new_settings().signing_secret, ISSUER)
    with pytest.raises(RefusedError):
        other.verify(deployment.connect()["access_token"])


@pytest.mark.parametrize("kind", ["consent form", "jwt"])
def test_no_other_thing_that_this_server_signs_passes_for_an_access_token(deployment: Deployment, kind: str) -> None:
    if kind == "consent form":
        forged = form_of(deployment.open_page(deployment.request(deployment.register(), Pkce.generate())))
    else:
        key = signing_key(deployment)
        claims = claims_of(deployment.connect()["access_token"])
        forged = jwt.encode(claims, key.private, algorithm="EdDSA", headers={"kid": key.id, "typ": "JWT"})
    assert refused_by(deployment, forged) is Refusal.MALFORMED


def test_an_access_token_passes_for_no_consent_form(deployment: Deployment) -> None:
    token = deployment.connect()["access_token"]
    answer = deployment.browser.post("/authorize", data={"form": token, "action": "allow"})
    assert answer.status_code == 400


# ---- Refresh tokens ----


def test_refresh_reuse_ends_the_connection_for_both(deployment: Deployment) -> None:
    client = deployment.register()
    stolen = deployment.connect(client)["refresh_token"]
    current = deployment.refresh(client, stolen).json()["refresh_token"]
    reused = deployment.refresh(client, stolen)
    assert reused.status_code == 400
    assert reused.json()["error"] == "invalid_grant"
    assert deployment.refresh(client, current).json()["error"] == "invalid_grant"


def test_refresh_reuse_after_many_rotations_is_noticed_too(deployment: Deployment) -> None:
    client = deployment.register()
    first = current = deployment.connect(client)["refresh_token"]
    for _ in range(3):
        current = deployment.refresh(client, current).json()["refresh_token"]
    assert deployment.refresh(client, first).json()["error"] == "invalid_grant"
    assert deployment.refresh(client, current).json()["error"] == "invalid_grant"


def test_another_client_can_neither_use_nor_end_a_connection(deployment: Deployment) -> None:
    client, thief = deployment.register(), deployment.register()
    tokens = deployment.connect(client)
    assert deployment.refresh(thief, tokens["refresh_token"]).json()["error"] == "invalid_grant"
    for kind in ("refresh_token", "access_token"):
        refused = deployment.browser.post("/revoke", data=thief.credentials | {"token": tokens[kind]})
        assert refused.status_code == 400
    # Half of the token is not enough either.
    half = tokens["refresh_token"].split(".")[0] + ".x"
    assert deployment.refresh(thief, half).json()["error"] == "invalid_grant"
    assert deployment.refresh(client, tokens["refresh_token"]).status_code == 200


def test_an_access_token_does_not_tell_the_refresh_tokens_id(deployment: Deployment) -> None:
    client = deployment.register()
    tokens = deployment.connect(client)
    sid = claims_of(tokens["access_token"])["sid"]
    assert sid not in tokens["refresh_token"]
    deployment.refresh(client, f"rmo_{sid}.x")
    assert deployment.refresh(client, tokens["refresh_token"]).status_code == 200


# ---- The person ----


def test_another_sites_form_is_refused(deployment: Deployment) -> None:
    page = deployment.open_page(deployment.request(deployment.register(), Pkce.generate()))
    for origin in ("https://evil.example", "null", "https://remora.example.evil.example", "http://remora.example"):
        answer = deployment.browser.post(
            "/authorize",
            data={"form": form_of(page), "action": "sign-in", "key": deployment.key},
            headers={"Origin": origin},
        )
        assert answer.status_code == 403
    own = deployment.browser.post(
        "/authorize",
        data={"form": form_of(page), "action": "sign-in", "key": deployment.key},
        headers={"Origin": ISSUER},
    )
    assert own.status_code == 200


def test_a_form_is_worth_nothing_in_another_browser(deployment: Deployment) -> None:
    page = deployment.open_page(deployment.request(deployment.register(), Pkce.generate()))
    decision = deployment.step(page, "sign-in", key=deployment.key)
    for stolen in (page, decision):
        fields = {"form": form_of(stolen), "action": "allow", "key": deployment.key}
        bare = deployment.new_browser()
        assert bare.post("/authorize", data=fields).status_code == 400
        other = deployment.new_browser()
        other.get("/authorize", params=deployment.request(deployment.register(), Pkce.generate()))
        assert other.post("/authorize", data=fields).status_code == 400


def test_a_form_cannot_be_changed(deployment: Deployment) -> None:
    page = deployment.open_page(deployment.request(deployment.register(), Pkce.generate()))
    header, payload, signature = form_of(page).split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["form"] |= {"principal_id": "alice", "key_id": "0" * 16, "space": "alice-space", "scopes": ["read"]}
    for forged in (f"{header}.{encoded(claims)}.{signature}", "", "x", "a.b.c"):
        answer = deployment.browser.post("/authorize", data={"form": forged, "action": "allow"})
        assert answer.status_code == 400


def test_a_decision_may_be_clicked_twice_but_yields_no_codes_without_end(deployment: Deployment) -> None:
    page = deployment.open_page(deployment.request(deployment.register(), Pkce.generate()))
    decision = deployment.step(page, "sign-in", key=deployment.key)
    codes = {query_of(deployment.step(decision, "allow"))["code"] for _ in range(5)}
    assert len(codes) == 5
    assert deployment.step(decision, "allow").status_code == 429


def test_guessing_on_one_page_is_stopped(deployment: Deployment) -> None:
    page = deployment.open_page(deployment.request(deployment.register(), Pkce.generate()))
    for _ in range(5):
        assert deployment.step(page, "sign-in", key=generate_key("alice")).status_code == 403
    stopped = deployment.step(page, "sign-in", key=deployment.key)
    assert stopped.status_code == 429
    assert int(stopped.headers["retry-after"]) > 0


def test_guessing_from_one_address_is_stopped(deployment: Deployment) -> None:
    client = deployment.register()
    for _ in range(5):
        page = deployment.open_page(deployment.request(client, Pkce.generate()))
        for _ in range(4):
            assert deployment.step(page, "sign-in", key=generate_key("alice")).status_code == 403
    page = deployment.open_page(deployment.request(client, Pkce.generate()))
    assert deployment.step(page, "sign-in", key=deployment.key).status_code == 429


def test_no_key_code_or_token_is_in_a_log_or_an_error_text(
    deployment: Deployment, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    # The AWS of the tests runs in this process, and reports what it is asked.
    for name in ("moto", "werkzeug"):
        caplog.set_level(logging.WARNING, name)
    wrong = generate_key("alice")
    client, pkce = deployment.register(token_endpoint_auth_method="client_secret_post"), Pkce.generate()
    page = deployment.open_page(deployment.request(client, pkce))
    answers = [deployment.step(page, "sign-in", key=wrong)]
    decision = deployment.step(page, "sign-in", key=deployment.key)
    code = query_of(deployment.step(decision, "allow"))["code"]
    answers.append(deployment.redeem(client, pkce, code, code_verifier="x" * 43))
    tokens = deployment.redeem(client, pkce, code).json()
    answers.append(deployment.redeem(client, pkce, code))
    answers.append(deployment.refresh(client, tokens["refresh_token"]))
    answers.append(
        deployment.browser.get("/authorize", params={"client_id": deployment.key, "state": deployment.key})
    )
    answers.append(deployment.browser.post("/token", data={"grant_type": "x", "client_id": deployment.key}))
    seen = "\n".join([caplog.text, *capfd.readouterr(), *(answer.text for answer in answers)])
    for secret in (
        deployment.key,
        wrong,
        code,
        pkce.verifier,
        client.secret or "",
        tokens["access_token"],
        tokens["refresh_token"],
    ):
        assert secret not in seen


def test_the_table_holds_no_secret(deployment: Deployment, dynamodb: Any) -> None:
    client, pkce = deployment.register(token_endpoint_auth_method="client_secret_post"), Pkce.generate()
    code = deployment.code(client, pkce)
    tokens = deployment.redeem(client, pkce, code).json()
    stored = json.dumps(dynamodb.scan(TableName=deployment.settings.oauth_table)["Items"], default=str)
    for secret in (deployment.key, code, client.secret or "", tokens["access_token"]):
        assert secret not in stored
    assert all(part not in stored for part in tokens["refresh_token"].removeprefix("rmo_").split("."))
    assert all("expires_at" in item for item in dynamodb.scan(TableName=deployment.settings.oauth_table)["Items"])


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "code_challenge", "scope", "state", "response_type"])
def test_parameter_pollution_is_refused(deployment: Deployment, name: str) -> None:
    parameters = deployment.request(deployment.register(), Pkce.generate())
    twice = urlencode([*parameters.items(), (name, parameters[name])])
    answer = deployment.browser.get(f"/authorize?{twice}")
    assert answer.status_code == 400
    assert alert_of(answer.text) == f"Parameter {name} comes more than once"


def test_parameters_that_come_twice_are_refused_at_the_token_endpoint(deployment: Deployment) -> None:
    client, pkce = deployment.register(), Pkce.generate()
    code = deployment.code(client, pkce)
    body = (
        f"grant_type=authorization_code&code={code}&code={code}&client_id={client.id}&code_verifier={pkce.verifier}"
    )
    answer = deployment.browser.post(
        "/token", content=body, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert answer.json()["error"] == "invalid_request"


def test_two_redemptions_at_the_same_time_give_one_connection_at_most(deployment: Deployment) -> None:
    client, pkce = deployment.register(), Pkce.generate()
    code = deployment.code(client, pkce)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: deployment.redeem(client, pkce, code), range(4)))
    assert sum(answer.status_code == 200 for answer in answers) <= 1


def test_two_refreshes_at_the_same_time_are_reuse(deployment: Deployment) -> None:
    client = deployment.register()
    token = deployment.connect(client)["refresh_token"]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: deployment.refresh(client, token), range(4)))
    assert sum(answer.status_code == 200 for answer in answers) <= 1


@pytest.mark.parametrize("client_id", ["rmc_made-up", "rmc_" + "x" * 24, "rmc_" + "x" * 3000, "x", "client#x"])
def test_a_client_made_up_by_the_caller_is_none(deployment: Deployment, client_id: str) -> None:
    stranger = RegisteredClient(client_id, CLAUDE_CALLBACK)
    assert deployment.refresh(stranger, "rmo_x.y").status_code == 401
    page = deployment.open_page(deployment.request(stranger, Pkce.generate()))
    assert page.status_code == 400
    assert "href=" not in page.text
