"""Which resource of an API a path belongs to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.local.deployment import Route
from remora.local.routes import Router


def router(*routes: tuple[str, str]) -> Router:
    return Router(
        [
            Route(resource, method, function="F", timeout=29, authorizer=None, api_key_required=False)
            for method, resource in routes
        ]
    )


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/a", "/a"),
        ("/a/", "/a"),
        ("/b", "/{id}"),
        ("/a/b", "/a/{id}"),
        ("/b/c", "/{proxy+}"),
        ("/a/b/c", "/a/{proxy+}"),
        ("/a/static/c", "/a/static/{proxy+}"),
        ("/", "/"),
        ("", "/"),
    ],
)
def test_the_most_specific_resource_wins(path: str, resource: str) -> None:
    resources = ["/{proxy+}", "/{id}", "/a/{proxy+}", "/a", "/a/{id}", "/a/static/{proxy+}", "/"]
    match = router(*[("GET", resource) for resource in resources]).match("GET", path)
    assert match is not None
    assert match.route.resource == resource


def test_a_resource_without_the_method_is_no_match_though_a_less_specific_one_has_it() -> None:
    assert router(("GET", "/a"), ("POST", "/{proxy+}")).match("POST", "/a") is None


def test_a_method_of_its_own_wins_over_any() -> None:
    routes = router(("ANY", "/a"), ("GET", "/a"))
    for method in ("GET", "POST"):
        match = routes.match(method, "/a")
        assert match is not None
        assert match.route.method == ("GET" if method == "GET" else "ANY")


def test_a_greedy_parameter_takes_at_least_one_segment() -> None:
    assert router(("GET", "/a/{proxy+}")).match("GET", "/a") is None


@given(st.text(min_size=1).filter(lambda text: text.strip("/") == text and text not in {".", ".."}))
def test_a_parameter_is_what_was_sent_before_it_was_encoded(value: str) -> None:
    from urllib.parse import quote

    match = router(("GET", "/things/{id}")).match("GET", f"/things/{quote(value, safe='', errors='surrogatepass')}")
    if any(0xD800 <= ord(character) < 0xE000 for character in value):
        return  # Not text that can be encoded.
    assert match is not None
    assert match.path_parameters == {"id": value}
