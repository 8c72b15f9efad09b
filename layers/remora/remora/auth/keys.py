"""Bearer keys: how one is written, and how one is checked against the principals document.

A key reads `rmr_<principal>_<secret>`: a fixed prefix that secret scanners recognise, the principal's id, so
that one lookup finds whose key it is, and at least 128 bits of randomness. Only its SHA-256 is stored. A plain
hash is enough because the secret is random and long, not chosen by a person; there is nothing to guess faster.
"""

import hashlib
import hmac
import re
import secrets
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, field_serializer

from remora.auth.principal import Principal, Scope

KEY_PREFIX: Final = "rmr_"
"""What every key begins with, and no token does."""

CAPACITY: Final = 65_536
"""Bytes that the secret of the principals holds (Secrets Manager's quotas, "Size of encrypted secret value")."""

_KEY = re.compile(r"rmr_(?P<principal>[a-z0-9-]{1,32})_(?P<secret>[A-Za-z0-9]{32,64})", re.ASCII)
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_SECRET_LENGTH = 43  # 62 ** 43 is just over 2 ** 256
_KEY_ID_LENGTH = 16

# A document that cannot be read is an error in the log, and must not carry hashes and usage keys there. Fields that
# a later version has added are not looked at, and stay as they are when the document is written again.
_STORED = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)

# RFC 6750, section 2.1: one credential after the scheme. A comma would be another header's value, joined on the way.
_BEARER = re.compile(r"bearer +(?P<token>[A-Za-z0-9._~+/-]+=*)", re.ASCII | re.IGNORECASE)
# API Gateway takes headers of 10,240 bytes in all.
_MOST_CHARACTERS = 8_192

PrincipalId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")]

SPACE_PATTERN: Final = r"^[a-zA-Z0-9][a-zA-Z0-9._-]{1,510}[a-zA-Z0-9]$"
"""What a Chroma database may be called."""

SpaceName = Annotated[str, StringConstraints(pattern=SPACE_PATTERN)]

TierName = Annotated[str, StringConstraints(pattern=r"^[a-z]{1,32}$")]
"""Name of a usage plan. Which there are, the deployment says; the authorizer need not know."""

DEFAULT_TIER: Final = "standard"

Identity = Annotated[str, StringConstraints(pattern=r"^[^\s\x00-\x1f\x7f]{1,255}$")]
"""A subject as an outside issuer writes it (`sub`; OpenID Connect Core, section 2: at most 255 characters)."""


class Refusal(StrEnum):
    """Why a credential was refused: for metrics and logs, never for the caller."""

    MISSING = "missing"
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    DISABLED = "disabled"
    AUDIENCE = "audience"
    AROUND_THE_EDGE = "around_the_edge"


