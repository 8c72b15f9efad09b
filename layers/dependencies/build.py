"""Builds the dependencies layer: the locked wheels for one Python and one processor, without what Lambda never uses.

Wheels are unpacked, never built, so any machine with Python 3.11 and pip can build for any target. The result
depends on the lock, this file, the target and the presence of the target's Python alone, and is kept under
`.build/` until one of them changes.
"""

import argparse
import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pip._vendor.packaging.requirements import Requirement

REPOSITORY: Final = Path(__file__).resolve().parents[2]
LOCK: Final = Path(__file__).resolve().with_name("requirements.txt")
BUILDS: Final = REPOSITORY / ".build" / "dependencies"
COMPILER: Final = REPOSITORY / "scripts" / "compile_bytecode.py"

MACHINES: Final[Mapping[str, str]] = {"arm64": "aarch64", "x86_64": "x86_64"}
"""The wheel platform's name of each Lambda architecture."""

NEWEST_GLIBC: Final = 34
"""Lambda's Python 3.12 and later run on Amazon Linux 2023, which has glibc 2.34."""

OLDEST_GLIBC: Final = 17
"""manylinux2014, the oldest baseline that wheels for these Pythons are made for."""


@dataclass(frozen=True, slots=True)
class Omission:
    """Something that stays out of the layer.

    Attributes:
        what: A package's name, or a glob below the layer's `python` folder.
        why: The reason.
    """

    what: str
    why: str


_IN_RUNTIME: Final = "comes with Lambda's Python runtime, as part of boto3"
_FOR_HUB: Final = "only huggingface-hub needs it"

OMITTED_PACKAGES: Final = (
    Omission("botocore", _IN_RUNTIME),
    Omission("jmespath", _IN_RUNTIME),
    Omission("python-dateutil", _IN_RUNTIME),
    Omission("six", _IN_RUNTIME),
    Omission("urllib3", _IN_RUNTIME),
    Omission("huggingface-hub", "tokenizers needs it to download; ours is in the model layer"),
    Omission("filelock", _FOR_HUB),
    Omission("fsspec", _FOR_HUB),
    Omission("hf-xet", _FOR_HUB),
    Omission("pyyaml", _FOR_HUB),
    Omission("tqdm", _FOR_HUB),
    Omission("flatbuffers", "only onnxruntime's own tools need it"),
    Omission("packaging", "only onnxruntime's own tools need it"),
    Omission("protobuf", "only onnxruntime's own tools need it"),
    Omission("uvicorn", "runs servers; sse-starlette looks for it, takes 0.04 s to import it, and does without"),
    Omission("click", "only uvicorn needs it"),
    Omission("joserfc", "Authlib needs it for JWTs, which PyJWT makes here"),
    Omission("pycparser", "cffi needs it to compile bindings, not to use them"),
)

OMITTED_FILES: Final = (
    Omission("bin", "commands; nothing here starts a process"),
    Omission("**/tests", "test suites"),
    Omission("**/*.pyi", "type stubs"),
    Omission("wrapt-stubs", "type stubs"),
    Omission("**/*.h", "for compiling against"),
    Omission("**/*.pxd", "for compiling against"),
    Omission("**/*.a", "for linking against"),
    Omission("numpy/f2py", "wraps Fortran code"),
    Omission("numpy/_core/*_tests.*.so", "extensions for NumPy's tests"),
    Omission("numpy/_core/_simd.*.so", "an extension for NumPy's tests"),
    Omission("numpy/random/_examples", "examples"),
    Omission("cffi", "compiles bindings; using them takes `_cffi_backend` alone"),
    Omission("onnxruntime/capi/libonnxruntime.so.*", "for C programs; the Python module holds its own copy"),
    Omission("onnxruntime/backend", "ONNX's backend interface"),
    Omission("onnxruntime/datasets", "example models"),
    Omission("onnxruntime/quantization", "for preparing models"),
    Omission("onnxruntime/tools", "for preparing models"),
    Omission("onnxruntime/transformers", "for preparing models"),
    Omission("aws_lambda_powertools/event_handler/openapi/swagger_ui", "a page that documents a web API"),
    Omission("authlib/integrations", "for web frameworks that are not here"),
    Omission("authlib/jose", "JWTs, which PyJWT makes here"),
    Omission("authlib/oauth1", "another protocol"),
    Omission("authlib/oidc", "OpenID Connect; no ID tokens are issued"),
    Omission("mcp/cli", "the SDK's command line"),
    Omission("*.dist-info/INSTALLER", "pip's bookkeeping"),
    Omission("*.dist-info/RECORD", "pip's bookkeeping"),
    Omission("*.dist-info/REQUESTED", "pip's bookkeeping"),
    Omission("*.dist-info/WHEEL", "pip's bookkeeping"),
    Omission("*.dist-info/sboms", "lists of what was compiled in; the lock and the wheels have them"),
)
"""What stays of a `dist-info`: licences, METADATA (versions) and entry points (OpenTelemetry finds its parts so)."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the layer is built for.

    Attributes:
        python_version: `3.14`, for example.
        architecture: Lambda's name of the processor, a key of `MACHINES`.
    """

    python_version: str
    architecture: str

    @property
    def machine(self) -> str:
        """The processor's name in wheel tags and markers."""
        return MACHINES[self.architecture]

    def markers(self) -> dict[str, str]:
        """Return the environment that markers are judged in (PEP 508): the target's, not this machine's."""
        return {
            "extra": "",
            "implementation_name": "cpython",
            "implementation_version": f"{self.python_version}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python_version}.0",
            "python_version": self.python_version,
            "sys_platform": "linux",
        }

    def platforms(self) -> list[str]:
        """Return the wheel platforms that run there, newest first (PEP 600)."""
        versions = range(NEWEST_GLIBC, OLDEST_GLIBC - 1, -1)
        return [*(f"manylinux_2_{glibc}_{self.machine}" for glibc in versions), f"manylinux2014_{self.machine}"]


