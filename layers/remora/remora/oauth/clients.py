"""OAuth clients: what they say of themselves, wherever it comes from, and what the protocol asks of them."""

import hashlib
import hmac
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Self
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749 import ClientMixin, list_to_scope
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from remora.oauth.metadata import GRANT_TYPES
from remora.oauth.redirects import check_redirect_uri, matches

_NAME_LENGTH = 60
_MAXIMUM_REDIRECT_URIS = 20


class ClientKind(StrEnum):
    """Where a client's description comes from."""

    REGISTERED = "registered"
    """It registered itself (RFC 7591): it may call itself anything."""

    DOCUMENT = "document"
    """It is named by the URL of its description, so its host is known."""


def _plain_name(value: object) -> object:
    if not isinstance(value, str):
        return None
    # Controls, invisible characters and changes of direction could make the consent page say something else.
    kept = "".join(
        " " if character.isspace() else character
        for character in value
        if character.isspace() or unicodedata.category(character)[0] != "C"
    )
    return " ".join(kept.split())[:_NAME_LENGTH] or None


def _not_null(value: object) -> object:
    # A member without a value is a member that is not there (RFC 7591, section 2).
    if not isinstance(value, Mapping):
        return value
    return {name: member for name, member in value.items() if member is not None}


class ClientDescription(BaseModel):
    """Client metadata (RFC 7591, section 2), as far as it matters here; anything else is ignored.

    Attributes:
        redirect_uris: Where the person may be sent back to.
        client_name: What it calls itself.
        token_endpoint_auth_method: How it wants to authenticate.
        token_endpoint_auth_methods_supported: How else it could (OpenID Relying Party Metadata Choices).
        grant_types: What it will ask for; those not known here are ignored.
        response_types: What it will ask for; `code` must be among them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    redirect_uris: tuple[Annotated[str, AfterValidator(check_redirect_uri)], ...] = Field(
        min_length=1, max_length=_MAXIMUM_REDIRECT_URIS
    )
    client_name: Annotated[str | None, BeforeValidator(_plain_name)] = None
    token_endpoint_auth_method: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = GRANT_TYPES
    response_types: tuple[str, ...] = ("code",)

    @classmethod
    def read(cls, document: object) -> Self:
        """Read a description out of parsed JSON.

        Raises:
            pydantic.ValidationError: It does not describe a client.
            InvalidRedirectUriError: One of its redirect URIs is not accepted.
        """
        return cls.model_validate(_not_null(document))


@dataclass(frozen=True, slots=True)
class Client(ClientMixin):  # type: ignore[misc, unused-ignore]
    """A client, with the questions that Authlib asks of one.

    Attributes:
        id: Its `client_id`.
        kind: Where its description comes from.
        name: What it calls itself, made plain; empty if it does not.
        redirect_uris: Where people may be sent back to.
        auth_method: How it authenticates at the token endpoint.
        grant_types: Which grants it may use.
        secret_sha256: SHA-256 of its secret in hexadecimal, if it has one.
    """

    id: str
    kind: ClientKind
    name: str
    redirect_uris: tuple[str, ...]
    auth_method: str = "none"
    grant_types: tuple[str, ...] = GRANT_TYPES
    secret_sha256: str | None = None

    @property
    def host(self) -> str | None:
        """The host that vouches for the client, if one does."""
        return urlsplit(self.id).hostname if self.kind is ClientKind.DOCUMENT else None

    def get_client_id(self) -> str:
        """Return the client's id."""
        return self.id

    def get_default_redirect_uri(self) -> str:
        """Return the redirect URI to use when a request has none; empty unless there is only one."""
        return self.redirect_uris[0] if len(self.redirect_uris) == 1 else ""

    def get_allowed_scope(self, scope: Collection[str] | str) -> str:
        """Return what the client may ask for: anything, since the person decides."""
        return list_to_scope(scope) or ""

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Return whether a redirect URI is the client's."""
        return matches(redirect_uri, self.redirect_uris)

    def check_client_secret(self, client_secret: str) -> bool:
        """Return whether this is the client's secret, in constant time."""
        return self.secret_sha256 is not None and hmac.compare_digest(self.secret_sha256, hash_secret(client_secret))

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Return whether the client authenticates like this; it is the same at every endpoint."""
        return method == self.auth_method

    def check_response_type(self, response_type: str) -> bool:
        """Return whether the client may ask for this."""
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Return whether the client may use this grant."""
        return grant_type in self.grant_types


def hash_secret(secret: str) -> str:
    """Return the SHA-256 of a random secret in hexadecimal, as it is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()
