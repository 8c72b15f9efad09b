"""A real Chroma server that tests can kill and start again."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

_START_SECONDS = 30.0


class ChromaServer:
    """A `chroma run` on a free loopback port that can be killed and started again.

    Attributes:
        host: The address that it listens at.
        port: The port; it stays the same through restarts.
    """

    def __init__(self, data_dir: Path, host: str = "127.0.0.1") -> None:
        """Choose a port; nothing is started yet."""
        self.host = host
        with socket.create_server((self.host, 0)) as free:
            self.port: int = free.getsockname()[1]
        self._data_dir = data_dir
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = [str(Path(sys.executable).parent / "chroma"), "run", "--path", str(self._data_dir)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CHROMA_")}
        with (self._data_dir / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--host", self.host, "--port", str(self.port)],
                stdout=log,
                stderr=log,
                env={**environment, "ANONYMIZED_TELEMETRY": "False"},
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self._data_dir / "server.log").read_text()
            assert time.monotonic() < deadline, "Chroma did not start in time"
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the server and wait until it is gone."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_START_SECONDS)
            self._process = None

    def kill(self) -> None:
        """End the server the hard way."""
        self.stop(signal.SIGKILL)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=1)
        try:
            connection.request("GET", "/api/v2/heartbeat")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()
