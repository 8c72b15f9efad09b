"""Keyword evidence for any collection: which records hold a query's words, and how much that says (BM25).

Chroma on one node has no sparse index, only filters on documents. Each word is looked up by a regular expression
for its stem, case aside, which gives the ids of the records that hold it; the texts of the most promising of
these are then read and scored. BM25 follows Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25
and Beyond" (2009), with k1 = 0.9 and b = 0.4, which suit short passages (the defaults of Anserini for passage
ranking). Document frequencies are those of the lookups, the average length that of the candidates.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import log

from remora.collections.limits import MAX_KEYWORDS
from remora.memory.lexicon import UNSPACED_LETTER, pairs, stem, telling, words

_K1 = 0.9
_B = 0.4

_MIN_PREFIX = 3


@dataclass(frozen=True, slots=True)
class Keyword:
    """A word to look for.

    Attributes:
        stem: The stem of the words that count as it, or a pair of characters of an unspaced script.
        prefixes: What such words begin with; empty for a pair of characters, which may stand anywhere.
    """

    stem: str
    prefixes: tuple[str, ...] = ()

    def where_document(self) -> Mapping[str, str]:
        """Return a Chroma filter for the documents that may hold it."""
        if not self.prefixes:
            return {"$contains": self.stem}
        return {"$regex": rf"(?i)(?:\b|{UNSPACED_LETTER})(?:{'|'.join(self.prefixes)})"}


def query_keywords(text: str) -> list[Keyword]:
    """Return the words of a query that are worth looking for, each stem once, in their order.

    Common English words are left out unless there is nothing else.
    """
    found: dict[str, Keyword] = {}
    for word in telling(words(text)):
        root = stem(word)
        found.setdefault(root, Keyword(root, _prefixes(word, root)))
    for pair in pairs(text):
        found.setdefault(pair, Keyword(pair))
    return list(found.values())[:MAX_KEYWORDS]


def _prefixes(word: str, root: str) -> tuple[str, ...]:
    # English stems are nearly always a prefix of their words; "happi" and "happy" share "happ".
    shared = "".join(
        letter for letter, _ in takewhile(lambda pair: pair[0] == pair[1], zip(word, root, strict=False))
    )
    if shared == root and root.endswith("i"):
        shared = shared[:-1]
    if len(shared) >= min(_MIN_PREFIX, len(root)):
        return (shared,)
    return tuple(sorted({word, root}))


def inverse_document_frequency(records: int, holding: int) -> float:
    """Return how much a word says: ln(1 + (N - n + 0.5) / (n + 0.5)).

    Args:
        records: N, the records of the collection.
        holding: n, those that hold the word.
    """
    return log(1.0 + (max(records, holding) - holding + 0.5) / (holding + 0.5))


def bm25(documents: Sequence[str], keywords: Sequence[Keyword], weights: Sequence[float]) -> list[float]:
    """Return each document's score.

    Args:
        documents: The candidates' texts.
        keywords: The words looked for.
        weights: Each word's inverse document frequency.
    """
    counted = [_frequencies(document, keywords) for document in documents]
    average = sum(length for _, length in counted) / len(counted) if counted else 0.0
    scores: list[float] = []
    for frequencies, length in counted:
        norm = _K1 * (1.0 - _B + _B * length / average) if average else _K1
        scores.append(
            sum(
                weight * frequency * (_K1 + 1.0) / (frequency + norm)
                for weight, frequency in zip(weights, frequencies, strict=True)
            )
        )
    return scores


def _frequencies(document: str, keywords: Sequence[Keyword]) -> tuple[list[int], int]:
    counted = Counter(words(document))
    stems: Counter[str] = Counter()
    prefixes = tuple({prefix for keyword in keywords for prefix in keyword.prefixes})
    for word, count in counted.items():
        # Only words that begin like a keyword can share its stem, so only those are stemmed.
        if prefixes and word.startswith(prefixes):
            stems[stem(word)] += count
    frequencies = [stems[keyword.stem] if keyword.prefixes else document.count(keyword.stem) for keyword in keywords]
    return frequencies, counted.total()
