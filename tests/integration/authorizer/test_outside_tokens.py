"""Tokens of an outside issuer, against a real one on this machine: its keys, the providers' forms, and attacks."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from remora.auth.keys import Principals, Refusal, RefusedError
from remora.auth.outside import issuer as issuer_module
from remora.auth.outside.issuer import OutsideIssuer
from remora.auth.outside.keys import (
    FRESH_SECONDS,
    KEPT_SECONDS,
    MAXIMUM_BYTES,
    REFETCH_SECONDS,
    RETRY_SECONDS,
    IssuerKeys,
)
from remora.auth.outside.tokens import MAXIMUM_LENGTH, issuer_of
from remora.auth.principal import Principal, Scope
from remora.config import AuthorizerSettings
from remora.errors import UnavailableError
from remora.oauth import fetching
from remora.oauth.fetching import fetch_json
from tests.support.issuer import (
    Answer,
    Issuer,
    Key,
    ec_key,
    ed25519_key,
    encode,
    json_answer,
    rsa_key,
    serving_issuer,
)

PRINCIPALS = Principals.model_validate(
    {
        "principals": {
            "alice": {
                "scopes": ["read", "write"],
                "space": "alice-space",
                "usage_key": "usage-key-of-alice-0123456789",
                "identities": ["alice-at-issuer"],
            }
        }
    }
)
ALICE = Principal(id="alice", scopes=frozenset({Scope.READ, Scope.WRITE}), space="alice-space")
SIGNING_KEY = rsa_key()
OTHER_KEY = rsa_key("rsa-2")


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """An issuer of this machine."""
    with serving_issuer(SIGNING_KEY) as served:
        yield served


@dataclass
class Clock:
    """A clock that a test sets."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def settings(issuer: Issuer, **changes: Any) -> AuthorizerSettings:
    """Return settings that trust an issuer, with changes."""
    members = {"principals_secret": "p", "outside_issuer": issuer.url, "outside_audience": ("remora-client",)}
    return AuthorizerSettings.model_validate(members | changes)


def trusting(issuer: Issuer, clock: Clock | None = None, **changes: Any) -> OutsideIssuer:
    """Return what an authorizer that trusts an issuer keeps."""
    return OutsideIssuer(settings(issuer, **changes), clock=clock or Clock())


def refused(outside: OutsideIssuer, token: str) -> Refusal:
    """Return why a token is refused."""
    with pytest.raises(RefusedError) as error:
        outside.authenticate(token, PRINCIPALS)
    assert str(error.value) == error.value.reason
    return error.value.reason


def test_a_token_of_the_issuer_stands_for_its_principal(issuer: Issuer) -> None:
    found = trusting(issuer).authenticate(issuer.token(), PRINCIPALS)
    assert found.principal == ALICE
    assert found.usage_key == "usage-key-of-alice-0123456789"


@pytest.mark.parametrize(
    "key",
    [rsa_key("rsa-3"), Key("ps-1", rsa_key().private, "PS256"), ec_key(), ed25519_key()],
    ids=["RS256", "PS256", "ES256", "EdDSA"],
)
def test_each_algorithm_of_the_list_is_accepted(issuer: Issuer, key: Key) -> None:
    issuer.published.append(key.jwk())
    assert trusting(issuer).authenticate(issuer.token(key), PRINCIPALS).principal == ALICE


def test_a_key_that_names_no_algorithm_and_no_use_can_be_used(issuer: Issuer) -> None:
    bare = SIGNING_KEY.jwk()
    del bare["alg"], bare["use"]
    issuer.published[:] = [bare]
    assert trusting(issuer).authenticate(issuer.token(), PRINCIPALS).principal == ALICE


def test_the_issuer_of_a_token_is_told_before_anything_is_verified(issuer: Issuer) -> None:
    forged = f"{encode({'alg': 'none'})}.{encode({'iss': 'https://other.example'})}.{encode('x')}"
    assert issuer_of(forged) == "https://other.example"
    assert issuer_of(issuer.token()) == issuer.url


# ---- The forms in which the five providers write their tokens (sources: docs/outside-issuers.md) ----


@dataclass(frozen=True)
class Provider:
    """A provider's token, and the settings that its documentation in docs/outside-issuers.md names."""

    path: str
    header: dict[str, Any]
    claims: dict[str, Any]
    settings: dict[str, Any]
    identity: str
    key_changes: dict[str, Any]


