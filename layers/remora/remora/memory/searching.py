"""Searches the index: gathers the evidence, ranks memories by it, and shows those that are asked for.

While the query is embedded, Chroma says which segments there are; while Chroma looks for the nearest passages, the
words are counted here.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, overload

import numpy as np

from remora.chroma.deadline import Deadline
from remora.collections.texts import embed
from remora.memory import ranking
from remora.memory.index import EntryRef, MemoryIndex, View
from remora.memory.index.layout import milliseconds, where
from remora.memory.index.segments import Integers
from remora.memory.index.view import Booleans, Floats
from remora.memory.lexicon import name_words, query_terms
from remora.memory.models import Hit, Memory, SearchMode, SearchRequest, Signals

NEAREST = 100
"""Passages that Chroma is asked for; 200 find no more."""

MOST_NEAREST = 800
"""Passages that it is asked for if most of them may be filtered out afterwards; these take 10 ms at 20,000."""

RANKED = 500
"""Memories of a ranking; nobody turns more pages than that."""

MAX_TERMS = 64
"""Terms of a query that are looked for, its first."""

_DECIMALS = 4
_DEFAULT_TYPE: str = Memory.model_fields["type"].default
_TURNS_TO_SEND = 4
"""Turns of the event loop in which a request is sent: its head, its body, each followed by a pause."""

_LARGE_SHARE = NEAREST / MOST_NEAREST


@dataclass(frozen=True, slots=True)
class Candidate:
    """A memory of a ranking.

    Attributes:
        score: From 0 to 1.
        entry: What is known of the memory.
        passage: The number of its best passage.
        signals: What the score is made of.
    """

    score: float
    entry: EntryRef
    passage: int
    signals: Signals

    @property
    def memory_id(self) -> str:
        """The memory's id."""
        return self.entry.id

    def hit(self) -> Hit:
        """Return it as it is shown, with the text of its best passage."""
        segment, number = self.entry.segment, self.entry.number
        known = segment.known(number)
        known.pop("context", None)
        return Hit.model_validate(
            {
                "type": _DEFAULT_TYPE,
                **known,
                "score": round(self.score, _DECIMALS),
                "signals": self.signals,
                "passage": segment.passage(number, self.passage),
                "whole": self.entry.passages == 1,
            }
        )


class Ranking(Sequence[Candidate]):
    """Memories, the best first, of equal ones the smaller id; each text once. Candidates are made when looked at."""

    def __init__(
        self, view: View, rows: Integers, scores: Floats, evidence: ranking.Evidence, mode: SearchMode, recent: Floats
    ) -> None:
        """Note what was ranked; `rank` makes these.

        Args:
            view: The passages.
            rows: The best passage of each memory, in order.
            scores: Their scores.
            evidence: What speaks for each row.
            mode: What of it took part.
            recent: The recency of each of `rows`; empty if that took no part.
        """
        self._view = view
        self._rows = rows
        self._scores = scores
        self._evidence = evidence
        self._mode = mode
        self._recent = recent

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Candidate: ...
    @overload
    def __getitem__(self, index: slice) -> list[Candidate]: ...
    def __getitem__(self, index: int | slice) -> Candidate | list[Candidate]:
        if isinstance(index, slice):
            return [self._candidate(place) for place in range(*index.indices(len(self)))]
        return self._candidate(range(len(self))[index])

    def __iter__(self) -> Iterator[Candidate]:
        return map(self._candidate, range(len(self)))

    def _candidate(self, place: int) -> Candidate:
        row = int(self._rows[place])
        return Candidate(
            float(self._scores[place]), self._view.entry(row), self._view.passage(row), self._signals(place, row)
        )

    def _signals(self, place: int, row: int) -> Signals:
        found = self._evidence
        has_words = self._mode is not SearchMode.DENSE
        has_meaning = self._mode is not SearchMode.LEXICAL
        return Signals(
            dense=_shown(found.dense[row]) if has_meaning and found.is_near[row] else None,
            dense_context=_shown(found.dense_context[row]) if has_meaning else None,
            lexical=_shown(found.lexical[row]) if has_words else None,
            lexical_context=_shown(found.lexical_context[row]) if has_words else None,
            recency=_shown(self._recent[place]) if len(self._recent) else None,
        )


async def rank(index: MemoryIndex, request: SearchRequest, *, now: datetime, deadline: Deadline) -> Ranking:
    """Rank the memories that fit the request's filter and reach its least score.

    Args:
        index: Where.
        request: What is looked for.
        now: The moment that recency is relative to.
        deadline: When it must be done.

    Raises:
        UnavailableError: Chroma did not answer in time, or the model cannot be loaded.
    """
    viewing = asyncio.ensure_future(index.view(deadline=deadline))
    try:
        await _let_it_go_out()
        vector: Sequence[float] | None = None
        if request.mode is not SearchMode.LEXICAL:
            (embedded,) = await embed(index.embedder, [request.query])
            vector = embedded.vector
        return await _rank(index, request, vector, viewing, now, deadline)
    finally:
        await _give_up(viewing)


