"""Cutting long texts into pieces must not show."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remora.embedding import wordpiece
from remora.embedding.wordpiece import WordPiece

WINDOW = 256
# What the tokenizer treats specially: its own tokens, combining marks, control characters, ideographs.
FRAGMENTS = st.sampled_from(
    ["[SEP]", "[MASK]", " ", "\n", "\x1c", "\u0301", "\u200d", "東", "京", "が", ".", "don't", "É"]
)
TEXTS = st.lists(FRAGMENTS | st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=60).map("".join)


@pytest.fixture(scope="session")
def tokenizer(model_dir: Path) -> WordPiece:
    return WordPiece(model_dir / "tokenizer.json", WINDOW)


@settings(deadline=None, max_examples=150)
@given(text=TEXTS, length=st.integers(1, 20))
def test_a_text_in_pieces_has_exactly_the_tokens_of_the_whole(tokenizer: WordPiece, text: str, length: int) -> None:
    whole = tokenizer.tokenize(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wordpiece, "PIECE_LENGTH", length)
        assert tokenizer.tokenize(text) == whole


def test_ids_stop_at_the_window_and_end_with_the_separator(tokenizer: WordPiece) -> None:
    short, long = tokenizer.tokenize("a"), tokenizer.tokenize("a " * 300)
    assert (len(short.ids), short.count) == (3, 3)
    assert (len(long.ids), long.count) == (WINDOW, 302)
    assert (long.ids[0], long.ids[-1]) == (short.ids[0], short.ids[-1])
