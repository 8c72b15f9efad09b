"""Builds the embedding model's folder: all-MiniLM-L6-v2 as int8 ONNX, and its tokenizer.

    python layers/embedding-model/build.py OUTPUT_DIR

Does nothing when OUTPUT_DIR already holds what these sources make. Every build makes the same bytes, and they suit
every processor: no optimiser that knows the building machine has touched them.

Why not `onnxruntime.quantization`: its dynamic quantisation takes one scale for a whole activation tensor, so a
text's vector depends on what else is in the batch, and a few large values cost all others their precision. Here
each token has its own scale. Measured with onnxruntime 1.31 on one core of an AMD EPYC (Zen 3: AVX2, no VNNI),
speeds on a machine that was not quite idle: cosine to fp32 sentence-transformers over the texts of
tests/data/embedding, largest difference between a text's numbers alone and in a batch, time for one text of 10
tokens, texts of 40 and of 200 tokens a second.

                                        cosine min, mean   batch     10 tokens   40 tokens   200 tokens
    fp32                                1.000    1.000     <1e-6     4.5 ms       80 /s       16 /s
    dynamic, a scale per tensor         0.971    0.989      0.05     2.3 ms      130 /s       23 /s
    static scales, smoothed             0.973    0.996     <1e-6     2.3 ms      130 /s       23 /s
    MatMulNBits, 8 bits, blocks of 32   0.998    0.999     <1e-6     4.7 ms       57 /s       11 /s
    MatMulNBits, 8 bits, blocks of 128  0.994    0.999     <1e-6     4.7 ms       59 /s       11 /s
    int8 weights, fp32 arithmetic       0.996    0.999     <1e-6     4.6 ms       57 /s       11 /s
    a scale per token, smoothed (this)  0.994    0.999     <1e-6     2.2 ms      135 /s       25 /s

MatMulNBits is the more precise and, without VNNI, no faster than fp32; its kernels for Arm were not measured.
The weights lie in a file beside the graph, which onnxruntime maps instead of copying: 20 MB less resident memory
and a third less time to load.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    import onnx
    from quantization import Array

HERE = Path(__file__).resolve().parent
MANIFEST = "manifest.json"
MODEL, DATA, TOKENIZER = "model.onnx", "model.onnx.data", "tokenizer.json"
SOURCES = ("build.py", "calibration.txt", "graph.py", "quantization.py", "weights.py", "weights.txt")


def main() -> int:
    """Build into the folder that the command line names. Return the exit status."""
    parser = argparse.ArgumentParser(description="Build the embedding model's folder.")
    parser.add_argument("output", type=Path, help="folder to create or bring up to date")
    output: Path = parser.parse_args().output
    if is_complete(output):
        _say(f"{output} is up to date")
        return 0
    missing = [name for name in ("numpy", "onnx", "onnxruntime", "tokenizers") if find_spec(name) is None]
    if missing:
        _say(f"{sys.executable} lacks {', '.join(missing)}: run `make build`, or set REMORA_PYTHON", sys.stderr)
        return 1
    from weights import WeightsError

    output.parent.mkdir(parents=True, exist_ok=True)
    # Beside the output, so that one rename puts the finished folder into place.
    with tempfile.TemporaryDirectory(prefix=".embedding-model-", dir=output.parent) as scratch:
        try:
            _build(Path(scratch))
        except WeightsError as error:
            _say(str(error), sys.stderr)
            return 1
        _replace(output, Path(scratch))
    _say(f"{output} is ready")
    return 0


def is_complete(output: Path) -> bool:
    """Whether a folder holds exactly what the present sources make, down to the hashes."""
    try:
        manifest = json.loads((output / MANIFEST).read_bytes())
        return bool(
            manifest["sources"] == _sources_hash()
            and manifest["files"] == {name: _describe(output / name) for name in (MODEL, DATA, TOKENIZER)}
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _build(scratch: Path) -> None:
    import onnx
    from graph import float_graph, quantized_graph
    from weights import fetch

    _say("fetching the original weights (84 MB)")
    download = scratch / "download"
    download.mkdir()
    original = fetch(download)
    _say("calibrating")
    maxima = _activation_maxima(float_graph(original.tensors), original.tokenizer)
    _say("quantising")
    model = quantized_graph(original.tensors, maxima)
    made = scratch / "made"
    made.mkdir()
    onnx.save(model, made / MODEL, save_as_external_data=True, location=DATA, size_threshold=1024)
    onnx.checker.check_model(made / MODEL)
    (made / TOKENIZER).write_bytes(original.tokenizer)
    names = (MODEL, DATA, TOKENIZER)
    manifest = {"sources": _sources_hash(), "files": {name: _describe(made / name) for name in names}}
    (made / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    for path in made.iterdir():
        path.chmod(0o644)  # a layer is read by another user than the one that built it


def _activation_maxima(model: "onnx.ModelProto", tokenizer_json: bytes) -> "dict[str, Array]":
    """Run the calibration texts through the fp32 network; return each probe's largest value per channel."""
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_buffer(tokenizer_json)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    probes = [output.name for output in session.get_outputs() if output.name.endswith(".probe")]
    maxima = {name: np.zeros(384, np.float32) for name in probes}
    for text in (HERE / "calibration.txt").read_text(encoding="utf-8").splitlines():
        ids = np.array([tokenizer.encode(text).ids])
        values = session.run(probes, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        for name, value in zip(probes, values, strict=True):
            maxima[name] = np.maximum(maxima[name], np.abs(value).max(axis=(0, 1)))
    return maxima


def _replace(output: Path, scratch: Path) -> None:
    """Put the finished folder in the place of the old one, if any, by renaming."""
    if output.exists():
        output.rename(scratch / "old")
    try:
        (scratch / "made").rename(output)
    except OSError:
        if not is_complete(output):  # else another build was faster, and made the same
            raise


def _sources_hash() -> str:
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update(hashlib.sha256((HERE / name).read_bytes()).digest())
    return digest.hexdigest()


def _describe(path: Path) -> dict[str, str | int]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _say(message: str, stream: TextIO = sys.stdout) -> None:
    print(f"embedding model: {message}", file=stream, flush=True)


if __name__ == "__main__":
    sys.exit(main())
