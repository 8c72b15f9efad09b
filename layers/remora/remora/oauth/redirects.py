"""Redirect URIs: which may be registered, and which of them a request's means."""

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

from remora.errors import InvalidArgumentError

MAXIMUM_LENGTH = 2_000

# RFC 3986's characters and nothing else: no space, quote, angle bracket or backslash, which parsers read differently.
_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]+", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", re.ASCII)
_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+", re.ASCII)

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

# Schemes that a browser, or the system, gives a meaning of its own: none of them leads back to an application.
_FORBIDDEN_SCHEMES = frozenset(
    {
        *("about", "blob", "chrome", "cid", "content", "data", "file", "filesystem", "javascript", "vbscript"),
        *("ftp", "ftps", "gopher", "http", "https", "ldap", "sftp", "ssh", "telnet", "ws", "wss"),
        *("intent", "jar", "mailto", "resource", "sms", "tel", "urn", "view-source"),
    }
)


class InvalidRedirectUriError(InvalidArgumentError):
    """A redirect URI may not be registered."""


def check_redirect_uri(uri: str) -> str:
    """Return a redirect URI that a client wants to register, if it may.

    Accepted are `https` URLs; `http` URLs of the loopback interface (RFC 8252, section 7.3); and private-use
    schemes such as `cursor://…` (section 7.1). Fragments are not (RFC 6749, section 3.1.2).

    Raises:
        InvalidRedirectUriError: It is none of them, or hides what it is.
    """
    if len(uri) > MAXIMUM_LENGTH or not _CHARACTERS.fullmatch(uri):
        raise InvalidRedirectUriError(
            f"A redirect URI has at most {MAXIMUM_LENGTH} characters, those of RFC 3986, and no fragment"
        )
    parts = _split(uri)
    if parts is None or parts.username is not None or parts.password is not None:
        raise InvalidRedirectUriError("A redirect URI is absolute and names no user")
    if parts.scheme == "https":
        if not parts.hostname or not _HOST.fullmatch(parts.hostname):
            raise InvalidRedirectUriError("An https redirect URI names a host")
        return uri
    if parts.scheme == "http":
        if parts.hostname not in LOOPBACK_HOSTS:
            raise InvalidRedirectUriError("An http redirect URI is of localhost, 127.0.0.1 or [::1]; else use https")
        return uri
    if not _PRIVATE_SCHEME.fullmatch(parts.scheme) or parts.scheme in _FORBIDDEN_SCHEMES:
        raise InvalidRedirectUriError("A redirect URI is of https, loopback http, or an application's own scheme")
    return uri


def is_loopback(uri: str) -> bool:
    """Return whether a redirect URI leads to an application on the person's own machine, over http."""
    parts = _split(uri)
    return parts is not None and parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS


def matches(requested: str, registered: Iterable[str]) -> bool:
    """Return whether a request's redirect URI is one of the client's.

    They are compared as strings (RFC 9700, section 2.1). Only the port of a loopback URI may differ, because
    a native application does not know it before it asks the system for one (RFC 8252, section 7.3).
    """
    if not _CHARACTERS.fullmatch(requested):
        return False
    candidates = tuple(registered)
    if requested in candidates:
        return True
    portless = _without_port(requested)
    return portless is not None and any(portless == _without_port(candidate) for candidate in candidates)


def destination(uri: str) -> str:
    """Return in plain words where a redirect URI leads: its host, or the application's scheme."""
    parts = urlsplit(uri)
    if is_loopback(uri):
        return f"an application on this device ({parts.netloc})"
    return parts.netloc if parts.scheme == "https" else f"the application that opens {parts.scheme}: links"


def form_action_source(uri: str) -> str:
    """Return the Content-Security-Policy source that lets a form's answer redirect to a redirect URI."""
    parts = urlsplit(uri)
    # The grammar of sources has no IPv6 addresses (Content Security Policy 3, section 2.3.1).
    if parts.scheme in {"https", "http"} and "[" not in parts.netloc:
        return f"{parts.scheme}://{parts.netloc}"
    return f"{parts.scheme}:"


def _split(uri: str) -> SplitResult | None:
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.scheme else None


def _without_port(uri: str) -> tuple[str, str, str] | None:
    parts = _split(uri)
    if parts is None or not is_loopback(uri) or "@" in parts.netloc:
        return None
    return (str(parts.hostname), parts.path, parts.query)
