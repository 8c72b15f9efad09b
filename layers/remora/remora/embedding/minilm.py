"""Runs all-MiniLM-L6-v2, the model of Chroma's default embedding function, in this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from remora.embedding.embedder import Embedded
from remora.errors import InvalidArgumentError, UnavailableError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from onnxruntime import InferenceSession

    from remora.embedding.wordpiece import Tokens, WordPiece

# Tokens, padding included. Larger batches are no faster on one thread, and need more memory.
BATCH_TOKENS = 512


class MiniLM:
    """all-MiniLM-L6-v2 as int8 ONNX, from the folder that layers/embedding-model builds.

    Creating one costs nothing: the model, and the packages that run it, are loaded at first use.
    """

    name: ClassVar[str] = "all-MiniLM-L6-v2"
    dimension: ClassVar[int] = 384
    # As sentence-transformers and Chroma have it; the network itself could read 512.
    window: ClassVar[int] = 256

    def __init__(self, model_dir: Path, threads: int = 1) -> None:
        """Note where the model is.

        Args:
            model_dir: The built folder.
            threads: How many processors one call may use.
        """
        self._model_dir = model_dir
        self._threads = threads
        self._lock = threading.Lock()
        self._loaded: tuple[WordPiece, InferenceSession] | None = None

    def load(self) -> None:
        """Load the model now rather than at first use. Does nothing when it is loaded.

        Raises:
            UnavailableError: The folder is missing or damaged.
        """
        self._load()

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Return the vectors of any number of texts, in their order.

        Texts of similar length are run together, padded to the longest of them. A text's vector does not
        depend on the others (within 1e-3 in each number; usually 1e-7).

        Raises:
            InvalidArgumentError: A text is not valid Unicode.
            UnavailableError: The model's folder is missing or damaged.
        """
        tokenizer, session = self._load()
        import numpy as np

        tokens = [_tokenize(tokenizer, text, index) for index, text in enumerate(texts)]
        vectors = np.empty((len(tokens), self.dimension), dtype=np.float32)
        for batch in _batches([len(each.ids) for each in tokens]):
            vectors[batch] = _run(session, [tokens[index].ids for index in batch])
        return Embedded(vectors, tuple(each.count for each in tokens))

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has, [CLS] and [SEP] included, however long it is.

        Raises:
            InvalidArgumentError: The text is not valid Unicode.
            UnavailableError: The model's folder is missing or damaged.
        """
        tokenizer, _ = self._load()
        return _tokenize(tokenizer, text, 0).count

    def _load(self) -> tuple[WordPiece, InferenceSession]:
        loaded = self._loaded
        if loaded is None:
            with self._lock:
                loaded = self._loaded
                if loaded is None:
                    loaded = self._loaded = _open(self._model_dir, self.window, self._threads)
        return loaded


def _open(model_dir: Path, window: int, threads: int) -> tuple[WordPiece, InferenceSession]:
    """Open the tokenizer and the network."""
    advice = "Build the folder anew: `make build` for a deployment, `make model` on this machine."
    try:
        _check_sizes(model_dir)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnavailableError(f"The embedding model in {model_dir} is missing or incomplete. {advice}") from error

    import onnxruntime

    from remora.embedding.wordpiece import WordPiece

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # The graph is built in its final form, and two of the optimiser's fusions make it slower.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        tokenizer = WordPiece(model_dir / "tokenizer.json", window)
        session = onnxruntime.InferenceSession(model_dir / "model.onnx", options, providers=["CPUExecutionProvider"])
    except Exception as error:  # both libraries raise bare exceptions of their own
        raise UnavailableError(f"The embedding model in {model_dir} is damaged. {advice}") from error
    return tokenizer, session


def _check_sizes(model_dir: Path) -> None:
    """Compare the folder with its manifest, by size: hashing 23 MB would slow a cold start.

    Raises:
        OSError: A file is missing.
        ValueError: The manifest is not JSON, or a file has another size.
        KeyError: The manifest is not one of ours.
        TypeError: The same.
    """
    manifest = json.loads((model_dir / "manifest.json").read_bytes())
    for name, description in manifest["files"].items():
        size = (model_dir / name).stat().st_size
        if size != description["bytes"]:
            raise ValueError(f"{name} has {size} bytes, expected {description['bytes']}")


def _tokenize(tokenizer: WordPiece, text: str, index: int) -> Tokens:
    try:
        return tokenizer.tokenize(text)
    except TypeError as error:
        raise InvalidArgumentError(
            f"Text {index + 1} is not valid Unicode: it holds half of a surrogate pair. "
            "Send complete characters; an emoji cut in two is the usual cause."
        ) from error


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Group texts of similar length, each group of at most `BATCH_TOKENS` tokens when padded.

    Args:
        lengths: The number of tokens of each text.

    Yields:
        Indices into `lengths`; each index once.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        # In ascending order, so this text is the longest so far and all are padded to it.
        if batch and lengths[index] * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _run(session: InferenceSession, rows: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
    """Return the vectors of one batch, [rows, 384]."""
    import numpy as np

    ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    vectors: npt.NDArray[np.float32]
    (vectors,) = session.run(["embedding"], {"input_ids": ids, "attention_mask": mask})
    return vectors
