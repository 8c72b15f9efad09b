"""The embedder against what sentence-transformers made of the same texts, and against itself."""

import json
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remora.embedding import Embedder, MiniLM
from remora.errors import InvalidArgumentError, UnavailableError

DATA = Path(__file__).parents[2] / "data" / "embedding"
TEXTS: list[str] = json.loads((DATA / "sentences.json").read_text(encoding="utf-8"))
WHERE = range(len(TEXTS))


@dataclass(frozen=True)
class Reference:
    vectors: npt.NDArray[np.float32]
    token_counts: list[int]


@pytest.fixture(scope="module")
def reference() -> Reference:
    with np.load(DATA / "reference.npz") as file:
        return Reference(file["vectors"], file["token_counts"].tolist())


@pytest.fixture(scope="module")
def alone(embedder: MiniLM) -> npt.NDArray[np.float32]:
    """Each text's vector when it is the only one of its call."""
    return np.concatenate([embedder.embed([text]).vectors for text in TEXTS])


def test_every_vector_is_within_a_cosine_of_0_99_of_sentence_transformers(
    alone: npt.NDArray[np.float32], reference: Reference
) -> None:
    cosines = (alone * reference.vectors).sum(axis=1)
    worst = int(cosines.argmin())
    assert cosines[worst] > 0.99, f"{TEXTS[worst]!r}: {cosines[worst]:.4f}"


def test_token_counts_are_those_of_sentence_transformers_before_truncation(
    embedder: MiniLM, reference: Reference
) -> None:
    counts = embedder.embed(TEXTS).token_counts
    assert list(counts) == reference.token_counts
    assert max(counts) > embedder.window  # the list does hold texts that are truncated


def test_vectors_have_the_stated_shape_and_type_and_length_one(alone: npt.NDArray[np.float32]) -> None:
    assert alone.shape == (len(TEXTS), MiniLM.dimension)
    assert alone.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(alone, axis=1), 1, atol=1e-5)


@settings(deadline=None, max_examples=12)
@given(chosen=st.lists(st.sampled_from(WHERE), min_size=1, max_size=40))
def test_a_texts_vector_is_the_same_whatever_batch_it_is_in_and_in_whatever_place(
    embedder: MiniLM, alone: npt.NDArray[np.float32], chosen: list[int]
) -> None:
    vectors = embedder.embed([TEXTS[index] for index in chosen]).vectors
    assert np.abs(vectors - alone[chosen]).max() <= 1e-3


