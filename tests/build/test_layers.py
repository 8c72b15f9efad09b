"""The layers as built hold all that the functions import and no more; the same code builds them for this machine."""

import json
import subprocess
import sys
from base64 import b64encode

import pytest

from layers.dependencies.build import LOCK, OMITTED_PACKAGES, Target, locked_requirements
from tests.runtime_emulator.emulator import REPOSITORY, Layout
from tests.unit.ingest.files import pdf, word

IMPORT_EVERYTHING = """
import importlib, json, pkgutil, sys
sys.path[:] = [path for path in sys.path if "site-packages" not in path] + json.loads(sys.argv[1])
names = []
for package in sys.argv[2:]:
    module = importlib.import_module(package)
    names.append(package)
    names += [found.name for found in pkgutil.walk_packages(module.__path__, package + ".")]
for name in names:
    importlib.import_module(name)
print(json.dumps({name: getattr(sys.modules[name], "__file__", None) for name in sys.modules if "." not in name}))
"""
EMBED = """
import json, sys
sys.path[:] = [path for path in sys.path if "site-packages" not in path] + json.loads(sys.argv[1])
import numpy, onnxruntime, tokenizers
folder = sys.argv[2]
tokenizer = tokenizers.Tokenizer.from_file(folder + "/tokenizer.json")
tokenizer.no_padding()
encoding = tokenizer.encode("A remora travels with a shark.")
session = onnxruntime.InferenceSession(folder + "/model.onnx", providers=["CPUExecutionProvider"])
values = {"input_ids": encoding.ids, "attention_mask": encoding.attention_mask, "token_type_ids": encoding.type_ids}
inputs = {i.name: numpy.array([values[i.name]], dtype=numpy.int64) for i in session.get_inputs()}
(vector,) = session.run(None, inputs)[0]
print(json.dumps({"dimension": len(vector), "norm": float(numpy.linalg.norm(vector))}))
"""
# What is imported only when a call needs it.
USE_LATE_IMPORTS = """
import base64, datetime, json, sys
sys.path[:] = [path for path in sys.path if "site-packages" not in path] + json.loads(sys.argv[1])
from remora.collections.keywords import query_keywords
from remora.ingest.reading import read
from remora.memory.passages import split
from remora.memory.when import understand
now = datetime.datetime(2026, 5, 1, tzinfo=datetime.timezone.utc)
files = json.loads(sys.argv[2])
print(json.dumps({
    "when": understand("last tuesday", timezone="Europe/Berlin", now=now).understood,
    "keywords": [keyword.stem for keyword in query_keywords("painted boats")],
    "passages": len(split("One sentence. " * 60, count_tokens=lambda text: len(text.split()), max_tokens=40)),
    "texts": {name: read(base64.b64decode(content), name=name).sections[0].text for name, content in files.items()},
}))
"""
ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "POWERTOOLS_METRICS_NAMESPACE": "Remora",
    "REMORA_CHROMA_HOST": "127.0.0.1",
    "REMORA_MEMORY_BUCKET": "remora-memory",
    "REMORA_PRINCIPALS_SECRET": "remora-principals",
    "REMORA_OAUTH_TABLE": "remora-oauth",
    "REMORA_SIGNING_SECRET": "remora-signing",
}

PACKAGES = [
    ("ConnectorFunction", "connector"),
    ("AuthorizerFunction", "authorizer"),
    ("OAuthFunction", "oauth"),
    ("IngestFunction", "ingest"),
    ("UpkeepFunction", "upkeep"),
    ("WatchFunction", "watch"),
]


def run(program: str, *arguments: str) -> dict[str, object]:
    """Run a program that sees the standard library and nothing else, and return what it prints."""
    completed = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert completed.returncode == 0, completed.stderr
    answer: dict[str, object] = json.loads(completed.stdout.splitlines()[-1])
    return answer


def import_path(layout: Layout, function: str) -> str:
    return json.dumps([str(path) for path in layout.import_path(function)])


@pytest.mark.parametrize(("function", "package"), PACKAGES)
def test_everything_that_a_function_imports_is_in_its_layers(layout: Layout, function: str, package: str) -> None:
    modules = run(IMPORT_EVERYTHING, import_path(layout, function), package, "remora")
    assert {"remora", package, "pydantic"} <= set(modules)
    assert str(modules["pydantic"]).startswith(str(layout.opt))
    # boto3 is the runtime's: nothing of it may come with the layers.
    assert str(modules.get("botocore", layout.runtime)).startswith(str(layout.runtime))


