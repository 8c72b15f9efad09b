"""One Lambda execution environment: imports a handler once, then runs one invocation after another.

Started as `python -m remora.local.function_process FD HANDLER`. Over the socket FD it sends one frame when the
handler is imported, then receives an invocation in each frame and answers with one. A frame is a length of
four bytes, a line of JSON (the header), and the rest (the event, or what the handler returned, as JSON).
"""

import importlib
import json
import os
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from remora.local import lifeline

Handler = Callable[[Any, "Context"], Any]


class Context:
    """The context object that Lambda passes to a handler.

    Attributes:
        aws_request_id: Id of the invocation.
        function_name: Name of the function.
        function_version: Always `$LATEST`.
        invoked_function_arn: Its ARN.
        memory_limit_in_mb: Its memory, as a string, as Lambda has it.
        log_group_name: Name of its log group.
        log_stream_name: Name of this environment's log stream.
    """

    identity = None
    client_context = None

    def __init__(self, request_id: str, arn: str, deadline: float) -> None:
        self.aws_request_id = request_id
        self.invoked_function_arn = arn
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self._deadline = deadline

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the invocation is ended, never less than 0."""
        return max(0, int((self._deadline - time.time()) * 1000))


def main(descriptor: int, handler_name: str) -> None:
    """Serve invocations until the other end closes the socket."""
    lifeline.hold(lambda: os._exit(0))
    channel = socket.socket(fileno=descriptor)
    try:
        handler = _import_handler(handler_name)
    except Exception as error:
        traceback.print_exc()
        _send(channel, {"kind": "init_error"}, _error_document(error, ""))
        raise SystemExit(1) from None
    _send(channel, {"kind": "ready"}, b"")
    while (frame := _receive(channel)) is not None:
        header, event = frame
        context = Context(header["request_id"], header["arn"], header["deadline"])
        try:
            answer, kind = json.dumps(handler(json.loads(event), context)).encode(), "result"
        except Exception as error:
            traceback.print_exc()
            answer, kind = _error_document(error, context.aws_request_id), "error"
        sys.stdout.flush()
        sys.stderr.flush()
        _send(channel, {"kind": kind}, answer)


def _import_handler(name: str) -> Handler:
    module, _, attribute = name.rpartition(".")
    handler: Handler = getattr(importlib.import_module(module.replace("/", ".")), attribute)
    return handler


def _error_document(error: Exception, request_id: str) -> bytes:
    """Return an exception as Lambda reports one to whoever invoked the function."""
    document = {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "requestId": request_id,
        "stackTrace": traceback.format_tb(error.__traceback__),
    }
    return json.dumps(document).encode()


def _send(channel: socket.socket, header: dict[str, str], body: bytes) -> None:
    content = json.dumps(header).encode() + b"\n" + body
    channel.sendall(struct.pack(">I", len(content)) + content)


def _receive(channel: socket.socket) -> tuple[dict[str, Any], bytes] | None:
    length = _receive_exactly(channel, 4)
    if length is None:
        return None
    content = _receive_exactly(channel, struct.unpack(">I", length)[0])
    if content is None:
        return None
    header, _, body = content.partition(b"\n")
    return json.loads(header), body


def _receive_exactly(channel: socket.socket, size: int) -> bytes | None:
    content = bytearray()
    while len(content) < size:
        part = channel.recv(min(size - len(content), 1 << 20))
        if not part:
            return None
        content += part
    return bytes(content)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
