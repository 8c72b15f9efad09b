"""The viewer-request function: which requests go on to the API, with what, and which it answers itself."""

import json
from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.edge.viewer import HOST, VIEWER, header, passed, refused

KEY = "rmr_alice_" + "k" * 43
OTHER = "rmr_bob_" + "o" * 43
BEARER = ("authorization", f"Bearer {KEY}")
PROTECTED = ["/mcp", "/mcp/", "/mcp/memory", "/mcp/chroma/", "/mcp/other", "/api/memory/search"]
OPEN = [
    "/",
    "/health",
    "/authorize",
    "/token",
    "/register",
    "/revoke",
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/mcp",
    "/.well-known/oauth-protected-resource/mcp/",
    "/.well-known/oauth-authorization-server",
    "/.well-known/jwks.json",
    "/mcp/.well-known/openid-configuration",
    "/mcp/memory/.well-known/oauth-protected-resource",
    "/mcpx",
    "/apix/y",
    "/dashboard",
]
METADATA = f"https://{HOST}/.well-known/oauth-protected-resource"


class TestCredentials:
    @pytest.mark.parametrize("path", PROTECTED)
    @pytest.mark.parametrize("name", ["x-api-key", "x-auth-token"])
    def test_a_key_in_another_header_becomes_a_bearer_token_and_stays_nowhere_else(
        self, path: str, name: str
    ) -> None:
        request = passed(path, (name, KEY))
        assert request.all("authorization") == [f"Bearer {KEY}"]
        assert [key for key, value in request.headers if KEY in value] == ["authorization"]

    def test_a_key_in_the_url_becomes_a_bearer_token_where_that_is_turned_on(self) -> None:
        request = passed(query=f"cursor=1&apiKey={KEY}&x=%20", key_in_url=True)
        assert request.all("authorization") == [f"Bearer {KEY}"]
        assert request.query == "cursor=1&x=%20"

    def test_a_key_in_the_url_counts_for_nothing_where_it_is_not(self) -> None:
        assert refused(query=f"apiKey={KEY}").status == 401

    @pytest.mark.parametrize("path", [*PROTECTED, *OPEN])
    @pytest.mark.parametrize("name", ["apiKey", "apikey", "APIKEY", "api%4Bey", "%61piKey"])
    @pytest.mark.parametrize("key_in_url", [False, True])
    def test_a_key_in_the_url_goes_no_further_whatever_it_counts_for(
        self, path: str, name: str, key_in_url: bool
    ) -> None:
        request = passed(path, BEARER, query=f"{name}={OTHER}&y=2&{name}={OTHER}", key_in_url=key_in_url)
        assert request.query == "y=2"
        assert OTHER not in str(request.headers)

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Basic"])
    def test_an_authorization_header_goes_on_as_it_came(self, scheme: str) -> None:
        assert passed("/mcp", ("authorization", f"{scheme} abc")).all("authorization") == [f"{scheme} abc"]

    @pytest.mark.parametrize(
        ("headers", "query", "expected"),
        [
            ((BEARER, ("x-api-key", OTHER)), "", KEY),
            ((BEARER, ("x-auth-token", OTHER)), "", KEY),
            ((BEARER,), f"apiKey={OTHER}", KEY),
            ((("x-auth-token", OTHER), ("x-api-key", KEY)), "", KEY),
            ((("x-auth-token", KEY),), f"apiKey={OTHER}", KEY),
        ],
    )
    def test_the_first_way_decides_and_the_others_are_dropped(
        self, headers: tuple[tuple[str, str], ...], query: str, expected: str
    ) -> None:
        request = passed("/mcp", *headers, query=query, key_in_url=True)
        assert request.all("authorization") == [f"Bearer {expected}"]
        assert OTHER not in str(request.headers) + request.query

    @pytest.mark.parametrize(
        "headers",
        [
            (BEARER, ("authorization", f"Bearer {OTHER}")),
            (("x-api-key", KEY), ("x-api-key", OTHER)),
            (("authorization", ""),),
            (("x-api-key", ""),),
            (("x-api-key", f"Bearer {KEY}"),),
            (("x-api-key", f"{KEY}, {KEY}"),),
            (("x-auth-token", f"{KEY}\u00e9"),),
            (("authorization", ""), ("x-api-key", KEY)),
            (("x-api-key", "no key"), ("x-auth-token", KEY)),
        ],
    )
    def test_what_is_no_single_token_is_no_credential(self, headers: tuple[tuple[str, str], ...]) -> None:
        assert refused("/mcp", *headers).status == 401

    @pytest.mark.parametrize("query", ["apiKey=", "apiKey", f"apiKey={KEY}&apiKey={OTHER}", f"apiKey={KEY}&apikey=x"])
    def test_nor_is_it_in_the_url(self, query: str) -> None:
        assert refused(query=query, key_in_url=True).status == 401

    def test_an_encoded_key_in_the_url_is_decoded(self) -> None:
        encoded = "".join(f"%{ord(character):02X}" for character in KEY)
        assert passed(query=f"apiKey={encoded}", key_in_url=True).all("authorization") == [f"Bearer {KEY}"]


