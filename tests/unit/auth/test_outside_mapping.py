"""Whom the claims of an outside issuer stand for, and what they may do."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.auth.keys import Authenticated, Principals, Refusal, RefusedError
from remora.auth.outside.mapping import principal_of
from remora.auth.principal import Scope
from remora.config import AuthorizerSettings

ISSUER = "https://issuer.example"
ALL = ["read", "write", "admin"]


def settings(**changes: object) -> AuthorizerSettings:
    """Return settings that trust the issuer, with changes."""
    members = {"principals_secret": "p", "outside_issuer": ISSUER, "outside_audience": ("api://remora",)}
    return AuthorizerSettings.model_validate(members | changes)


def entry(*identities: str, **changes: object) -> dict[str, Any]:
    """Return a principal that is somebody to the issuer."""
    members = {"scopes": ["read", "write"], "space": "team-space", "usage_key": "usage-key-0123456789"}
    return members | {"identities": identities} | changes


def resolved(claims: dict[str, Any], stored: dict[str, dict[str, Any]], **changes: object) -> Authenticated:
    """Return whom claims stand for."""
    return principal_of(claims, Principals.model_validate({"principals": stored}), settings(**changes))


def refused(claims: dict[str, Any], stored: dict[str, dict[str, Any]], **changes: object) -> Refusal:
    """Return why claims are refused."""
    with pytest.raises(RefusedError) as error:
        resolved(claims, stored, **changes)
    return error.value.reason


# ---- Who ----


def test_a_person_with_an_entry_is_that_principal() -> None:
    found = resolved({"sub": "a"}, {"alice": entry("a", space="alice-space"), "bob": entry("b")})
    assert (found.principal.id, found.principal.space) == ("alice", "alice-space")
    assert found.principal.scopes == {Scope.READ, Scope.WRITE}
    assert found.usage_key == "usage-key-0123456789"


def test_the_claim_that_names_the_person_can_be_another() -> None:
    stored = {"alice": entry("object-1")}
    assert resolved({"sub": "x", "oid": "object-1"}, stored, outside_principal_claim="oid").principal.id == "alice"
    assert refused({"sub": "object-1"}, stored, outside_principal_claim="oid") is Refusal.MALFORMED


def test_nobody_without_an_entry_comes_in_unless_an_entry_stands_for_everybody() -> None:
    assert refused({"sub": "mallory"}, {"alice": entry("a")}) is Refusal.UNKNOWN
    assert refused({"sub": "mallory"}, {}) is Refusal.UNKNOWN


@pytest.mark.parametrize("value", [None, "", 7, True, ["a"], {"a": 1}, "x" * 256, "*"])
def test_a_name_that_is_no_name_is_refused_even_where_everybody_may_come(value: object) -> None:
    stored = {"alice": entry("a", "7", "True"), "everybody": entry("*")}
    assert refused({"sub": value}, stored) is Refusal.MALFORMED


def test_names_are_compared_exactly() -> None:
    for name in ("A", " a", "a ", "a\n", "ａ"):
        assert refused({"sub": name}, {"alice": entry("a")}) is Refusal.UNKNOWN


def test_a_person_whom_two_entries_claim_is_refused() -> None:
    assert refused({"sub": "a"}, {"alice": entry("a"), "bob": entry("a")}) is Refusal.UNKNOWN


def test_two_entries_for_everybody_are_none() -> None:
    assert refused({"sub": "a"}, {"one": entry("*"), "two": entry("*")}) is Refusal.UNKNOWN


def test_a_disabled_person_does_not_come_in_as_everybody() -> None:
    stored = {"alice": entry("a", disabled=True), "everybody": entry("*")}
    assert refused({"sub": "a"}, stored) is Refusal.DISABLED
    assert refused({"sub": "b"}, {"everybody": entry("*", disabled=True)}) is Refusal.DISABLED


def test_an_address_counts_only_when_the_issuer_has_verified_it() -> None:
    stored = {"alice": entry("alice@example.com")}
    claims = {"email": "alice@example.com"}
    by_email = {"outside_principal_claim": "email"}
    assert resolved(claims | {"email_verified": True}, stored, **by_email).principal.id == "alice"
    for value in ({}, {"email_verified": False}, {"email_verified": "false"}, {"email_verified": 1}):
        assert refused(claims | value, stored, **by_email) is Refusal.UNKNOWN


# ---- Everybody ----


def test_people_without_an_entry_are_told_apart_and_share_the_usage_key() -> None:
    stored = {"everybody": entry("*"), "alice": entry("a")}
    found = [resolved({"sub": name}, stored) for name in ("b", "c", "b")]
    assert found[0] == found[2]
    assert found[0].principal.id != found[1].principal.id
    assert {one.usage_key for one in found} == {"usage-key-0123456789"}
    assert {one.principal.space for one in found} == {"team-space"}
    assert resolved({"sub": "a"}, stored).principal.id == "alice"


def test_the_same_name_at_another_issuer_is_another_person() -> None:
    stored = {"everybody": entry("*")}
    here = resolved({"sub": "b"}, stored).principal.id
    assert resolved({"sub": "b"}, stored, outside_issuer="https://other.example").principal.id != here


def test_entries_whose_ids_begin_alike_make_different_people() -> None:
    long = "everybody-of-the-company-"
    ids = {resolved({"sub": "b"}, {long + end: entry("*")}).principal.id for end in ("a", "b")}
    assert len(ids) == 2


@given(
    st.text(min_size=1, max_size=255).filter(lambda text: text != "*"),
    st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True),
)
def test_whatever_the_issuer_calls_somebody_the_id_is_one_that_a_principal_may_have(
    name: str, everybody: str
) -> None:
    found = resolved({"sub": name}, {everybody: entry("*")}).principal.id
    assert re.fullmatch(r"[a-z0-9-]{1,32}", found)
    assert found != everybody


@given(st.lists(st.text(min_size=1, max_size=40).filter(lambda text: text != "*"), unique=True, max_size=50))
def test_different_people_have_different_ids(names: list[str]) -> None:
    stored = {"everybody": entry("*")}
    assert len({resolved({"sub": name}, stored).principal.id for name in names}) == len(names)


def test_an_id_that_is_somebody_elses_is_not_given_away() -> None:
    taken = resolved({"sub": "b"}, {"everybody": entry("*")}).principal.id
    assert refused({"sub": "b"}, {"everybody": entry("*"), taken: entry("c")}) is Refusal.UNKNOWN


# ---- Scopes ----


def scopes(value: object, *, stored: list[str] | None = None, identity: str = "a") -> frozenset[Scope]:
    """Return what a claim leaves of scopes."""
    document = {"alice": entry(identity, scopes=stored or ALL)}
    return resolved({"sub": "a", "scp": value}, document, outside_scopes_claim="scp").principal.scopes


@pytest.mark.parametrize(
    "value",
    [
        "read write",
        ["read", "write"],
        "openid profile read write",
        "remora/read remora/write",
        ["remora:read", "remora.write"],
        "api://remora/read api://remora/write",
        ["openid", 7, None, "read", ["admin"], "write"],
    ],
)
def test_scopes_are_understood_in_the_forms_that_issuers_write(value: object) -> None:
    assert scopes(value) == {Scope.READ, Scope.WRITE}


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", [], {}, 7, True, "READ", "Read", "reads", "rea", "remora/", "/read", "remoraread"),
        *(
            "calendar/read",
            "calendar.read",
            "other:read",
            "api://other/read",
            "remora/calendar/read",
            "x/remora/read",
        ),
        *("remora//read", "remora/:read", "api://remora", "remora/Read", "read,write", "read\twrite", ["read write"]),
    ],
)
def test_anything_else_and_another_services_scopes_give_nothing(value: object) -> None:
    document = {"alice": entry("a", scopes=ALL)}
    assert refused({"sub": "a", "scp": value}, document, outside_scopes_claim="scp") is Refusal.UNKNOWN


def test_a_token_without_the_claim_that_was_named_is_refused() -> None:
    assert refused({"sub": "a"}, {"alice": entry("a")}, outside_scopes_claim="scp") is Refusal.UNKNOWN


def test_a_claim_gives_nothing_that_the_principal_does_not_have() -> None:
    assert scopes("read write admin", stored=["read"]) == {Scope.READ}


def test_admin_takes_an_entry_that_has_it_and_a_claim_that_says_it() -> None:
    assert scopes("read admin") == {Scope.READ, Scope.ADMIN}
    assert scopes("read write") == {Scope.READ, Scope.WRITE}
    assert scopes("read admin", stored=["read", "write"]) == {Scope.READ}
    without_claim = resolved({"sub": "a", "scp": "admin"}, {"alice": entry("a", scopes=ALL)})
    assert without_claim.principal.scopes == {Scope.READ, Scope.WRITE}


def test_admin_is_never_everybodys() -> None:
    assert scopes("read admin", identity="*") == {Scope.READ}
    document = {"everybody": entry("*", scopes=["admin"])}
    assert refused({"sub": "a", "scp": "admin"}, document, outside_scopes_claim="scp") is Refusal.UNKNOWN


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from([*ALL, "remora/admin"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(claim=_JSON, stored=st.sets(st.sampled_from(ALL), min_size=1), name=st.sampled_from(["a", "b"]))
def test_no_claim_gives_more_than_the_entry_has_nor_raises_anything_but_a_refusal(
    claim: object, stored: set[str], name: str
) -> None:
    document = {"alice": entry("a", scopes=sorted(stored)), "everybody": entry("*", scopes=sorted(stored))}
    try:
        found = resolved({"sub": name, "scp": claim}, document, outside_scopes_claim="scp").principal
    except RefusedError:
        return
    assert found.scopes
    assert found.scopes <= stored
    assert name == "a" or Scope.ADMIN not in found.scopes


# ---- Spaces ----


def space(value: object, stored: dict[str, dict[str, Any]], name: str = "b") -> str:
    """Return the space that a claim leads to."""
    return resolved({"sub": name, "space": value}, stored, outside_space_claim="space").principal.space


def test_a_claim_names_the_space_of_people_without_an_entry() -> None:
    assert space("bobs-space", {"everybody": entry("*")}) == "bobs-space"


def test_a_claim_that_the_operator_has_not_named_says_nothing_of_spaces() -> None:
    found = resolved({"sub": "b", "space": "alice-space"}, {"everybody": entry("*")})
    assert found.principal.space == "team-space"


def test_a_person_with_an_entry_works_in_its_space_whatever_the_claim_says() -> None:
    stored = {"alice": entry("a", space="alice-space"), "everybody": entry("*")}
    assert space("bobs-space", stored, name="a") == "alice-space"
    assert space(None, stored, name="a") == "alice-space"


@pytest.mark.parametrize("claimed", ["alice-space", "Alice-Space"])
def test_nobody_claims_the_space_of_somebody_who_has_an_entry(claimed: str) -> None:
    stored = {"alice": entry("a", space="alice-space"), "everybody": entry("*")}
    document = {"sub": "b", "space": claimed}
    assert refused(document, stored, outside_space_claim="space") is Refusal.UNKNOWN


@pytest.mark.parametrize(
    "value",
    [
        *(
            None,
            "",
            "ab",
            7,
            True,
            ["bobs-space"],
            {"a": "b"},
            "x" * 513,
            "bobs space",
            "-bobs",
            "bobs-",
            "bobs/space",
        ),
        *("../bobs", "bobs\n", "büro-space", "auth0|123", "a" * 3 + "\x00"),
    ],
)
def test_a_claim_that_is_no_name_of_a_space_is_refused_and_does_not_fall_back(value: object) -> None:
    claims = {"sub": "b", "space": value}
    assert refused(claims, {"everybody": entry("*")}, outside_space_claim="space") is Refusal.MALFORMED


def test_a_missing_space_claim_is_refused() -> None:
    assert refused({"sub": "b"}, {"everybody": entry("*")}, outside_space_claim="space") is Refusal.MALFORMED
