"""What a person has allowed a client: the consent, the one-time code that stands for it, and the connection."""

import secrets
from datetime import timedelta
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, PlainSerializer

from remora.auth.principal import Scope
from remora.oauth.clients import hash_secret

CODE_LIFETIME: Final = timedelta(seconds=60)
"""A code travels through the browser and is redeemed at once (RFC 6749, section 4.1.2 allows ten minutes)."""

CONNECTION_LIFETIME: Final = timedelta(days=60)
"""How long a connection lasts when its client does not use it; each use starts it anew."""

REFRESH_PREFIX: Final = "rmo_"
_ID_LENGTH = 32  # 128 bits in hexadecimal
_SECRET_BYTES = 32

_MODEL = ConfigDict(frozen=True, hide_input_in_errors=True)
_Scopes = Annotated[frozenset[Scope], PlainSerializer(lambda scopes: sorted(scopes))]


class Consent(BaseModel):
    """What a person has allowed whom.

    Attributes:
        client_id: The client.
        principal_id: The person's principal.
        key_id: The key that they signed in with.
        space: The space that they saw.
        scopes: What they granted.
        resources: The resources that tokens may be for.
        client_name: What the client called itself then; empty if it did not.
        client_host: The host that vouched for it; empty if it registered itself.
        sent_to: Where the person was sent back to, as the page named it.
    """

    model_config = _MODEL

    client_id: str
    principal_id: str
    key_id: str
    space: str
    scopes: _Scopes
    resources: tuple[str, ...]
    client_name: str = ""
    client_host: str = ""
    sent_to: str = ""


class AuthorizationCode(BaseModel):
    """A one-time code, as stored under the hash of its text.

    Attributes:
        consent: What it stands for.
        redirect_uri: Where it was sent, exactly.
        code_challenge: PKCE's challenge, always of the method S256.
        connection_id: The connection that it opens, known beforehand so that a replay can close it.
        expires_at: Seconds since the epoch.
        used: Whether it was redeemed.
    """

    model_config = _MODEL

    consent: Consent
    redirect_uri: str
    code_challenge: str
    connection_id: str
    expires_at: int
    used: bool = False


class Connection(BaseModel):
    """A client's lasting access, as stored under the hash of its id.

    Attributes:
        consent: What was allowed.
        refresh_sha256: Hash of the one refresh token that is good now.
        expires_at: Seconds since the epoch.
        created_at: When it was opened, in seconds since the epoch; None if that was not kept yet.
        used_at: When tokens were last issued for it, in seconds since the epoch; None likewise.
        revoked: Whether it has ended.
    """

    model_config = _MODEL

    consent: Consent
    refresh_sha256: str
    expires_at: int
    created_at: int | None = None
    used_at: int | None = None
    revoked: bool = False


class RefreshToken(BaseModel):
    """A refresh token: the connection's own id, which stays, and a secret, which is new each time.

    The id cannot be guessed either: it follows from the code that opened the connection, and from nothing that is
    stored. So whoever presents it with another secret holds, or held, a token of this connection or its code: that
    is how reuse is told from guessing.
    """

    model_config = _MODEL

    id: str
    secret: str

    @classmethod
    def first(cls, code: str) -> Self:
        """Return the first token of the connection that a code opens."""
        return cls(id=hash_secret(f"connection {code}")[:_ID_LENGTH], secret=secrets.token_urlsafe(_SECRET_BYTES))

    def next(self) -> Self:
        """Return the token that takes this one's place."""
        return self.model_copy(update={"secret": secrets.token_urlsafe(_SECRET_BYTES)})

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the token that a text is, or None if it is none."""
        if not text.startswith(REFRESH_PREFIX) or not text.isascii():
            return None
        identifier, dot, secret = text.removeprefix(REFRESH_PREFIX).partition(".")
        return cls(id=identifier, secret=secret) if identifier and dot and secret else None

    def __str__(self) -> str:
        return f"{REFRESH_PREFIX}{self.id}.{self.secret}"

    def __repr__(self) -> str:
        return "RefreshToken(...)"

    @property
    def connection_id(self) -> str:
        """What the connection is stored and named as: a hash, from which the token's id does not follow."""
        return hash_secret(self.id)[:_ID_LENGTH]

    @property
    def sha256(self) -> str:
        """The hash of the secret."""
        return hash_secret(self.secret)