_ENTRA_TENANT = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
_ENTRA_API = "11112222-bbbb-3333-cccc-4444dddd5555"
_ENTRA_USER = "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb"
_COGNITO_USER = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
_COGNITO_CLIENT = "1example23456789"
_COGNITO_CLAIMS = {
    "sub": _COGNITO_USER,
    "aud": None,
    "cognito:groups": ["team"],
    "version": 2,
    "client_id": _COGNITO_CLIENT,
    "origin_jti": "aaaaaaaa-0000-cccc-dddd-eeeeeeeeeeee",
    "token_use": "access",
    "scope": "openid remora/read remora/write billing/admin",
    "auth_time": 1_676_313_851,
    "jti": "aaaaaaaa-1111-cccc-dddd-eeeeeeeeeeee",
    "username": "my-test-user",
}
_AUTH0_CLAIMS = {
    "sub": "auth0|6553da60a54af58e29493993",
    "aud": ["https://memory.example.com/mcp", "https://tenant.eu.auth0.com/userinfo"],
    "azp": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja",
    "scope": "openid profile offline_access read write",
}
_OKTA_CLAIMS = {
    "ver": 1,
    "jti": "AT.MNAoEQ_jbKqoinrQo1D0XKjMX28U5d7ZszBceot7-Ts",
    "aud": "api://default",
    "sub": "alice@example.com",
    "cid": "0oabucvy2phmvRdX60h7",
    "uid": "00ucuvj1bqaOnKjoF0h7",
    "scp": ["openid", "read", "write"],
    "auth_time": 1_688_145_909,
}
PROVIDERS = {
    "Cognito": Provider(
        "/eu-central-1_AbCdEfGhI",
        {"typ": None},
        _COGNITO_CLAIMS,
        {"outside_audience": (_COGNITO_CLIENT,), "outside_scopes_claim": "scope"},
        _COGNITO_USER,
        {},
    ),
    "Cognito, for a resource": Provider(
        "/eu-central-1_AbCdEfGhI",
        {"typ": None},
        _COGNITO_CLAIMS | {"aud": "https://memory.example.com/mcp", "client_id": "9another98765432"},
        {"outside_audience": ("https://memory.example.com/mcp",), "outside_scopes_claim": "scope"},
        _COGNITO_USER,
        {},
    ),
    "Google": Provider(
        "",
        {"typ": "JWT"},
        {
            "azp": "1234987819200.apps.googleusercontent.com",
            "aud": "1234987819200.apps.googleusercontent.com",
            "sub": "10769150350006150715113082367",
            "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q",
            "hd": "example.com",
            "email": "alice@example.com",
            "email_verified": True,
            "nonce": "0394852-3190485-2490358",
        },
        {"outside_audience": ("1234987819200.apps.googleusercontent.com",)},
        "10769150350006150715113082367",
        {},
    ),
    "Google, by e-mail": Provider(
        "",
        {"typ": "JWT"},
        {
            "aud": "1234987819200.apps.googleusercontent.com",
            "sub": "10769150350006150715113082367",
            "email": "alice@example.com",
            "email_verified": True,
        },
        {"outside_audience": ("1234987819200.apps.googleusercontent.com",), "outside_principal_claim": "email"},
        "alice@example.com",
        {},
    ),
    "Entra ID, version 2": Provider(
        f"/{_ENTRA_TENANT}/v2.0",
        {"typ": "JWT"},
        {
            "aud": _ENTRA_API,
            "azp": "00001111-aaaa-2222-bbbb-3333cccc4444",
            "azpacr": "0",
            "name": "Alice",
            "oid": _ENTRA_USER,
            "preferred_username": "alice@example.com",
            "scp": "read write",
            "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
            "tid": _ENTRA_TENANT,
            "ver": "2.0",
        },
        {
            "outside_audience": (_ENTRA_API,),
            "outside_principal_claim": "oid",
            "outside_scopes_claim": "scp",
        },
        _ENTRA_USER,
        {"alg": None},
    ),
    "Entra ID, version 1": Provider(
        f"/{_ENTRA_TENANT}/",
        {"typ": "JWT", "x5t": "rsa-1"},
        {
            "aud": f"api://{_ENTRA_API}",
            "acr": "1",
            "amr": ["pwd"],
            "appid": "00001111-aaaa-2222-bbbb-3333cccc4444",
            "oid": _ENTRA_USER,
            "scp": "read write",
            "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
            "tid": _ENTRA_TENANT,
            "unique_name": "alice@example.com",
            "ver": "1.0",
        },
        {
            "outside_audience": (f"api://{_ENTRA_API}", _ENTRA_API),
            "outside_principal_claim": "oid",
            "outside_scopes_claim": "scp",
        },
        _ENTRA_USER,
        {"alg": None},
    ),
    "Entra ID, roles": Provider(
        f"/{_ENTRA_TENANT}/v2.0",
        {"typ": "JWT"},
        {
            "aud": _ENTRA_API,
            "idtyp": "app",
            "oid": _ENTRA_USER,
            "sub": _ENTRA_USER,
            "roles": ["remora.read", "remora.write"],
            "ver": "2.0",
        },
        {
            "outside_audience": (_ENTRA_API,),
            "outside_principal_claim": "oid",
            "outside_scopes_claim": "roles",
        },
        _ENTRA_USER,
        {"alg": None},
    ),
    "Auth0": Provider(
        "/",
        {"typ": "JWT"},
        _AUTH0_CLAIMS,
        {"outside_audience": ("https://memory.example.com/mcp",), "outside_scopes_claim": "scope"},
        "auth0|6553da60a54af58e29493993",
        {},
    ),
    "Auth0, RFC 9068": Provider(
        "/",
        {"typ": "at+jwt"},
        _AUTH0_CLAIMS
        | {"azp": None, "client_id": "K1AUPhZq8mRi0Q0pjhkfu1D7y6KjDQja", "permissions": ["read", "write"]},
        {"outside_audience": ("https://memory.example.com/mcp",), "outside_scopes_claim": "permissions"},
        "auth0|6553da60a54af58e29493993",
        {},
    ),
    "Okta": Provider(
        "/oauth2/default",
        {"typ": None},
        _OKTA_CLAIMS,
        {
            "outside_audience": ("api://default",),
            "outside_principal_claim": "uid",
            "outside_scopes_claim": "scp",
        },
        "00ucuvj1bqaOnKjoF0h7",
        {},
    ),
}


