"""The public keys of an outside issuer: found through its discovery document, kept, and fetched again in moderation.

OpenID Connect Discovery 1.0, sections 4 and 4.3; RFC 7517. Nothing that a token says decides where keys come from.
Anybody can name a key that does not exist, so an unknown one has the keys fetched again, but seldom; and each attempt
counts, whether it succeeds or not, so that an issuer that is down is not asked by every call.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from remora.errors import RemoraError, UnavailableError

logger = logging.getLogger(__name__)

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")
"""The algorithms that are accepted, all asymmetric (RFC 8725, sections 3.1 and 3.2)."""

FRESH_SECONDS: Final = 3600
"""How long keys are used without asking for them again; a key that the issuer withdraws works that much longer."""

KEPT_SECONDS: Final = 24 * 3600
"""How long they are used when the issuer does not answer."""

REFETCH_SECONDS: Final = 30
"""The least time between two attempts to fetch them, while there are keys."""

RETRY_SECONDS: Final = 5
"""The same, while there are none and everybody waits for them."""

MAXIMUM_BYTES: Final = 64 * 1024
"""The longest document that is read; Entra ID's keys come with certificates and take some 15 KB."""

FETCH_SECONDS: Final = 3.0
"""How long each of the two documents may take."""

_MAXIMUM_KEYS = 100
_RSA_BITS = (2048, 8192)  # RFC 7518, section 3.3; and what can still be computed with

# Which algorithms a key can be used with follows from its type and curve, never from a token.
_ALGORITHMS_OF: Final[Mapping[tuple[str, str | None], tuple[str, ...]]] = {
    ("RSA", None): ("RS256", "PS256"),
    ("EC", "P-256"): ("ES256",),
    ("OKP", "Ed25519"): ("EdDSA",),
}

Fetch = Callable[[str], bytes]
"""Returns the JSON document at a URL, or raises a `RemoraError`."""

_Keys = Mapping[tuple[str, str], jwt.PyJWK]


class _Discovery(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    issuer: str
    jwks_uri: str = Field(max_length=2048)


class _Set(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    keys: tuple[Any, ...] = Field(max_length=_MAXIMUM_KEYS)


class _Key(BaseModel):
    """A key of a set, as far as it matters (RFC 7517, section 4; RFC 7518, section 6)."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    kty: str
    kid: str = Field(min_length=1)
    use: str = "sig"
    key_ops: tuple[str, ...] = ("verify",)
    alg: str | None = None
    crv: str | None = None
    n: str | None = None
    e: str | None = None
    x: str | None = None
    y: str | None = None
    d: object = None


@dataclass(frozen=True, slots=True)
class _Known:
    keys: _Keys
    fetched_at: float


class IssuerKeys:
    """The public keys of one issuer, for as long as an execution environment lives.

    Args:
        issuer: The issuer's identifier, exactly as its tokens and its discovery document say it.
        fetch: Fetches its documents.
        clock: Tells the time in seconds.
    """

    def __init__(self, issuer: str, fetch: Fetch, clock: Callable[[], float] = time.time) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._known = _Known({}, float("-inf"))
        self._attempted_at = float("-inf")

    def find(self, key_id: str, algorithm: str) -> jwt.PyJWK | None:
        """Return the key that a token is to be verified with, or None if the issuer has no such key.

        Args:
            key_id: The key's id, as the token names it.
            algorithm: The algorithm that the token names.

        Raises:
            UnavailableError: The issuer's keys cannot be fetched, and none are in memory that may still be used.
        """
        with self._lock:
            if self._age() >= FRESH_SECONDS or (key_id, algorithm) not in self._known.keys:
                self._refresh()
            if self._age() >= KEPT_SECONDS:
                raise UnavailableError("The keys of the outside issuer cannot be fetched.")
            return self._known.keys.get((key_id, algorithm))

    def _age(self) -> float:
        return self._since(self._known.fetched_at)

    def _since(self, moment: float) -> float:
        # A clock that was set back says nothing of how long ago something was.
        passed = self._clock() - moment
        return passed if passed >= 0 else float("inf")

    def _refresh(self) -> None:
        pause = REFETCH_SECONDS if self._age() < KEPT_SECONDS else RETRY_SECONDS
        if self._since(self._attempted_at) < pause:
            return
        self._attempted_at = self._clock()
        try:
            keys = self._fetch_keys()
        except (RemoraError, ValidationError) as error:
            # A validation error is about the issuer's public documents, and does not repeat them.
            logger.warning("The keys of the outside issuer could not be fetched: %s", error)
        else:
            self._known = _Known(keys, self._clock())

    def _fetch_keys(self) -> _Keys:
        # Section 4.1: a slash at the end is removed before the path is appended.
        address = self._issuer.removesuffix("/") + "/.well-known/openid-configuration"
        discovery = _Discovery.model_validate_json(self._fetch(address))
        # Section 4.3: exactly the same, or a document of another issuer would be believed.
        if discovery.issuer != self._issuer:
            raise UnavailableError("Its discovery document is of another issuer.")
        keys = _usable(_Set.model_validate_json(self._fetch(discovery.jwks_uri)).keys)
        if not keys:
            raise UnavailableError("It publishes no key that can be used.")
        return keys


def _usable(members: tuple[Any, ...]) -> _Keys:
    """Return the keys by id and algorithm; what cannot be used is left out, as RFC 7517, section 5, says."""
    found: dict[tuple[str, str], jwt.PyJWK] = {}
    for member in members:
        try:
            key = _Key.model_validate(member)
        except ValidationError:
            continue
        # A private key that is published is anybody's.
        if key.use != "sig" or "verify" not in key.key_ops or key.d is not None:
            continue
        for algorithm in _ALGORITHMS_OF.get((key.kty, key.crv), ()):
            made = _make(key, algorithm) if key.alg in {None, algorithm} else None
            if made is not None:
                found.setdefault((key.kid, algorithm), made)
    return found


def _make(key: _Key, algorithm: str) -> jwt.PyJWK | None:
    try:
        made = jwt.PyJWK(key.model_dump(include={"kty", "crv", "n", "e", "x", "y"}, exclude_none=True), algorithm)
    except (jwt.PyJWTError, ValueError):
        return None
    if isinstance(made.key, RSAPublicKey) and not _RSA_BITS[0] <= made.key.key_size <= _RSA_BITS[1]:
        return None
    return made
