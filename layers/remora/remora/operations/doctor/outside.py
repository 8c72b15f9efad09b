"""Looks at a deployment from outside, without a key: name, certificate, clock, discovery, refusals."""

import secrets
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

from remora.errors import InvalidArgumentError
from remora.operations.doctor.findings import Check, Finding, broken, ok, skipped, warning
from remora.operations.doctor.http import Answer, Http

RESOURCES: Final = ("/mcp", "/mcp/memory", "/mcp/chroma")
_WELL_KNOWN: Final = "/.well-known"
_PROTECTED: Final = "oauth-protected-resource"
_SERVERS: Final = ("oauth-authorization-server", "openid-configuration")
_SOON = timedelta(days=14)
_SKEW, _MOST_SKEW = timedelta(seconds=60), timedelta(minutes=5)
_SECONDS = 10
_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
_PAINFUL = "Clients in a browser cannot read the answer. Deploy again from this version."


@dataclass(frozen=True, slots=True)
class Place:
    """Where a deployment is called.

    Attributes:
        url: URL that `/mcp` is below, without a slash at its end.
        stage_url: URL of the API's own stage, if it is known.
        refuses_around: Whether calls at the API's own host should be refused.
    """

    url: str
    stage_url: str | None
    refuses_around: bool

    @property
    def is_rooted(self) -> bool:
        """Whether `url` is the root of a host, which discovery needs."""
        return urlsplit(self.url).path in ("", "/")

    @property
    def host(self) -> str:
        """The host's name or address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port."""
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def is_local(self) -> bool:
        """Whether it is this machine."""
        return self.host in _LOCAL_HOSTS

    @classmethod
    def of_url(cls, url: str, *, stage_url: str | None = None, refuses_around: bool = False) -> "Place":
        """Return the place that a URL names, of the root or of an endpoint.

        Raises:
            InvalidArgumentError: It is no URL.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None or parts.query:
            raise InvalidArgumentError(f"{url!r} is no URL of a deployment. Give the one that clients connect to.")
        base = url.rstrip("/")
        for path in sorted(RESOURCES, key=len, reverse=True):
            base = base.removesuffix(path)
        return cls(base, stage_url, refuses_around)


class Outside:
    """The view from outside.

    Args:
        place: Where the deployment is called.
        http: Calls it.
    """

    def __init__(self, place: Place, http: Http) -> None:
        self._place = place
        self._http = http

    def checks(self) -> tuple[Check, ...]:
        """Return what there is to look at."""
        return (
            Check("DNS", self._dns),
            Check("TLS", self._tls),
            Check("health", self._health),
            Check("discovery", self._discovery),
            Check("401", self._challenge),
            Check("404", self._unknown_path),
            Check("around the distribution", self._around),
        )

    def _dns(self) -> Iterable[Finding]:
        if self._place.is_local:
            return [skipped("DNS", "this machine")]
        try:
            found = socket.getaddrinfo(self._place.host, self._place.port, type=socket.SOCK_STREAM)
        except OSError as error:
            advice = "Check the domain's record: it is an alias of the distribution. New records take minutes."
            return [broken("DNS", f"{self._place.host} has no address ({error.strerror or error})", advice)]
        addresses = sorted({str(entry[4][0]) for entry in found})
        shown = f"{', '.join(addresses[:4])}{' …' if len(addresses) > 4 else ''}"
        return [ok("DNS", f"{self._place.host}: {shown}")]

    def _tls(self) -> Iterable[Finding]:
        if not self._place.url.startswith("https:"):
            if self._place.is_local:
                return [skipped("TLS", "this machine is called without it")]
            return [broken("TLS", "the URL begins with http", "Keys would travel unencrypted. Use https.")]
        context = ssl.create_default_context()
        try:
            with (
                socket.create_connection((self._place.host, self._place.port), _SECONDS) as connection,
                context.wrap_socket(connection, server_hostname=self._place.host) as encrypted,
            ):
                certificate, version = encrypted.getpeercert() or {}, encrypted.version() or "TLS"
        except ssl.SSLCertVerificationError as error:
            advice = "Clients will refuse it. The certificate must name this host, and come from a known authority."
            return [broken("TLS", f"the certificate is not valid: {error.verify_message}", advice)]
        except OSError as error:
            return [broken("TLS", f"no connection ({error})", "Check that the URL is right and the host answers.")]
        expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
        left = expires - datetime.now(UTC)
        said = f"{version}, certificate valid until {expires:%Y-%m-%d}"
        if left < _SOON:
            return [
                warning("TLS", said, "ACM renews by itself while its DNS record is there: look into ACM why not.")
            ]
        return [ok("TLS", said)]

    def _health(self) -> Iterator[Finding]:
        answer = self._http.get(f"{self._place.url}/health")
        if answer.status == 200:
            yield ok("health", f"/health answers in {answer.seconds * 1000:.0f} ms")
        else:
            yield broken("health", f"/health answers {answer.status}", "`remora logs --errors` says why.")
        yield _clock(answer)

    def _discovery(self) -> Iterator[Finding]:
        if not self._place.is_rooted:
            reason = "the URL has a path, so there is no root for the documents: clients use keys"
            yield skipped("discovery", reason)
            return
        problems: list[str] = []
        issuers: set[str] = set()
        for resource in RESOURCES:
            for path in _places(_PROTECTED, resource):
                document = self._document(path, problems)
                if document is None:
                    continue
                if document.get("resource") != f"{self._place.url}{resource}":
                    problems.append(f"{path} says the resource is {document.get('resource')!r}")
                issuers.update(
                    issuer for issuer in document.get("authorization_servers", ()) if isinstance(issuer, str)
                )
        advice = "Clients cannot find how to sign in. Deploy again; a domain in front must pass these paths on."
        if problems:
            yield broken("resource metadata", _first(problems), advice)
        else:
            yield ok(
                "resource metadata", f"{len(RESOURCES)} resources, at each place, issuer {', '.join(sorted(issuers))}"
            )
        yield self._server_metadata(issuers, advice)

    def _server_metadata(self, issuers: set[str], advice: str) -> Finding:
        problems: list[str] = []
        if issuers != {self._place.url}:
            problems.append(f"the resources name {', '.join(sorted(issuers)) or 'no issuer'}, not {self._place.url}")
        jwks = ""
        for name in _SERVERS:
            for path in {place for resource in ("", *RESOURCES) for place in _places(name, resource)}:
                document = self._document(path, problems)
                if document is None:
                    continue
                jwks = str(document.get("jwks_uri", ""))
                if document.get("issuer") != self._place.url:
                    problems.append(f"{path} says the issuer is {document.get('issuer')!r}")
                if "S256" not in document.get("code_challenge_methods_supported", ()):
                    problems.append(f"{path} offers no S256, without which clients stop")
        if jwks and not problems:
            keys = self._http.get(jwks).document().get("keys")
            if not keys:
                problems.append(f"{jwks} holds no keys")
        if problems:
            return broken("server metadata", _first(problems), advice)
        return ok("server metadata", "at each place, with PKCE by S256 and public keys")

    def _document(self, path: str, problems: list[str]) -> Mapping[str, Any] | None:
        answer = self._http.get(f"{self._place.url}{path}")
        if answer.status != 200:
            problems.append(f"{path} answers {answer.status}")
            return None
        return answer.document()

    def _challenge(self) -> Iterator[Finding]:
        wrong = f"rmr_doctor_{secrets.token_hex(24)}"
        for what, key in (("401 without a key", None), ("401 with a wrong key", wrong)):
            answer = self._http.rpc(f"{self._place.url}/mcp", "ping", {}, key)
            problems = list(self._challenge_problems(answer))
            if problems:
                yield broken(what, _first(problems), "Clients take anything else for a broken server. Deploy again.")
            else:
                yield ok(what, f"with {answer.headers['www-authenticate'][:60]}… and CORS")

    def _challenge_problems(self, answer: Answer) -> Iterator[str]:
        if answer.status != 401:
            yield f"the status is {answer.status}"
            return
        challenge = answer.headers.get("www-authenticate", "")
        if not challenge.startswith("Bearer"):
            yield f"WWW-Authenticate is {challenge[:60]!r}"
        metadata = f'resource_metadata="{self._place.url}{_WELL_KNOWN}/{_PROTECTED}/mcp"'
        if self._place.is_rooted and metadata not in challenge:
            yield f"the challenge lacks {metadata}"
        if not answer.headers.get("access-control-allow-origin"):
            yield f"there is no Access-Control-Allow-Origin. {_PAINFUL}"
        if "www-authenticate" not in answer.headers.get("access-control-expose-headers", "").lower():
            yield f"WWW-Authenticate is not exposed to browsers. {_PAINFUL}"
        if answer.document().get("jsonrpc") != "2.0":
            yield "the body is no JSON-RPC error"

    def _unknown_path(self) -> Iterable[Finding]:
        answer = self._http.get(f"{self._place.url}/remora-doctor-{secrets.token_hex(4)}")
        if answer.status == 404:
            return [ok("404", "an unknown path is not found")]
        return [broken("404", f"an unknown path answers {answer.status}", "Clients probe paths. Deploy again.")]

    def _around(self) -> Iterable[Finding]:
        check = "around the distribution"
        if not self._place.refuses_around or self._place.stage_url is None:
            return [skipped(check, "no distribution is known here")]
        # Public at the distribution, so a key would prove nothing more.
        answer = self._http.get(f"{self._place.stage_url}{_WELL_KNOWN}/{_PROTECTED}/mcp")
        if answer.status in (401, 403):
            return [ok(check, f"a call at the API's own host is refused ({answer.status})")]
        advice = "Whoever knows the API's host goes around the edge. Deploy again with Distribution=true."
        return [broken(check, f"a call at the API's own host answers {answer.status}", advice)]


def _clock(answer: Answer) -> Finding:
    try:
        moment = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return skipped("clock", "the answer has no date")
    skew = abs(datetime.now(UTC) - moment.astimezone(UTC))
    said = f"{skew.total_seconds():.0f} s apart from this machine's"
    if skew > _MOST_SKEW:
        return broken("clock", said, "AWS refuses requests signed more than 5 minutes off. Set this machine's clock.")
    if skew > _SKEW:
        return warning("clock", said, "Set this machine's clock by NTP.")
    return ok("clock", said)


def _places(name: str, resource: str) -> tuple[str, ...]:
    """Return where clients look for a document: with the resource's path after its name, and before it."""
    after = f"{_WELL_KNOWN}/{name}{resource}"
    return (after, f"{resource}{_WELL_KNOWN}/{name}") if resource else (after,)


def _first(problems: list[str]) -> str:
    return problems[0] if len(problems) == 1 else f"{problems[0]} (and {len(problems) - 1} more)"
