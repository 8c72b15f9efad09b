"""AWS's own services, served by moto on loopback, and the clients that speak to them."""

import logging
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qs

import boto3
from botocore.config import Config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.secretsmanager.models import FakeSecret, secretsmanager_backends
from werkzeug.serving import make_server

from remora.local.deployment import ACCOUNT_ID, REGION
from remora.local.objects import ObjectTable
from remora.local.s3 import S3, Environ, StartResponse

if TYPE_CHECKING:
    from mypy_boto3_apigateway import APIGatewayClient
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

_REFUSAL = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InvalidAccessKeyId</Code>'
    b"<Message>The AWS Access Key Id you provided does not exist in our records.</Message></Error>"
)


class LocalAws:
    """A moto server in this process. The objects of S3 are kept on disk; all else lives as long as the server.

    moto takes any credentials and checks no signature. As its state is that of one person, and any page in a browser
    can send requests to this machine, it is only asked by those who know this server's access key, which is made anew
    for each. A signed URL holds that key, and works until the server stops.

    Attributes:
        endpoint: The base URL that AWS clients are pointed at.
        session: Makes clients for any service.
        objects: The objects of S3, and the events about them.
        s3: The service that changes them.
    """

    def __init__(self, data_dir: Path | None = None) -> None:
        """Start to serve.

        Args:
            data_dir: Where the objects of S3 are kept; without it they live as long as the server.

        Raises:
            InvalidArgumentError: What is kept there cannot be used.
        """
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._access_key = f"LOCAL{secrets.token_hex(8).upper()}"
        self._secret_key = secrets.token_urlsafe(30)
        self.objects = ObjectTable(data_dir / "objects.sqlite3" if data_dir is not None else None)
        self.s3 = S3(self.objects)
        self._others = DomainDispatcherApplication(create_backend_app)
        self._changed: dict[str, list[Callable[[], None]]] = defaultdict(list)
        self._changing: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=MotoRequestHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="aws", daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self.session = boto3.Session(
            region_name=REGION, aws_access_key_id=self._access_key, aws_secret_access_key=self._secret_key
        )
        # No proxy that the environment may name: the server is on this machine.
        self._config = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 1}, proxies={})

    def on_change(self, service: str, tell: Callable[[], None]) -> None:
        """Have somebody told of each request that may have changed something, before it is answered.

        Args:
            service: Whose requests, as signatures name it: `secretsmanager` or `apigateway`.
            tell: Called by one request at a time.
        """
        self._changed[service].append(tell)

    def environment(self) -> dict[str, str]:
        """Return the variables that point an AWS SDK at this server and nowhere else."""
        return {
            "AWS_ACCESS_KEY_ID": self._access_key,
            "AWS_SECRET_ACCESS_KEY": self._secret_key,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    @property
    def cloudformation(self) -> "CloudFormationClient":
        """A client for CloudFormation."""
        return self.session.client("cloudformation", endpoint_url=self.endpoint, config=self._config)

    @property
    def apigateway(self) -> "APIGatewayClient":
        """A client for API Gateway's control plane: usage plans and keys."""
        return self.session.client("apigateway", endpoint_url=self.endpoint, config=self._config)

    @property
    def secretsmanager(self) -> "SecretsManagerClient":
        """A client for Secrets Manager."""
        return self.session.client("secretsmanager", endpoint_url=self.endpoint, config=self._config)

    @property
    def s3_client(self) -> "S3Client":
        """A client for S3."""
        return self.session.client("s3", endpoint_url=self.endpoint, config=self._config)

    def stop(self) -> None:
        """Stop serving, when the requests that are being answered are."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.s3.close()
        with self.objects.lock:
            self.objects.close()

    def _answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        access_key, service = _signer(environ)
        if access_key != self._access_key:
            start_response("403 Forbidden", [("Content-Type", "application/xml")])
            return [_REFUSAL]
        if service == "s3":
            return self.s3(environ, start_response)
        if service not in ("secretsmanager", "apigateway") or _only_reads(environ):
            answer: Iterable[bytes] = self._others(environ, start_response)
            return answer
        # One at a time: moto compares and changes in two steps, between which another thread may run.
        with self._changing[service]:
            answer = list(self._others(environ, start_response))
            if service == "secretsmanager":
                _note_current_versions()
            for tell in self._changed[service]:
                tell()
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _only_reads(environ: Environ) -> bool:
    _, dot, operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
    if dot:
        return bool(operation.startswith(("Get", "List", "Describe", "BatchGet")))
    return bool(environ["REQUEST_METHOD"] == "GET")


def _note_current_versions() -> None:
    """Have a secret's value be that of its version AWSCURRENT: moto forgets it when that label is moved by itself."""
    for secret in secretsmanager_backends[ACCOUNT_ID][REGION].secrets.values():
        if not isinstance(secret, FakeSecret):
            continue
        for version, content in secret.versions.items():
            if "AWSCURRENT" in content["version_stages"]:
                secret.set_default_version_id(version)


def _signer(environ: Environ) -> tuple[str, str]:
    """Return the access key that a request is signed with, and the service that it is for; empty if there is none.

    The credential is in the header, or in the query string of a signed URL:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-authentication-methods.html
    """
    _, _, rest = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")
    credential = rest.partition(",")[0]
    if not credential:
        query = parse_qs(environ.get("QUERY_STRING", ""))
        if "AWSAccessKeyId" in query:
            # A signed URL in the way of signature version 2, which only S3 has.
            return query["AWSAccessKeyId"][0], "s3"
        credential = query.get("X-Amz-Credential", [""])[0]
    parts = credential.strip().split("/")
    return (parts[0], parts[3]) if len(parts) == 5 else ("", "")
