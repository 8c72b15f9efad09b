"""Reads the parameters of a request to an OAuth endpoint, before anything is decided by them.

RFC 6749, appendix A, and OAuth 2.1: parameters are printable ASCII, come once each, and those without a value or
not known are as if they were not there.
"""

import base64
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import unquote_plus

from authlib.oauth2 import OAuth2Request
from authlib.oauth2.rfc6749 import InvalidRequestError
from authlib.oauth2.rfc6749.requests import OAuth2Payload

from remora.oauth.metadata import SCOPES

AUTHORIZATION_PARAMETERS: Final = (
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "redirect_uri",
    "resource",
    "response_type",
    "scope",
    "state",
)
TOKEN_PARAMETERS: Final = (
    "client_id",
    "client_secret",
    "code",
    "code_verifier",
    "grant_type",
    "redirect_uri",
    "refresh_token",
    "resource",
    "scope",
    "token",
    "token_type_hint",
)

_REPEATABLE: Final = frozenset({"resource"})  # RFC 8707, section 2
_MAXIMUM_LENGTH: Final = 4_000
_MAXIMUM_RESOURCES: Final = 10
_PRINTABLE = re.compile(r"[\x20-\x7e]*", re.ASCII)
# What an error description may hold (RFC 6749, section 5.2): some of these parameters are named in one.
_PLAIN = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*", re.ASCII)
_VERBATIM: Final = frozenset({"state"})

Pairs = Sequence[tuple[str, str]]


class _Payload(OAuth2Payload):
    """Parameters as Authlib reads them, of which one may have several values."""

    def __init__(self, pairs: Pairs) -> None:
        self._data = dict(pairs)
        self._lists: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in pairs:
            self._lists[name].append(value)

    @property
    def data(self) -> dict[str, str]:
        return self._data

    @property
    def datalist(self) -> dict[str, list[str]]:
        return self._lists


class ProtocolRequest(OAuth2Request):
    """A request as Authlib reads it.

    Args:
        method: HTTP method.
        url: The endpoint's public URL, whatever host the request names.
        pairs: Checked parameters.
        headers: HTTP headers, of which only a well-formed Authorization is used.
    """

    def __init__(self, method: str, url: str, pairs: Pairs, headers: Mapping[str, str]) -> None:
        super().__init__(method, url, headers=headers)
        self.payload: _Payload = _Payload(pairs)

    @property
    def args(self) -> dict[str, str | None]:
        """The parameters of the query."""
        return dict(self.payload.data)

    @property
    def form(self) -> dict[str, str]:
        """The parameters of the body."""
        return self.payload.data

    def values(self, name: str) -> list[str]:
        """Return all values of a parameter."""
        return list(self.payload.datalist.get(name, ()))


def read_parameters(pairs: Iterable[tuple[str, str]], known: Sequence[str]) -> Pairs:
    """Return the known parameters of a request.

    Args:
        pairs: Names and values, decoded, in their order.
        known: Names of the parameters that the endpoint reads.

    Raises:
        InvalidRequestError: One comes twice, is too long, or holds what no value may.
    """
    kept: list[tuple[str, str]] = []
    seen: set[str] = set()
    for name, value in pairs:
        if name not in known or not value:
            continue
        if name in seen and name not in _REPEATABLE:
            raise InvalidRequestError(f"Parameter {name} comes more than once")
        seen.add(name)
        pattern = _PRINTABLE if name in _VERBATIM else _PLAIN
        if len(value) > _MAXIMUM_LENGTH or not pattern.fullmatch(value):
            raise InvalidRequestError(f"Parameter {name} is malformed")
        kept.append((name, value))
    if sum(name == "resource" for name, _ in kept) > _MAXIMUM_RESOURCES:
        raise InvalidRequestError("Parameter resource comes too often")
    return [pair for pair in map(_known_scopes, kept) if pair[1]]


def _known_scopes(pair: tuple[str, str]) -> tuple[str, str]:
    # Clients ask for scopes of their own making (claude.ai for `claudeai`), and for `offline_access`. RFC 6749,
    # section 3.3: the server may ignore them, and says in its answer what it granted. `admin` is ignored alike.
    name, value = pair
    if name != "scope":
        return pair
    wanted = value.split()
    return name, " ".join(scope for scope in SCOPES if scope in wanted)


def client_authentication(authorization: str | None) -> dict[str, str]:
    """Return the headers that say who the client is: its Basic credentials, if they can be read.

    Args:
        authorization: The Authorization header.
    """
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        credentials = base64.b64decode(encoded.strip(), validate=True).decode("ascii")
    except ValueError:
        return {}
    # RFC 6749, section 2.3.1: both parts are form-encoded before they are joined.
    identifier, colon, secret = credentials.partition(":")
    if not colon or not all(_PRINTABLE.fullmatch(unquote_plus(part)) for part in (identifier, secret)):
        return {}
    return {"Authorization": f"Basic {encoded.strip()}"}
