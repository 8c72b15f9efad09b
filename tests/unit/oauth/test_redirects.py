"""Redirect URIs: what may be registered, and what a request may ask for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.oauth.redirects import (
    InvalidRedirectUriError,
    check_redirect_uri,
    destination,
    form_action_source,
    is_loopback,
    matches,
)

REGISTERED = ("https://client.example/callback", "http://127.0.0.1/callback", "app.example:/callback")


@given(st.text(max_size=60))
def test_whatever_may_be_registered_is_of_a_known_kind(uri: str) -> None:
    try:
        check_redirect_uri(uri)
    except InvalidRedirectUriError:
        return
    assert uri.isascii()
    assert not any(character in uri for character in '#<>"\\ \r\n\t')
    assert destination(uri)
    assert form_action_source(uri)


@given(st.text(max_size=60))
def test_nothing_matches_but_what_is_registered_or_differs_in_a_loopback_port(uri: str) -> None:
    if matches(uri, REGISTERED):
        assert uri in REGISTERED or is_loopback(uri)


@given(st.integers(1, 65535))
def test_any_port_of_a_registered_loopback_matches(port: int) -> None:
    assert matches(f"http://127.0.0.1:{port}/callback", REGISTERED)
    assert not matches(f"http://127.0.0.1:{port}/other", REGISTERED)
    assert not matches(f"https://client.example:{port}/callback", REGISTERED)


@pytest.mark.parametrize(
    "uri",
    ["http://[::1]:80/callback", "http://localhost/callback", "http://127.0.0.1/callback/", "HTTP://127.0.0.2/"],
)
def test_another_loopback_name_does_not_match(uri: str) -> None:
    assert not matches(uri, REGISTERED)


@pytest.mark.parametrize(
    ("uri", "words", "source"),
    [
        ("https://claude.ai/api/mcp/auth_callback", "claude.ai", "https://claude.ai"),
        ("https://client.example:8443/x", "client.example:8443", "https://client.example:8443"),
        (
            "http://localhost:33418/callback",
            "an application on this device (localhost:33418)",
            "http://localhost:33418",
        ),
        ("http://[::1]:8080/callback", "an application on this device ([::1]:8080)", "http:"),
        ("cursor://anysphere/callback", "the application that opens cursor: links", "cursor:"),
    ],
)
def test_where_a_redirect_leads_is_said_in_plain_words_and_to_the_browser(uri: str, words: str, source: str) -> None:
    assert check_redirect_uri(uri) == uri
    assert destination(uri) == words
    assert form_action_source(uri) == source


@given(st.text(st.sampled_from("abc.:/@[]-;, '%"), max_size=30))
def test_no_redirect_uri_can_add_a_directive_to_the_pages_policy(rest: str) -> None:
    uri = f"https://a.example{rest}"
    try:
        check_redirect_uri(uri)
    except InvalidRedirectUriError:
        return
    assert not any(character in form_action_source(uri) for character in ";, '")
