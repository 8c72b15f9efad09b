"""The local gateway at its root, where the distribution is: the very function of stacks/edge.yaml, over real HTTP."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.integration.local.conftest import FIXTURE
from tests.support.local_stack import LocalStack, start_local_stack

KEY = "rmr_alice_" + "k" * 43


@pytest.fixture(scope="module")
def rooted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A running local stack with a distribution."""
    template = FIXTURE.with_name("rooted.yaml")
    parameters = {"Distribution": "true"}
    with start_local_stack(tmp_path_factory.mktemp("rooted"), template=template, parameters=parameters) as stack:
        yield stack


def event_of(answer: httpx2.Response) -> dict[str, Any]:
    """Return the event that the function was given."""
    assert answer.status_code == 200, answer.text
    event: dict[str, Any] = answer.json()
    return event


def test_the_endpoint_is_at_the_root_and_the_stage_is_below_it(rooted: LocalStack) -> None:
    assert rooted.url == rooted.root_url + "/mcp"
    assert rooted.stage_url == rooted.root_url + "/test"
    document = json.loads((rooted.data_dir / "connection.json").read_text())
    assert document == {"url": rooted.url, "stage_url": rooted.stage_url, "key": rooted.key}


def test_a_request_at_the_root_reaches_the_stage_as_the_function_leaves_it(rooted: LocalStack) -> None:
    headers = {"x-api-key": KEY, "x-remora-viewer": "198.51.100.1", "x-remora-origin": "guess"}
    event = event_of(httpx2.post(f"{rooted.url}/?apiKey={KEY}&a=b%20c&a=d", headers=headers, json={"x": 1}))
    assert event["path"] == "/mcp"
    assert event["requestContext"]["path"] == "/test/mcp"
    assert event["multiValueQueryStringParameters"] == {"a": ["b c", "d"]}
    assert event["headers"]["authorization"] == f"Bearer {KEY}"
    assert event["multiValueHeaders"]["x-remora-viewer"] == ["127.0.0.1"]
    assert event["multiValueHeaders"]["x-remora-origin"] == ["the-origin-secret"]
    assert json.loads(event["body"]) == {"x": 1}
    assert json.dumps(event).count(KEY) == 2  # the header, as one value and as a list


def test_functions_are_told_the_root_and_that_the_distribution_has_no_name_here(rooted: LocalStack) -> None:
    event = event_of(httpx2.get(f"{rooted.root_url}/health"))
    assert event["stageVariables"] == {"publicUrl": rooted.root_url, "edge": "edge.outputs.domainname.invalid"}


def test_a_call_without_a_credential_is_answered_by_the_edge(rooted: LocalStack) -> None:
    answer = httpx2.post(f"{rooted.root_url}/mcp/memory", json={})
    assert answer.status_code == 401
    metadata = f"{rooted.root_url}/.well-known/oauth-protected-resource/mcp/memory"
    challenge = f'Bearer resource_metadata="{metadata}", scope="read write"'
    assert answer.headers.get_list("www-authenticate") == [challenge]
    assert answer.json()["error"]["data"]["type"] == "UNAUTHORIZED"


def test_the_stage_knows_nothing_of_the_edge(rooted: LocalStack) -> None:
    event = event_of(httpx2.post(f"{rooted.stage_url}/mcp", headers={"x-api-key": KEY}))
    assert "authorization" not in event["headers"]
    assert "x-remora-origin" not in event["headers"]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost:evil", "127.0.0.1@evil.example", "[::2]", ""]
)
@pytest.mark.parametrize("path", ["/mcp", "/test/mcp", "/health"])
def test_a_host_of_another_name_is_refused(rooted: LocalStack, host: str, path: str) -> None:
    assert status_for(rooted, host, path) == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:1", "localhost:65535", "LOCALHOST", "[::1]", "[::1]:8765"])
@pytest.mark.parametrize("path", ["/health", "/test/health"])
def test_a_host_of_this_machine_is_served_whatever_its_port(rooted: LocalStack, host: str, path: str) -> None:
    assert status_for(rooted, host, path) == 200


def status_for(stack: LocalStack, host: str, path: str) -> int:
    """Return the status that a request gets with a Host header of one's own."""
    address = urlsplit(stack.url)
    with socket.create_connection((address.hostname, address.port or 80)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return int(answer.split()[1])