def test_the_built_layers_embed_a_text(layout: Layout) -> None:
    answer = run(EMBED, import_path(layout, "ConnectorFunction"), str(layout.opt / "embedding-model"))
    assert answer["dimension"] == 384
    assert answer["norm"] == pytest.approx(1.0, abs=1e-3)


def test_what_is_imported_late_is_in_the_layers_too(layout: Layout) -> None:
    files = {
        "a.md": b"# Title\n\nSome *Markdown*.",
        "a.html": b"<h1>Title</h1><p>Some HTML.</p>",
        "a.pdf": pdf(["Some PDF."]),
        "a.docx": word(),
    }
    encoded = {name: b64encode(content).decode() for name, content in files.items()}
    answer = run(USE_LATE_IMPORTS, import_path(layout, "IngestFunction"), json.dumps(encoded))
    assert "2026-04-28T00:00:00+02:00" in str(answer["when"])
    assert answer["keywords"] == ["paint", "boat"]
    assert int(str(answer["passages"])) > 2
    assert answer["texts"] == {
        "a.md": "Some *Markdown*.",
        "a.html": "Some HTML.",
        "a.pdf": "Some PDF.",
        "a.docx": "Ships come and go.\n\n- first thing\n- second thing",
    }


def test_licences_versions_and_entry_points_stay(layout: Layout) -> None:
    (telemetry,) = (layout.opt / "python").glob("opentelemetry_api-*.dist-info")
    assert {"METADATA", "entry_points.txt", "licenses"} <= {path.name for path in telemetry.iterdir()}


def test_bytecode_does_not_depend_on_the_time_of_the_sources(layout: Layout) -> None:
    # PEP 552: flags 0b01 is a hash-based file that is not checked against its source.
    compiled = list((layout.opt / "python").rglob("*.pyc"))
    assert len(compiled) > 500
    assert {int.from_bytes(path.read_bytes()[4:8], "little") for path in compiled} == {1}


def test_tracebacks_do_not_name_the_machine_that_built(layout: Layout) -> None:
    compiled = next((layout.opt / "python" / "remora").rglob("config.*.pyc")).read_bytes()
    assert b"/opt/python/remora/config.py" in compiled
    assert str(REPOSITORY).encode() not in compiled


@pytest.mark.parametrize("name", sorted(omission.what for omission in OMITTED_PACKAGES))
def test_an_omitted_package_is_one_that_the_lock_has(name: str) -> None:
    assert f"\n{name}==" in LOCK.read_text()


def test_markers_are_judged_for_the_target_and_not_for_this_machine() -> None:
    lock = "\n".join(
        [
            "numpy==2.4.6 ; python_full_version < '3.12' \\",
            "    --hash=sha256:aa \\",
            "    --hash=sha256:bb",
            "numpy==2.5.5 ; python_full_version >= '3.12' \\",
            "    --hash=sha256:cc",
            "    # via onnxruntime",
            "only-arm==1.0 ; platform_machine == 'aarch64' --hash=sha256:dd",
            "only-windows==1.0 ; sys_platform == 'win32' --hash=sha256:ee",
        ]
    )
    assert locked_requirements(lock, Target("3.14", "arm64")) == [
        "numpy==2.5.5 --hash=sha256:cc",
        "only-arm==1.0 --hash=sha256:dd",
    ]
    assert locked_requirements(lock, Target("3.11", "x86_64")) == ["numpy==2.4.6 --hash=sha256:aa --hash=sha256:bb"]


def test_everything_that_is_installed_is_checked_against_a_hash() -> None:
    requirements = locked_requirements(LOCK.read_text(), Target("3.14", "arm64"))
    assert len(requirements) > 20
    assert [line for line in requirements if "--hash=sha256:" not in line] == []


def test_wheels_are_for_the_glibc_of_amazon_linux_2023_or_older() -> None:
    platforms = Target("3.14", "arm64").platforms()
    assert platforms[0] == "manylinux_2_34_aarch64"
    assert platforms[-1] == "manylinux2014_aarch64"


def test_nothing_is_left_to_compile_when_a_function_starts(layout: Layout) -> None:
    before = set(layout.opt.rglob("*"))
    run(IMPORT_EVERYTHING, import_path(layout, "AuthorizerFunction"), "authorizer")
    assert set(layout.opt.rglob("*")) == before