class TestChallenge:
    @pytest.mark.parametrize("method", ["POST", "GET", "DELETE", "HEAD"])
    def test_a_call_without_a_credential_is_answered_with_where_to_get_one(self, method: str) -> None:
        answer = refused(method=method)
        assert answer.status == 401
        challenge = f'Bearer resource_metadata="{METADATA}/mcp", scope="read write"'
        assert header(answer, "www-authenticate") == challenge

    @pytest.mark.parametrize(
        ("path", "metadata"),
        [
            ("/mcp", "/mcp"),
            ("/mcp/", "/mcp/"),  # `resource` there repeats the slash, as clients compare it with what was typed
            ("/mcp/memory", "/mcp/memory"),
            ("/mcp/chroma/", "/mcp/chroma/"),
            ("/mcp/other", ""),
        ],
    )
    def test_the_metadata_is_that_of_the_resource_that_was_called(self, path: str, metadata: str) -> None:
        assert f'"{METADATA}{metadata}"' in header(refused(path), "www-authenticate")

    def test_it_is_at_the_host_that_was_called(self) -> None:
        answer = refused(host="memory.example.com")
        assert '"https://memory.example.com/.well-known/' in header(answer, "www-authenticate")

    def test_it_is_at_the_public_url_where_there_is_one_whatever_host_was_called(self) -> None:
        answer = refused(host="evil.example.com", public_url="http://127.0.0.1:8765")
        assert '"http://127.0.0.1:8765/.well-known/' in header(answer, "www-authenticate")
        assert "evil" not in str(answer)

    def test_an_api_that_takes_keys_alone_names_no_metadata(self) -> None:
        assert header(refused("/api/memory/search"), "www-authenticate") == 'Bearer realm="remora"'

    def test_a_browser_may_read_it_and_no_cache_keeps_it(self) -> None:
        answer = refused("/mcp", ("origin", "https://example.com"))
        assert header(answer, "access-control-allow-origin") == "*"
        assert "WWW-Authenticate" in header(answer, "access-control-expose-headers")
        assert header(answer, "cache-control") == "no-store"
        assert header(answer, "x-content-type-options") == "nosniff"

    def test_its_body_is_a_json_rpc_error(self) -> None:
        answer = refused()
        assert header(answer, "content-type") == "application/json"
        body = json.loads(answer.body)
        assert (body["jsonrpc"], body["id"]) == ("2.0", None)
        assert body["error"]["code"] == -32003
        assert body["error"]["data"] == {"type": "UNAUTHORIZED"}

    def test_what_was_no_credential_is_not_repeated(self) -> None:
        assert "not-a-key" not in str(refused("/mcp", ("x-api-key", "not-a-key !"), query="apiKey=not-a-key"))

    @pytest.mark.parametrize("path", ["/mcp", "/mcp/memory"])
    def test_with_a_credential_the_challenge_goes_along_in_case_it_is_refused(self, path: str) -> None:
        (challenge,) = passed(path, BEARER).all("x-remora-challenge")
        assert challenge == (
            f'Bearer error="invalid_token", resource_metadata="{METADATA}{path}", scope="read write"'
        )


