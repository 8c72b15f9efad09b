"""Runs Lambda functions: a small pool of execution environments for each, with Lambda's limits and errors."""

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import BufferedWriter
from pathlib import Path

import remora
from remora.local.deployment import FunctionSettings

logger = logging.getLogger(__name__)

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: 6 MB each way, in Lambda's own count.
MAX_PAYLOAD = 6_291_556
_MAX_ENVIRONMENTS = 4
_INIT_TIMEOUT = 10.0
_READ_SIZE = 1 << 16
_PACKAGE_DIR = Path(remora.__file__).parents[1]


class PayloadTooLargeError(Exception):
    """The event is larger than Lambda accepts; the function was not run."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """How an invocation ended.

    Attributes:
        payload: What the handler returned, as JSON; or a document with `errorType` and `errorMessage`.
        failed: Whether it is the latter.
    """

    payload: bytes
    failed: bool

    @classmethod
    def failure(cls, error_type: str, message: str) -> "Invocation":
        """Return a failure that Lambda itself reports."""
        return cls(json.dumps({"errorType": error_type, "errorMessage": message}).encode(), failed=True)


@dataclass(frozen=True, slots=True)
class _Header:
    """What an environment is told of an invocation besides the event; `deadline` is in seconds since the epoch."""

    request_id: str
    arn: str
    deadline: float


class _EndedError(Exception):
    """The environment's process ended."""


