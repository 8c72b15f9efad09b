"""Header smuggling through the gateway, whose cache of the authorizer's answers goes by the Authorization header."""

from collections.abc import Iterator

import pytest

from remora.auth.keys import generate_key
from tests.e2e.test_bounds import bearer, send
from tests.e2e.test_http import rpc
from tests.support.local_stack import UNLIMITED, LocalStack, start_local_stack

SMUGGLED: dict[str, list[tuple[str, str]]] = {
    "a good one first": [("Authorization", "Bearer KEY"), ("Authorization", "Bearer OTHER")],
    "a good one last": [("Authorization", "Bearer OTHER"), ("Authorization", "Bearer KEY")],
    "differing case": [("Authorization", "Bearer KEY"), ("authorization", "Bearer OTHER")],
    "upper case first": [("AUTHORIZATION", "Bearer OTHER"), ("authorization", "Bearer KEY")],
    "one empty": [("Authorization", "Bearer KEY"), ("Authorization", "")],
    "comma-joined": [("Authorization", "Bearer KEY, Bearer OTHER")],
    "comma-joined, the good one last": [("Authorization", "Bearer OTHER,Bearer KEY")],
    "tab": [("Authorization", "Bearer\tKEY")],
    "two keys": [("Authorization", "Bearer KEY KEY")],
    "folded line": [("Authorization", "Bearer\r\n KEY")],
    "non-ASCII": [("Authorization", "Bearer KEY\u00e9")],
    "no-break space": [("Authorization", "Bearer\u00a0KEY")],
    "very long": [("Authorization", "Bearer KEY" + "A" * 7_000)],
    "a blank before the colon": [("Authorization ", "Bearer KEY")],
    "another name": [("X-Authorization", "Bearer KEY")],
    "an underscore": [("Authorization_", "Bearer KEY")],
}


# The cache goes by the last header of the name, and what it says there was accepted alone: its bearer is served.
LAST_IS_GOOD = {"a good one last", "upper case first"}


@pytest.fixture(scope="module")
def uncached(tmp_path_factory: pytest.TempPathFactory, model_dir: object) -> Iterator[LocalStack]:
    """A deployment that asks the authorizer each time."""
    parameters = {**UNLIMITED, "AuthorizerCacheSeconds": "0"}
    with start_local_stack(tmp_path_factory.mktemp("uncached"), parameters=parameters) as stack:
        yield stack


def attack_with(key: str, attack: str) -> list[tuple[str, str]]:
    """Return the headers of an attack that uses a key."""
    return [(name, value.replace("KEY", key).replace("OTHER", "x")) for name, value in SMUGGLED[attack]]


@pytest.mark.parametrize("attack", SMUGGLED)
def test_a_smuggled_credential_is_refused_by_the_authorizer(uncached: LocalStack, attack: str) -> None:
    assert send(uncached, "POST", "/mcp", [bearer(uncached)], rpc("ping")).status == 200
    answer = send(uncached, "POST", "/mcp", attack_with(uncached.key, attack), rpc("ping"))
    assert answer.status in (400, 401), answer


@pytest.mark.parametrize("attack", [name for name in SMUGGLED if name not in LAST_IS_GOOD])
def test_a_smuggled_credential_is_refused_though_the_good_one_is_cached(stack: LocalStack, attack: str) -> None:
    assert send(stack, "POST", "/mcp", [bearer(stack)], rpc("ping")).status == 200
    answer = send(stack, "POST", "/mcp", attack_with(stack.key, attack), rpc("ping"))
    assert answer.status in (400, 401), answer


def test_nothing_is_cached_of_a_request_that_can_be_read_in_two_ways(stack: LocalStack) -> None:
    """Else the next one with the poison alone would be answered as its sender."""
    poison = f"Bearer {generate_key('local')}"
    for pair in ([poison, f"Bearer {stack.key}"], [f"Bearer {stack.key}", poison]):
        send(stack, "POST", "/mcp", [("Authorization", value) for value in pair], rpc("ping"))
        assert send(stack, "POST", "/mcp", [("Authorization", poison)], rpc("ping")).status == 401
