"""Small readers: parameters, client ids, refresh tokens, addresses."""

from urllib.parse import urljoin

import pytest
from authlib.oauth2.rfc6749 import InvalidRequestError
from hypothesis import given
from hypothesis import strategies as st

from remora.oauth.connections import RefreshToken
from remora.oauth.documents import is_client_url
from remora.oauth.parameters import AUTHORIZATION_PARAMETERS, client_authentication, read_parameters
from remora.oauth.site import Site
from remora.oauth.throttling import network


@given(st.lists(st.tuples(st.sampled_from([*AUTHORIZATION_PARAMETERS, "other"]), st.text(max_size=20)), max_size=8))
def test_parameters_that_are_read_are_known_plain_and_come_once(pairs: list[tuple[str, str]]) -> None:
    try:
        read = read_parameters(pairs, AUTHORIZATION_PARAMETERS)
    except InvalidRequestError:
        return
    names = [name for name, _ in read if name != "resource"]
    assert len(names) == len(set(names))
    for name, value in read:
        assert name in AUTHORIZATION_PARAMETERS
        assert value
        assert value.isascii()
        assert value.isprintable()


@pytest.mark.parametrize(
    ("scope", "kept"),
    [
        ("read write", "read write"),
        ("write read read", "read write"),
        ("admin read", "read"),
        (" offline_access", None),
        ("claudeai", None),
        ("READ", None),
    ],
)
def test_scopes_that_are_not_granted_here_are_left_out(scope: str, kept: str | None) -> None:
    assert dict(read_parameters([("scope", scope)], AUTHORIZATION_PARAMETERS)).get("scope") == kept


@given(st.text(max_size=40))
def test_any_authorization_header_is_read(header: str) -> None:
    assert set(client_authentication(header)) <= {"Authorization"}


@pytest.mark.parametrize(
    "header", [None, "", "Basic", "Basic !", "Basic Og==x", "Basic /w==", "Basic YQ==", "Bearer x"]
)
def test_what_is_no_basic_authentication_is_left_out(header: str | None) -> None:
    assert client_authentication(header) == {}


@given(st.from_regex(r"https://[a-z0-9.-]{1,20}/[a-z./%-]{0,20}", fullmatch=True))
def test_a_clients_url_needs_no_normalising(url: str) -> None:
    if is_client_url(url):
        assert urljoin(url, url) == url
        assert "/../" not in url.replace("%2e", ".")


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader_of_refresh_tokens(text: str) -> None:
    assert RefreshToken.parse(text) is None or text.startswith("rmo_")


def test_a_refresh_token_is_read_back_and_follows_its_predecessor() -> None:
    first = RefreshToken.first("the code")
    assert RefreshToken.parse(str(first)) == first
    following = first.next()
    assert following.connection_id == first.connection_id
    assert following.sha256 != first.sha256
    assert "the code" not in str(first)
    assert first.secret not in repr(first)
    assert first.secret not in f"{[first]}"


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", "unknown"),
        ("testclient", "unknown"),
    ],
)
def test_addresses_count_by_network(address: str, counted_as: str) -> None:
    assert network(address) == counted_as


@given(st.text(max_size=60))
def test_no_text_is_a_resource_but_ours(text: str) -> None:
    site = Site("https://remora.example")
    assert site.resource(text) is None
    assert site.resource("https://remora.example/" + text) in (None, *site.resources)


@pytest.mark.parametrize(
    ("audience", "paths"),
    [
        (["https://remora.example/mcp/memory"], ("/mcp/memory",)),
        (["https://remora.example/mcp/", "https://remora.example/mcp/chroma"], ("/mcp", "/mcp/chroma")),
        (["https://other.example/mcp", "https://remora.example/other"], ()),
        ([], ()),
    ],
)
def test_a_token_opens_the_paths_of_its_audience_and_no_others(audience: list[str], paths: tuple[str, ...]) -> None:
    assert Site("https://remora.example").paths(audience) == paths
