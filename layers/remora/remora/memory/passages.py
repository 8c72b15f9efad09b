"""Cuts a text into passages that an embedding model can read whole, where paragraphs and sentences end."""

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

CHARACTERS_PER_TOKEN = 16
"""Characters that a passage may have for each token of `max_tokens`.

BERT makes one token of any word of more than 100 characters, and none of white space, so tokens alone would let
a passage be of any size. English has four to five characters a token."""

SEGMENTER_CHARACTERS = 2_048
"""Characters given to the sentence segmenter at once: its time grows with their square (100,000 took 5 s)."""

SHORTEST_PIECE = 16
"""Characters below which a line or sentence is not looked at alone: headings, list numbers, "Yes." """

LONGEST_STEP_BACK = 32
"""Characters to look back for a place where a cut does not part an emoji's or a letter's code points."""

# What joins the code points before and after it into one sign, and what belongs to the sign before it.
_JOINER = "\u200d"
_MODIFIERS = re.compile("[\ufe00-\ufe0f\u200d\U0001f3fb-\U0001f3ff]")


class _End(IntEnum):
    """What ends with a piece of text; a cut is better after a higher one."""

    WORD = 0
    SENTENCE = 1
    LINE = 2
    PARAGRAPH = 3


# How far from an even filling a cut may be, as a share of it, for the sake of the end that it falls on.
_WORTH = {_End.WORD: 0.0, _End.SENTENCE: 0.15, _End.LINE: 0.25, _End.PARAGRAPH: 0.4}


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a passage: its text, how much of a passage that takes, and what ends with it."""

    text: str
    load: int
    end: _End


def split(text: str, *, count_tokens: Callable[[str], int], max_tokens: int) -> list[str]:
    """Cut a text into passages, filled evenly, that together are the text again: `"".join(passages) == text`.

    White space stays with what it follows. A cut is made where a paragraph, else a line, else a sentence ends;
    between words only in a sentence that is too long, and inside a word only if that is too long.

    Args:
        text: Any text.
        count_tokens: Counts a text's tokens as the embedding model does, special tokens included.
        max_tokens: Most tokens of a passage by that count. A passage has no more than `CHARACTERS_PER_TOKEN`
            times as many characters, either.

    Returns:
        The passages, none of them empty; none at all for the empty text. A single character that has more than
        `max_tokens` by itself is a passage nevertheless.

    Raises:
        InvalidArgumentError: `count_tokens` cannot read the text.
    """
    if not text:
        return []
    if len(text) <= max_tokens * CHARACTERS_PER_TOKEN and count_tokens(text) <= max_tokens:
        return [text]
    limit = _Limit(count_tokens, max_tokens)
    return [passage for packed in _pack(_pieces(text, limit), limit) for passage in _fitting(packed, limit)]


class _Limit:
    """The most that a passage may have, and how much of it a text takes."""

    def __init__(self, count_tokens: Callable[[str], int], max_tokens: int) -> None:
        self._count_tokens = count_tokens
        self._special = count_tokens("")
        self._tokens = max(1, max_tokens - self._special)
        self._characters = max(1, max_tokens) * CHARACTERS_PER_TOKEN
        self.load = self._tokens * self._characters
        """What fills a passage, in the unit of `load_of`: whole numbers, which add up without error."""

    def load_of(self, text: str) -> int:
        """Return how much of a passage a text takes, by its tokens or by its characters."""
        tokens = self._count_tokens(text) - self._special
        return max(tokens * self._characters, len(text) * self._tokens)


def _pieces(text: str, limit: _Limit) -> list[_Piece]:
    """Cut a text into pieces that fit each, in its order."""
    found: list[_Piece] = []
    for paragraph in _joined_short(_paragraphs(text)):
        for line in _joined_short(paragraph.splitlines(keepends=True)):
            load = limit.load_of(line)
            if load <= limit.load // 4:
                found.append(_Piece(line, load, _End.LINE))
                continue
            for sentence in _joined_short(_sentences(line)):
                found += _words(sentence, limit)
            found[-1] = replace(found[-1], end=_End.LINE)
        found[-1] = replace(found[-1], end=_End.PARAGRAPH)
    return found


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a text, each with the blank lines after it."""
    lines: list[str] = []
    is_closed = False
    for line in text.splitlines(keepends=True):
        is_blank = line.isspace()
        if is_closed and not is_blank:
            yield "".join(lines)
            lines = []
        lines.append(line)
        is_closed = is_blank
    yield "".join(lines)


