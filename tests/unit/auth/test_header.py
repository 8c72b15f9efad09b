"""Header smuggling, by the name of each attack: a request that can be read in two ways is no request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.auth.header import sole_authorization
from remora.auth.keys import Refusal, RefusedError, bearer_token

# Always the same: they are in the names of the tests, which every process must agree on.
GOOD = f"Bearer rmr_alice_{'A' * 43}"
OTHER = f"Bearer rmr_mallory_{'B' * 43}"


def refusal_of(headers: dict[str, str] | None, several: dict[str, list[str]] | None) -> Refusal:
    """Return why a request's credential is refused."""
    with pytest.raises(RefusedError) as refused:
        bearer_token(sole_authorization(headers, several))
    return refused.value.reason


@pytest.mark.parametrize(
    ("headers", "several"),
    [
        ({"Authorization": OTHER}, {"Authorization": [GOOD, OTHER]}),
        ({"Authorization": GOOD}, {"Authorization": [OTHER, GOOD]}),
        ({"Authorization": GOOD}, {"Authorization": [GOOD, GOOD]}),
        ({"Authorization": GOOD}, {"Authorization": ["", GOOD]}),
        ({"Authorization": GOOD, "authorization": OTHER}, {"Authorization": [GOOD], "authorization": [OTHER]}),
        ({"Authorization": GOOD, "authorization": GOOD}, {"Authorization": [GOOD], "authorization": [GOOD]}),
        ({"Authorization": GOOD, "AUTHORIZATION": OTHER}, None),
        ({"Authorization": GOOD}, {"authorization": [OTHER]}),
        ({"Authorization": GOOD}, {"Authorization": [OTHER]}),
        ({}, {"Authorization": [GOOD, OTHER]}),
    ],
    ids=[
        "a good one first",
        "a good one last",
        "the same twice",
        "an empty one first",
        "two spellings",
        "two spellings of the same",
        "two spellings without the lists",
        "the lists say another one in another spelling",
        "the lists say another one",
        "in the lists alone",
    ],
)
def test_several_authorization_headers_are_refused(
    headers: dict[str, str], several: dict[str, list[str]] | None
) -> None:
    assert refusal_of(headers, several) is Refusal.MALFORMED


@pytest.mark.parametrize(
    "value",
    [
        f"{GOOD}, {OTHER}",
        f"{OTHER},{GOOD}",
        f"{GOOD},",
        f",{GOOD}",
        f"{GOOD} {OTHER}",
        f"Bearer {GOOD}",
        f"{GOOD}; {OTHER}",
        f"{GOOD}\r\nAuthorization: {OTHER}",
        f"{GOOD}\n",
        f"\t{GOOD}",
        f"Bearer\t{GOOD.split()[1]}",
        f"Bearer\u00a0{GOOD.split()[1]}",
        f"Bearer {GOOD.split()[1]}\x00",
        f"Bearer {GOOD.split()[1]}\u200b",
        f"Ｂｅａｒｅｒ {GOOD.split()[1]}",
        f"BEARER: {GOOD.split()[1]}",
        f"Bearer={GOOD.split()[1]}",
        f'Bearer "{GOOD.split()[1]}"',
        f"Bearer {GOOD.split()[1]}é",
        "Bearer " + "a" * 8_192,
        "Bearer ===",
        " ",
    ],
    ids=[
        "comma and blank",
        "comma",
        "comma at the end",
        "comma at the beginning",
        "two joined by a blank",
        "the scheme twice",
        "semicolon",
        "line break and a header",
        "line feed at the end",
        "tab before",
        "tab between",
        "no-break space",
        "null at the end",
        "zero-width space",
        "full-width letters",
        "colon",
        "equals sign",
        "quotes",
        "non-ASCII at the end",
        "very long",
        "padding alone",
        "blank alone",
    ],
)
def test_what_is_not_exactly_one_credential_is_refused(value: str) -> None:
    assert refusal_of({"Authorization": value}, {"Authorization": [value]}) is Refusal.MALFORMED


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION", "aUTHORIZATION"])
def test_one_header_in_any_spelling_is_read(name: str) -> None:
    assert sole_authorization({name: GOOD}, {name: [GOOD]}) == GOOD
    assert sole_authorization({name: GOOD}, None) == GOOD
    assert sole_authorization({name: GOOD}, {name.lower(): [GOOD]}) == GOOD


@pytest.mark.parametrize("name", ["X-Authorization", "Authorization ", "Proxy-Authorization", "Authorizatіon"])
def test_a_header_of_another_name_is_none(name: str) -> None:
    assert refusal_of({name: GOOD}, {name: [GOOD]}) is Refusal.MISSING


NAMES = st.sampled_from(["Authorization", "authorization", "AUTHORIZATION", "Accept"])
VALUES = st.sampled_from([GOOD, OTHER, "", f"{GOOD}, {OTHER}", "Basic YTpi"])


@given(
    st.dictionaries(NAMES, VALUES, max_size=4),
    st.dictionaries(NAMES, st.lists(VALUES, max_size=3), max_size=4) | st.none(),
)
def test_only_a_credential_that_every_reader_would_find_is_taken(
    headers: dict[str, str], several: dict[str, list[str]] | None
) -> None:
    try:
        token = bearer_token(sole_authorization(headers, several))
    except RefusedError:
        return
    found = {value for name, value in headers.items() if name.lower() == "authorization"} | {
        value for name, values in (several or {}).items() if name.lower() == "authorization" for value in values
    }
    assert found == {f"Bearer {token}"}
