"""`make bench`: every measurement, or those named: `make bench ARGS="query"`."""

import argparse
import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import cold_start, memory, query
from remora.local.chroma import ChromaServer

_MODEL_DIR = Path(__file__).parents[1] / ".build" / "embedding-model"


@contextmanager
def _chroma() -> Iterator[int]:
    """Run an empty Chroma server and give its port."""
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        server = ChromaServer(Path(folder) / "data", Path(folder) / "chroma.log")
        runner.run(server.start())
        try:
            yield server.port
        finally:
            runner.run(server.stop())


def main() -> None:
    """Run the measurements."""
    measurements = {"cold-start": cold_start.run, "query": query.run, "memory": memory.run}
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"{', '.join(measurements)}; all of them by default")
    names = parser.parse_args().names or list(measurements)
    for name in names:
        if name not in measurements:
            parser.error(f"There is no measurement {name!r}; there are {', '.join(measurements)}")
        with _chroma() as port:
            measurements[name](port, _MODEL_DIR)


main()