class RefusedError(Exception):
    """The credential does not identify a principal. Holds the reason and nothing of the credential."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


class StoredKey(BaseModel):
    """One key of a principal, as stored: never the key itself.

    Attributes:
        sha256: SHA-256 of the key, in hexadecimal.
        created_at: When it was made; not known of keys that were stored before this was kept.
        expires_at: From when on it is refused, if ever.
    """

    model_config = _STORED

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    created_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None

    @property
    def id(self) -> str:
        """What people and tokens know it by."""
        return key_id(self.sha256)

    def has_expired(self, now: datetime) -> bool:
        """Return whether it is refused at a time."""
        return self.expires_at is not None and self.expires_at <= now


class StoredPrincipal(BaseModel):
    """A principal as the principals secret holds it.

    Attributes:
        scopes: What it may do.
        space: The Chroma database it works in.
        usage_key: Value of its API Gateway key in the usage plan; API Gateway wants at least 20 characters.
        usage_key_id: Id of that API Gateway key; empty if the document is older than the field.
        tier: Name of the usage plan that the usage key is in.
        name: Who or what it is, in its owner's words.
        disabled: Whether every key of it is refused.
        identities: Its subjects at an outside issuer; `*` is everybody who has no entry of their own.
        keys: Its keys; more than one while a rotation overlaps, none if it comes in by an identity only.
    """

    model_config = _STORED

    scopes: frozenset[Scope]
    space: SpaceName
    usage_key: str = Field(min_length=20, max_length=128)
    usage_key_id: str = Field(default="", max_length=64)
    tier: TierName = DEFAULT_TIER
    name: str = Field(default="", max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")
    disabled: bool = False
    identities: tuple[Identity, ...] = ()
    keys: tuple[StoredKey, ...] = ()

    @field_serializer("scopes")
    def _sorted(self, scopes: frozenset[Scope]) -> list[str]:
        # A set has another order in each process; a document that says the same should look the same.
        return sorted(scopes)


class Principals(BaseModel):
    """The principals secret: every principal by its id."""

    model_config = _STORED

    principals: dict[PrincipalId, StoredPrincipal]

    def to_document(self) -> str:
        """Return it as it is stored: without what is left at its default, because room is limited there."""
        return self.model_dump_json(exclude_defaults=True)


class Authenticated(BaseModel):
    """A principal whose key was accepted, with the usage key that API Gateway counts it under."""

    model_config = ConfigDict(frozen=True)

    principal: Principal
    usage_key: str


def generate_key(principal_id: str) -> str:
    """Return a new random key for a principal.

    Raises:
        ValueError: The id is not of the form `[a-z0-9-]{1,32}`.
    """
    key = f"{KEY_PREFIX}{principal_id}_" + "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH))
    if not _KEY.fullmatch(key):
        raise ValueError("A principal's id is 1 to 32 of the characters a-z, 0-9 and '-'")
    return key


def hash_key(key: str) -> str:
    """Return the SHA-256 of a whole key in hexadecimal, as it is stored."""
    return hashlib.sha256(key.encode()).hexdigest()


def key_id(sha256: str) -> str:
    """Return the name that people and tokens know a key by: the start of its stored hash.

    Args:
        sha256: The stored hash of the key, in hexadecimal.
    """
    return sha256[:_KEY_ID_LENGTH]


def bearer_token(authorization: str | None) -> str:
    """Return the token of an `Authorization: Bearer …` header (RFC 6750, section 2.1).

    Raises:
        RefusedError: There is no header, or it is of another scheme, too long, or anything but one credential.
    """
    if not authorization:
        raise RefusedError(Refusal.MISSING)
    # Blanks around it belong to no value (RFC 9110, section 5.5); nothing else is taken away.
    form = _BEARER.fullmatch(authorization.strip(" ")) if len(authorization) <= _MOST_CHARACTERS else None
    if form is None:
        raise RefusedError(Refusal.MALFORMED)
    return form["token"]


def authenticate(key: str, principals: Principals, now: datetime | None = None) -> Authenticated:
    """Return whose key this is.

    The hash is compared in constant time and with every stored key, so that the time taken tells nothing of
    a stored hash or of which key matched. That a principal exists is not secret: its id is part of the key.

    Args:
        key: The bearer key as presented.
        principals: Everyone who may come in.
        now: The time to judge expiry by; the current time unless given.

    Raises:
        RefusedError: The key is malformed, unknown or expired, or its principal is disabled.
    """
    form = _KEY.fullmatch(key)
    if form is None:
        raise RefusedError(Refusal.MALFORMED)
    principal_id = form["principal"]
    stored = principals.principals.get(principal_id)
    if stored is None:
        raise RefusedError(Refusal.UNKNOWN)

    presented = hash_key(key)
    matches = [candidate for candidate in stored.keys if hmac.compare_digest(candidate.sha256, presented)]
    if not matches:
        raise RefusedError(Refusal.UNKNOWN)
    if stored.disabled:
        raise RefusedError(Refusal.DISABLED)
    moment = now or datetime.now(UTC)
    if all(match.has_expired(moment) for match in matches):
        raise RefusedError(Refusal.EXPIRED)
    return Authenticated(
        principal=Principal(id=principal_id, scopes=stored.scopes, space=stored.space),
        usage_key=stored.usage_key,
    )
