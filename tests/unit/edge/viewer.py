"""The viewer-request function of stacks/edge.yaml, run as the local run does."""

import functools
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from remora.local.edge import ViewerRequestFunction
from remora.local.messages import Reply, Request
from tests.support.local_stack import REPOSITORY

HOST = "d111111abcdef8.cloudfront.net"
VIEWER = "203.0.113.7"


class Passed:
    """A request that goes on to the API."""

    def __init__(self, request: Request, query: bytes) -> None:
        self.path = request.path
        self.headers = request.headers
        self.query = query.decode()

    def all(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key == name]


@functools.cache
def function(public_url: str = "", key_in_url: bool = False) -> ViewerRequestFunction:
    """Return the function as the nested stack's parameters make it."""
    template = yaml_parse((REPOSITORY / "stacks" / "edge.yaml").read_text())
    code: str = template["Resources"]["ViewerRequest"]["Properties"]["FunctionCode"]["Fn::Sub"]
    code = code.replace("${PublicUrl}", public_url).replace("${KeyInUrl}", str(key_in_url).lower())
    return ViewerRequestFunction(code)


def ask(
    path: str = "/mcp",
    *headers: tuple[str, str],
    query: str = "",
    method: str = "POST",
    host: str = HOST,
    public_url: str = "",
    key_in_url: bool = False,
) -> Passed | Reply:
    """Return what becomes of a request."""
    request = Request(
        method=method,
        path=path,
        headers=(("host", host), *headers),
        query=(),
        body=b"",
        source_ip=VIEWER,
        protocol="HTTP/1.1",
    )
    outcome = function(public_url, key_in_url).run(request, query.encode())
    return outcome if isinstance(outcome, Reply) else Passed(*outcome)


def passed(path: str = "/mcp", *headers: tuple[str, str], **options: Any) -> Passed:
    """Return the request as it goes on, after checking that it does."""
    outcome = ask(path, *headers, **options)
    assert isinstance(outcome, Passed), outcome
    return outcome


def refused(path: str = "/mcp", *headers: tuple[str, str], **options: Any) -> Reply:
    """Return the answer of the edge itself, after checking that there is one."""
    outcome = ask(path, *headers, **options)
    assert isinstance(outcome, Reply), vars(outcome)
    return outcome


def header(reply: Reply, name: str) -> str:
    """Return a header of an answer."""
    (value,) = (value for key, value in reply.headers if key == name)
    return value
