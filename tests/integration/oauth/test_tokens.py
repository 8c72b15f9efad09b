"""The token and revocation endpoints, and what their tokens say."""

import time
from base64 import b64encode

import pytest

from remora.auth.keys import Principals, RefusedError, generate_key, hash_key
from remora.auth.tokens import authenticate_token
from remora.oauth.connections import RefreshToken
from remora.oauth.signing import TokenKeys, new_signing_secret
from remora.oauth.store import Store
from tests.integration.oauth.deployment import CLAUDE_CALLBACK, ISSUER, MCP, Deployment, Pkce, claims_of


def keys_of(deployment: Deployment) -> TokenKeys:
    """Return the verifying side, as the authorizer has it."""
    return TokenKeys(deployment.aws, deployment.settings.signing_secret, ISSUER)


def test_a_code_is_redeemed_for_a_short_lived_access_token_and_a_refresh_token(deployment: Deployment) -> None:
    client, pkce = deployment.register(), Pkce.generate()
    answer = deployment.redeem(client, pkce, deployment.code(client, pkce))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    assert tokens["token_type"] == "Bearer"
    assert 300 <= tokens["expires_in"] <= 3600
    assert tokens["scope"] == "read write"
    assert tokens["refresh_token"].startswith("rmo_")


def test_an_access_token_says_what_the_authorizer_needs_and_nothing_secret(deployment: Deployment) -> None:
    client = deployment.register()
    access_token = deployment.connect(client)["access_token"]
    claims = claims_of(access_token)
    assert claims["iss"] == ISSUER
    assert claims["aud"] == MCP
    assert claims["sub"] == "alice"
    assert claims["client_id"] == client.id
    assert claims["space"] == "alice-space"
    assert claims["exp"] - claims["iat"] == 900
    assert "usage-key-of-alice" not in str(claims)
    assert hash_key(deployment.key) not in str(claims)


def test_the_authorizer_verifies_a_token_without_the_table(deployment: Deployment) -> None:
    token = keys_of(deployment).verify(deployment.connect()["access_token"])
    stored = {
        "scopes": ["read", "write"],
        "space": "alice-space",
        "usage_key": "usage-key-of-alice-0123456789",
        "keys": [{"sha256": hash_key(deployment.key)}],
    }
    principals = Principals.model_validate({"principals": {"alice": stored}})
    authenticated = authenticate_token(token, principals)
    assert authenticated.principal.id == "alice"
    assert authenticated.principal.space == "alice-space"
    assert sorted(authenticated.principal.scopes) == ["read", "write"]
    assert authenticated.usage_key == "usage-key-of-alice-0123456789"


def test_published_keys_are_those_that_tokens_are_signed_with(deployment: Deployment) -> None:
    (key,) = deployment.browser.get("/.well-known/jwks.json").json()["keys"]
    assert key["kty"] == "OKP"
    assert key["alg"] == "EdDSA"
    assert set(key) == {"kty", "crv", "x", "kid", "alg", "use"}


def test_keys_can_be_rotated_while_older_tokens_are_still_good(deployment: Deployment) -> None:
    before = deployment.connect()["access_token"]
    verifier = keys_of(deployment)
    verifier.verify(before)
    deployment.secretsmanager.put_secret_value(
        SecretId=deployment.settings.signing_secret, SecretString=new_signing_secret()
    )
    deployment.restart()
    after = deployment.connect()["access_token"]
    assert len(deployment.browser.get("/.well-known/jwks.json").json()["keys"]) == 2
    # One that had the old keys in memory learns of the new one when it meets it.
    verifier.verify(after)
    verifier.verify(before)


def test_after_two_rotations_the_first_keys_tokens_are_refused(deployment: Deployment) -> None:
    token = deployment.connect()["access_token"]
    for _ in range(2):
        deployment.secretsmanager.put_secret_value(
            SecretId=deployment.settings.signing_secret, SecretString=new_signing_secret()
        )
    with pytest.raises(RefusedError):
        keys_of(deployment).verify(token)


def test_a_page_that_was_opened_before_a_rotation_can_be_finished(deployment: Deployment) -> None:
    page = deployment.open_page(deployment.request(deployment.register(), Pkce.generate()))
    deployment.secretsmanager.put_secret_value(
        SecretId=deployment.settings.signing_secret, SecretString=new_signing_secret()
    )
    deployment.restart()
    assert deployment.step(page, "sign-in", key=deployment.key).status_code == 200


def test_a_refresh_token_is_replaced_each_time(deployment: Deployment) -> None:
    client = deployment.register()
    first = deployment.connect(client)
    second = deployment.refresh(client, first["refresh_token"]).json()
    third = deployment.refresh(client, second["refresh_token"]).json()
    assert len({first["refresh_token"], second["refresh_token"], third["refresh_token"]}) == 3
    assert claims_of(third["access_token"])["aud"] == MCP


def test_a_refresh_may_ask_for_less_and_later_for_all_again(deployment: Deployment) -> None:
    client = deployment.register()
    less = deployment.refresh(client, deployment.connect(client)["refresh_token"], scope="read").json()
    assert less["scope"] == "read"
    assert deployment.refresh(client, less["refresh_token"]).json()["scope"] == "read write"


def test_a_refresh_may_not_ask_for_more(deployment: Deployment) -> None:
    client = deployment.register()
    tokens = deployment.connect(client, scope="read")
    assert deployment.refresh(client, tokens["refresh_token"], scope="read write").json()["error"] == "invalid_scope"


