"""Access tokens as values: what is signed comes back, and nothing else does."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from remora.auth import tokens
from remora.auth.keys import Principals, Refusal, RefusedError, generate_key, hash_key
from remora.auth.principal import Scope
from remora.auth.tokens import AccessToken, SigningKey, authenticate_token, key_id, key_name, sign, verify

ISSUER = "https://remora.example"
KEY = SigningKey.from_secret("s" * 64)
PUBLIC = {KEY.id: KEY.private.public_key()}
NOW = datetime.now(UTC).replace(microsecond=0)
ALICES_KEY = generate_key("alice")


def token(**changes: object) -> AccessToken:
    """Return a good token, with changes."""
    members: dict[str, object] = {
        "principal_id": "alice",
        "key_id": key_id(hash_key(ALICES_KEY)),
        "client_id": "rmc_x",
        "scopes": frozenset({Scope.READ, Scope.WRITE}),
        "space": "alice-space",
        "audience": (f"{ISSUER}/mcp",),
        "connection": "c",
        "id": "i",
        "issued_at": NOW,
        "expires_at": NOW + timedelta(minutes=15),
    }
    return AccessToken(**(members | changes))  # type: ignore[arg-type]


def principals(**changes: object) -> Principals:
    """Return a document in which alice is the only principal, with changes."""
    alice = {
        "scopes": ["read", "write", "admin"],
        "space": "alice-space",
        "usage_key": "usage-key-of-alice-0123456789",
        "keys": [{"sha256": hash_key(ALICES_KEY)}],
    }
    return Principals.model_validate({"principals": {"alice": alice | changes}})


def signed_by_hand(claims: object, **header: object) -> str:
    """Return a token that is signed with the right key, whatever is in it."""
    parts = [{"alg": "EdDSA", "typ": "at+jwt", "kid": KEY.id} | header, claims]
    text = b".".join(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    return (text + b"." + urlsafe_b64encode(KEY.private.sign(text)).rstrip(b"=")).decode()


def test_a_token_that_is_signed_by_hand_can_be_good() -> None:
    claims = jwt.decode(sign(token(), KEY, ISSUER), options={"verify_signature": False})
    assert verify(signed_by_hand(claims), PUBLIC, ISSUER) == token()


@given(
    scopes=st.frozensets(st.sampled_from([Scope.READ, Scope.WRITE])),
    audience=st.lists(
        st.sampled_from([f"{ISSUER}/mcp", f"{ISSUER}/mcp/memory"]), min_size=1, max_size=2, unique=True
    ),
    client_id=st.text(st.characters(codec="utf-8"), min_size=1, max_size=40),
)
def test_what_is_signed_is_what_is_verified(scopes: frozenset[Scope], audience: list[str], client_id: str) -> None:
    signed = token(scopes=scopes, audience=tuple(audience), client_id=client_id)
    assert verify(sign(signed, KEY, ISSUER), PUBLIC, ISSUER) == signed


@given(st.text(max_size=80))
def test_nothing_else_is_a_token(text: str) -> None:
    with pytest.raises(RefusedError):
        verify(text, PUBLIC, ISSUER)


@given(st.data())
def test_a_token_with_any_character_changed_is_none(data: st.DataObject) -> None:
    text = sign(token(), KEY, ISSUER)
    # The last character of a signature carries two bits that mean nothing.
    position = data.draw(st.integers(0, len(text) - 2))
    other = data.draw(st.characters(codec="ascii", categories=["L", "N"]).filter(lambda c: c != text[position]))
    with pytest.raises(RefusedError):
        verify(text[:position] + other + text[position + 1 :], PUBLIC, ISSUER)


@pytest.mark.parametrize("missing", ["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "space", "sid"])
def test_a_token_that_says_too_little_is_refused(missing: str) -> None:
    claims = jwt.decode(sign(token(), KEY, ISSUER), options={"verify_signature": False})
    del claims[missing]
    with pytest.raises(RefusedError):
        verify(signed_by_hand(claims), PUBLIC, ISSUER)


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("sub", "Not An Id"),
        ("sub", 1),
        ("scope", "read everything"),
        ("aud", []),
        ("aud", {}),
        ("exp", "tomorrow"),
        ("exp", 1e300),
        ("iat", None),
        ("key_id", "x"),
        ("client_id", ""),
    ],
)
def test_a_token_that_says_something_else_is_refused(claim: str, value: object) -> None:
    claims = jwt.decode(sign(token(), KEY, ISSUER), options={"verify_signature": False}) | {claim: value}
    with pytest.raises(RefusedError):
        verify(signed_by_hand(claims), PUBLIC, ISSUER)


@pytest.mark.parametrize(
    "header", [{"kid": None}, {"kid": 1}, {"typ": None}, {"typ": "JWT"}, {"crit": ["x"], "x": 1}]
)
def test_a_header_of_another_form_is_refused(header: dict[str, object]) -> None:
    claims = jwt.decode(sign(token(), KEY, ISSUER), options={"verify_signature": False})
    with pytest.raises(RefusedError):
        verify(signed_by_hand(claims, **header), PUBLIC, ISSUER)


def test_an_expired_token_can_still_be_recognised_to_be_revoked() -> None:
    old = token(issued_at=NOW - timedelta(hours=2), expires_at=NOW - timedelta(hours=1))
    text = sign(old, KEY, ISSUER)
    with pytest.raises(RefusedError) as refused:
        verify(text, PUBLIC, ISSUER)
    assert refused.value.reason is Refusal.EXPIRED
    assert verify(text, PUBLIC, ISSUER, expired=True) == old


def test_a_key_pair_follows_from_its_secret_and_from_no_shorter_one() -> None:
    assert SigningKey.from_secret("s" * 64).id == KEY.id
    assert SigningKey.from_secret("t" * 64).id != KEY.id
    with pytest.raises(ValueError, match="at least 43"):
        SigningKey.from_secret("s" * 42)


def test_the_public_key_has_the_members_and_the_thumbprint_of_the_standards() -> None:
    """RFC 8037, appendix A.1 to A.3."""
    private = Ed25519PrivateKey.from_private_bytes(urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="))
    identifier = tokens._thumbprint(private.public_key())
    assert identifier == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    jwk = SigningKey(private, identifier).public_jwk()
    assert jwk["x"] == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert jwk["crv"] == "Ed25519"


def test_the_key_that_a_token_names_can_be_read_without_believing_it() -> None:
    assert key_name(sign(token(), KEY, ISSUER)) == KEY.id


def test_nothing_derived_from_a_key_shows_it() -> None:
    assert KEY.derive("one thing") != KEY.derive("another thing")
    assert len(KEY.derive("one thing")) == 32
    assert KEY.private.private_bytes_raw() not in (KEY.derive("one thing"), repr(KEY).encode())


def test_a_token_carries_the_usage_key_by_reference() -> None:
    authenticated = authenticate_token(token(), principals())
    assert authenticated.usage_key == "usage-key-of-alice-0123456789"
    assert authenticated.principal.scopes == {Scope.READ, Scope.WRITE}


def test_scopes_that_the_principal_has_lost_are_gone_from_its_tokens() -> None:
    assert authenticate_token(token(), principals(scopes=["read"])).principal.scopes == {Scope.READ}


def test_no_token_carries_admin_whatever_it_says() -> None:
    signed = token(scopes=frozenset({Scope.READ, Scope.ADMIN}))
    assert authenticate_token(signed, principals()).principal.scopes == {Scope.READ}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"disabled": True}, Refusal.DISABLED),
        ({"keys": []}, Refusal.UNKNOWN),
        ({"keys": [{"sha256": "0" * 64}]}, Refusal.UNKNOWN),
        ({"keys": [{"sha256": hash_key(ALICES_KEY), "expires_at": "2020-01-01T00:00:00Z"}]}, Refusal.EXPIRED),
        ({"space": "other"}, Refusal.UNKNOWN),
        ({"scopes": ["admin"]}, Refusal.UNKNOWN),
    ],
)
def test_a_token_ends_with_the_principal_or_the_key_that_it_came_from(
    changes: dict[str, object], reason: Refusal
) -> None:
    with pytest.raises(RefusedError) as refused:
        authenticate_token(token(), principals(**changes))
    assert refused.value.reason is reason


def test_a_token_of_a_principal_that_is_gone_is_refused() -> None:
    with pytest.raises(RefusedError):
        authenticate_token(token(principal_id="bob"), principals())