async def _rank(
    index: MemoryIndex,
    request: SearchRequest,
    vector: Sequence[float] | None,
    viewing: asyncio.Future[View],
    now: datetime,
    deadline: Deadline,
) -> Ranking:
    search = _Search(request, vector, index, deadline)
    try:
        if request.filter.is_empty:
            search.look_for_nearest(NEAREST, filtered=False)
            await _let_it_go_out()
        view = await viewing
        selected = None if request.filter.is_empty else view.selected(request.filter)
        if selected is not None and selected.any():
            share = float(selected.mean())
            # A filter that most memories fit costs Chroma 80 ms at 20,000: then it is faster to look further and to
            # leave out what does not fit, which finds the same.
            filtered = share < _LARGE_SHARE
            search.look_for_nearest(NEAREST if filtered else int(NEAREST / share), filtered=filtered)
            await _let_it_go_out()
        terms = [] if request.mode is SearchMode.DENSE else query_terms(request.query)[:MAX_TERMS]
        lexical, lexical_context = ranking.lexical_evidence(view, terms)
        factor = _factor(view, request.query)
        rows, similarities, is_all = await search.nearest(view, selected)
    finally:
        await search.close()
    dense, dense_context, is_near = ranking.dense_evidence(view, rows, similarities, is_all=is_all)
    evidence = ranking.Evidence(lexical, lexical_context, dense, dense_context, is_near)
    return _order(view, evidence, factor, request, selected, milliseconds(now))


async def _let_it_go_out() -> None:
    """Let a request that was begun be sent before something else takes the processor."""
    for _ in range(_TURNS_TO_SEND):
        await asyncio.sleep(0)


async def _give_up(task: asyncio.Future[Any]) -> None:
    """End what is still under way, as nobody is interested in it any more."""
    if not task.done():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _Search:
    """The look for the nearest passages, under way while other things are done."""

    def __init__(
        self, request: SearchRequest, vector: Sequence[float] | None, index: MemoryIndex, deadline: Deadline
    ) -> None:
        self._request = request
        self._vector = vector
        self._index = index
        self._deadline = deadline
        self._limit = 0
        self._task: asyncio.Future[list[tuple[str, float]]] | None = None

    def look_for_nearest(self, limit: int, *, filtered: bool) -> None:
        if self._vector is not None:
            self._limit = limit
            condition = where(self._request.filter) if filtered else None
            self._task = asyncio.ensure_future(
                self._index.nearest(self._vector, limit=limit, where=condition, deadline=self._deadline)
            )

    async def nearest(self, view: View, selected: Booleans | None) -> tuple[Integers, Floats, bool]:
        """Return rows, similarities, and whether these are all passages that there are."""
        found = await self._task if self._task is not None else []
        rows: list[int] = []
        similarities: list[float] = []
        for record, similarity in found:
            # What no entry names is of a write that has not come to its end, or is gone since.
            row = view.row(record)
            if row is not None and (selected is None or selected[view.memory_of_row[row]]):
                rows.append(row)
                similarities.append(similarity)
        is_all = len(found) < self._limit
        return np.array(rows[:NEAREST], np.int64), np.array(similarities[:NEAREST], np.float32), is_all

    async def close(self) -> None:
        if self._task is not None:
            await _give_up(self._task)


def _order(
    view: View,
    evidence: ranking.Evidence,
    factor: Floats,
    request: SearchRequest,
    selected: Booleans | None,
    now: int,
) -> Ranking:
    mode = request.mode
    none: Floats = np.empty(0, dtype=np.float32)
    if not view.rows:
        return Ranking(view, np.empty(0, np.int64), none, evidence, mode, none)
    scores = _score(evidence, factor, mode)
    speaks = (evidence.lexical_context > 0) | (evidence.dense_context > 0) | evidence.is_near
    if selected is not None:
        speaks &= selected[view.memory_of_row]
    scores[~speaks] = -1
    best = np.maximum.reduceat(scores, view.starts)
    recent = none
    if request.recency_half_life_days is not None:
        recent = ranking.recency(view.created, now, request.recency_half_life_days)
        best = np.where(best < 0, best, best * (1 - ranking.RECENCY_SHARE * (1 - recent)))
    numbers = np.flatnonzero(best >= max(request.min_score, 0))
    if len(numbers) > RANKED:
        numbers = numbers[np.argpartition(-best[numbers], RANKED)[:RANKED]]
    numbers = _best_first(view, numbers, best[numbers])
    # Of what says the same, the best is enough.
    _, first = np.unique(view.fingerprints[numbers], return_index=True)
    numbers = numbers[np.sort(first)]
    rows = view.starts[numbers]
    ends = np.append(view.starts, view.rows)[numbers + 1]
    for place in np.flatnonzero(ends - rows > 1).tolist():
        rows[place] += int(np.argmax(scores[rows[place] : ends[place]]))
    return Ranking(
        view,
        rows,
        best[numbers],
        evidence,
        mode,
        recent[numbers] if len(recent) else none,
    )


def _best_first(view: View, numbers: Integers, scores: Floats) -> Integers:
    """Return memories in the order of their scores, those with equal ones in the order of their ids."""
    ordered: Integers = numbers[np.lexsort((view.ids[numbers], -scores))]
    return ordered


def _factor(view: View, query: str) -> Floats:
    """Return what each row's evidence is multiplied with, whatever the evidence is."""
    factor = ranking.form(view)
    named = view.spoken_by(name_words(query))
    if named is None:
        return factor
    emphasised: Floats = np.where(named, ranking.SPEAKER_BONUS * factor, factor).astype(np.float32)
    return emphasised


def _score(evidence: ranking.Evidence, factor: Floats, mode: SearchMode) -> Floats:
    words = ranking.LEXICAL_WEIGHT * evidence.lexical_context
    meaning = ranking.DENSE_WEIGHT * evidence.dense + ranking.DENSE_CONTEXT_WEIGHT * evidence.dense_context
    match mode:
        case SearchMode.HYBRID:
            scores = words + meaning
        case SearchMode.LEXICAL:
            scores = words / ranking.LEXICAL_WEIGHT
        case SearchMode.DENSE:
            scores = meaning / ranking.DENSE_WEIGHT
    bounded: Floats = np.minimum(scores * factor, 1).astype(np.float32)
    return bounded


def _shown(number: np.float32) -> float:
    return round(min(1.0, max(0.0, float(number))), _DECIMALS)
