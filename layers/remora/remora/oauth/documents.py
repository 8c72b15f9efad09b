"""Clients that are named by the URL of their description (client-id metadata documents).

draft-ietf-oauth-client-id-metadata-document; MCP specification, authorization, client registration. The client's
id is an https URL, and what is found there describes it. The host of that URL vouches for the client, so a person
can be told whom they are dealing with.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Final

from pydantic import ValidationError

from remora.errors import InvalidArgumentError, RemoraError
from remora.oauth.clients import Client, ClientDescription, ClientKind
from remora.oauth.metadata import GRANT_TYPES
from remora.oauth.redirects import InvalidRedirectUriError
from remora.oauth.store import CachedDocument, Store
from remora.oauth.throttling import DOCUMENT, DOCUMENT_BY_ADDRESS, Throttle

Fetch = Callable[[str], bytes]

_KEPT_SECONDS: Final = 24 * 3600
_FAILURE_KEPT_SECONDS: Final = 300
_KNOWN_KEPT_SECONDS: Final = 3600
_MAXIMUM_LENGTH: Final = 1_000

# https, a host by its name in lower case, the usual port, and a path: no query, no fragment, no user. The draft
# (section 3) wants the URL in the one form that needs no normalising, because it is compared as a string.
_CLIENT_URL = re.compile(
    r"https://(?P<host>[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+)"
    r"(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@%/-]+)",
    re.ASCII,
)
_LAST_LABEL_NUMERIC = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)", re.ASCII)

KNOWN_DOCUMENTS: Final[Mapping[str, ClientDescription]] = {
    "https://claude.ai/oauth/mcp-oauth-client-metadata": ClientDescription(
        client_name="Claude",
        redirect_uris=("https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"),
        token_endpoint_auth_method="none",  # noqa: S106
    ),
    "https://claude.ai/oauth/claude-code-client-metadata": ClientDescription(
        client_name="Claude Code",
        redirect_uris=("http://localhost/callback", "http://127.0.0.1/callback"),
        token_endpoint_auth_method="none",  # noqa: S106
    ),
}
"""Descriptions to go by where the URL cannot be fetched: claude.ai answers 403 to the addresses of clouds
(claude-code 84263). They are what these URLs served in September 2026, and the same callback at claude.com, which
Claude announces besides."""


class FetchError(RemoraError):
    """A document could not be fetched. The message is for the person who is waiting for it."""


class UnknownDocumentError(InvalidArgumentError):
    """No client can be made of what is at its URL. The message says why, for the person who is looking."""


def is_client_url(client_id: str) -> bool:
    """Return whether a client's id has the form of a URL that may be asked for its description."""
    match = _CLIENT_URL.fullmatch(client_id) if len(client_id) <= _MAXIMUM_LENGTH else None
    if match is None or _LAST_LABEL_NUMERIC.fullmatch(match["host"]):
        return False  # An IPv4 address, in whatever notation, ends in a number (URL Standard, host parsing).
    segments = match["path"].lower().replace("%2e", ".").split("/")
    return not any(segment in {".", ".."} for segment in segments)


class ClientDocuments:
    """Finds clients by their URLs.

    Args:
        store: Where answers are kept, so that a URL is asked once a day.
        throttle: Limits how many different URLs are asked.
        fetch: Returns the JSON document at a URL, or raises `FetchError`.
    """

    def __init__(self, store: Store, throttle: Throttle, fetch: Fetch) -> None:
        self._store = store
        self._throttle = throttle
        self._fetch = fetch

    def find(self, url: str, address: str) -> Client:
        """Return the client that a URL describes.

        Args:
            url: The client's id, of which `is_client_url` is true.
            address: The network of whoever wants it fetched.

        Raises:
            UnknownDocumentError: Nothing there describes a client that can be served here.
            ThrottledError: Too many URLs were asked for.
            UnavailableError: The table did not answer.
        """
        cached = self._store.get_document(url)
        if cached is None:
            self._throttle.admit(DOCUMENT_BY_ADDRESS, address)
            self._throttle.admit(DOCUMENT, "all")
            cached, seconds = self._ask(url)
            self._store.put_document(url, cached, int(time.time()) + seconds)
        if cached.client is None:
            raise UnknownDocumentError(cached.problem)
        return cached.client

    def _ask(self, url: str) -> tuple[CachedDocument, int]:
        try:
            return CachedDocument(client=read_document(url, self._fetch(url))), _KEPT_SECONDS
        except FetchError as error:
            known = KNOWN_DOCUMENTS.get(url)
            if known is not None:
                return CachedDocument(client=_client(url, known)), _KNOWN_KEPT_SECONDS
            return CachedDocument(client=None, problem=str(error)), _FAILURE_KEPT_SECONDS
        except InvalidArgumentError as error:
            return CachedDocument(client=None, problem=str(error)), _FAILURE_KEPT_SECONDS


def read_document(url: str, content: bytes) -> Client:
    """Return the client that a document describes.

    Args:
        url: Where it was found.
        content: What was found.

    Raises:
        UnknownDocumentError: It describes none, another one, or one that cannot be served here.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise UnknownDocumentError("The application's description is not JSON.") from None
    # Section 4: compared as strings, or one host could speak for another.
    if not isinstance(document, dict) or document.get("client_id") != url:
        raise UnknownDocumentError("The application's description is of another application.")
    try:
        description = ClientDescription.read(document)
    except InvalidRedirectUriError as error:
        raise UnknownDocumentError(str(error)) from None
    except ValidationError:
        raise UnknownDocumentError("The application's description is incomplete.") from None
    # Section 4.1 forbids shared secrets. A client that signs its requests may say that it can do without.
    method = description.token_endpoint_auth_method or "none"
    if method != "none" and "none" not in description.token_endpoint_auth_methods_supported:
        raise UnknownDocumentError("The application authenticates in a way that this server does not offer.")
    if "authorization_code" not in description.grant_types or "code" not in description.response_types:
        raise UnknownDocumentError("The application does not use authorization codes.")
    return _client(url, description)


def bare_client(url: str) -> Client:
    """Return a client by its URL alone, for redeeming what a person has already given it.

    Whatever its document says now, a code or a refresh token is bound to the id and the redirect URI that the
    person saw, and the client has no credentials to check; so nothing need be fetched.
    """
    return Client(id=url, kind=ClientKind.DOCUMENT, name="", redirect_uris=())


def _client(url: str, description: ClientDescription) -> Client:
    return Client(
        id=url,
        kind=ClientKind.DOCUMENT,
        name=description.client_name or "",
        redirect_uris=description.redirect_uris,
        grant_types=tuple(name for name in GRANT_TYPES if name in description.grant_types),
    )
