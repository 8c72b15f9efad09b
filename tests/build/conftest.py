"""What `sam build` makes of a fresh copy of the repository, and the same builds for this machine."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runtime_emulator.emulator import REPOSITORY, Layout, build_layout

SamBuild = Callable[..., Path]


@pytest.fixture(scope="session")
def layout() -> Layout:
    """The functions and layers, built for this machine by the Makefiles that `sam build` runs."""
    return build_layout()


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a clone would have: files that git knows or would add, and nothing built."""
    folder = tmp_path_factory.mktemp("checkout")
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listing.split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def sam_build(checkout: Path) -> SamBuild:
    """Run `sam build` in the copy and return the folder of what it built."""

    def build(*arguments: str) -> Path:
        environment = {**os.environ, "REMORA_PYTHON": sys.executable, "SAM_CLI_TELEMETRY": "0"}
        run = subprocess.run(
            [str(REPOSITORY / ".venv-sam" / "bin" / "sam"), "build", "--region", "eu-central-1", *arguments],
            cwd=checkout,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert run.returncode == 0, run.stdout
        return checkout / ".aws-sam" / "build"

    return build


@pytest.fixture(scope="session")
def built(sam_build: SamBuild) -> Path:
    """What `sam build` made with the template's defaults."""
    return sam_build()