def _sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a line, each with the white space after it."""
    import sentencex

    unfinished: list[str] = []
    start = 0
    while start < len(text):
        window = text[start : start + SEGMENTER_CHARACTERS]
        sentences: list[str] = sentencex.segment("en", window)
        if "".join(sentences) != window:  # it drops some line ends
            sentences = [window]
        if start + len(window) < len(text):
            if len(sentences) == 1:
                unfinished.append(window)
                start += len(window)
                continue
            sentences.pop()  # it may go on behind the window
        for sentence in sentences:
            start += len(sentence)
            yield "".join((*unfinished, sentence))
            unfinished = []


def _joined_short(texts: Iterable[str]) -> Iterator[str]:
    """Join texts that are too short to be looked at alone with the next, the last one with the one before.

    White space goes with what it follows.
    """
    waiting = ""
    parts: list[str] = []
    length = 0
    for text in texts:
        is_blank = text.isspace()
        if length >= SHORTEST_PIECE and not is_blank:
            if waiting:
                yield waiting
            waiting, parts, length = "".join(parts), [], 0
        parts.append(text)
        length += 0 if is_blank else len(text)
    last = "".join(parts)
    if waiting and length >= SHORTEST_PIECE:
        yield waiting
        waiting = ""
    yield waiting + last


def _words(text: str, limit: _Limit) -> Iterator[_Piece]:
    """Yield a sentence as it is if it fits, otherwise parts of about the same size, cut between words if possible."""
    waiting = [(text, _End.SENTENCE)]
    while waiting:
        part, end = waiting.pop()
        load = limit.load_of(part)
        if load <= limit.load or len(part) == 1:
            yield _Piece(part, load, end)
        else:
            cut = _evenly(part, math.ceil(load / limit.load))
            waiting += [(cut[-1], end), *((each, _End.WORD) for each in reversed(cut[:-1]))]


def _evenly(text: str, count: int) -> list[str]:
    """Cut a text of at least two characters into two or more parts of about the same length, about `count`."""
    length = max(1, len(text) // count)
    parts = []
    start = 0
    while len(text) - start > length:
        end = _cut(text, start, start + length)
        parts.append(text[start:end])
        start = end
    # What is left over goes to the last one, unless that is all there is.
    if start < len(text):
        if len(parts) > 1 and len(text) - start < length // 2:
            parts[-1] += text[start:]
        else:
            parts.append(text[start:])
    return parts


def _cut(text: str, start: int, end: int) -> int:
    """Return where to cut so that `text[start:cut]` is not longer than up to `end`: after white space if there is."""
    for cut in range(end, start + (end - start) // 2, -1):
        if text[cut - 1].isspace() and not text[cut].isspace():
            return cut
    for cut in range(end, max(start, end - LONGEST_STEP_BACK), -1):
        if not (_MODIFIERS.match(text[cut]) or unicodedata.combining(text[cut]) or text[cut - 1] == _JOINER):
            return cut
    return end


def _pack(pieces: Sequence[_Piece], limit: _Limit) -> Iterator[Sequence[_Piece]]:
    """Group neighbours so that each group fits, all have about the same size, and they end in good places."""
    left = sum(piece.load for piece in pieces)
    start = 0
    while left > limit.load:
        even = left / math.ceil(left / limit.load)
        load = 0
        best, best_load, least = start + 1, pieces[start].load, math.inf
        for index in range(start, len(pieces)):
            load += pieces[index].load
            if load > limit.load:
                break
            badness = abs(1 - load / even) - _WORTH[pieces[index].end]
            if badness <= least:
                best, best_load, least = index + 1, load, badness
        yield pieces[start:best]
        left -= best_load
        start = best
    if start < len(pieces):
        yield pieces[start:]


def _fitting(group: Sequence[_Piece], limit: _Limit) -> Iterator[str]:
    """Yield the text of a group, halved until it fits: tokens add up only where a cut is between words."""
    text = "".join(piece.text for piece in group)
    if len(group) == 1 or limit.load_of(text) <= limit.load:
        yield text
    else:
        middle = len(group) // 2
        yield from _fitting(group[:middle], limit)
        yield from _fitting(group[middle:], limit)
