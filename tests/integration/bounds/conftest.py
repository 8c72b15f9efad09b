"""The connector's handler as API Gateway calls it, before a real Chroma server and an S3 bucket, for any caller."""

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from remora.auth.principal import SPACE_HEADER
from tests.support.chroma_server import ChromaServer
from tests.support.lambda_event import HANDSHAKE, MODERN, Context, event

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "bounds"
REVISIONS = ("2024-11-05", HANDSHAKE, MODERN)

Answer = dict[str, Any]


@dataclass(frozen=True)
class Door:
    """The way in, for one caller.

    Attributes:
        handler: The connector's handler.
        s3: The bucket's S3, to see what was kept where.
        id: The caller's id.
        scopes: Its scopes, as the authorizer writes them.
        space: Its own space.
        headers: What it sends besides.
        path: The MCP endpoint that it calls.
        revision: The protocol revision that it speaks.
    """

    handler: Any
    s3: "S3Client"
    id: str = "mallory"
    scopes: str = "read write"
    space: str = "unset"
    headers: dict[str, str] = field(default_factory=dict)
    path: str = "/mcp"
    revision: str = HANDSHAKE

    def as_(self, **changes: Any) -> "Door":
        """Return the way in of another caller, or of this one in another way."""
        return replace(self, **changes)

    def naming(self, *spaces: str) -> "Door":
        """Return the way in of this caller, who names a space."""
        return replace(self, headers={**self.headers, SPACE_HEADER: ", ".join(spaces)})

    def event(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the event of an MCP request."""
        request = event(method, params, scopes=self.scopes, space=self.space, revision=self.revision)
        return self._from_caller(request, self.path)

    def send(self, request: dict[str, Any]) -> Answer:
        """Hand an event to the handler."""
        answer: Answer = self.handler(request, Context())
        return answer

    def message(self, method: str, params: dict[str, Any] | None = None) -> Answer:
        """Send an MCP request and return the message that answers it."""
        answered: Answer = json.loads(self.send(self.event(method, params))["body"])
        return answered

    def tool(self, name: str, **arguments: Any) -> Answer:
        """Call a tool and return its result, an error of the tool included."""
        answered = self.message("tools/call", {"name": name, "arguments": arguments})
        assert "result" in answered, answered
        result: Answer = answered["result"]
        return result

    def content(self, name: str, **arguments: Any) -> Answer:
        """Call a tool that has to succeed and return its structured content."""
        result = self.tool(name, **arguments)
        assert not result["isError"], result
        structured: Answer = result["structuredContent"]
        return structured

    def refusal(self, name: str, **arguments: Any) -> str:
        """Call a tool that has to fail and return what it says."""
        result = self.tool(name, **arguments)
        assert result["isError"], result
        text: str = result["content"][0]["text"]
        return text

    def rest(self, method: str, path: str, body: Any = None, **query: str) -> Answer:
        """Send a REST request and return the handler's answer."""
        request = self._from_caller(event("ping", scopes=self.scopes, space=self.space), f"/api/memory/{path}")
        request |= {
            "resource": "/api/{proxy+}",
            "httpMethod": method,
            "queryStringParameters": query or None,
            "multiValueQueryStringParameters": {name: [value] for name, value in query.items()} or None,
            "body": body if body is None or isinstance(body, str) else json.dumps(body),
        }
        return self.send(request)

    def document(self, method: str, path: str, body: Any = None, **query: str) -> Answer:
        """Send a REST request that has to succeed and return the JSON that it answers with."""
        answer = self.rest(method, path, body, **query)
        assert answer["statusCode"] < 300, answer
        document: Answer = json.loads(answer["body"])
        return document

    def keys(self) -> list[str]:
        """Return the keys of all objects in the bucket."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def _from_caller(self, request: dict[str, Any], path: str) -> dict[str, Any]:
        headers = request["headers"] | self.headers
        context = request["requestContext"]
        authorizer = context["authorizer"] | {"principal_id": self.id}
        return request | {
            "path": path,
            "resource": path,
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "requestContext": context | {"authorizer": authorizer},
        }


@pytest.fixture(scope="module")
def open_door(chroma_server: ChromaServer, model_dir: Path, moto_url: str) -> Iterator[Door]:
    """The handler, in one execution environment for all tests of a module, as Lambda keeps one for all callers."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": moto_url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "REMORA_CHROMA_HOST": chroma_server.host,
            "REMORA_CHROMA_PORT": str(chroma_server.port),
            "REMORA_MODEL_DIR": str(model_dir),
            "REMORA_MEMORY_BUCKET": BUCKET,
            "REMORA_DATABASE_ADMINISTRATION": "true",
            "REMORA_ALLOWED_ORIGINS": "https://claude.ai",
            "POWERTOOLS_SERVICE_NAME": "connector",
            "POWERTOOLS_METRICS_NAMESPACE": "Remora",
        }.items():
            patch.setenv(name, value)
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        sys.modules.pop("connector.handler", None)
        yield Door(importlib.import_module("connector.handler").handler, s3)
        sys.modules.pop("connector.handler", None)


@pytest.fixture
def door(open_door: Door, space_name: str) -> Door:
    """The way in of a caller who reads and writes in a space of the test's own."""
    return open_door.as_(space=space_name)


@pytest.fixture
def victim(open_door: Door, space_name: str) -> Door:
    """The way in of somebody else, in another space, who has put something there."""
    victim = open_door.as_(id="alice", space=f"{space_name}-alice")
    victim.content("memory_store", content="The alarm code is 4711.", tags=["home"])
    victim.content("chroma_create_collection", collection_name="diary")
    victim.content("chroma_add_documents", collection_name="diary", ids=["d1"], documents=["The alarm code is 4711."])
    return victim
