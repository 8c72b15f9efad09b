"""What `sam build` makes of a fresh copy of the repository, and the same builds for this machine."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.runtime_emulator.emulator import REPOSITORY, Layout, build_layout

SamBuild = Callable[..., Path]


@pytest.fixture(scope="session")
def layout() -> Layout:
    """The functions and layers, built for this machine by the Makefiles that `sam build` runs."""
    return build_layout()


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a clone would have: files that git knows or would add, and nothing built; one for a run."""
    base = tmp_path_factory.getbasetemp()
    # With pytest-xdist each process has a folder of its own, in one that is the run's.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "checkout"
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            _copy_to(folder)
    return folder


def _copy_to(folder: Path) -> None:
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
def built(checkout: Path, sam_build: SamBuild) -> Path:
    """What `sam build` made with the template's defaults, once in a run, for every process of it."""
    done = checkout.with_suffix(".built")
    with FileLock(checkout.with_suffix(".build.lock")):
        if not done.exists():
            sam_build()
            done.touch()
    return checkout / ".aws-sam" / "build"
