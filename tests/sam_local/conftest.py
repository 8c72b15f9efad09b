"""`sam local invoke` for real: the built functions in containers, on a Docker engine that runs or is started.

It takes some ten minutes, so it runs only when asked for (`make test-sam`), and says why it does not otherwise.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from tests.support.chroma_server import ChromaServer
from tests.support.example_deployment import furnish
from tests.support.local_stack import REPOSITORY

Invoke = Callable[[str, str], str]

_ASKED = "REMORA_TEST_SAM"
_IMAGE = "remora-local-test"
_START_SECONDS = 60
_SAM = REPOSITORY / ".venv-sam" / "bin" / "sam"
_HOST = "host.docker.internal"


def _why_not() -> str | None:
    """Return why it cannot run here, or None."""
    if not os.environ.get(_ASKED):
        return f"it takes minutes, and runs with `make test-sam` ({_ASKED}=1)"
    needed = ("docker", "debootstrap")
    missing = [name for name in needed if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} not installed (Debian: docker.io, debootstrap)"
    if os.geteuid() != 0:
        return "the image is made by debootstrap, which needs root"
    return None


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The environment that reaches a Docker engine: one that runs, or one of our own with its data elsewhere."""
    reason = _why_not()
    if reason:
        pytest.skip(reason)
    environment = dict(os.environ)
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        yield environment
        return
    if shutil.which("dockerd") is None:
        pytest.skip("no Docker engine answers, and there is no dockerd to start")
    home = tmp_path_factory.mktemp("docker")
    environment["DOCKER_HOST"] = f"unix://{home}/docker.sock"
    log = home / "dockerd.log"
    command = ["dockerd", "--data-root", f"{home}/data", "--exec-root", f"{home}/exec", "--pidfile", f"{home}/pid"]
    with log.open("wb") as output:
        engine = subprocess.Popen([*command, "-H", environment["DOCKER_HOST"]], stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while subprocess.run(["docker", "info"], env=environment, capture_output=True, check=False).returncode:
            if engine.poll() is not None or time.monotonic() > deadline:
                last = log.read_text(errors="replace").strip().splitlines()[-1:]
                pytest.skip(f"a Docker engine cannot be started here: {' '.join(last)[:300]}")
            time.sleep(0.2)
        yield environment
    finally:
        engine.terminate()
        engine.wait(_START_SECONDS)


@pytest.fixture(scope="session")
def invoke(docker: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Invoke]:
    """Build everything, start what the functions talk to, and invoke a function with an event."""
    bridge = subprocess.run(
        ["docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"],
        env=dict(docker),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    environment = {**docker, "REMORA_PYTHON": sys.executable, "SAM_CLI_TELEMETRY": "0"}
    # Not those of whoever runs the tests: `sam` hands them to the containers.
    environment |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    environment |= {"AWS_DEFAULT_REGION": "eu-central-1"}
    processor = "arm64" if os.uname().machine in ("aarch64", "arm64") else "x86_64"
    overrides = ["--parameter-overrides", f"Architecture={processor}"]
    built = tmp_path_factory.mktemp("built")

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout

    with ExitStack() as stack:
        # Only containers and this machine reach this address.
        server = ThreadedMotoServer(ip_address=bridge, port=0, verbose=False)
        server.start()
        stack.callback(server.stop)
        _, port = server.get_host_and_port()
        furnish(f"http://{bridge}:{port}")
        chroma = ChromaServer(tmp_path_factory.mktemp("chroma"), host=bridge)
        chroma.start()
        stack.callback(chroma.stop)

        run("scripts/local-invoke-image.sh", _IMAGE, f"http://{_HOST}:{port}")
        stack.callback(run, "docker", "image", "rm", "--force", _IMAGE)
        run(str(_SAM), "build", "--build-dir", str(built), *overrides)
        variables = (REPOSITORY / "events" / "environment.json").read_text()
        settings = built / "environment.json"
        settings.write_text(variables.replace('"8000"', f'"{chroma.port}"'))

        def invoked(function: str, event: str) -> str:
            return run(
                *(str(_SAM), "local", "invoke", function, "--template", str(built / "template.yaml")),
                *("--event", f"events/{event}.json", "--env-vars", str(settings), *overrides),
                *("--invoke-image", _IMAGE, "--skip-pull-image", "--add-host", f"{_HOST}:{bridge}"),
            )

        yield invoked


def functions() -> Mapping[str, Any]:
    """Return the events that there are, each with its function, as the documentation lists them."""
    rows = [
        line.split("|") for line in (REPOSITORY / "docs" / "local.md").read_text().splitlines() if ".json` |" in line
    ]
    return {row[1].strip(" `").removesuffix(".json"): row[2].strip() for row in rows}
