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
from remora.local.edge import Edge
from remora.local.functions import Function
from remora.local.gateway import ApiKey, Gateway
from remora.local.principals import admit, reachable
from remora.local.template import STACK_NAME, deploy, parameter_defaults

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
        root_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        principal = LocalPrincipal.of(options.data_dir)
        report(f"Starting Chroma, with its data in {options.data_dir / 'chroma'}")
        chroma = ChromaServer(options.data_dir / "chroma", options.data_dir / "chroma.log")
        stack.push_async_callback(chroma.stop)
        aws = LocalAws(options.data_dir / "s3")
        stack.callback(aws.stop)
        report(f"Reading {options.template}")
        deployment, _ = await asyncio.gather(
            asyncio.to_thread(deploy, options.template, _parameters(options, chroma, root_url), aws), chroma.start()
        )
        watching = asyncio.create_task(chroma.watch())
        stack.push_async_callback(_cancelled, watching)
        if _knows_principals(deployment):
            await asyncio.to_thread(admit, principal, aws, STACK_NAME, options.data_dir)
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

        keys = _ApiKeys(aws, deployment.api)
        edge = await Edge.of(deployment.edge) if deployment.edge is not None else None
        gateway = Gateway(deployment.api, functions, keys.find, edge)
        stage_url = f"{root_url}/{deployment.api.stage}"
        public_url = root_url if edge is not None else stage_url
        parts = sorted(
            route.resource
            for route in deployment.api.routes
            if route.method == "POST" and route.resource.startswith(f"{_MCP_PATH}/")
        )
        connection = Connection(
            url=public_url + _MCP_PATH,
            stage_url=stage_url,
            key=principal.key,
            parts=tuple(public_url + part for part in parts),
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
        stack.enter_context(reachable(options.data_dir, aws, STACK_NAME))
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
    """The keys of the usage plans, in the local API Gateway; read again when something there has changed."""

    def __init__(self, aws: LocalAws, api: RestApi) -> None:
        self._client = aws.apigateway
        self._plans = tuple(plan.id for plan in api.usage_plans)
        self._known: dict[str, ApiKey] = {}
        self._changes = 0
        self._changes_known = -1
        aws.on_change("apigateway", self._note_change)

    async def find(self, value: str) -> ApiKey | None:
        """Return the key that has this value and is in a plan, or None."""
        if self._changes_known != self._changes:
            changes = self._changes
            self._known = await asyncio.to_thread(self._read)
            self._changes_known = changes
        return self._known.get(value)

    def _note_change(self) -> None:
        self._changes += 1

    def _read(self) -> dict[str, ApiKey]:
        values = {key["id"]: key["value"] for key in self._client.get_api_keys(includeValues=True)["items"]}
        return {
            values[key["id"]]: ApiKey(id=key["id"], plan=plan)
            for plan in self._plans
            for key in self._client.get_usage_plan_keys(usagePlanId=plan)["items"]
            if key["id"] in values
        }


_LOCAL_ORIGINS = ("http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*")


def _parameters(options: Options, chroma: ChromaServer, root_url: str) -> dict[str, str]:
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
        # The run plays the distribution itself. With "true" the functions refuse what comes around it, as in AWS.
        "Distribution": "false",
        "PublicUrl": root_url,
        "LogLevel": _LOG_LEVELS[options.log_level],
        # Pages on this machine, such as the Inspector's.
        "AllowedOrigins": ",".join(filter(None, (defaults.get("AllowedOrigins"), *_LOCAL_ORIGINS))),
    }
    return {name: value for name, value in known.items() if name in defaults} | dict(options.parameters)


def _knows_principals(deployment: Deployment) -> bool:
    return any(_PRINCIPALS_VARIABLE in function.environment for function in deployment.functions.values())


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
