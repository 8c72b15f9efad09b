"""Dynamic client registration (RFC 7591), for clients without a URL of their own: limited, and forgotten unused."""

import json
import re
import secrets
import time
from datetime import timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from remora.errors import InvalidArgumentError
from remora.oauth.clients import Client, ClientDescription, ClientKind, hash_secret
from remora.oauth.connections import CONNECTION_LIFETIME
from remora.oauth.metadata import AUTH_METHODS, GRANT_TYPES, SCOPES
from remora.oauth.store import Store
from remora.oauth.throttling import REGISTRATION, REGISTRATION_BY_ADDRESS, Throttle

UNUSED_LIFETIME: Final = timedelta(days=1)
"""How long a registration lasts that nobody has consented to: long enough for one sign-in."""

USED_LIFETIME: Final = 2 * CONNECTION_LIFETIME
"""How long it lasts from each use: longer than the connection, so that a client outlives its tokens."""

REGISTERED_PREFIX: Final = "rmc_"

_ID_BYTES: Final = 18
_CLIENT_ID: Final = re.compile(rf"{REGISTERED_PREFIX}[A-Za-z0-9_-]{{{_ID_BYTES * 4 // 3}}}", re.ASCII)


class InvalidClientMetadataError(InvalidArgumentError):
    """A registration request cannot be accepted."""


class Registered(BaseModel):
    """The answer to a registration (RFC 7591, section 3.2.1).

    Attributes:
        client_id: The new client's id.
        client_secret: Its secret, if it authenticates with one. It is told this once.
        client_id_issued_at: Seconds since the epoch.
        client_secret_expires_at: 0, because it lasts as long as the registration.
        client_name: What it calls itself, made plain.
        redirect_uris: As registered.
        grant_types: Those that it may use.
        response_types: Those that it may use.
        token_endpoint_auth_method: How it authenticates.
        scope: What it may ask for.
    """

    model_config = ConfigDict(frozen=True)

    client_id: str
    client_secret: str | None = None
    client_id_issued_at: int
    client_secret_expires_at: int | None = None
    client_name: str | None = None
    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...]
    response_types: tuple[str, ...] = ("code",)
    token_endpoint_auth_method: str
    scope: str = " ".join(SCOPES)


class Registrar:
    """Registers clients.

    Args:
        store: Where they are kept.
        throttle: Limits how many there can be.
    """

    def __init__(self, store: Store, throttle: Throttle) -> None:
        self._store = store
        self._throttle = throttle

    def register(self, body: bytes, address: str) -> Registered:
        """Register the client that a request describes.

        Args:
            body: The request's JSON.
            address: The network that it comes from.

        Raises:
            InvalidClientMetadataError: It describes no client that can be served here.
            InvalidRedirectUriError: One of its redirect URIs is not accepted.
            ThrottledError: Too many clients were registered.
            UnavailableError: The table did not answer.
        """
        description = _read(body)
        self._throttle.admit(REGISTRATION_BY_ADDRESS, address)
        self._throttle.admit(REGISTRATION, "all")

        # RFC 7591, section 2: what is left out means client_secret_basic.
        method = description.token_endpoint_auth_method or "client_secret_basic"
        secret = None if method == "none" else secrets.token_urlsafe(32)
        client = Client(
            id=REGISTERED_PREFIX + secrets.token_urlsafe(_ID_BYTES),
            kind=ClientKind.REGISTERED,
            name=description.client_name or "",
            redirect_uris=description.redirect_uris,
            auth_method=method,
            grant_types=tuple(name for name in GRANT_TYPES if name in description.grant_types),
            secret_sha256=None if secret is None else hash_secret(secret),
        )
        now = int(time.time())
        self._store.put_client(client, now + int(UNUSED_LIFETIME.total_seconds()))
        return Registered(
            client_id=client.id,
            client_secret=secret,
            client_id_issued_at=now,
            client_secret_expires_at=None if secret is None else 0,
            client_name=description.client_name,
            redirect_uris=client.redirect_uris,
            grant_types=client.grant_types,
            token_endpoint_auth_method=method,
        )

    def find(self, client_id: str) -> Client | None:
        """Return a registered client.

        Raises:
            UnavailableError: The table did not answer.
        """
        # What cannot be one of ours is not looked up: it might not even fit into a key of the table.
        return self._store.get_client(client_id) if _CLIENT_ID.fullmatch(client_id) else None

    def keep(self, client: Client) -> None:
        """Keep a client that somebody uses.

        Raises:
            UnavailableError: The table did not answer.
        """
        if client.kind is ClientKind.REGISTERED:
            self._store.extend_client(client.id, int(time.time() + USED_LIFETIME.total_seconds()))


def _read(body: bytes) -> ClientDescription:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidClientMetadataError("The request is not JSON") from None
    try:
        description = ClientDescription.read(document)
    except ValidationError as error:
        members = sorted({str(problem["loc"][0]) for problem in error.errors() if problem["loc"]})
        raise InvalidClientMetadataError(
            f"These members are missing or malformed: {', '.join(members)}" if members else "An object is wanted"
        ) from None
    if "authorization_code" not in description.grant_types:
        raise InvalidClientMetadataError("grant_types must include authorization_code")
    if "code" not in description.response_types:
        raise InvalidClientMetadataError("response_types must include code")
    if (description.token_endpoint_auth_method or "none") not in AUTH_METHODS:
        raise InvalidClientMetadataError(f"token_endpoint_auth_method must be one of {', '.join(AUTH_METHODS)}")
    return description
