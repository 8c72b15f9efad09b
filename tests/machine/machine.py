"""A container in the place of an EC2 instance: real systemd, udev and disks; stand-ins for AWS (image.sh)."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Self, TypeVar
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.support.local_stack import REPOSITORY

IMAGE = REPOSITORY / ".build" / "chroma-machine"
VOLUME_ID = "vol-0123456789abcdef0"
SECONDS = 60.0

T = TypeVar("T")

_TOOLS = ("systemd-nspawn", "nsenter", "losetup", "mkfs.ext4")
_POWER_OFF = signal.SIGRTMIN + 4
"""What systemd as the first process takes for the power button (systemd(1), signals)."""


def missing() -> str | None:
    """Return what this computer lacks to run such a machine, if anything."""
    if os.geteuid() != 0:
        return "only root may start one"
    if absent := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        return f"not installed: {', '.join(absent)}"
    if not (IMAGE / "root").exists():
        return "there is no image: `make machine` builds it"
    probe = subprocess.run(["losetup", "--find"], capture_output=True, text=True)
    return None if probe.returncode == 0 else f"no loop devices: {probe.stderr.strip()}"


def empty_disk(path: Path, size: int = 256 * 1024 * 1024) -> Path:
    """Make a disk that holds nothing."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


def free_port() -> int:
    """Return a port that nothing listens at."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@dataclass
class Machine:
    """One machine with a system disk of its own; it shares the network of this computer.

    Attributes:
        folder: Where its disks are.
        user_data: What it runs when it starts for the first time.
        wheels: What its package index holds.
        volume: The disk that has the volume's id.
        port: Where its Chroma answers.
        snapshot_id: What EC2 says that the volume was made from.
    """

    folder: Path
    user_data: str
    wheels: Path
    volume: Path
    port: int
    snapshot_id: str = "None"
    _devices: list[str] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None
    _leader: int = 0

    def __post_init__(self) -> None:
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir(parents=True)
        config = self.folder / "config"
        package = config / "index" / "chromadb"
        shutil.copytree(self.wheels, package)
        # As an index lists a package (PEP 503).
        links = "".join(f'<a href="{wheel.name}">{wheel.name}</a>' for wheel in package.glob("*.whl"))
        (package / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")
        (config / "user-data").write_text(self.user_data)
        (config / "instance-id").write_text("i-" + uuid.uuid4().hex[:17] + "\n")
        (config / "snapshot-id").write_text(self.snapshot_id + "\n")

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it; it goes on from its disks."""
        root = self.folder / "root"
        layers = f"lowerdir={IMAGE / 'root'},upperdir={self.folder / 'upper'},workdir={self.folder / 'work'}"
        _call("mount", "-t", "overlay", "overlay", "-o", layers, str(root))
        device = _call("losetup", "--find", "--show", str(self.volume)).strip()
        self._devices.append(device)
        # A volume's serial number is its id without the hyphen.
        (self.folder / "config" / "disks").write_text(f"{device} {VOLUME_ID.replace('-', '')}\n")
        command = ["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--console=pipe"]
        # For udev, to tell of a device; and to grow a file system.
        command += ["--capability=CAP_NET_ADMIN,CAP_SYS_RESOURCE"]
        command += [
            f"--machine=m{uuid.uuid4().hex}",
            f"--directory={root}",
            f"--bind={device}",
            f"--bind-ro={self.folder / 'config'}:/config",
        ]
        with (self.folder / "console.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # systemd manages devices only where it may write to /sys.
                env={**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"},
            )
        _until(self._entered, self.console)

    def stop(self) -> None:
        """Shut it down, as EC2 does before it takes an instance away."""
        assert self._process is not None
        os.kill(self._leader, _POWER_OFF)
        self._process.wait(SECONDS)
        self.kill()

    def kill(self) -> None:
        """Cut its power."""
        if self._process is not None:
            # The container's first process, with which all its others end.
            for process in (self._leader, self._process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            self._process.wait(SECONDS)
            self._process = None
        subprocess.run(["umount", str(self.folder / "root")], capture_output=True)
        while self._devices:
            _call("losetup", "--detach", self._devices.pop())

    def run(self, command: str) -> str:
        """Run a command as root, and return what it printed.

        Raises:
            AssertionError: It failed.
        """
        done = self._enter("bash", "-c", command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}{self.console()}"
        return done.stdout

    def bootstrapped(self) -> str:
        """Wait until the system is up, its user data included, and return what that printed."""
        up = {"running", "degraded"}
        _until(lambda: self._enter("systemctl", "is-system-running").stdout.strip() in up, self.console)
        return self.run("cat /var/log/cloud-init-output.log")

    def bootstrap_again(self) -> str:
        """Run the user data once more, and return what it printed."""
        return self.run("bash /config/user-data 2>&1")

    def answer(self) -> tuple[int, str]:
        """Return what answers at Chroma's port, once something does."""

        def ask() -> tuple[int, str] | None:
            try:
                with urlopen(f"http://127.0.0.1:{self.port}/api/v2/heartbeat", timeout=2) as response:
                    return HTTPStatus.OK, response.read().decode()
            except HTTPError as error:
                return error.code, error.read().decode()
            except OSError:
                return None

        return _until(ask, self.console)

    def console(self) -> str:
        """Return what it has printed, and what its user data has."""
        logs = [self.folder / "console.log", self.folder / "upper" / "var" / "log" / "cloud-init-output.log"]
        return "\n".join(log.read_text(errors="replace") for log in logs if log.exists())

    def _entered(self) -> bool:
        """Return whether systemd answers. The first process of all is a passing one, so it is looked up each time."""
        assert self._process is not None
        assert self._process.poll() is None, self.console()
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        if not children:
            return False
        self._leader = int(children[0])
        return self._enter("systemctl", "is-system-running").stdout.strip() not in {"", "offline"}

    def _enter(self, *command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["nsenter", "--target", str(self._leader), "--all", *command],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
        )


def _call(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _until(ask: Callable[[], T | None], explain: Callable[[], str]) -> T:
    deadline = time.monotonic() + SECONDS
    while not (found := ask()):
        assert time.monotonic() < deadline, explain()
        time.sleep(0.1)
    return found
