"""The local run: starts Chroma, AWS, the functions and the gateway, keeps them running, and stops them."""

import asyncio
import contextlib
import errno
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvicorn
import watchfiles

import remora
from remora.errors import InvalidArgumentError, UnavailableError
from remora.local.asynchronous import AsynchronousInvocations
from remora.local.aws import LocalAws
from remora.local.chroma import ChromaServer
from remora.local.connection import Connection, LocalPrincipal, held, published, withdraw
from remora.local.deployment import Deployment, RestApi
from remora.local.functions import Function
from remora.local.gateway import Gateway
from remora.local.template import deploy, parameter_defaults

logger = logging.getLogger(__name__)

_MCP_PATH = "/mcp"
_MODEL_VARIABLE = "REMORA_MODEL_DIR"
_PRINCIPALS_VARIABLE = "REMORA_PRINCIPALS_SECRET"
_KEEP_ALIVE = 300  # seconds; longer than any client's pool keeps an idle connection
_LOG_LEVELS = {"debug": "DEBUG", "info": "INFO", "warning": "WARNING", "error": "ERROR"}


@dataclass(frozen=True, slots=True)
class Options:
    """What a local run is asked for.

    Attributes:
        template: The SAM template.
        data_dir: Where everything that outlives the run is kept.
        port: Loopback port of the gateway; 0 for any free one.
        log_level: `debug`, `info`, `warning` or `error`.
        parameters: Values for parameters of the template.
    """

    template: Path
    data_dir: Path
    port: int
    log_level: str = "info"
    parameters: Mapping[str, str] = field(default_factory=dict)


