"""Starts `remora dev` as a process of its own, as a person would, and waits until it serves."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

REPOSITORY = Path(__file__).parents[2]
# Tests call faster than a person does. A test of the limits sets its own.
UNLIMITED = {"StandardLimits": "10000,5000,999999999"}
_STOP_SECONDS = 30


@dataclass(frozen=True)
class LocalStack:
    """A running `remora dev`.

    Attributes:
        url: The MCP endpoint.
        stage_url: The API's stage, below the distribution.
        key: The bearer key of the principal `local`.
        data_dir: Its data directory; what it prints is in `output.log` there.
        process: Its process.
    """

    url: str
    stage_url: str
    key: str
    data_dir: Path
    process: subprocess.Popen[bytes]

    @property
    def root_url(self) -> str:
        """The URL that the MCP endpoint is below: the distribution's root, or the stage where there is none."""
        return self.url.removesuffix("/mcp")

    def output(self) -> str:
        """Return what it has printed so far."""
        return (self.data_dir / "output.log").read_text(encoding="utf-8")

    def chroma(self) -> tuple[int, int]:
        """Return the process id and the port of its Chroma server."""
        family = descendants(self.process.pid)
        ((pid, command),) = [(pid, command) for pid, command in family.items() if "chroma_process" in command]
        return pid, int(command.split("--port ")[1].split()[0])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop, wait, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"remora dev did not stop:\n{self.output()}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def launch(
    data_dir: Path,
    *,
    template: Path = REPOSITORY / "template.yaml",
    parameters: Mapping[str, str] | None = None,
    port: int = 0,
    log_level: str = "info",
) -> subprocess.Popen[bytes]:
    """Start `remora dev` and do not wait for anything."""
    data_dir.mkdir(parents=True, exist_ok=True)
    overrides = [f"{name}={value}" for name, value in (parameters or {}).items()]
    arguments = ["--port", str(port), "--data", str(data_dir), "--log-level", log_level, "--template", str(template)]
    if overrides:
        arguments += ["--parameter-overrides", *overrides]
    with (data_dir / "output.log").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "remora", "dev", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def start_local_stack(
    data_dir: Path,
    *,
    template: Path = REPOSITORY / "template.yaml",
    parameters: Mapping[str, str] = UNLIMITED,
    port: int = 0,
    log_level: str = "info",
    timeout: float = 120,
) -> LocalStack:
    """Start `remora dev` and wait until it serves.

    Args:
        data_dir: Its data directory.
        template: The SAM template that it reads.
        parameters: Overrides of the template's parameters; without limits that a test would run into, unless given.
        port: Port of the gateway; any free one unless given.
        log_level: Its log level.
        timeout: Seconds that it may take.

    Raises:
        AssertionError: It ended, or took longer; with what it printed.
    """
    process = launch(data_dir, template=template, parameters=parameters, port=port, log_level=log_level)
    output, deadline = data_dir / "output.log", time.monotonic() + timeout
    # The last line that it prints before it waits for requests.
    while "\nCtrl-C stops it." not in (printed := output.read_text(encoding="utf-8")):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise AssertionError(f"remora dev did not come up (status {process.returncode}):\n{printed}")
        time.sleep(0.02)
    document = json.loads((data_dir / "connection.json").read_text(encoding="utf-8"))
    return LocalStack(**document, data_dir=data_dir, process=process)


def descendants(pid: int) -> dict[int, str]:
    """Return the living processes that a process has started, and those have: process id to command line."""
    listing = subprocess.run(["ps", "-ewwo", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 3) for line in listing.stdout.splitlines()]
    family: dict[int, str] = {}
    grown = True
    while grown:
        found = {
            int(row[0]): row[3]
            for row in rows
            if (int(row[1]) == pid or int(row[1]) in family) and not row[2].startswith("Z") and len(row) > 3
        }
        grown = not found.keys() <= family.keys()
        family |= found
    return {child: command for child, command in family.items() if not command.startswith("ps -ewwo")}


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that ended and that nobody has waited for does not."""
    listing = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(listing.stdout.strip()) and not listing.stdout.strip().startswith("Z")