@pytest.mark.parametrize("name", sorted(PROVIDERS))
def test_a_providers_token_is_accepted_with_the_settings_that_the_documentation_names(
    issuer: Issuer, name: str
) -> None:
    provider = PROVIDERS[name]
    issuer.path = provider.path
    changed = SIGNING_KEY.jwk(**provider.key_changes)
    issuer.published[:] = [{member: value for member, value in changed.items() if value is not None}]
    alice = PRINCIPALS.principals["alice"].model_copy(update={"identities": (provider.identity,)})
    token = issuer.token(header=provider.header, **provider.claims)
    found = trusting(issuer, **provider.settings).authenticate(token, Principals(principals={"alice": alice}))
    assert found.principal == ALICE


def test_the_id_token_of_cognito_is_not_taken_for_an_access_token(issuer: Issuer) -> None:
    outside = trusting(issuer)
    assert refused(outside, issuer.token(token_use="id")) is Refusal.UNKNOWN
    assert outside.authenticate(issuer.token(token_use="access"), PRINCIPALS).principal == ALICE


# ---- Attacks ----


def test_algorithm_confusion_a_public_key_as_the_secret_of_an_hmac(issuer: Issuer) -> None:
    public = SIGNING_KEY.private.public_key()
    secrets = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(SIGNING_KEY.jwk()).encode(),
    ]
    outside = trusting(issuer)
    for secret in secrets:
        for algorithm, digest in (("HS256", hashlib.sha256), ("HS512", hashlib.sha512)):
            text = f"{encode({'alg': algorithm, 'kid': SIGNING_KEY.id})}.{encode(issuer.claims())}"
            forged = f"{text}.{encode(hmac.new(secret, text.encode(), digest).digest())}"
            assert refused(outside, forged) is Refusal.MALFORMED
    assert issuer.asked == []


def test_a_secret_that_the_issuer_publishes_is_no_key(issuer: Issuer) -> None:
    secret = b"s" * 32
    jwk = {"kty": "oct", "kid": "shared", "alg": "RS256", "k": base64.urlsafe_b64encode(secret).decode()}
    issuer.published.append(jwk)
    text = f"{encode({'alg': 'RS256', 'kid': 'shared'})}.{encode(issuer.claims())}"
    forged = f"{text}.{encode(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"
    assert refused(trusting(issuer), forged) is Refusal.UNKNOWN


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "", None, "HS256", "RS384", "ES384", "RS1", ["RS256"]])
def test_no_other_algorithm_and_none_is_accepted(issuer: Issuer, algorithm: object) -> None:
    outside = trusting(issuer)
    header = {"alg": algorithm, "kid": SIGNING_KEY.id, "typ": "JWT"}
    for signature in ("", encode("x")):
        forged = f"{encode(header)}.{encode(issuer.claims())}.{signature}"
        assert refused(outside, forged) is Refusal.MALFORMED
    assert refused(outside, issuer.signed(header, issuer.claims())) is Refusal.MALFORMED