class TestWhatGoesOn:
    @pytest.mark.parametrize("path", OPEN)
    def test_an_open_path_goes_on_untouched(self, path: str) -> None:
        headers = (("authorization", "Basic YTpi"), ("x-api-key", "x"), ("cookie", "a=1; b=2"), ("accept", "*/*"))
        request = passed(path, *headers, query="code=a%2Bb&state=&code=c")
        assert request.path == path
        added = {("host", HOST), ("x-remora-viewer", VIEWER)}
        assert set(request.headers) == set(headers) | added
        assert parse_qsl(request.query, keep_blank_values=True) == [("code", "a+b"), ("code", "c"), ("state", "")]

    @pytest.mark.parametrize("path", PROTECTED)
    def test_a_preflight_goes_on_without_a_credential(self, path: str) -> None:
        headers = (("origin", "https://claude.ai"), ("access-control-request-method", "POST"))
        request = passed(path, *headers, method="OPTIONS")
        assert set(headers) <= set(request.headers)
        assert not request.all("authorization")

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("/mcp/", "/mcp"),
            ("/mcp/memory/", "/mcp/memory"),
            ("/mcp/chroma", "/mcp/chroma"),
            ("/mcp//", "/mcp//"),
            ("/api/memory/search/", "/api/memory/search/"),
        ],
    )
    def test_a_slash_at_the_end_of_a_resource_changes_nothing(self, path: str, expected: str) -> None:
        assert passed(path, BEARER).path == expected

    @pytest.mark.parametrize("path", ["/mcp", "/token"])
    def test_nobody_but_the_edge_says_who_is_calling(self, path: str) -> None:
        spoofed = (
            ("x-remora-viewer", "198.51.100.1"),
            ("x-remora-viewer", "198.51.100.2"),
            ("x-remora-origin", "guess"),
            ("x-remora-challenge", 'Bearer resource_metadata="https://evil.example"'),
            ("x-remora-else", "y"),
        )
        request = passed(path, BEARER, *spoofed)
        assert request.all("x-remora-viewer") == [VIEWER]
        assert not request.all("x-remora-origin") + request.all("x-remora-else")
        assert not [value for value in request.all("x-remora-challenge") if "evil" in value]

    def test_headers_that_came_twice_stay_two(self) -> None:
        request = passed("/mcp", BEARER, ("accept", "application/json"), ("accept", "text/event-stream"))
        assert request.all("accept") == ["application/json", "text/event-stream"]


NAMES = st.text(st.characters(codec="utf-8"), max_size=20)
PAIRS = st.lists(st.tuples(NAMES, NAMES | st.just(KEY)), max_size=6)


@given(pairs=PAIRS, key_in_url=st.booleans())
def test_any_other_query_goes_on_with_the_values_of_each_name_in_order(
    pairs: list[tuple[str, str]], key_in_url: bool
) -> None:
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    received = parse_qsl(passed("/mcp", BEARER, query=query, key_in_url=key_in_url).query, keep_blank_values=True)
    expected = parse_qsl(query, keep_blank_values=True)
    for name in {name for name, _ in expected + received}:
        values = [value for key, value in expected if key == name and name.lower() != "apikey"]
        assert [value for key, value in received if key == name] == values


@given(query=st.text(st.sampled_from("apiKeyAPIKEY%=&+4B%00;#?/_proto_"), max_size=60), key_in_url=st.booleans())
def test_whatever_the_query_is_no_parameter_that_reads_as_a_key_gets_through(query: str, key_in_url: bool) -> None:
    request = passed("/mcp", BEARER, query=query, key_in_url=key_in_url)
    assert "apikey" not in {name.lower() for name, _ in parse_qsl(request.query, keep_blank_values=True)}
    assert request.all("authorization") == [f"Bearer {KEY}"]
