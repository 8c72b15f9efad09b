"""Runs `chroma run` in a process that ends when the local run does.

Started as `python -m remora.local.chroma_process run --path ... --port ...`. It calls what the `chroma` script
calls, the Rust server's own command line, without importing the Python client first (a second of start-up).
"""

import os
import signal
import sys
import time

import chromadb_rust_bindings  # type: ignore[import-untyped]

from remora.local import lifeline

_SECONDS_TO_FINISH = 10


def _end_with_the_parent() -> None:
    # The server stops listening and finishes its writes on SIGTERM.
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_SECONDS_TO_FINISH)
    os._exit(1)


if __name__ == "__main__":
    lifeline.hold(_end_with_the_parent)
    chromadb_rust_bindings.cli(["chroma", *sys.argv[1:]])