@pytest.mark.parametrize("algorithm", ["PS256", "ES256", "EdDSA"])
def test_a_key_is_not_used_with_an_algorithm_of_another_type(issuer: Issuer, algorithm: str) -> None:
    header = {"alg": algorithm, "kid": SIGNING_KEY.id}
    assert refused(trusting(issuer), issuer.signed(header, issuer.claims())) is Refusal.UNKNOWN


def test_a_token_that_somebody_else_signed_is_refused(issuer: Issuer) -> None:
    forged = issuer.token(Key(SIGNING_KEY.id, OTHER_KEY.private))
    assert refused(trusting(issuer), forged) is Refusal.UNKNOWN


def test_a_changed_claim_or_header_breaks_the_signature(issuer: Issuer) -> None:
    header, claims, signature = issuer.token(sub="bob").split(".")
    changed = [
        f"{header}.{encode(issuer.claims())}.{signature}",
        f"{encode({'alg': 'RS256', 'kid': SIGNING_KEY.id})}.{claims}.{signature}",
    ]
    outside = trusting(issuer)
    assert [refused(outside, token) for token in changed] == [Refusal.UNKNOWN] * 2


@pytest.mark.parametrize(
    "audience",
    [
        "another-client",
        ["another-client"],
        [],
        "",
        ["remora-client-2"],
        "REMORA-CLIENT",
        {"remora-client": 1},
        7,
        True,
    ],
)
def test_a_token_for_another_service_is_refused(issuer: Issuer, audience: object) -> None:
    assert refused(trusting(issuer), issuer.token(aud=audience)) is Refusal.UNKNOWN


def test_the_id_token_of_another_client_is_refused(issuer: Issuer) -> None:
    token = issuer.token(aud="another-client", azp="remora-client", client_id="remora-client", nonce="n")
    assert refused(trusting(issuer), token) is Refusal.UNKNOWN


def test_a_client_stands_in_for_an_audience_only_in_an_access_token_of_cognito_that_has_none(issuer: Issuer) -> None:
    outside = trusting(issuer)
    good: dict[str, Any] = {"aud": None, "client_id": "remora-client", "token_use": "access"}
    assert outside.authenticate(issuer.token(**good), PRINCIPALS).principal == ALICE
    bad: list[dict[str, Any]] = [
        good | {"client_id": "another-client"},
        good | {"client_id": None},
        good | {"client_id": ["remora-client"]},
        good | {"token_use": "id"},
        good | {"token_use": None},
        good | {"aud": "another-client"},
        good | {"aud": []},
    ]
    for claims in bad:
        assert refused(outside, issuer.token(**claims)) is Refusal.UNKNOWN
    null = issuer.signed({"alg": "RS256", "kid": SIGNING_KEY.id}, issuer.claims(**good) | {"aud": None})
    assert refused(outside, null) is Refusal.UNKNOWN


@pytest.mark.parametrize("suffix", ["/", "/v2.0", ".evil.example", "@evil.example", "?", "#"])
def test_a_token_of_another_issuer_is_refused_without_asking_for_keys(issuer: Issuer, suffix: str) -> None:
    outside = trusting(issuer)
    assert refused(outside, issuer.token(iss=issuer.url + suffix)) is Refusal.UNKNOWN
    assert refused(outside, issuer.token(iss=issuer.url.upper())) is Refusal.UNKNOWN
    assert issuer.asked == []


@pytest.mark.parametrize("value", [None, 7, ["x"], {"a": 1}, ""])
def test_a_token_that_names_no_issuer_is_refused(issuer: Issuer, value: object) -> None:
    token = issuer.signed({"alg": "RS256", "kid": SIGNING_KEY.id}, issuer.claims() | {"iss": value})
    assert refused(trusting(issuer), token) is Refusal.MALFORMED


