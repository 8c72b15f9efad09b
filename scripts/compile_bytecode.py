"""Compiles a built folder to bytecode for the Python that Lambda runs, if that Python is on this machine.

Lambda mounts layers read-only and keeps no bytecode between environments, so without this every cold start
compiles what it imports. Bytecode carries a hash of nothing and no time (PEP 552, unchecked): an archive may
change the files' times without making it stale.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path


def find_interpreter(python_version: str) -> str | None:
    """Return the path of a CPython of this version (`3.14`), or None if there is none on this machine."""
    if python_version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    return shutil.which(f"python{python_version}")


def compile_folder(folder: Path, *, python_version: str, runs_in: str) -> bool:
    """Write bytecode beside every module of a folder.

    Args:
        folder: The folder to compile.
        python_version: The Python that will run it, such as `3.14`.
        runs_in: Where the folder will be in Lambda, for the paths in tracebacks.

    Returns:
        Whether it was done; False if this machine has no such Python.

    Raises:
        subprocess.CalledProcessError: A module does not compile.
    """
    interpreter = find_interpreter(python_version)
    if interpreter is None:
        return False
    options = ["-q", "-f", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", runs_in]
    subprocess.run([interpreter, "-m", "compileall", *options, str(folder)], check=True)  # noqa: S603
    return True


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="folder to compile")
    parser.add_argument("--python-version", required=True, help="Python that will run it, such as 3.14")
    parser.add_argument("--runs-in", required=True, help="where the folder will be in Lambda")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    if not compile_folder(folder, python_version=arguments.python_version, runs_in=arguments.runs_in):
        sys.stdout.write(
            f"python{arguments.python_version} is not on this machine: {folder} goes without bytecode, and cold "
            "starts take twice as long. With it on the PATH, run `sam build --no-cached`.\n"
        )


if __name__ == "__main__":
    main()