async def run(options: Options, report: Callable[[str], None], ready: Callable[[Connection], None]) -> None:
    """Serve until cancelled.

    Args:
        options: What to serve, and where.
        report: Told each step of the start, in a sentence.
        ready: Told how to connect, once, when the gateway answers.

    Raises:
        InvalidArgumentError: Something that was asked for cannot be had: port, data directory, template.
        UnavailableError: Chroma cannot be kept running, or the model cannot be built.
    """
    started = time.monotonic()
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(held(options.data_dir))
        withdraw(options.data_dir)
        listener = stack.enter_context(_listener(options.port))
        principal = LocalPrincipal.of(options.data_dir)
        report(f"Starting Chroma, with its data in {options.data_dir / 'chroma'}")
        chroma = ChromaServer(options.data_dir / "chroma", options.data_dir / "chroma.log")
        stack.push_async_callback(chroma.stop)
        aws = LocalAws(options.data_dir / "s3")
        stack.callback(aws.stop)
        report(f"Reading {options.template}")
        deployment, _ = await asyncio.gather(
            asyncio.to_thread(deploy, options.template, _parameters(options, chroma), aws), chroma.start()
        )
        watching = asyncio.create_task(chroma.watch())
        stack.push_async_callback(_cancelled, watching)
        key_id = await asyncio.to_thread(_admit, principal, deployment, aws)
        await asyncio.to_thread(_expire, deployment, aws)

        environment = aws.environment()
        if any(_MODEL_VARIABLE in function.environment for function in deployment.functions.values()):
            environment[_MODEL_VARIABLE] = str(await _model(options.template.parent, report))
        report("Starting the functions")
        log = stack.enter_context((options.data_dir / "functions.log").open("wb"))
        functions = {name: Function(settings, environment, log) for name, settings in deployment.functions.items()}
        for function in functions.values():
            stack.push_async_callback(function.end)
        # The others start when there is something for them to do.
        called = {route.function for route in deployment.api.routes} | {
            authorizer.function for authorizer in deployment.api.authorizers.values()
        }
        await asyncio.gather(*(functions[name].warm_up() for name in called))
        asynchronous = AsynchronousInvocations(deployment.rules, functions, aws.objects)
        notifying = frozenset(bucket.name for bucket in deployment.buckets if bucket.notifies)
        aws.s3.notify(notifying, asynchronous.receivers, asynchronous.wake)

        keys = _ApiKeys(aws, deployment.api, {principal.usage_key: key_id} if key_id else {})
        gateway = Gateway(deployment.api, functions, keys.find)
        stage_url = f"http://127.0.0.1:{listener.getsockname()[1]}/{deployment.api.stage}"
        parts = sorted(
            route.resource
            for route in deployment.api.routes
            if route.method == "POST" and route.resource.startswith(f"{_MCP_PATH}/")
        )
        connection = Connection(
            url=stage_url + _MCP_PATH, key=principal.key, parts=tuple(stage_url + part for part in parts)
        )
        server = _Server(
            uvicorn.Config(
                gateway,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE,
                timeout_graceful_shutdown=1,
            )
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        stack.push_async_callback(_stopped, server, serving)
        await server.listening.wait()
        stack.enter_context(published(options.data_dir, connection))
        reloading = asyncio.create_task(_reload(functions))
        stack.push_async_callback(_cancelled, reloading)
        report(f"Ready after {time.monotonic() - started:.1f} seconds")
        ready(connection)
        invoking = asyncio.create_task(asynchronous.run())
        stack.push_async_callback(_cancelled, invoking)
        done, _ = await asyncio.wait({watching, serving, reloading, invoking}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


class _Server(uvicorn.Server):
    """A uvicorn that says when it listens, and leaves signals to whoever started it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _ApiKeys:
    """The keys of the usage plan, in the local API Gateway."""

    def __init__(self, aws: LocalAws, api: RestApi, known: dict[str, str]) -> None:
        self._client = aws.apigateway
        self._plan = api.usage_plan
        self._known = known

    async def find(self, value: str) -> str | None:
        """Return the id of the key that has this value, or None."""
        if value not in self._known and self._plan is not None:
            self._known = await asyncio.to_thread(self._read, self._plan.id)
        return self._known.get(value)

    def _read(self, plan: str) -> dict[str, str]:
        keys = self._client.get_usage_plan_keys(usagePlanId=plan)["items"]
        return {self._client.get_api_key(apiKey=key["id"], includeValue=True)["value"]: key["id"] for key in keys}


_LOCAL_ORIGINS = ("http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*")


def _parameters(options: Options, chroma: ChromaServer) -> dict[str, str]:
    """Return the parameters: what a local run knows by itself, where the template asks for it, and what was given."""
    defaults = parameter_defaults(options.template)
    known = {
        # The run has a server of its own, and no network.
        "ChromaMode": "external",
        "ChromaHost": "127.0.0.1",
        "ChromaPort": str(chroma.port),
        "ChromaSsl": "false",
        "ChromaTenant": "default_tenant",
        "ChromaEngine": "single-node",
        "LogLevel": _LOG_LEVELS[options.log_level],
        # Pages on this machine, such as the Inspector's.
        "AllowedOrigins": ",".join(filter(None, (defaults.get("AllowedOrigins"), *_LOCAL_ORIGINS))),
    }
    return {name: value for name, value in known.items() if name in defaults} | dict(options.parameters)


def _admit(principal: LocalPrincipal, deployment: Deployment, aws: LocalAws) -> str | None:
    """Store the local principal where the authorizer looks, and its usage key in the plan; return that key's id."""
    secrets = {
        function.environment[_PRINCIPALS_VARIABLE]
        for function in deployment.functions.values()
        if _PRINCIPALS_VARIABLE in function.environment
    }
    for secret in secrets:
        aws.secretsmanager.put_secret_value(SecretId=secret, SecretString=principal.stored().model_dump_json())
    plan = deployment.api.usage_plan
    if plan is None:
        return None
    client = aws.apigateway
    key_id = client.create_api_key(name="local", value=principal.usage_key, enabled=True)["id"]
    client.create_usage_plan_key(usagePlanId=plan.id, keyId=key_id, keyType="API_KEY")
    return key_id


def _expire(deployment: Deployment, aws: LocalAws) -> None:
    """Remove from the buckets what their lifecycle has outlived, once a run."""
    now = datetime.now(UTC).replace(tzinfo=None)
    for bucket in deployment.buckets:
        for expiration in bucket.expirations:
            before = (now - timedelta(days=expiration.days)).isoformat(timespec="microseconds")
            with aws.objects.lock:
                aws.objects.expire(bucket.name, expiration.prefix, before)


@contextlib.contextmanager
def _listener(port: int) -> Iterator[socket.socket]:
    # asyncio turns Nagle's algorithm off only for sockets that name the protocol; with it, answers wait 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            why = (
                "is taken by another program. Stop that one, or choose another port with --port"
                if error.errno == errno.EADDRINUSE
                else f"cannot be used ({error.strerror}). Choose another with --port"
            )
            raise InvalidArgumentError(f"Port {port} {why} (0 for any free one).") from None
        yield listener


async def _model(root: Path, report: Callable[[str], None]) -> Path:
    """Return the folder of the embedding model, which is built if it is not there."""
    model = (root / ".build" / "embedding-model").resolve()
    if model.is_dir():
        return model
    report("Building the embedding model (once, about a minute)")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(root / "layers" / "embedding-model" / "build.py"), str(model)
    )
    try:
        status = await process.wait()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if status != 0:
        raise UnavailableError(
            f"The embedding model could not be built (status {status}); what the build printed says why."
        )
    return model


async def _reload(functions: Mapping[str, Function]) -> None:
    """Give every function new environments when code changes, until cancelled."""
    folders = {function.settings.code_dir for function in functions.values()}
    folders.add(Path(remora.__file__).parent)
    async for _ in watchfiles.awatch(*folders, watch_filter=watchfiles.PythonFilter()):
        logger.info("Code has changed; the functions start anew")
        for function in functions.values():
            function.reload()


async def _stopped(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    server.should_exit = True
    await asyncio.gather(serving, return_exceptions=True)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
