"""Starts a Chroma server on disk, waits until it answers, and starts it again when it dies."""

import asyncio
import contextlib
import http.client
import logging
import os
import socket
import sys
import time
from pathlib import Path

from remora.errors import UnavailableError

logger = logging.getLogger(__name__)

_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 10.0
_QUICK_DEATH = 10.0
_MAX_QUICK_DEATHS = 3
_LOG_LINES_SHOWN = 8


class ChromaServer:
    """A `chroma run` on a free loopback port.

    Attributes:
        port: The port, the same for all the object's life: functions are told it once.
    """

    def __init__(self, data_dir: Path, log_path: Path) -> None:
        """Choose a port; nothing is started yet.

        Args:
            data_dir: Where Chroma keeps its data; created if it does not exist.
            log_path: Where its output goes. What an earlier run left there is removed.
        """
        self.port = _free_port()
        self._data_dir = data_dir
        self._log_path = log_path
        self._process: asyncio.subprocess.Process | None = None
        self._started_at = 0.0
        log_path.write_bytes(b"")

    async def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            UnavailableError: It ended or did not answer within a minute.
        """
        self._started_at = time.monotonic()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("CHROMA_")}
        with self._log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "remora.local.chroma_process",
                "run",
                "--path",
                str(self._data_dir),
                "--host",
                "127.0.0.1",
                "--port",
                str(self.port),
                env={**environment, "ANONYMIZED_TELEMETRY": "False", "NO_COLOR": "1"},
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                # Ctrl-C in a terminal reaches the whole process group: only the parent should act on it.
                start_new_session=True,
            )
        while not await asyncio.to_thread(self._answers):
            if self._process.returncode is not None:
                raise UnavailableError(
                    f"Chroma ended with status {self._process.returncode} while it started.{self._last_words()}"
                )
            if time.monotonic() - self._started_at > _START_TIMEOUT:
                raise UnavailableError(
                    f"Chroma did not answer within {_START_TIMEOUT:.0f} seconds.{self._last_words()}"
                )
            await asyncio.sleep(0.02)

    async def watch(self) -> None:
        """Start the server again whenever it dies, until cancelled.

        Raises:
            UnavailableError: It died three times, each within ten seconds of its start.
        """
        quick_deaths = 0
        while True:
            assert self._process is not None  # noqa: S101 - it was started before it is watched
            status = await self._process.wait()
            quick_deaths = quick_deaths + 1 if time.monotonic() - self._started_at < _QUICK_DEATH else 0
            if quick_deaths >= _MAX_QUICK_DEATHS:
                raise UnavailableError(
                    f"Chroma died {quick_deaths} times in a row, the last time with status {status}. "
                    f"Its data is in {self._data_dir}.{self._last_words()}"
                )
            logger.error("Chroma died (status %s) and is started again.%s", status, self._last_words())
            try:
                await self.start()
            except UnavailableError:
                # It died again before it answered; the next round counts that.
                continue
            logger.warning("Chroma answers again")

    async def stop(self) -> None:
        """Let the server finish its writes and end it."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_TIMEOUT)
        except TimeoutError:
            logger.warning("Chroma did not stop within %.0f seconds and is killed", _STOP_TIMEOUT)
            self._process.kill()
            await self._process.wait()

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", "/api/v2/heartbeat")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _last_words(self) -> str:
        lines = [line for line in self._log_path.read_text(errors="replace").splitlines() if line.strip()]
        shown = "".join(f"\n    {line}" for line in lines[-_LOG_LINES_SHOWN:])
        return f" The end of its log, {self._log_path}:{shown}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
