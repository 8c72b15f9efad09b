"""A deployment's transfer service, over its REST API: for programs that run elsewhere, such as the command line."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import urllib3
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from remora import __version__
from remora.auth.principal import SPACE_HEADER
from remora.chroma.names import check_name
from remora.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError, RemoraError, UnavailableError
from remora.transfer.models import CollectionReport, ImportReport, RebuildProgress

_ROOT = "/api/memory"
_JSON_LINES = "application/jsonl"
_CONNECT_SECONDS, _READ_SECONDS = 10.0, 60.0
_ATTEMPTS = 8
_MAX_PAUSE_SECONDS = 30
_TRY_AGAIN = (429, 500, 502, 503, 504)
_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})

M = TypeVar("M", bound=BaseModel)


class MemoryStatus(BaseModel):
    """A space as its memory stands; see the API's route."""

    space: str
    memories: int
    passages: int
    pending: int
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where a deployment is, and what lets its caller in.

    Attributes:
        url: The URL of its stage or of its MCP endpoint.
        key: A bearer key; never shown.
        space: The space to work in, which takes the scope `admin` where it is not the key's own; None for that one.
    """

    url: str
    key: str = field(repr=False)
    space: str | None = None

    @property
    def api(self) -> str:
        """The URL of the memory's routes."""
        base = self.url.rstrip("/")
        for path in ("/mcp/memory", "/mcp/chroma", "/mcp"):
            base = base.removesuffix(path)
        return base + _ROOT


class RemoteTransfer:
    """Moves memories out of a space and into it, over HTTP.

    What the network or the gateway lets fail is tried again with growing pauses, or as long as it asks to wait; every
    operation may be repeated.
    """

    def __init__(self, deployment: Deployment) -> None:
        """Prepare; nothing is sent yet.

        Raises:
            InvalidArgumentError: The URL cannot be used, or would show the key to others on the way; or the space is
                no name of one.
        """
        parts = urlsplit(deployment.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InvalidArgumentError(f"{deployment.url!r} is not a URL. Give the one that clients connect to.")
        if parts.scheme == "http" and parts.hostname not in _LOCAL_HOSTS:
            raise InvalidArgumentError(f"{deployment.url!r} would send the key unencrypted. Use https.")
        self._api = deployment.api
        self._headers = {
            "Authorization": f"Bearer {deployment.key}",
            "User-Agent": f"remora/{__version__}",
            "Accept": "application/json, application/jsonl, application/problem+json",
        }
        if deployment.space is not None:
            self._headers[SPACE_HEADER] = check_name(deployment.space, "space")
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
            retries=urllib3.Retry(
                total=_ATTEMPTS,
                redirect=False,
                # Every operation of this API is idempotent.
                allowed_methods=None,
                status_forcelist=_TRY_AGAIN,
                raise_on_status=False,
                backoff_factor=0.5,
                backoff_max=_MAX_PAUSE_SECONDS,
                backoff_jitter=0.5,
                retry_after_max=10 * _MAX_PAUSE_SECONDS,
            ),
        )

    def export(self, *, embeddings: bool) -> Iterator[bytes]:
        """Go through the parts of an export file, each some whole lines."""
        cursor: str | None = None
        while True:
            query = {"embeddings": str(embeddings).lower()} | ({"cursor": cursor} if cursor else {})
            answer = self._call("GET", f"/export?{urlencode(query)}")
            yield answer.data
            cursor = answer.headers.get("Remora-Next-Cursor")
            if cursor is None:
                return

    def import_lines(self, lines: Sequence[bytes]) -> ImportReport:
        """Import as many of these lines as there is time for; at least one.

        Args:
            lines: Without their ends.
        """
        answer = self._call("POST", "/import", b"".join(line + b"\n" for line in lines), _JSON_LINES)
        return _read(ImportReport, answer)

    def import_collection(self, name: str, cursor: str | None) -> CollectionReport:
        """Make memories of some records of a collection."""
        return self._post(CollectionReport, "/import-collection", {"collection": name, "cursor": cursor})

    def rebuild(self, cursor: str | None, *, fresh: bool) -> RebuildProgress:
        """Take one step of a rebuild."""
        return self._post(RebuildProgress, "/rebuild", {"cursor": cursor, "fresh": fresh})

    def status(self) -> MemoryStatus:
        """Return how the memory stands."""
        return _read(MemoryStatus, self._call("GET", "/status"))

    def _post(self, model: type[M], path: str, body: Mapping[str, Any]) -> M:
        return _read(model, self._call("POST", path, to_json(body, exclude_none=True), "application/json"))

    def _call(
        self, method: str, path: str, body: bytes | None = None, content_type: str | None = None
    ) -> urllib3.BaseHTTPResponse:
        headers = self._headers | ({"Content-Type": content_type} if content_type else {})
        try:
            answer = self._pool.request(method, self._api + path, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            raise UnavailableError(
                f"{self._api} cannot be reached ({type(reason).__name__}). Check the URL, and that it runs."
            ) from None
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise _refusal(answer)
        if answer.status != HTTPStatus.OK:
            raise UnavailableError(f"{self._api} answered with status {answer.status}. Check the URL.")
        return answer


def _read(model: type[M], answer: urllib3.BaseHTTPResponse) -> M:
    try:
        return model.model_validate_json(answer.data)
    except ValidationError:
        raise UnavailableError(
            "The deployment gave an answer that this version does not understand. Update one of them."
        ) from None


def _refusal(answer: urllib3.BaseHTTPResponse) -> RemoraError:
    try:
        said: Any = from_json(answer.data)
    except ValueError:
        said = {}
    detail = (said.get("detail") or said.get("message")) if isinstance(said, dict) else None
    text = detail if isinstance(detail, str) and detail else f"The deployment answered with status {answer.status}."
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return PermissionDeniedError("The key was refused: it is not one of this deployment, or no longer valid.")
    if answer.status == HTTPStatus.FORBIDDEN:
        return PermissionDeniedError(text)
    if answer.status == HTTPStatus.NOT_FOUND:
        return NotFoundError(text)
    if answer.status in _TRY_AGAIN:
        return UnavailableError(text)
    return InvalidArgumentError(text)