def test_times_are_checked_with_a_small_leeway(issuer: Issuer) -> None:
    now = int(time.time())
    outside = trusting(issuer)
    assert refused(outside, issuer.token(exp=now - 60)) is Refusal.EXPIRED
    assert refused(outside, issuer.token(nbf=now + 120)) is Refusal.UNKNOWN
    assert refused(outside, issuer.token(iat=now + 120)) is Refusal.UNKNOWN
    for good in (issuer.token(exp=now - 5), issuer.token(nbf=now + 10), issuer.token(iat=now + 10)):
        assert outside.authenticate(good, PRINCIPALS).principal == ALICE


@pytest.mark.parametrize("claim", ["exp", "iat"])
def test_a_token_without_a_time_is_refused(issuer: Issuer, claim: str) -> None:
    assert refused(trusting(issuer), issuer.token(**{claim: None})) is Refusal.UNKNOWN


@pytest.mark.parametrize("value", ["soon", "1e400", [], {}, "NaN"])
@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
def test_a_time_that_is_none_is_refused(issuer: Issuer, claim: str, value: object) -> None:
    header = {"alg": "RS256", "kid": SIGNING_KEY.id}
    assert refused(trusting(issuer), issuer.signed(header, issuer.claims() | {claim: value})) is Refusal.UNKNOWN


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e400", "-Infinity"])
def test_a_number_that_no_time_can_be_is_refused(issuer: Issuer, number: str) -> None:
    claims = json.dumps(issuer.claims() | {"exp": "?"}).replace('"?"', number)
    token = issuer.signed({"alg": "RS256", "kid": SIGNING_KEY.id}, claims)
    assert refused(trusting(issuer), token) in {Refusal.UNKNOWN, Refusal.EXPIRED}


@pytest.mark.parametrize(
    "headers",
    [
        {"jwk": OTHER_KEY.jwk()},
        {"jwk": OTHER_KEY.jwk(kid=SIGNING_KEY.id)},
        {"x5c": ["MIIB"]},
        {"jku": "{origin}/attacker", "x5u": "{origin}/attacker"},
    ],
    ids=["jwk", "jwk of the same name", "x5c", "jku and x5u"],
)
def test_a_key_that_the_token_brings_or_points_to_is_ignored(issuer: Issuer, headers: dict[str, Any]) -> None:
    issuer.answers["/attacker"] = lambda: json_answer({"keys": [OTHER_KEY.jwk(kid=SIGNING_KEY.id)]})
    headers = {
        name: value.format(origin=issuer.origin) if isinstance(value, str) else value
        for name, value in headers.items()
    }
    forged = issuer.token(Key(SIGNING_KEY.id, OTHER_KEY.private), header=headers)
    outside = trusting(issuer)
    assert refused(outside, forged) is Refusal.UNKNOWN
    assert "/attacker" not in issuer.asked
    # Some issuers add such headers to good tokens.
    assert outside.authenticate(issuer.token(header=headers), PRINCIPALS).principal == ALICE


@pytest.mark.parametrize(
    "name",
    [
        "../../../../dev/null",
        "/dev/null",
        "file:///etc/passwd",
        "http://127.0.0.1/keys",
        "x' UNION SELECT 'secret",
        "rsa-1\x00",
        "rsa-1 ",
        "RSA-1",
        "*",
    ],
)
def test_a_key_id_is_a_name_and_nothing_else(issuer: Issuer, name: str) -> None:
    forged = issuer.token(Key(name, OTHER_KEY.private))
    assert refused(trusting(issuer), forged) is Refusal.UNKNOWN
    assert set(issuer.asked) <= {"/.well-known/openid-configuration", "/keys"}


@pytest.mark.parametrize("name", [None, "", 7, ["rsa-1"], "x" * 257])
def test_a_token_that_names_no_key_is_refused(issuer: Issuer, name: object) -> None:
    token = issuer.signed({"alg": "RS256", "kid": name}, issuer.claims())
    assert refused(trusting(issuer), token) is Refusal.MALFORMED
    assert issuer.asked == []


@pytest.mark.parametrize(
    "claims",
    [
        '{"sub":"bob",',
        '{"aud":"another-client",',
        '{"exp":1,',
        '{"iss":"https://other.example",',
        '{"extra":1,"extra":1,',
    ],
)
def test_duplicate_claims_are_refused(issuer: Issuer, claims: str) -> None:
    doubled = claims + json.dumps(issuer.claims())[1:]
    token = issuer.signed({"alg": "RS256", "kid": SIGNING_KEY.id}, doubled)
    assert refused(trusting(issuer), token) is Refusal.MALFORMED


