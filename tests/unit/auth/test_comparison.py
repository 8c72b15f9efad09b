"""How a key is compared: every stored hash, each in constant time, whichever of them matches."""

import hmac
from typing import Any

import pytest

from remora.auth import keys
from remora.auth.keys import Principals, RefusedError, StoredKey, authenticate, generate_key, hash_key

STORED = [generate_key("alice") for _ in range(5)]
PRINCIPALS = Principals.model_validate(
    {
        "principals": {
            "alice": {
                "scopes": ["read"],
                "space": "alice-space",
                "usage_key": "usage-key-of-alice-0123456789",
                "keys": [StoredKey(sha256=hash_key(key)).model_dump() for key in STORED],
            }
        }
    }
)


class Watched(str):
    """A text that cannot be compared but in constant time: whoever tries another way is told on."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        raise AssertionError("a hash was compared with ==")

    def __ne__(self, other: object) -> bool:
        raise AssertionError("a hash was compared with !=")


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What `hmac.compare_digest` is asked, which still answers."""
    asked: list[tuple[str, str]] = []
    constant_time = hmac.compare_digest

    def compare(one: Any, other: Any) -> bool:
        asked.append((str(one), str(other)))
        return constant_time(str(one), str(other))

    monkeypatch.setattr("remora.auth.keys.hmac.compare_digest", compare)
    hash_of = keys.hash_key
    monkeypatch.setattr(keys, "hash_key", lambda key: Watched(hash_of(key)))
    return asked


@pytest.mark.parametrize("presented", [*STORED, generate_key("alice")], ids=[*"12345", "none of them"])
def test_every_stored_hash_is_compared_in_constant_time_whichever_matches(
    compared: list[tuple[str, str]], presented: str
) -> None:
    try:
        assert authenticate(presented, PRINCIPALS).principal.id == "alice"
    except RefusedError:
        assert presented not in STORED
    assert compared == [(hash_key(key), hash_key(presented)) for key in STORED]