class _Environment:
    """One process that runs one invocation at a time."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        name: str,
        generation: int,
        log: BufferedWriter,
    ) -> None:
        self._process, self._reader, self._writer, self._name = process, reader, writer, name
        self.generation = generation
        self._copying = asyncio.create_task(self._copy_output(log))

    async def ready(self) -> Invocation | None:
        """Wait until the handler is imported; return the failure if that failed."""
        kind, payload = await self._receive()
        return Invocation(payload, failed=True) if kind == "init_error" else None

    async def run(self, header: "_Header", event: bytes) -> Invocation:
        """Run one invocation; nothing else runs meanwhile.

        Raises:
            _EndedError: The process ended before it answered.
        """
        content = json.dumps(asdict(header)).encode() + b"\n" + event
        try:
            self._writer.write(struct.pack(">I", len(content)) + content)
            await self._writer.drain()
        except ConnectionError:
            raise _EndedError from None
        kind, payload = await self._receive()
        return Invocation(payload, failed=kind == "error")

    async def exit_status(self) -> int:
        return await self._process.wait()

    async def end(self) -> None:
        """Kill the process, as Lambda does, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._copying
        self._writer.close()
        assert self._process.stdin is not None  # noqa: S101 - it was started with one
        self._process.stdin.close()

    async def _receive(self) -> tuple[str, bytes]:
        try:
            (length,) = struct.unpack(">I", await self._reader.readexactly(4))
            header, _, payload = (await self._reader.readexactly(length)).partition(b"\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            raise _EndedError from None
        return json.loads(header)["kind"], payload

    async def _copy_output(self, log: BufferedWriter) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was started with one
        while output := await self._process.stdout.read(_READ_SIZE):
            log.write(output)
            log.flush()
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug("%s: %s", self._name, output.decode(errors="replace").rstrip())


class Function:
    """A Lambda function that can be invoked.

    Environments are started on demand, up to four at once; an invocation beyond that waits. An environment
    that ended or was timed out is replaced by the next invocation.
    """

    def __init__(self, settings: FunctionSettings, environment: Mapping[str, str], log: BufferedWriter) -> None:
        """Prepare a function without starting anything.

        Args:
            settings: The function.
            environment: Variables that the local run adds to those of the template, or sets in their place.
            log: Where everything that the function prints goes.
        """
        self.settings = settings
        self._log = log
        self._variables = {**settings.environment, **environment}
        self._idle: list[_Environment] = []
        self._started = 0
        self._generation = 0
        self._slots = asyncio.Semaphore(_MAX_ENVIRONMENTS)
        self._ended = False
        self._invocations: set[asyncio.Task[Invocation]] = set()

    async def warm_up(self) -> None:
        """Start one environment, so that the first invocation need not wait for it."""
        async with self._slots:
            environment, failure = await self._start()
            if failure is None:
                self._idle.append(environment)
            else:
                await environment.end()
                document = json.loads(failure.payload)
                logger.error(
                    "%s cannot start: %s: %s. Its output is in the functions' log.",
                    self.settings.name,
                    document["errorType"],
                    document["errorMessage"],
                )

    async def invoke(self, event: bytes) -> Invocation:
        """Run the function once.

        The invocation goes on to its end when the caller stops waiting for it, as it does in Lambda.

        Args:
            event: The event, as JSON.

        Raises:
            PayloadTooLargeError: The event is larger than 6 MB.
        """
        if len(event) > MAX_PAYLOAD:
            raise PayloadTooLargeError
        task = asyncio.create_task(self._invoke(event))
        self._invocations.add(task)
        task.add_done_callback(self._invocations.discard)
        return await asyncio.shield(task)

    def reload(self) -> None:
        """Let every environment finish what it does and run nothing more: the code has changed."""
        self._generation += 1

    async def end(self) -> None:
        """End every environment at once."""
        self._ended = True
        for task in self._invocations:
            task.cancel()
        await asyncio.gather(*self._invocations, return_exceptions=True)
        while self._idle:
            await self._idle.pop().end()

    async def _invoke(self, event: bytes) -> Invocation:
        async with self._slots:
            environment, failure = await self._take()
            reusable = False
            try:
                if failure is not None:
                    return failure
                invocation = await self._run(environment, event)
                reusable = not isinstance(invocation, _Ended)
                return invocation.invocation if isinstance(invocation, _Ended) else invocation
            finally:
                if reusable and not self._ended:
                    self._idle.append(environment)
                else:
                    await environment.end()

    async def _take(self) -> tuple[_Environment, Invocation | None]:
        while self._idle:
            environment = self._idle.pop()
            if environment.generation == self._generation:
                return environment, None
            await environment.end()
        return await self._start()

    async def _run(self, environment: _Environment, event: bytes) -> "Invocation | _Ended":
        timeout, request_id = self.settings.timeout, str(uuid.uuid4())
        header = _Header(request_id, self.settings.arn, time.time() + timeout)
        try:
            invocation = await asyncio.wait_for(environment.run(header, event), timeout)
        except TimeoutError:
            message = f"{request_id} Task timed out after {timeout:.2f} seconds"
            logger.warning("%s: %s", self.settings.name, message)
            return _Ended(Invocation.failure("Sandbox.Timedout", message))
        except _EndedError:
            status = await environment.exit_status()
            message = f"RequestId: {request_id} Error: Runtime exited with exit status {status}"
            logger.warning("%s: %s. Its output is in the functions' log.", self.settings.name, message)
            return _Ended(Invocation.failure("Runtime.ExitError", message))
        if len(invocation.payload) > MAX_PAYLOAD:
            message = f"Response payload size exceeded maximum allowed payload size ({MAX_PAYLOAD} bytes)."
            logger.warning("%s: %s", self.settings.name, message)
            return Invocation.failure("Function.ResponseSizeTooLarge", message)
        return invocation

    async def _start(self) -> tuple[_Environment, Invocation | None]:
        """Start an environment and wait for its handler; also return the failure if it cannot be imported."""
        self._started += 1
        name = f"{self.settings.name}#{self._started}"
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "remora.local.function_process",
                str(theirs.fileno()),
                self.settings.handler,
                env=self._process_environment(),
                cwd=self.settings.code_dir,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                # Ctrl-C in a terminal reaches the whole process group: only the parent should act on it.
                start_new_session=True,
            )
        reader, writer = await asyncio.open_connection(sock=ours, limit=1 << 20)
        environment = _Environment(process, reader, writer, name, self._generation, self._log)
        try:
            # Lambda gives an import 10 seconds, then tries once more on the invocation's own time.
            return environment, await asyncio.wait_for(environment.ready(), _INIT_TIMEOUT + self.settings.timeout)
        except TimeoutError:
            message = f"Init timed out after {_INIT_TIMEOUT + self.settings.timeout:.0f} seconds"
            return environment, Invocation.failure("Sandbox.Timedout", message)
        except _EndedError:
            status = await environment.exit_status()
            return environment, Invocation.failure("Runtime.ExitError", f"Runtime exited with exit status {status}")
        except BaseException:
            await environment.end()
            raise

    def _process_environment(self) -> dict[str, str]:
        settings = self.settings
        inherited = {key: os.environ[key] for key in ("HOME", "PATH", "LANG", "TMPDIR") if key in os.environ}
        return {
            **inherited,
            "PYTHONPATH": os.pathsep.join([str(settings.code_dir), str(_PACKAGE_DIR)]),
            "PYTHONUNBUFFERED": "1",
            "TZ": ":UTC",
            "_HANDLER": settings.handler,
            "LAMBDA_TASK_ROOT": str(settings.code_dir),
            "AWS_LAMBDA_FUNCTION_NAME": settings.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(settings.memory_mb),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{settings.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": f"local/[$LATEST]{self._started}",
            # There is no X-Ray daemon here.
            "AWS_XRAY_SDK_ENABLED": "false",
            "POWERTOOLS_TRACE_DISABLED": "true",
            **self._variables,
        }


@dataclass(frozen=True, slots=True)
class _Ended:
    """An invocation after which its environment cannot be used again."""

    invocation: Invocation