def locked_requirements(lock: str, target: Target) -> list[str]:
    """Return the lines of a lock that the layer needs, each with its hashes and without its marker.

    Args:
        lock: Text of a requirements file with hashes.
        target: Decides the markers, which pip would judge for the machine that it runs on.
    """
    kept = []
    omitted = {omission.what for omission in OMITTED_PACKAGES}
    statements = "\n".join(line for line in lock.splitlines() if not line.strip().startswith("#"))
    for statement in statements.replace("\\\n", " ").splitlines():
        text, *hashes = (part.strip() for part in statement.split("--hash="))
        if not text:
            continue
        requirement = Requirement(text)
        if requirement.name in omitted or (requirement.marker and not requirement.marker.evaluate(target.markers())):
            continue
        pins = [f"{requirement.name}{requirement.specifier}", *(f"--hash={value}" for value in hashes)]
        kept.append(" ".join(pins))
    return kept


def install(requirements: list[str], target: Target, folder: Path) -> None:
    """Unpack the wheels of locked requirements into a folder.

    Raises:
        subprocess.CalledProcessError: pip found no wheel for the target, or one with another hash.
    """
    lock = folder.with_name("requirements.txt")
    lock.write_text("\n".join(requirements) + "\n")
    options = [
        "--require-hashes",
        "--no-deps",
        "--no-compile",
        "--only-binary=:all:",
        "--implementation=cp",
        f"--python-version={target.python_version}",
        *(f"--platform={platform}" for platform in target.platforms()),
        # pip would compare with the Python that runs it; the lock was made for the target's.
        "--ignore-requires-python",
        f"--requirement={lock}",
        f"--target={folder}",
    ]
    pip = [sys.executable, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *options], check=True)  # noqa: S603


def trim(folder: Path) -> None:
    """Remove what `OMITTED_FILES` lists.

    Raises:
        ValueError: An entry matches nothing, because the packages have changed.
    """
    for omission in OMITTED_FILES:
        paths = sorted(folder.glob(omission.what))
        if not paths:
            raise ValueError(f"No package has {omission.what} any more: take it out of OMITTED_FILES.")
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def compile_bytecode(folder: Path, target: Target) -> None:
    """Compile the layer for the target's Python where this machine has it."""
    options = ["--python-version", target.python_version, "--runs-in", "/opt/python"]
    subprocess.run([sys.executable, str(COMPILER), *options, str(folder)], check=True)  # noqa: S603


def fingerprint(target: Target) -> str:
    """Return a hash of everything that the layer's content depends on."""
    interpreter = shutil.which(f"python{target.python_version}")
    parts = [repr(target), str(interpreter), LOCK.read_text(), Path(__file__).read_text(), COMPILER.read_text()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@contextmanager
def only_one(builds: Path) -> Iterator[None]:
    """Keep builds that start at the same time from building twice."""
    builds.mkdir(parents=True, exist_ok=True)
    with (builds / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(target: Target) -> Path:
    """Build the layer, unless nothing that it depends on has changed since the last time.

    Returns:
        The folder that becomes `/opt/python`.

    Raises:
        subprocess.CalledProcessError: pip or the compiler failed; what was built before is still there.
        ValueError: The table of omissions does not fit the packages any more.
    """
    home = BUILDS / f"{target.python_version}-{target.architecture}"
    stamp = home / "fingerprint"
    wanted = fingerprint(target)
    with only_one(BUILDS):
        if stamp.exists() and stamp.read_text() == wanted:
            return home / "python"
        with tempfile.TemporaryDirectory(dir=BUILDS) as scratch:
            fresh = Path(scratch) / "layer"
            folder = fresh / "python"
            folder.mkdir(parents=True)
            install(locked_requirements(LOCK.read_text(), target), target, folder)
            trim(folder)
            compile_bytecode(folder, target)
            (fresh / "fingerprint").write_text(wanted)
            shutil.rmtree(home, ignore_errors=True)
            fresh.rename(home)
    return home / "python"


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Build the dependencies layer.")
    parser.add_argument("--python-version", required=True, help="Python that Lambda runs, such as 3.14")
    parser.add_argument(
        "--architecture", required=True, choices=sorted(MACHINES), help="processor that Lambda runs on"
    )
    parser.add_argument("--target", required=True, type=Path, help="folder to put the packages in")
    arguments = parser.parse_args()
    folder = build(Target(arguments.python_version, arguments.architecture))
    shutil.copytree(folder, arguments.target, symlinks=True, dirs_exist_ok=True)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    sys.stdout.write(
        f"Dependencies for Python {arguments.python_version} on {arguments.architecture}: {size / 1e6:.0f} MB\n"
    )


if __name__ == "__main__":
    main()
