"""Cuts texts into BERT's tokens, and counts those of a text of any size in bounded memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Characters. A piece of this size takes about 10 ms and 6 MB; a whole text of 1,000,000 up to 280 MB.
PIECE_LENGTH = 32_768
# BERT ends a word before each of these whatever stands around it, and none occurs inside a special token such
# as [SEP]: cut there, the pieces have exactly the tokens of the whole. (Not \s: BERT deletes some of it.) Between
# two cuts there is at most one word, and a word of more than 100 characters is a single token, [UNK].
WORD_END = re.compile(r"[ \t\n\r.,;:!?、。\u4e00-\u9fff]")
SPECIAL_TOKENS = 2  # [CLS] before the text, [SEP] after it


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text's tokens.

    Attributes:
        ids: At most `window` token ids, [CLS] and [SEP] included.
        count: How many there would be without the limit.
    """

    ids: list[int]
    count: int


class WordPiece:
    """BERT's tokenizer, as `tokenizer.json` describes it, without that file's own padding and truncation."""

    def __init__(self, path: Path, window: int) -> None:
        """Read `tokenizer.json`.

        Args:
            path: The file.
            window: How many token ids of a text to keep, [CLS] and [SEP] included.
        """
        from tokenizers import Tokenizer

        self._tokenizer: Tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._first, self._last = self._tokenizer.encode("").ids
        self._window = window

    def tokenize(self, text: str) -> Tokens:
        """Return the first token ids of a text, and how many it has.

        Raises:
            TypeError: The text holds half of a surrogate pair, so it is not Unicode.
        """
        room = self._window - SPECIAL_TOKENS
        kept: list[int] = []
        count = SPECIAL_TOKENS
        for piece in _pieces(text):
            # `encode`, not `encode_batch`, which starts a thread for each processor.
            ids = self._tokenizer.encode(piece, add_special_tokens=False).ids
            kept += ids[: room - len(kept)]
            count += len(ids)
        return Tokens([self._first, *kept, self._last], count)


def _pieces(text: str) -> Iterator[str]:
    """Cut a text where a word ends, into pieces of about `PIECE_LENGTH` characters."""
    start = 0
    while len(text) - start > PIECE_LENGTH:
        end = WORD_END.search(text, start + PIECE_LENGTH)
        if end is None:
            break
        yield text[start : end.start()]
        start = end.start()
    yield text[start:]
