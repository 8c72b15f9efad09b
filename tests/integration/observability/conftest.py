"""The functions as processes of their own in Lambda's runtime client, with a real Chroma server and AWS by moto."""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import boto3
import pytest

from remora.auth.keys import generate_key, hash_key
from tests.support.chroma_server import ChromaServer
from tests.support.runtime_api import FunctionProcess

NAMESPACE = "Remora/example"
Start = Callable[..., FunctionProcess]


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, as the functions do."""
    return "asyncio"


@pytest.fixture
def bucket(aws_environment: dict[str, str]) -> str:
    """The name of an empty versioned bucket."""
    s3 = boto3.client("s3")
    name = f"operations-{uuid.uuid4()}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture
def key() -> str:
    """A key of alice's."""
    return generate_key("alice")


@pytest.fixture
def secret(aws_environment: dict[str, str], key: str) -> str:
    """The name of the principals secret; alice has a key that was made long ago."""
    alice = {
        "scopes": ["read", "write"],
        "space": "alice",
        "usage_key": "usage-key-of-alice-0123456789",
        "keys": [{"sha256": hash_key(key), "created_at": "2026-01-01T00:00:00Z"}],
    }
    name = f"principals-{uuid.uuid4()}"
    boto3.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps({"principals": {"alice": alice}}))
    return name


@pytest.fixture
def start(
    aws_environment: dict[str, str],
    chroma_server: ChromaServer,
    model_dir: Path,
    bucket: str,
    secret: str,
    tmp_path: Path,
) -> Iterator[Start]:
    """Start an execution environment of a function, with settings that the test may change."""
    memory = {
        "REMORA_CHROMA_HOST": chroma_server.host,
        "REMORA_CHROMA_PORT": str(chroma_server.port),
        "REMORA_MEMORY_BUCKET": bucket,
        "REMORA_MODEL_DIR": str(model_dir),
    }
    settings: Mapping[str, Mapping[str, str]] = {
        "connector": memory,
        "ingest": memory,
        "upkeep": memory,
        "authorizer": {"REMORA_PRINCIPALS_SECRET": secret},
        "watch": {"REMORA_PRINCIPALS_SECRET": secret},
    }
    with ExitStack() as stack:

        def started(function: str, *, snap_start: bool = False, **changes: str) -> FunctionProcess:
            environment = {
                **aws_environment,
                "POWERTOOLS_SERVICE_NAME": function,
                "POWERTOOLS_METRICS_NAMESPACE": NAMESPACE,
                **settings[function],
                **changes,
            }
            log = tmp_path / f"{function}-{uuid.uuid4().hex}.log"
            return stack.enter_context(
                FunctionProcess(f"{function}.handler.handler", environment, log=log, snap_start=snap_start)
            )

        yield started
