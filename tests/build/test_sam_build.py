"""`sam build` for real, from what a clone holds: this is what a deployment uploads."""

import re
import struct
from pathlib import Path

import pytest

from tests.build.conftest import SamBuild

LAYERS = ("DependenciesLayer", "EmbeddingModelLayer", "RemoraLayer")
PACKAGES = [("ConnectorFunction", "connector"), ("AuthorizerFunction", "authorizer"), ("OAuthFunction", "oauth")]
PROMISED_BYTES = 200_000_000
# ELF header, e_machine: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
MACHINES = {"arm64": 0xB7, "x86_64": 0x3E}
ABIS = re.compile(r"\.(cpython-314-.*|abi3)\.so$")


def libraries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.so*") if path.is_file())


def machine(library: Path) -> int:
    header = library.read_bytes()[:20]
    assert header[:4] == b"\x7fELF"
    number: int = struct.unpack_from("<H", header, 18)[0]
    return number


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_connector_and_its_layers_keep_the_promised_size(built: Path) -> None:
    assert sum(size(built / name) for name in ("ConnectorFunction", *LAYERS)) < PROMISED_BYTES


def test_every_compiled_file_is_for_the_templates_processor(built: Path) -> None:
    found = {path.name: machine(path) for path in libraries(built)}
    assert len(found) > 10
    assert set(found.values()) == {MACHINES["arm64"]}


def test_every_extension_module_is_for_the_templates_python(built: Path) -> None:
    modules = [path.name for path in libraries(built) if not path.name.startswith("lib")]
    assert len(modules) > 10
    assert [name for name in modules if not ABIS.search(name)] == []


def test_bytecode_is_for_the_templates_python_or_is_not_there(built: Path) -> None:
    assert [path.name for path in built.rglob("*.pyc") if ".cpython-314." not in path.name] == []


@pytest.mark.parametrize(("function", "package"), PACKAGES)
def test_a_function_holds_its_own_package_alone(built: Path, function: str, package: str) -> None:
    assert [path.name for path in (built / function).iterdir()] == [package]
    assert (built / function / package / "handler.py").is_file()


def test_layers_lie_where_lambda_looks_for_them(built: Path) -> None:
    assert (built / "RemoraLayer" / "python" / "remora" / "config.py").is_file()
    assert (built / "DependenciesLayer" / "python" / "pydantic" / "__init__.py").is_file()
    assert (built / "EmbeddingModelLayer" / "embedding-model" / "tokenizer.json").is_file()


def test_what_runs_on_a_persons_machine_is_not_deployed(built: Path) -> None:
    package = built / "RemoraLayer" / "python" / "remora"
    assert not [
        name
        for name in ("chroma_server", "cli", "connecting", "local", "operations", "principals", "__main__.py")
        if (package / name).exists()
    ]


def test_the_processor_is_a_parameter_of_the_build(built: Path, sam_build: SamBuild) -> None:
    assert built.is_dir()  # builds of the same copy come one after the other
    folder = built.with_name("x86_64")
    sam_build("DependenciesLayer", "--build-dir", str(folder), "--parameter-overrides", "Architecture=x86_64")
    assert {machine(path) for path in libraries(folder / "DependenciesLayer")} == {MACHINES["x86_64"]}
