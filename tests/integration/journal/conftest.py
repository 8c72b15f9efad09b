"""S3 and journals in it."""

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import boto3
import pytest

from remora.journal import Journal, JournalStore
from tests.integration.journal.s3_server import S3Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REGION: Final = "eu-central-1"
_numbers = itertools.count(1)


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the functions do."""
    return "asyncio"


@pytest.fixture
def s3_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """An S3 of the test's own; the environment points AWS clients to it."""
    server = S3Server()
    server.start()
    for name, value in {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
    yield server
    server.stop()


@pytest.fixture
def s3(s3_server: S3Server) -> "S3Client":
    """A client of it, to see what the journal did and to spoil it."""
    return boto3.client("s3")


@pytest.fixture
def bucket(s3: "S3Client") -> str:
    """The name of an empty versioned bucket. moto keeps its state as long as the process lives."""
    name = f"journal-{next(_numbers)}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture
def new_journal(bucket: str) -> Callable[[], Journal]:
    """Make journals of one space, each with a client of its own, as processes have."""
    return lambda: Journal(JournalStore(bucket), "space-one")


@pytest.fixture
def journal(new_journal: Callable[[], Journal]) -> Journal:
    """The journal of a space."""
    return new_journal()
