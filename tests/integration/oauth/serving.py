"""An authorization server on a loopback port, for browsers."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn

from tests.integration.oauth.deployment import Deployment


@contextlib.contextmanager
def served_to_browsers(deploy: Callable[[str], Deployment]) -> Iterator[Deployment]:
    """Serve an authorization server, whose public URL is that of a free port of this machine.

    Args:
        deploy: Returns the authorization server of a public URL.
    """
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        deployment = deploy(f"http://127.0.0.1:{listening.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(deployment.app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            yield deployment
        finally:
            server.should_exit = True
            thread.join(timeout=10)
