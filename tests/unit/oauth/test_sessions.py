"""Sessions as values: what is signed comes back, nothing else does, and no other token is one."""

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.auth.keys import Refusal, RefusedError
from remora.auth.principal import Scope
from remora.auth.sessions import LIFETIME, Session, new_session, sign_session, verify_session
from remora.auth.tokens import AccessToken, SigningKey, sign, verify

ISSUER = "https://remora.example"
KEY = SigningKey.from_secret("s" * 64)
PUBLIC = {KEY.id: KEY.private.public_key()}
TYPED = "0123456789abcdef"
SESSION = new_session("alice", TYPED)
CLAIMS = jwt.decode(sign_session(SESSION, KEY, ISSUER), options={"verify_signature": False})


def signed_by_hand(claims: object, **header: object) -> str:
    """Return a token that is signed with the right key, whatever is in it."""
    parts = [{"alg": "EdDSA", "typ": "remora-session+jwt", "kid": KEY.id} | header, claims]
    text = b".".join(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    return (text + b"." + urlsafe_b64encode(KEY.private.sign(text)).rstrip(b"=")).decode()


@given(principal=st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True))
def test_what_is_signed_is_what_is_verified(principal: str) -> None:
    session = new_session(principal, TYPED)
    assert verify_session(sign_session(session, KEY, ISSUER), PUBLIC, ISSUER) == session


def test_a_session_that_is_signed_by_hand_can_be_good() -> None:
    assert verify_session(signed_by_hand(CLAIMS), PUBLIC, ISSUER) == SESSION


def test_a_session_lasts_twelve_hours() -> None:
    assert timedelta(hours=12) == LIFETIME
    assert SESSION.expires_at - SESSION.issued_at == LIFETIME


@given(st.text(max_size=80))
def test_nothing_else_is_a_session(text: str) -> None:
    with pytest.raises(RefusedError):
        verify_session(text, PUBLIC, ISSUER)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.example"},
        {"aud": "https://other.example/account"},
        {"aud": f"{ISSUER}/mcp"},
        {"sub": "Alice"},
        {"sub": "x" * 33},
        {"key_id": "short"},
        {"iat": int((datetime.now(UTC) + timedelta(hours=1)).timestamp())},
        {"exp": "soon"},
        {"exp": 10**30},
    ],
    ids=["issuer", "audience", "resource", "name", "long name", "key", "future", "no time", "far time"],
)
def test_a_session_with_another_claim_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(RefusedError):
        verify_session(signed_by_hand(CLAIMS | changes), PUBLIC, ISSUER)


@pytest.mark.parametrize("missing", ["iss", "sub", "aud", "exp", "iat", "key_id"])
def test_a_session_without_a_claim_is_refused(missing: str) -> None:
    claims = {name: value for name, value in CLAIMS.items() if name != missing}
    with pytest.raises(RefusedError):
        verify_session(signed_by_hand(claims), PUBLIC, ISSUER)


@pytest.mark.parametrize(
    "header",
    [{"typ": "at+jwt"}, {"typ": "JWT"}, {"typ": None}, {"alg": "none"}, {"alg": "HS256"}, {"kid": "x"}],
    ids=str,
)
def test_a_session_of_another_type_algorithm_or_key_is_refused(header: dict[str, object]) -> None:
    with pytest.raises(RefusedError):
        verify_session(signed_by_hand(CLAIMS, **header), PUBLIC, ISSUER)


def test_a_session_that_has_expired_is_refused() -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=13)
    old = Session("alice", TYPED, long_ago, long_ago + LIFETIME)
    with pytest.raises(RefusedError) as refused:
        verify_session(sign_session(old, KEY, ISSUER), PUBLIC, ISSUER)
    assert refused.value.reason is Refusal.EXPIRED


def test_a_session_is_no_access_token() -> None:
    with pytest.raises(RefusedError):
        verify(sign_session(SESSION, KEY, ISSUER), PUBLIC, ISSUER)


def test_an_access_token_is_no_session() -> None:
    token = AccessToken(
        principal_id="alice",
        key_id=TYPED,
        client_id="rmc_x",
        scopes=frozenset({Scope.READ}),
        space="alice-space",
        # Even one for an audience that no access token is ever given.
        audience=(f"{ISSUER}/account",),
        connection="c",
        id="i",
        issued_at=SESSION.issued_at,
        expires_at=SESSION.expires_at,
    )
    with pytest.raises(RefusedError):
        verify_session(sign(token, KEY, ISSUER), PUBLIC, ISSUER)