def test_duplicate_headers_are_refused(issuer: Issuer) -> None:
    header = f'{{"alg":"none","alg":"RS256","kid":"{SIGNING_KEY.id}"}}'
    assert refused(trusting(issuer), issuer.signed(header, issuer.claims())) is Refusal.MALFORMED


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "logout+jwt"},
        {"typ": "dpop+jwt"},
        {"typ": "secevent+jwt"},
        {"typ": "application/okta-internal-at+jwt"},
        {"typ": 7},
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"crit": ["b64"], "b64": False},
    ],
)
def test_another_kind_of_token_and_critical_extensions_are_refused(issuer: Issuer, header: dict[str, Any]) -> None:
    token = issuer.signed({"alg": "RS256", "kid": SIGNING_KEY.id} | header, issuer.claims())
    assert refused(trusting(issuer), token) is Refusal.MALFORMED


def test_a_token_that_is_bound_to_a_key_of_its_client_is_no_bearer_token(issuer: Issuer) -> None:
    token = issuer.token(cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})
    assert refused(trusting(issuer), token) is Refusal.UNKNOWN


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "..", "a.b", "a.b.c", "a.b.c.d.e", "x" * (MAXIMUM_LENGTH + 1)),
        f"{encode([])}.{encode({})}.x",
        f"{encode({})}.{encode('x')}.x",
        f"{encode('[' * 7000)}.{encode({})}.x",
        f"{encode(bytes([0xFF, 0xFE]))}.{encode({})}.x",
        f"{encode({'alg': 'RS256'})}\n.{encode({})}.x",
    ],
)
def test_what_is_no_token_is_refused(issuer: Issuer, text: str) -> None:
    assert refused(trusting(issuer), text) is Refusal.MALFORMED


def test_a_longer_token_than_the_gateway_lets_through_is_refused(issuer: Issuer) -> None:
    assert refused(trusting(issuer), issuer.token(groups=["g" * 36] * 300)) is Refusal.MALFORMED


@given(
    parts=st.lists(
        st.binary(max_size=60) | st.sampled_from([b'{"alg":"RS256","kid":"a"}', b'{"iss":"x"}']), max_size=4
    )
)
def test_no_text_raises_anything_but_a_refusal(parts: list[bytes]) -> None:
    text = ".".join(encode(part) for part in parts)
    outside = OutsideIssuer(
        AuthorizerSettings(principals_secret="p", outside_issuer="https://x.example", outside_audience=("a",)),
        fetch=lambda _: pytest.fail("Keys were fetched"),
    )
    with pytest.raises(RefusedError):
        outside.authenticate(text, PRINCIPALS)


# ---- Keys: rotation, floods, and an issuer that does not behave ----


def test_keys_are_fetched_once_and_used_until_they_are_old(issuer: Issuer) -> None:
    clock = Clock()
    outside = trusting(issuer, clock)
    for _ in range(20):
        outside.authenticate(issuer.token(), PRINCIPALS)
        clock.now += FRESH_SECONDS / 30
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]
    clock.now += FRESH_SECONDS
    outside.authenticate(issuer.token(), PRINCIPALS)
    assert len(issuer.asked) == 4


def test_a_new_key_is_found_when_a_token_names_it(issuer: Issuer) -> None:
    clock = Clock()
    outside = trusting(issuer, clock)
    outside.authenticate(issuer.token(), PRINCIPALS)
    issuer.key = OTHER_KEY
    issuer.published.append(OTHER_KEY.jwk())
    clock.now += REFETCH_SECONDS
    assert outside.authenticate(issuer.token(), PRINCIPALS).principal == ALICE
    assert outside.authenticate(issuer.token(SIGNING_KEY), PRINCIPALS).principal == ALICE


def test_a_key_that_the_issuer_withdraws_is_forgotten(issuer: Issuer) -> None:
    clock = Clock()
    outside = trusting(issuer, clock)
    outside.authenticate(issuer.token(), PRINCIPALS)
    issuer.published[:] = [OTHER_KEY.jwk()]
    clock.now += FRESH_SECONDS
    assert refused(outside, issuer.token()) is Refusal.UNKNOWN


def test_a_flood_of_unknown_key_ids_makes_few_fetches(issuer: Issuer) -> None:
    clock = Clock()
    outside = trusting(issuer, clock)
    forged = [issuer.token(Key(f"unknown-{number}", OTHER_KEY.private)) for number in range(100)]
    for token in forged:
        assert refused(outside, token) is Refusal.UNKNOWN
        clock.now += REFETCH_SECONDS / 50
    assert issuer.asked.count("/keys") == 2
    assert outside.authenticate(issuer.token(), PRINCIPALS).principal == ALICE


