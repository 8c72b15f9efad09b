"""The script that builds the model's folder, run as `make` and SAM run it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

LAYER = Path(__file__).parents[3] / "layers" / "embedding-model"


def build(
    output: Path, *, layer: Path = LAYER, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(layer / "build.py"), str(output)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environment or {})},
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_sam_gets_the_folder_that_lambda_mounts_and_every_build_makes_the_same_bytes(
    model_dir: Path, tmp_path: Path
) -> None:
    sources = Path(shutil.copytree(LAYER, tmp_path / "scratch"))  # SAM builds a copy of the folder
    subprocess.run(
        ["make", "--no-print-directory", "build-EmbeddingModelLayer"],
        cwd=sources,
        check=True,
        env={**os.environ, "ARTIFACTS_DIR": str(tmp_path / "artifacts"), "REMORA_PYTHON": sys.executable},
    )
    made = tmp_path / "artifacts" / "embedding-model"
    assert contents(made) == contents(model_dir)
    assert sorted(path.name for path in made.parent.iterdir()) == ["embedding-model"]
    # Lambda reads the layer as another user.
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in [made, *made.iterdir()])
    assert sum(path.stat().st_size for path in made.iterdir()) < 24_000_000


def test_no_two_neighbouring_weights_can_saturate_the_16_bit_sums_of_x86(model_dir: Path) -> None:
    graph = onnx.load(model_dir / "model.onnx").graph
    constants = {constant.name: constant for constant in graph.initializer}
    names = [node.input[1] for node in graph.node if node.op_type == "MatMulIntegerToFloat"]
    assert len(names) == 24  # four in each of six layers
    for name in names:
        weight = numpy_helper.to_array(constants[name], str(model_dir)).astype(np.int32)  # [inputs, outputs]
        pairs = weight.reshape(-1, 2, weight.shape[1])
        worst = max(np.maximum(pairs, 0).sum(axis=1).max(), np.maximum(-pairs, 0).sum(axis=1).max())
        assert 255 * worst <= 2**15 - 1, name


def test_a_complete_folder_is_left_as_it_is(model_dir: Path) -> None:
    before = (model_dir / "model.onnx").stat().st_mtime_ns
    done = build(model_dir)
    assert done.returncode == 0
    assert "up to date" in done.stdout
    assert (model_dir / "model.onnx").stat().st_mtime_ns == before


def test_a_damaged_folder_is_built_anew(model_dir: Path, tmp_path: Path) -> None:
    output = Path(shutil.copytree(model_dir, tmp_path / "model"))
    with (output / "model.onnx.data").open("r+b") as file:
        file.write(b"\x01\x02\x03")
    assert build(output).returncode == 0
    assert contents(output) == contents(model_dir)


def test_weights_that_are_not_the_pinned_ones_are_refused_and_leave_nothing_behind(tmp_path: Path) -> None:
    layer = Path(shutil.copytree(LAYER, tmp_path / "layer"))
    pins = layer / "weights.txt"
    pins.write_text(pins.read_text().replace("sha256:b9", "sha256:00"))
    done = build(tmp_path / "out" / "model", layer=layer)
    assert done.returncode == 1
    assert "weights.txt" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_an_interpreter_without_the_packages_is_told_what_to_do(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-I", str(LAYER / "build.py"), str(tmp_path / "model")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "lacks numpy, onnx, onnxruntime, tokenizers" in done.stderr
    assert "make build" in done.stderr


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"sources": "x", "files": {}}'])
def test_a_folder_with_another_manifest_is_not_complete(model_dir: Path, tmp_path: Path, manifest: str) -> None:
    output = Path(shutil.copytree(model_dir, tmp_path / "model"))
    (output / "manifest.json").write_text(manifest)
    code = "import sys, pathlib, build; print(build.is_complete(pathlib.Path(sys.argv[1])))"
    for folder, expected in ((output, "False"), (model_dir, "True")):
        answer = subprocess.run(
            [sys.executable, "-c", code, str(folder)], cwd=LAYER, capture_output=True, text=True, check=True
        )
        assert answer.stdout.strip() == expected
    assert json.loads((model_dir / "manifest.json").read_text())["files"].keys() == {
        "model.onnx",
        "model.onnx.data",
        "tokenizer.json",
    }