def test_a_refresh_follows_what_the_principal_may_do_by_then(deployment: Deployment) -> None:
    client = deployment.register()
    tokens = deployment.connect(client)
    deployment.write_principals(scopes=["read"])
    assert deployment.refresh(client, tokens["refresh_token"]).json()["scope"] == "read"


@pytest.mark.parametrize("change", ["disabled", "key revoked", "key expired", "another space", "no scope left"])
def test_a_connection_ends_with_what_it_was_made_by(deployment: Deployment, change: str) -> None:
    client = deployment.register()
    tokens = deployment.connect(client)
    changes: dict[str, dict[str, object]] = {
        "disabled": {"disabled": True},
        "key revoked": {"keys": [{"sha256": hash_key(generate_key("alice"))}]},
        "key expired": {"keys": [{"sha256": hash_key(deployment.key), "expires_at": "2020-01-01T00:00:00Z"}]},
        "another space": {"space": "other-space"},
        "no scope left": {"scopes": ["admin"]},
    }
    deployment.write_principals(**changes[change])
    refused = deployment.refresh(client, tokens["refresh_token"])
    assert refused.status_code == 400
    assert refused.json()["error"] == "invalid_grant"
    # It does not come back when the change is undone.
    deployment.write_principals()
    assert deployment.refresh(client, tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_key_that_is_revoked_before_the_code_is_redeemed_opens_nothing(deployment: Deployment) -> None:
    client, pkce = deployment.register(), Pkce.generate()
    code = deployment.code(client, pkce)
    deployment.write_principals(disabled=True)
    assert deployment.redeem(client, pkce, code).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
@pytest.mark.parametrize("hint", [None, "refresh_token", "access_token", "something_else"])
def test_either_token_ends_the_connection_when_it_is_revoked(
    deployment: Deployment, kind: str, hint: str | None
) -> None:
    client = deployment.register()
    tokens = deployment.connect(client)
    parameters = client.credentials | {"token": tokens[kind]} | ({"token_type_hint": hint} if hint else {})
    assert deployment.browser.post("/revoke", data=parameters).status_code == 200
    assert deployment.refresh(client, tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_revoking_what_is_no_token_succeeds(deployment: Deployment) -> None:
    client = deployment.register()
    for token in ("nonsense", "rmo_a.b", "a.b.c", deployment.key):
        answer = deployment.browser.post("/revoke", data=client.credentials | {"token": token})
        assert answer.status_code == 200


def test_a_client_may_authenticate_in_each_way_that_the_metadata_names(deployment: Deployment) -> None:
    post = deployment.register(token_endpoint_auth_method="client_secret_post")
    assert deployment.connect(post)["scope"] == "read write"

    basic, pkce = deployment.register(token_endpoint_auth_method="client_secret_basic"), Pkce.generate()
    code = deployment.code(basic, pkce)
    # Without client_id in the body (RFC 6749, section 2.3.1).
    answer = deployment.browser.post(
        "/token",
        data={
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CLAUDE_CALLBACK,
            "code_verifier": pkce.verifier,
        },
        auth=(basic.id, basic.secret or ""),
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic"])
@pytest.mark.parametrize("secret", [None, "wrong"])
def test_a_confidential_client_without_its_secret_is_refused(
    deployment: Deployment, method: str, secret: str | None
) -> None:
    client, pkce = deployment.register(token_endpoint_auth_method=method), Pkce.generate()
    code = deployment.code(client, pkce)
    parameters = {"grant_type": "authorization_code", "code": code, "code_verifier": pkce.verifier}
    parameters |= {"client_id": client.id, "redirect_uri": CLAUDE_CALLBACK}
    if secret and method == "client_secret_post":
        parameters["client_secret"] = secret
    headers = {}
    if secret and method == "client_secret_basic":
        headers["Authorization"] = "Basic " + b64encode(f"{client.id}:{secret}".encode()).decode()
    refused = deployment.browser.post("/token", data=parameters, headers=headers)
    assert refused.status_code == 401
    assert refused.json()["error"] == "invalid_client"
    assert ("www-authenticate" in refused.headers) == ("Authorization" in headers)


def test_a_lost_registration_is_told_with_401_so_that_the_client_registers_again(deployment: Deployment) -> None:
    client = deployment.register()
    tokens = deployment.connect(client)
    answer = deployment.browser.post(
        "/token",
        data={"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": "rmc_gone"},
    )
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_client"


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "rmo_x.y"}, "invalid_grant"),
    ],
)
def test_requests_that_are_not_understood_are_told_why(
    deployment: Deployment, parameters: dict[str, str], error: str
) -> None:
    answer = deployment.token(deployment.register(), **parameters)
    assert answer.status_code == 400
    assert answer.json()["error"] == error


def test_only_forms_are_read(deployment: Deployment) -> None:
    for path in ("/token", "/revoke", "/authorize"):
        answer = deployment.browser.post(path, json={"grant_type": "refresh_token"})
        assert answer.status_code == 400
    assert deployment.browser.get("/token").status_code == 405


def test_a_connection_lasts_from_its_last_use(deployment: Deployment) -> None:
    client = deployment.register()
    store_time = time.time()
    tokens = deployment.refresh(client, deployment.connect(client)["refresh_token"]).json()
    token = RefreshToken.parse(tokens["refresh_token"])
    assert token is not None
    connection = Store(deployment.aws, deployment.settings.oauth_table).get_connection(token.connection_id)
    assert connection is not None
    assert connection.expires_at - store_time == pytest.approx(60 * 86_400, abs=60)