def test_a_flood_at_once_makes_one_fetch(issuer: Issuer) -> None:
    outside = trusting(issuer)
    forged = [issuer.token(Key(f"unknown-{number}", OTHER_KEY.private)) for number in range(8)]
    reasons: list[Refusal] = []
    threads = [
        threading.Thread(target=lambda token=token: reasons.append(refused(outside, token))) for token in forged
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reasons == [Refusal.UNKNOWN] * 8
    assert issuer.asked.count("/keys") == 1


def test_an_issuer_that_is_down_is_a_failure_and_not_a_refusal_and_is_not_asked_by_every_call(issuer: Issuer) -> None:
    clock = Clock()
    outside = trusting(issuer, clock)
    issuer.break_down()
    for _ in range(20):
        with pytest.raises(UnavailableError, match="cannot be fetched"):
            outside.authenticate(issuer.token(), PRINCIPALS)
    assert len(issuer.asked) == 1
    issuer.recover()
    clock.now += RETRY_SECONDS
    assert outside.authenticate(issuer.token(), PRINCIPALS).principal == ALICE


def test_known_keys_last_while_the_issuer_is_down_but_not_for_ever(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    outside = trusting(issuer, clock)
    outside.authenticate(issuer.token(), PRINCIPALS)
    issuer.break_down()
    clock.now += FRESH_SECONDS
    for _ in range(5):
        assert outside.authenticate(issuer.token(), PRINCIPALS).principal == ALICE
    assert len(issuer.asked) == 3
    assert "could not be fetched" in caplog.text
    assert refused(outside, issuer.token(Key("unknown", OTHER_KEY.private))) is Refusal.UNKNOWN
    clock.now += KEPT_SECONDS
    with pytest.raises(UnavailableError):
        outside.authenticate(issuer.token(), PRINCIPALS)


def test_a_clock_that_is_set_back_makes_keys_old_and_not_young(issuer: Issuer) -> None:
    clock = Clock()
    outside = trusting(issuer, clock)
    outside.authenticate(issuer.token(), PRINCIPALS)
    clock.now -= 10
    outside.authenticate(issuer.token(), PRINCIPALS)
    assert issuer.asked.count("/keys") == 2


def _html() -> Answer:
    return 200, {"Content-Type": "text/html"}, b"<html>"


def _nonsense() -> Answer:
    return 200, {"Content-Type": "application/json"}, b"{nonsense"


def _huge() -> Answer:
    return 200, {"Content-Type": "application/json"}, b" " * (MAXIMUM_BYTES + 1)


def _deep() -> Answer:
    return 200, {"Content-Type": "application/json"}, b"[" * 60_000


_NO_DOCUMENTS: list[Any] = [[], 7, None, "x", {}, {"keys": {}}, {"keys": []}]


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys"])
@pytest.mark.parametrize(
    "answer",
    [
        _html,
        _nonsense,
        _huge,
        _deep,
        lambda: (500, {}, b""),
        lambda: (204, {"Content-Type": "application/json"}, b""),
        *(partial(json_answer, document) for document in _NO_DOCUMENTS),
    ],
)
def test_garbage_is_no_document(issuer: Issuer, path: str, answer: Callable[[], Answer]) -> None:
    issuer.answers[path] = answer
    with pytest.raises(UnavailableError):
        trusting(issuer).authenticate(issuer.token(), PRINCIPALS)


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(issuer: Issuer, path: str, status: int) -> None:
    document = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys", "keys": [SIGNING_KEY.jwk()]}
    issuer.answers["/elsewhere"] = lambda: json_answer(document)
    issuer.answers[path] = lambda: (status, {"Location": f"{issuer.url}/elsewhere"}, b"")
    with pytest.raises(UnavailableError):
        trusting(issuer).authenticate(issuer.token(), PRINCIPALS)
    assert "/elsewhere" not in issuer.asked


def test_a_slow_issuer_is_not_waited_for(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer_module, "FETCH_SECONDS", 0.2)
    over = threading.Event()

    def wait() -> Answer:
        over.wait(30)
        return 200, {}, b""

    issuer.answers["/keys"] = wait
    try:
        with pytest.raises(UnavailableError):
            trusting(issuer).authenticate(issuer.token(), PRINCIPALS)
    finally:
        over.set()


@pytest.mark.parametrize("named", ["https://other.example", "{origin}/", "{origin}/other", "", None])
def test_the_discovery_document_of_another_issuer_is_not_believed(issuer: Issuer, named: str | None) -> None:
    issuer.discovery["issuer"] = named.format(origin=issuer.origin) if named is not None else None
    with pytest.raises(UnavailableError):
        trusting(issuer).authenticate(issuer.token(), PRINCIPALS)
    assert "/keys" not in issuer.asked


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/keys",
        "file:///etc/passwd",
        "{origin_with_user}/keys",
        "/keys",
        "",
        "https://x" + "x" * 3000,
    ],
)
def test_keys_are_not_fetched_from_where_they_cannot_be(issuer: Issuer, address: str) -> None:
    issuer.discovery["jwks_uri"] = address.format(origin_with_user=issuer.origin.replace("//", "//user@"))
    with pytest.raises(UnavailableError):
        trusting(issuer).authenticate(issuer.token(), PRINCIPALS)
    assert "/keys" not in issuer.asked


