"""Keys: what is accepted, what is refused, and that neither errors nor stored values give a key away."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from remora.auth.keys import (
    Principals,
    Refusal,
    RefusedError,
    StoredKey,
    StoredPrincipal,
    authenticate,
    bearer_token,
    generate_key,
    hash_key,
)
from remora.auth.principal import Principal, Scope

NOW = datetime(2026, 11, 1, tzinfo=UTC)
USAGE_KEY = "usage-key-of-alice-0123456789"


def principals_with(*keys: StoredKey, disabled: bool = False) -> Principals:
    alice = StoredPrincipal(
        scopes=frozenset({Scope.READ, Scope.WRITE}),
        space="alice-space",
        usage_key=USAGE_KEY,
        disabled=disabled,
        keys=keys,
    )
    return Principals(principals={"alice": alice})


def refusal_of(key: str, principals: Principals) -> Refusal:
    with pytest.raises(RefusedError) as refused:
        authenticate(key, principals, now=NOW)
    assert str(refused.value) == refused.value.reason
    return refused.value.reason


def test_a_generated_key_identifies_its_principal() -> None:
    key = generate_key("alice")
    authenticated = authenticate(key, principals_with(StoredKey(sha256=hash_key(key))), now=NOW)
    assert authenticated.principal == Principal(
        id="alice", scopes=frozenset({Scope.READ, Scope.WRITE}), space="alice-space"
    )
    assert authenticated.usage_key == USAGE_KEY


def test_keys_do_not_repeat() -> None:
    assert len({generate_key("alice") for _ in range(100)}) == 100


@pytest.mark.parametrize("bad_id", ["", "Alice", "a_b", "a" * 33, "ä", "a b"])
def test_a_principal_id_that_a_key_cannot_carry_is_refused(bad_id: str) -> None:
    with pytest.raises(ValueError, match="a-z, 0-9"):
        generate_key(bad_id)


def test_each_of_several_keys_is_accepted_while_a_rotation_overlaps() -> None:
    old, new = generate_key("alice"), generate_key("alice")
    principals = principals_with(
        StoredKey(sha256=hash_key(old), expires_at=NOW + timedelta(hours=1)), StoredKey(sha256=hash_key(new))
    )
    assert authenticate(old, principals, now=NOW).principal.id == "alice"
    assert authenticate(new, principals, now=NOW).principal.id == "alice"


def test_a_key_is_refused_from_the_moment_it_expires() -> None:
    key = generate_key("alice")
    principals = principals_with(StoredKey(sha256=hash_key(key), expires_at=NOW))
    assert refusal_of(key, principals) is Refusal.EXPIRED


def test_a_disabled_principal_is_refused_though_its_key_is_right() -> None:
    key = generate_key("alice")
    assert refusal_of(key, principals_with(StoredKey(sha256=hash_key(key)), disabled=True)) is Refusal.DISABLED


def test_another_principals_key_is_unknown() -> None:
    mine, other = generate_key("alice"), generate_key("mallory")
    principals = principals_with(StoredKey(sha256=hash_key(mine)))
    assert refusal_of(other, principals) is Refusal.UNKNOWN
    assert refusal_of(generate_key("alice"), principals) is Refusal.UNKNOWN


def test_a_stored_hash_is_not_a_key() -> None:
    stored = hash_key(generate_key("alice"))
    assert refusal_of(stored, principals_with(StoredKey(sha256=stored))) is Refusal.MALFORMED


@given(st.text(max_size=200))
def test_no_text_is_accepted_and_none_raises_anything_but_a_refusal(text: str) -> None:
    principals = principals_with(StoredKey(sha256=hash_key(generate_key("alice"))))
    assert refusal_of(text, principals) in (Refusal.MALFORMED, Refusal.UNKNOWN)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, Refusal.MISSING),
        ("", Refusal.MISSING),
        ("Bearer", Refusal.MALFORMED),
        ("Bearer ", Refusal.MALFORMED),
        ("Basic YTpi", Refusal.MALFORMED),
        ("rmr_alice_x", Refusal.MALFORMED),
    ],
)
def test_an_authorization_header_that_is_not_a_bearer_token_is_refused(header: str | None, reason: Refusal) -> None:
    with pytest.raises(RefusedError) as refused:
        bearer_token(header)
    assert refused.value.reason is reason


@pytest.mark.parametrize("header", ["Bearer abc", "bearer abc", "BEARER  abc ", " Bearer abc"])
def test_the_scheme_is_read_in_any_case_and_with_any_space(header: str) -> None:
    assert bearer_token(header) == "abc"


def test_a_broken_principals_document_is_an_error_that_holds_none_of_it() -> None:
    document = (
        '{"principals": {"alice": {"scopes": ["fly"], "space": "alice-space", '
        '"usage_key": "usage-key-not-to-be-seen", "keys": [{"sha256": "hash-not-to-be-seen"}]}}}'
    )
    with pytest.raises(ValidationError) as error:
        Principals.model_validate_json(document)
    assert "not-to-be-seen" not in str(error.value)


def test_a_principal_survives_the_authorizer_context() -> None:
    principal = Principal(id="alice", scopes=frozenset({Scope.READ, Scope.ADMIN}), space="alice-space")
    assert Principal.from_authorizer_context(principal.to_authorizer_context()) == principal


@pytest.mark.parametrize(
    "context", [{}, {"principal_id": "alice"}, {"principal_id": "a", "scopes": "root", "space": "s"}]
)
def test_a_context_that_no_authorizer_made_is_not_a_principal(context: dict[str, str]) -> None:
    with pytest.raises((KeyError, ValueError)):
        Principal.from_authorizer_context(context)


FIRST_VERSION = (
    '{"principals": {"alice": {"scopes": ["read"], "space": "alice-space", "usage_key": "usage-key-of-alice-012", '
    '"disabled": false, "keys": [{"sha256": "' + "a" * 64 + '", "expires_at": null}]}}}'
)
LATER_VERSION = (
    '{"revision": 7, "principals": {"alice": {"scopes": ["read"], "space": "alice-space", '
    '"usage_key": "usage-key-of-alice-012", "tier": "colossal", "colour": {"of": "hair"}, '
    '"keys": [{"sha256": "' + "a" * 64 + '", "used_at": "2030-01-01T00:00:00Z"}]}}}'
)


def test_a_document_of_the_first_version_is_read_and_counted_in_the_standard_tier() -> None:
    alice = Principals.model_validate_json(FIRST_VERSION).principals["alice"]
    assert (alice.tier, alice.name, alice.usage_key_id, alice.identities) == ("standard", "", "", ())
    assert alice.keys[0].created_at is None


def test_what_a_later_version_added_is_kept_when_the_document_is_written_again() -> None:
    principals = Principals.model_validate_json(LATER_VERSION)
    alice = principals.principals["alice"]
    changed = principals.model_copy(update={"principals": {"alice": alice.model_copy(update={"disabled": True})}})
    written = json.loads(changed.to_document())
    assert written["revision"] == 7
    assert written["principals"]["alice"]["colour"] == {"of": "hair"}
    assert written["principals"]["alice"]["tier"] == "colossal"
    assert written["principals"]["alice"]["keys"][0]["used_at"] == "2030-01-01T00:00:00Z"
    assert written["principals"]["alice"]["disabled"] is True


def test_a_document_says_the_same_in_the_same_bytes() -> None:
    one, other = (
        Principals(
            principals={
                "alice": StoredPrincipal(scopes=frozenset(order), space="alice", usage_key=USAGE_KEY),
            }
        ).to_document()
        for order in ([Scope.READ, Scope.WRITE, Scope.ADMIN], [Scope.ADMIN, Scope.WRITE, Scope.READ])
    )
    assert one == other


moments = st.none() | st.datetimes(
    min_value=datetime(2020, 1, 1),
    max_value=datetime(2100, 1, 1),
    timezones=st.just(UTC),
)
stored_keys = st.builds(
    StoredKey, sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True), created_at=moments, expires_at=moments
)
stored_principals = st.builds(
    StoredPrincipal,
    scopes=st.frozensets(st.sampled_from(Scope)),
    space=st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,30}[a-zA-Z0-9]", fullmatch=True),
    usage_key=st.text(alphabet="abcXYZ019", min_size=20, max_size=128),
    usage_key_id=st.text(alphabet="abc019", max_size=12),
    tier=st.sampled_from(["light", "standard", "heavy"]),
    name=st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"]), max_size=100),
    disabled=st.booleans(),
    identities=st.lists(st.from_regex(r"[a-zA-Z0-9|@._-]{1,40}", fullmatch=True), max_size=3).map(tuple),
    keys=st.lists(stored_keys, max_size=3).map(tuple),
)


@given(st.dictionaries(st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True), stored_principals, max_size=4))
def test_every_document_survives_being_written_and_read(principals: dict[str, StoredPrincipal]) -> None:
    document = Principals(principals=principals).to_document()
    assert Principals.model_validate_json(document) == Principals(principals=principals)


@pytest.mark.parametrize("bad", [{"name": "a\nb"}, {"name": "x" * 101}, {"tier": "Heavy"}, {"identities": ("a b",)}])
def test_what_a_principal_cannot_be_called_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        StoredPrincipal.model_validate({"scopes": [], "space": "alice", "usage_key": USAGE_KEY, **bad})
