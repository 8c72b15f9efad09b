"""Says how much a passage answers a query: words, meaning, what stands around it, what kind of sentence it is.

All scores are from 0 to 1 and mean the same for every query, so that "nothing is relevant" can be said.

What the numbers were measured on: five of the ten conversations of LoCoMo (Maharana et al., ACL 2024), 1,018
questions, each turn a memory; share of the evidence among the first 5 and 10 hits. Each part was kept only if it
helped when fitted on four conversations and tried on the fifth; the weights are round, and none of them is at a peak.

| what ranks                                                                | R@5  | R@10 |
|---------------------------------------------------------------------------|------|------|
| vectors of turns alone                                                    | 0.38 | 0.47 |
| BM25 of turns alone                                                       | 0.57 | 0.64 |
| both, and both again for the turn with the one before it, weighted sum    | 0.65 | 0.75 |
| terms at their best over the neighbours, vector with the turn before it   | 0.73 | 0.82 |
| and neighbours' vectors, questions and length, speaker, the day's words   | 0.77 | 0.85 |

A second vector, of the turn without the one before it, changed that by less than half a point.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from remora.memory.index.segments import Integers
from remora.memory.index.view import Booleans, Floats, View

# BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009). In a passage, whether
# a word is there says more than how often, and its length says little; 0.9 and 0.4 find half a point less.
K1 = 0.6
B = 0.3
PRESENCE = (K1 + 1) / (1 + K1 * (1 - B))
"""What a term weighs that is there once in a very short passage: 1 in our scale. Twice in a longer one is more."""

LEXICAL_DECAYS = {-1: 0.8, -2: 0.6, -3: 0.4, 0: 1.0, 1: 0.6, 2: 0.4, 3: 0.2}
"""How much a term counts for a passage that is found so many passages before (-) or after it."""

DENSE_DECAYS = {-1: 0.3, -2: 0.3, -3: 0.2, 1: 0.3, 2: 0.2, 3: 0.2}
"""How much the similarity of the passage counts that is so many before (-) or after."""

NEIGHBOUR_FLOOR = 0.3
"""Cosine similarity from which a neighbour is evidence: what has nothing to do with a query is mostly below."""

LEXICAL_WEIGHT = 0.4
DENSE_WEIGHT = 0.25
DENSE_CONTEXT_WEIGHT = 0.3

QUESTION_PENALTY = 0.35
"""What a turn loses that only asks: answers are told."""

HALF_WORDS = 4
"""A turn of so many words counts half: "Thanks, you too!" answers nothing. Memories that are no turns were written
down on purpose, however short they are."""

SPEAKER_BONUS = 1.2
"""For turns of somebody whom the query names."""

RECENCY_SHARE = 0.5
"""How much of its score a memory loses as it gets old, where recency is asked for. A choice, not measured."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for each row of a view, from 0 to 1; a passage that repeats the words of a query has more.

    Attributes:
        lexical: The share of the query's word evidence (BM25) that the passage holds.
        lexical_context: The same with each term at its best over the passage and its neighbours.
        dense: Cosine similarity; for what is not among the nearest, that of the last of them.
        dense_context: The similarity of its neighbours.
        is_near: Whether the passage is among the nearest.
    """

    lexical: Floats
    lexical_context: Floats
    dense: Floats
    dense_context: Floats
    is_near: Booleans


def lexical_evidence(view: View, terms: Sequence[str]) -> tuple[Floats, Floats]:
    """Return the share of the terms' evidence in each row: in itself, and with its neighbours.

    A term weighs ln(1 + (N - n + 0.5) / (n + 0.5)), with N passages of which n hold it, also if n is 0: a query whose
    words are unknown finds nothing relevant.
    """
    own: Floats = np.zeros(view.rows, dtype=np.float32)
    around: Floats = np.zeros(view.rows, dtype=np.float32)
    total = 0.0
    norm = K1 * (1 - B + B * view.words / view.average_words)
    reached, decays = _spread(view, LEXICAL_DECAYS)
    best: Floats = np.zeros(view.rows + 1, dtype=np.float32)  # the last one is for neighbours that are not there
    for term in terms:
        rows, frequencies = view.postings(term)
        weight = float(np.log1p((view.rows - len(rows) + 0.5) / (len(rows) + 0.5)))
        total += weight * PRESENCE
        if not len(rows):
            continue
        evidence = (weight * (K1 + 1) * frequencies / (frequencies + norm[rows])).astype(np.float32)
        own[rows] += evidence
        best[:] = 0
        np.maximum.at(best, reached[:, rows], decays[:, None] * evidence)
        around += best[:-1]
    if total:
        own /= total
        around /= total
    return own, around


def dense_evidence(
    view: View, rows: Integers, similarities: Floats, *, is_all: bool
) -> tuple[Floats, Floats, Booleans]:
    """Return the similarity of each row, that of its neighbours, and which rows are among the nearest.

    Args:
        view: The passages.
        rows: The nearest ones, nearest first.
        similarities: Their cosine similarities.
        is_all: Whether there are no others. Otherwise the rest may be as near as the last of these.
    """
    is_near: Booleans = np.zeros(view.rows, dtype=bool)
    is_near[rows] = True
    last = 0.0 if is_all or not len(rows) else float(similarities[-1])
    dense: Floats = np.full(view.rows, last, dtype=np.float32)
    dense[rows] = similarities
    reached, decays = _spread(view, DENSE_DECAYS)
    context: Floats = np.zeros(view.rows + 1, dtype=np.float32)
    excess = np.maximum(0, (similarities - NEIGHBOUR_FLOOR) / (1 - NEIGHBOUR_FLOOR)).astype(np.float32)
    np.add.at(context, reached[:, rows], decays[:, None] * excess)
    return dense, context[:-1] / decays.sum(), is_near


def form(view: View) -> Floats:
    """Return how much each row counts for being what it is: 1, less for turns that are short or only ask."""
    told = (1 - QUESTION_PENALTY * view.questions) * view.words / (view.words + HALF_WORDS)
    return np.where(view.is_turn, told, np.float32(1))


def recency(created: Integers, now: int, half_life_days: float) -> Floats:
    """Return 1 for what is of now (or later), and half as much for each half-life that it is older.

    Args:
        created: Moments in milliseconds.
        now: The moment that is now, in milliseconds.
        half_life_days: The half-life.
    """
    days = np.maximum(0, now - created) / 86_400_000
    return np.exp2(-days / half_life_days).astype(np.float32)


def _spread(view: View, decays: Mapping[int, float]) -> tuple[Integers, Floats]:
    """Return which rows each row is evidence for, and how much it counts there.

    Evidence that lies before a row, at a negative distance, is in a row that has the former after it.
    """
    reached = view.beside(tuple(-distance for distance in decays))
    return reached, np.array(list(decays.values()), dtype=np.float32)