def test_an_issuer_elsewhere_cannot_point_to_this_machine(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = "https://issuer.example"
    discovery = {"issuer": elsewhere, "jwks_uri": f"{issuer.url}/keys"}

    def fetch(url: str, **limits: Any) -> bytes:
        # Only what would come over the network from elsewhere is made up.
        return json.dumps(discovery).encode() if url.startswith(elsewhere) else fetch_json(url, **limits)

    monkeypatch.setattr(fetching, "fetch_json", fetch)
    token = issuer.token(iss=elsewhere)
    outside = OutsideIssuer(settings(issuer, outside_issuer=elsewhere), clock=Clock())
    with pytest.raises(UnavailableError):
        outside.authenticate(token, PRINCIPALS)
    assert issuer.asked == []
    # The same is good where the issuer is on this machine.
    discovery["issuer"] = issuer.url
    assert trusting(issuer).authenticate(issuer.token(), PRINCIPALS).principal == ALICE


@pytest.mark.parametrize(
    "changes",
    [
        {"use": "enc"},
        {"key_ops": ["sign"]},
        {"alg": "RS512"},
        {"alg": "RSA-OAEP"},
        {"kty": "EC"},
        {"kty": "oct"},
        {"kid": None},
        {"kid": 7},
        {"n": 5},
        {"n": "!"},
        {"n": ""},
        {"e": None},
        {"d": "AQAB"},
        {"crv": "P-256"},
    ],
    ids=str,
)
def test_a_key_that_cannot_be_used_is_left_out_and_others_still_work(issuer: Issuer, changes: dict[str, Any]) -> None:
    issuer.published[:] = [SIGNING_KEY.jwk(**changes), "nonsense", None, OTHER_KEY.jwk()]
    outside = trusting(issuer)
    assert refused(outside, issuer.token()) is Refusal.UNKNOWN
    assert outside.authenticate(issuer.token(OTHER_KEY), PRINCIPALS).principal == ALICE


@pytest.mark.parametrize("bits", [1024, 2047, 8193, 16_384])
def test_an_rsa_key_that_is_too_short_or_too_long_is_left_out(issuer: Issuer, bits: int) -> None:
    modulus = (1 << bits) - 1
    encoded = encode(modulus.to_bytes((bits + 7) // 8, "big"))
    issuer.published.append(SIGNING_KEY.jwk(kid="odd", n=encoded))
    keys = IssuerKeys(issuer.url, partial(fetch_json, local=True, maximum_bytes=MAXIMUM_BYTES), Clock())
    assert keys.find("odd", "RS256") is None
    assert keys.find(SIGNING_KEY.id, "RS256") is not None


def test_more_keys_than_an_issuer_can_have_are_garbage(issuer: Issuer) -> None:
    issuer.published[:] = [{"kty": "RSA"}] * 101
    with pytest.raises(UnavailableError):
        trusting(issuer).authenticate(issuer.token(), PRINCIPALS)


def test_neither_a_refusal_nor_a_failure_holds_the_token(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    outside = trusting(issuer)
    token = issuer.token(sub="somebody-not-to-be-seen")
    with pytest.raises(RefusedError) as refusal:
        outside.authenticate(token, PRINCIPALS)
    issuer.break_down()
    with pytest.raises(UnavailableError) as failure:
        trusting(issuer).authenticate(token, PRINCIPALS)
    shown = caplog.text + repr(refusal.value) + repr(failure.value)
    assert "not-to-be-seen" not in shown
    assert token.split(".")[1] not in shown