def test_padding_next_to_the_longest_text_changes_nothing(
    embedder: MiniLM, alone: npt.NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remora.embedding.minilm.BATCH_TOKENS", 1_000_000)  # one batch, everything padded to 256
    chosen = [*WHERE[::4], max(WHERE, key=lambda index: len(TEXTS[index]))]
    vectors = embedder.embed([TEXTS[index] for index in chosen]).vectors
    assert np.abs(vectors - alone[chosen]).max() <= 1e-3


def test_the_same_texts_twice_give_the_same_bytes(embedder: MiniLM) -> None:
    assert embedder.embed(TEXTS).vectors.tobytes() == embedder.embed(TEXTS).vectors.tobytes()


def test_meaning_decides_which_text_is_nearest(embedder: MiniLM) -> None:
    query, *candidates = embedder.embed(
        ["Does Marcus have any food allergies?", "Peanuts make Marcus ill.", "Marcus drives a blue car."]
    ).vectors
    assert query @ candidates[0] > query @ candidates[1] + 0.1


def test_only_the_first_window_of_a_long_text_is_in_its_vector_and_the_count_tells(embedder: MiniLM) -> None:
    words = "alpha " * (embedder.window - 2)
    embedded = embedder.embed([words, words + "omega " * 1000])
    assert embedded.token_counts == (embedder.window, embedder.window + 1000)
    np.testing.assert_allclose(embedded.vectors[0], embedded.vectors[1], atol=1e-6)


def test_no_texts_give_no_vectors(embedder: MiniLM) -> None:
    embedded = embedder.embed([])
    assert embedded.vectors.shape == (0, embedder.dimension)
    assert embedded.token_counts == ()


def test_many_texts_fill_many_batches_and_keep_their_order(embedder: MiniLM) -> None:
    texts = [f"number {index} " * (index % 7 + 1) for index in range(300)]
    vectors = embedder.embed(texts).vectors
    for index in (0, 123, 299):
        assert np.abs(vectors[index] - embedder.embed([texts[index]]).vectors[0]).max() <= 1e-3


@settings(deadline=None, max_examples=20)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_any_unicode_text_has_a_vector_of_length_one(embedder: MiniLM, text: str) -> None:
    embedded = embedder.embed([text])
    assert np.linalg.norm(embedded.vectors[0]) == pytest.approx(1, abs=1e-5)
    assert embedded.token_counts[0] >= 2
    assert embedder.count_tokens(text) == embedded.token_counts[0]


@pytest.mark.parametrize("text", ["\ud83d", "ok \udc00 ok", "word " * 20_000 + "\ud83d"])
def test_half_a_surrogate_pair_is_refused_by_position_in_the_list(embedder: MiniLM, text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"Text 2 .*surrogate"):
        embedder.embed(["fine", text])
    with pytest.raises(InvalidArgumentError, match="surrogate"):
        embedder.count_tokens(text)


@pytest.mark.parametrize("unit", ["four words and more, ", "東京は日本の", "x", "....", "é "])
def test_a_megabyte_is_counted_to_the_last_token(embedder: MiniLM, unit: str) -> None:
    repeats = 1_000_000 // len(unit.encode())
    text = unit * repeats
    count = embedder.embed([text]).token_counts[0]
    # One word of more than 100 letters is one [UNK].
    expected = 1 if unit == "x" else (embedder.count_tokens(unit) - 2) * repeats
    assert count == expected + 2


def test_threads_that_use_it_for_the_first_time_together_all_get_the_same(model_dir: Path) -> None:
    embedder = MiniLM(model_dir)
    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: results.append(embedder.embed(TEXTS[:5]).vectors.tobytes())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert len(set(results)) == 1


def test_nothing_heavy_is_imported_before_the_first_use(model_dir: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from remora.embedding import MiniLM; MiniLM(Path(sys.argv[1]))\n"
        "print([name for name in ('numpy', 'onnxruntime', 'tokenizers') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(model_dir)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_a_missing_folder_is_an_error_that_says_how_to_build_it(tmp_path: Path) -> None:
    embedder = MiniLM(tmp_path / "nowhere")
    with pytest.raises(UnavailableError, match=r"nowhere is missing.*make build"):
        embedder.load()


@pytest.fixture
def damaged(model_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_dir, tmp_path / "model"))


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "model.onnx.data", "tokenizer.json"])
def test_a_file_that_is_missing_or_cut_short_is_an_error_that_says_how_to_build_it(damaged: Path, name: str) -> None:
    path = damaged / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnavailableError, match=r"incomplete.*make build"):
        MiniLM(damaged).embed(["x"])
    path.unlink()
    with pytest.raises(UnavailableError, match=r"missing.*make build"):
        MiniLM(damaged).embed(["x"])


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_file_of_the_right_size_with_other_contents_is_an_error(damaged: Path, name: str) -> None:
    path = damaged / name
    path.write_bytes(b"\xff" * path.stat().st_size)
    with pytest.raises(UnavailableError, match=r"damaged.*make build"):
        MiniLM(damaged).count_tokens("x")


def test_after_a_failed_load_the_next_call_tries_again(model_dir: Path, tmp_path: Path) -> None:
    embedder = MiniLM(tmp_path / "model")
    with pytest.raises(UnavailableError):
        embedder.load()
    shutil.copytree(model_dir, tmp_path / "model")
    assert embedder.count_tokens("hello") == 3


def test_it_keeps_the_promises_of_an_embedder(embedder: MiniLM) -> None:
    as_promised: Embedder = embedder  # checked by mypy
    assert (as_promised.name, as_promised.dimension, as_promised.window) == ("all-MiniLM-L6-v2", 384, 256)
