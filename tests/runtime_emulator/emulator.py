"""Runs a built function as Lambda would: under the AWS Lambda runtime emulator, with its layers in place of `/opt`.

The functions and layers are built by the Makefiles that `sam build` starts, for this machine's Python and
processor. What Lambda's runtime brings (boto3, the runtime client) comes from this environment; nothing else
of it can be imported.
"""

import http.client
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from filelock import FileLock

REPOSITORY: Final = Path(__file__).parents[2]
PYTHON_VERSION: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
ARCHITECTURE: Final = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
HANDLERS: Final = {
    "ConnectorFunction": "connector.handler.handler",
    "AuthorizerFunction": "authorizer.handler.handler",
    "OAuthFunction": "oauth.handler.handler",
    "IngestFunction": "ingest.handler.handler",
    "UpkeepFunction": "upkeep.handler.handler",
    "WatchFunction": "watch.handler.handler",
}

_BUILDS: Final = {
    "RemoraLayer": ("layers/remora", "Makefile"),
    "DependenciesLayer": ("layers/dependencies", f"{ARCHITECTURE}/Makefile"),
    "EmbeddingModelLayer": ("layers/embedding-model", "Makefile"),
    "ConnectorFunction": ("functions", "Makefile"),
    "AuthorizerFunction": ("functions", "Makefile"),
    "OAuthFunction": ("functions", "Makefile"),
    "IngestFunction": ("functions", "Makefile"),
    "UpkeepFunction": ("functions", "Makefile"),
    "WatchFunction": ("functions", "Makefile"),
}
_IN_RUNTIME: Final = (
    *("awslambdaric", "simplejson", "snapshot-restore-py"),
    *("boto3", "botocore", "s3transfer", "jmespath", "urllib3", "python-dateutil", "six"),
)
_START_SECONDS: Final = 20
_INVOKE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Layout:
    """A built deployment.

    Attributes:
        opt: What Lambda shows as `/opt`: all layers in one folder.
        functions: What it shows as `/var/task`, by the function's logical id.
        runtime: Packages that Lambda's runtime brings.
    """

    opt: Path
    functions: Mapping[str, Path]
    runtime: Path

    def import_path(self, function: str) -> list[Path]:
        """Return the folders that a function imports from, in Lambda's order."""
        return [self.functions[function], self.opt / "python", self.runtime]


@cache
def build_layout() -> Layout:
    """Build every function and layer for this machine, once in a test run; what was built before is replaced.

    Raises:
        subprocess.CalledProcessError: A build failed; its output is in the exception.
    """
    home = REPOSITORY / ".build" / f"lambda-{PYTHON_VERSION}-{ARCHITECTURE}"
    layout = Layout(home / "opt", {function: home / function for function in HANDLERS}, home / "runtime")
    # Tests may run in several processes, of which the first builds for all.
    run, built_by = os.environ.get("PYTEST_XDIST_TESTRUNUID"), home / "built-by"
    with FileLock(home.with_suffix(".lock")):
        if run is None or not built_by.exists() or built_by.read_text() != run:
            shutil.rmtree(home, ignore_errors=True)
            _build(layout)
            built_by.write_text(run or "")
    return layout


def _build(layout: Layout) -> None:
    for name, (source, makefile) in _BUILDS.items():
        target = layout.functions.get(name, layout.opt)
        target.mkdir(parents=True, exist_ok=True)
        folder = REPOSITORY / source
        subprocess.run(
            [
                *("make", "--silent", f"--directory={folder}", f"--makefile={folder / makefile}", f"build-{name}"),
                *(f"ARTIFACTS_DIR={target}", f"RUNTIME={PYTHON_VERSION}"),
            ],
            check=True,
            env={**os.environ, "REMORA_PYTHON": sys.executable},
        )
    layout.runtime.mkdir()
    for name in _IN_RUNTIME:
        package = distribution(name)
        for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            (layout.runtime / top).symlink_to(Path(str(package.locate_file(top))).resolve())


def emulator_binary() -> Path:
    """Return the runtime emulator that the SAM command line carries.

    Raises:
        FileNotFoundError: The SAM environment is not installed.
    """
    name = f"aws-lambda-rie-{ARCHITECTURE}"
    found = sorted((REPOSITORY / ".venv-sam").glob(f"lib/python3*/site-packages/samcli/local/rapid/{name}"))
    if not found:
        raise FileNotFoundError(f"{name} is not in .venv-sam; `make test` installs it.")
    return found[-1]


def _free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Emulator:
    """One execution environment of a function: begins cold, warm after the first invocation.

    Attributes:
        log: File that holds what the function wrote.
    """

    def __init__(self, layout: Layout, function: str, environment: Mapping[str, str], *, log: Path) -> None:
        """Prepare an execution environment; entering it starts it.

        Args:
            layout: What to run.
            function: The function's logical id in the template.
            environment: The function's environment variables; nothing of this process' environment reaches it.
            log: File to write its output to.
        """
        self.log = log
        self._port = _free_port()
        self._command = [
            str(emulator_binary()),
            *("--runtime-interface-emulator-address", f"127.0.0.1:{self._port}"),
            *("--runtime-api-address", f"127.0.0.1:{_free_port()}"),
            # No site-packages: what is not in the layers is not there.
            *(sys.executable, "-S", "-m", "awslambdaric", HANDLERS[function]),
        ]
        self._directory = layout.functions[function]
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(map(str, layout.import_path(function))),
            "PYTHONDONTWRITEBYTECODE": "1",  # Lambda's layers are read-only
            "AWS_LAMBDA_FUNCTION_NAME": function,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "29",
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                self._command, cwd=self._directory, env=self._environment, stdout=output, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__(None, None, None)
                raise RuntimeError(f"The runtime emulator did not start:\n{self.log.read_text()}")
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _listens(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def invoke(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Invoke the function and return what it answers; an error of the function is a document too.

        Args:
            event: What API Gateway would send.
        """
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=_INVOKE_SECONDS)) as connection:
            connection.request("POST", "/2015-03-31/functions/function/invocations", json.dumps(event))
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer

    def peak_memory_mb(self) -> float:
        """Return the most memory that the function's process has held so far, in MB (Linux)."""
        assert self._process is not None
        threads = Path(f"/proc/{self._process.pid}/task").iterdir()
        children = [pid for thread in threads for pid in (thread / "children").read_text().split()]
        peaks = [
            int(line.split()[1]) / 1000
            for pid in children
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith("VmHWM:")
        ]
        return max(peaks)
