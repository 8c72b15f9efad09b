"""Queries by meaning, by keywords, or both: dense order as Chroma gives it, BM25, and their fusion.

Hybrid search fuses linearly: the cosines and the BM25 scores of a query's hits are each scaled to 0..1, and a
hit's hybrid score is half of one plus half of the other (convex combination; Bruch, Gai and Ingber, "An Analysis
of Fusion Functions for Hybrid Retrieval", 2023, find it ahead of reciprocal ranks).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from remora.chroma.deadline import Deadline
from remora.chroma.vectors import dimension, norm, unpack
from remora.chroma.wire import Filter, StoredCollection, StoredRecord
from remora.collections.cursors import CursorKind, Position, decode_cursor, encode_cursor, id_digest
from remora.collections.keywords import Keyword, bm25, inverse_document_frequency, query_keywords
from remora.collections.limits import (
    HYBRID_DEPTH,
    KEYWORD_CANDIDATES,
    KEYWORD_CONCURRENCY,
    KEYWORD_READ,
    KEYWORD_READ_CHARACTERS,
    MAX_POSTINGS,
    MAX_QUERIES,
    MAX_QUERY_TEXT_BYTES,
    MAX_RESULTS,
    PAGE_READ,
)
from remora.collections.models import Hit, Include, QueryMatches, QueryMode, QueryResult, Space
from remora.collections.pages import page_budget, take_record
from remora.collections.records import pack_embedding
from remora.collections.scores import cosine, scaled, to_score
from remora.collections.texts import check_dimension, embed, is_own
from remora.collections.workspace import Workspace
from remora.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class Query:
    """One question.

    Attributes:
        text: Its text, None when only a vector was given.
        vector: Its packed vector, None when it is to be made of the text.
    """

    text: str | None
    vector: bytes | None


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """A checked call of `query`."""

    queries: tuple[Query, ...]
    n_results: int
    matching: Filter
    include: tuple[str, ...]
    mode: QueryMode
    min_score: float | None
    max_tokens: int
    cursor: str | None

    def cursor_arguments(self, collection: StoredCollection) -> Mapping[str, Any]:
        """Return what a cursor over the hits belongs to."""
        return {
            "collection": collection.id,
            "queries": [[query.text, query.vector] for query in self.queries],
            "n_results": self.n_results,
            "mode": self.mode.value,
            "min_score": self.min_score,
            **self.matching.to_json(),
        }


@dataclass(frozen=True, slots=True)
class _Ranked:
    """A hit before its parts are read.

    Attributes:
        id: The record's id.
        distance: Chroma's distance, when the query has a vector.
        cosine: The cosine it stands for.
        keyword: BM25, scaled to the query's best.
        hybrid: The fused score.
        row: The record, if it was read along with the ranking.
    """

    id: str
    distance: float | None = None
    cosine: float | None = None
    keyword: float | None = None
    hybrid: float | None = None
    row: StoredRecord | None = None

    def to_hit(self, row: StoredRecord) -> Hit:
        return Hit(
            id=self.id,
            document=row.document,
            metadata=dict(row.metadata) if row.metadata else None,
            uri=row.uri,
            embedding=list(row.embedding) if row.embedding is not None else None,
            distance=self.distance,
            score=None if self.cosine is None else to_score(self.cosine),
            keyword_score=None if self.keyword is None else round(self.keyword, 4),
            hybrid_score=None if self.hybrid is None else round(self.hybrid, 4),
        )


def check_queries(
    texts: Sequence[str] | None, embeddings: Sequence[Sequence[float]] | None, mode: QueryMode
) -> tuple[Query, ...]:
    """Check what is asked for and return it as queries.

    Args:
        texts: Questions as text.
        embeddings: Questions as vectors. Together with texts, one for each, where keywords count: the texts are
            for the keywords then.
        mode: How hits are found.

    Raises:
        InvalidArgumentError: Nothing is asked, or in a way that the mode cannot use.
    """
    if texts is None and embeddings is None:
        raise InvalidArgumentError("Nothing is asked: give query texts or query embeddings.")
    if mode is QueryMode.DENSE and texts is not None and embeddings is not None:
        raise InvalidArgumentError(
            "Give query texts or query embeddings, not both; mode hybrid or lexical takes both."
        )
    if mode is not QueryMode.DENSE and texts is None:
        raise InvalidArgumentError(f"Mode {mode.value} looks for words, so it needs query texts.")
    for name, given in (("texts", texts), ("embeddings", embeddings)):
        if given is None:
            continue
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise InvalidArgumentError(f"Query {name} is a list with one entry for each query.")
        if not 1 <= len(given) <= MAX_QUERIES:
            raise InvalidArgumentError(f"Query {name} has {len(given)} entries; there may be 1 to {MAX_QUERIES}.")
    if texts is not None and embeddings is not None and len(texts) != len(embeddings):
        raise InvalidArgumentError(f"There are {len(texts)} query texts and {len(embeddings)} query embeddings.")
    for index, text in enumerate(texts or ()):
        _check_text(text, index)
    vectors = [pack_embedding(vector, f"query embedding {index}") for index, vector in enumerate(embeddings or ())]
    if texts is None:
        return tuple(Query(None, vector) for vector in vectors)
    return tuple(Query(text, vectors[index] if vectors else None) for index, text in enumerate(texts))


def _check_text(text: object, index: int) -> None:
    if not isinstance(text, str) or not text.strip():
        raise InvalidArgumentError(f"Query text {index} is empty; a query has at least one word.")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidArgumentError(f"Query text {index} holds half of a surrogate pair.") from None
    if size > MAX_QUERY_TEXT_BYTES:
        raise InvalidArgumentError(f"Query text {index} has {size} bytes; there may be up to {MAX_QUERY_TEXT_BYTES}.")


def check_request(request: QueryRequest) -> QueryRequest:
    """Check the numbers of a request and what goes together.

    Raises:
        InvalidArgumentError: Something is out of bounds.
    """
    if not 1 <= request.n_results <= MAX_RESULTS:
        raise InvalidArgumentError(f"n_results is {request.n_results}; it may be 1 to {MAX_RESULTS}.")
    if request.min_score is not None and not 0.0 <= request.min_score <= 1.0:
        raise InvalidArgumentError("min_score is a similarity from 0 to 1.")
    if request.cursor is not None and len(request.queries) > 1:
        raise InvalidArgumentError("A cursor goes on with one query; ask one at a time.")
    return request


async def run_query(
    space: Workspace, collection: StoredCollection, request: QueryRequest, *, deadline: Deadline
) -> QueryResult:
    """Answer a query.

    Args:
        space: Where the collection is.
        collection: The collection.
        request: What is asked.
        deadline: When the answer must be there.

    Raises:
        UnsupportedError: The query is text and the collection's embedding function is not Remora's.
        InvalidArgumentError: A vector has the wrong dimension, or the cursor belongs elsewhere.
    """
    start: Position | None = None
    if request.cursor is not None:
        content = decode_cursor(request.cursor, CursorKind.HITS, request.cursor_arguments(collection))
        start = Position.from_bytes(content)
    run = _Run(space, collection, request, deadline)
    rankings = await run.rank()
    if request.min_score is not None:
        floor = request.min_score
        rankings = [
            [hit for hit in ranking if hit.cosine is not None and to_score(hit.cosine) >= floor]
            for ranking in rankings
        ]
    if start is not None:
        rankings = [rankings[0][_resume_at(rankings[0], start) :]]
    return await run.answer(rankings, delivered=start.offset if start is not None else 0)


def _resume_at(ranking: Sequence[_Ranked], position: Position) -> int:
    for index, hit in enumerate(ranking):
        if id_digest(hit.id) in position.behind:
            return index + 1
    return min(position.offset, len(ranking))


class _Run:
    """One query under way."""

    def __init__(
        self, space: Workspace, collection: StoredCollection, request: QueryRequest, deadline: Deadline
    ) -> None:
        self._space = space
        self._database = space.database
        self._collection = collection
        self._request = request
        self._matching = request.matching
        self._deadline = deadline
        self._notes: list[str] = []

    async def rank(self) -> list[list[_Ranked]]:
        """Return the hits of each query, best first, at most `n_results`."""
        queries = self._request.queries
        if self._matching.ids is not None:
            # Chroma answers an unknown id with an internal error (1.5.9).
            known = await self._database.get(self._collection.id, self._matching, deadline=self._deadline)
            self._matching = replace(self._matching, ids=[record.id for record in known])
            if not known:
                return [[] for _ in queries]
        if self._request.mode is QueryMode.LEXICAL:
            return await self._rank_lexically()
        vectors = await self._vectors()
        depth = self._request.n_results
        if self._request.mode is QueryMode.HYBRID:
            depth = max(depth, HYBRID_DEPTH)
        rankings = await self._nearest(vectors, depth, self._matching)
        if self._request.mode is QueryMode.DENSE:
            return rankings
        return [
            await self._fuse(query.text or "", vector, dense, depth)
            for query, vector, dense in zip(queries, vectors, rankings, strict=True)
        ]

    async def _vectors(self) -> list[Sequence[float]]:
        given = [query.vector for query in self._request.queries if query.vector is not None]
        if given:
            for vector in given:
                check_dimension(dimension(vector), self._collection, "The query embedding has")
            return [unpack(vector) for vector in given]
        await self._space.functions.require(self._collection, deadline=self._deadline)
        embedded = await embed(self._space.embedder, [query.text or "" for query in self._request.queries])
        window = self._space.embedder.window
        for index, text in enumerate(embedded):
            if text.tokens > window:
                self._notes.append(
                    f"Query {index} has {text.tokens} tokens; its vector covers the first {window} of them."
                )
        return [text.vector for text in embedded]

    async def _nearest(self, vectors: Sequence[Sequence[float]], depth: int, matching: Filter) -> list[list[_Ranked]]:
        include = self._request.include if depth * len(vectors) <= 2 * PAGE_READ else ()
        # Cosine distances need no lengths, and the own model's vectors have length 1.
        function = self._collection.embedding_function
        needs_norms = self._collection.space != Space.COSINE and not (
            function is not None and is_own(function, self._space.embedder)
        )
        asked = {*include, Include.EMBEDDINGS.value} if needs_norms else set(include)
        answers = await self._database.query(
            self._collection.id,
            vectors,
            n_results=depth,
            matching=matching,
            include=sorted(asked),
            deadline=self._deadline,
        )
        rankings: list[list[_Ranked]] = []
        for vector, rows in zip(vectors, answers, strict=True):
            query_norm = norm(vector)
            ranking: list[_Ranked] = []
            for row in rows:
                record_norm = norm(row.embedding) if needs_norms and row.embedding is not None else 1.0
                similarity = (
                    cosine(self._collection.space, row.distance, query_norm, record_norm)
                    if row.distance is not None
                    else 0.0
                )
                if Include.EMBEDDINGS.value not in include:
                    row = replace(row, embedding=None)
                # Without any part asked for, the id is all there is to read.
                complete = row if include or not self._request.include else None
                ranking.append(_Ranked(row.id, row.distance, similarity, row=complete))
            rankings.append(ranking)
        return rankings

    async def _rank_lexically(self) -> list[list[_Ranked]]:
        rankings: list[list[_Ranked]] = []
        vectors: Sequence[Sequence[float] | None] = [None] * len(self._request.queries)
        refusal = None
        if self._request.queries[0].vector is None:
            refusal = await self._space.functions.refusal(self._collection, deadline=self._deadline)
        if refusal is None:
            vectors = await self._vectors()
        elif self._request.min_score is not None:
            raise InvalidArgumentError(
                f"min_score is a floor under the similarity of vectors, which cannot be had here: {refusal}. "
                "Leave it out, or give query embeddings too."
            )
        for query, vector in zip(self._request.queries, vectors, strict=True):
            ranking = (await self._keyword_hits(query.text or ""))[: self._request.n_results]
            if vector is not None and ranking:
                near = await self._similarities(vector, [hit.id for hit in ranking])
                ranking = [
                    replace(hit, distance=near[hit.id].distance, cosine=near[hit.id].cosine)
                    for hit in ranking
                    if hit.id in near
                ]
            rankings.append(ranking)
        return rankings

    async def _fuse(self, text: str, vector: Sequence[float], dense: list[_Ranked], depth: int) -> list[_Ranked]:
        lexical = {hit.id: hit for hit in (await self._keyword_hits(text))[:depth]}
        hits = {hit.id: hit for hit in dense}
        beyond = [record_id for record_id in lexical if record_id not in hits]
        if beyond:
            hits.update(await self._similarities(vector, beyond))
        cosines = scaled([hit.cosine or 0.0 for hit in hits.values()])
        fused: list[_Ranked] = []
        for hit, closeness in zip(hits.values(), cosines, strict=True):
            found = lexical.get(hit.id)
            keyword = found.keyword or 0.0 if found is not None else 0.0
            fused.append(replace(hit, keyword=keyword, hybrid=(closeness + keyword) / 2.0))
        fused.sort(key=lambda hit: -(hit.hybrid or 0.0))
        return fused[: self._request.n_results]

    async def _similarities(self, vector: Sequence[float], ids: Sequence[str]) -> dict[str, _Ranked]:
        (ranking,) = await self._nearest([vector], len(ids), Filter(ids=ids))
        return {hit.id: hit for hit in ranking}

    async def _keyword_hits(self, text: str) -> list[_Ranked]:
        keywords = query_keywords(text)
        gate = asyncio.Semaphore(KEYWORD_CONCURRENCY)

        async def postings(keyword: Keyword) -> list[str]:
            async with gate:
                rows = await self._database.get(
                    self._collection.id,
                    _also(self._matching, keyword.where_document()),
                    limit=MAX_POSTINGS,
                    deadline=self._deadline,
                )
            return [row.id for row in rows]

        records, found = await asyncio.gather(
            self._database.count(self._collection.id, deadline=self._deadline),
            asyncio.gather(*map(postings, keywords)),
        )
        weights = [inverse_document_frequency(records, len(ids)) for ids in found]
        evidence: dict[str, float] = {}
        for weight, ids in zip(weights, found, strict=True):
            for record_id in ids:
                evidence[record_id] = evidence.get(record_id, 0.0) + weight
        candidates = sorted(evidence, key=lambda record_id: -evidence[record_id])
        if len(candidates) > KEYWORD_CANDIDATES or any(len(ids) == MAX_POSTINGS for ids in found):
            self._notes.append(
                "Many records hold these words; keywords were scored on those with the most telling ones. "
                "A filter or rarer words narrow the search."
            )
        texts = await self._texts(candidates[:KEYWORD_CANDIDATES])
        scores = bm25(list(texts.values()), keywords, weights)
        best = max(scores, default=0.0)
        if best <= 0.0:
            return []
        ranked = [
            _Ranked(record_id, keyword=score / best)
            for record_id, score in zip(texts, scores, strict=True)
            if score > 0.0
        ]
        ranked.sort(key=lambda hit: -(hit.keyword or 0.0))
        return ranked

    async def _texts(self, ids: Sequence[str]) -> dict[str, str]:
        texts: dict[str, str] = {}
        characters = 0
        for start in range(0, len(ids), KEYWORD_READ):
            rows = await self._database.get(
                self._collection.id,
                Filter(ids=ids[start : start + KEYWORD_READ]),
                include=(Include.DOCUMENTS.value,),
                deadline=self._deadline,
            )
            for row in rows:
                if row.document is not None:
                    texts[row.id] = row.document
                    characters += len(row.document)
            if characters > KEYWORD_READ_CHARACTERS:
                break
        return texts

    async def answer(self, rankings: Sequence[Sequence[_Ranked]], *, delivered: int) -> QueryResult:
        """Read what the hits hold and fill the answer, the best of every query first, to the token budget."""
        turns = [
            (query, place)
            for place in range(max(map(len, rankings), default=0))
            for query, ranking in enumerate(rankings)
            if place < len(ranking)
        ]
        budget = page_budget(self._request.max_tokens)
        shown: list[list[Hit]] = [[] for _ in rankings]
        taken: list[Hit] = []
        seen = [0] * len(rankings)
        rows: dict[str, StoredRecord] = {}
        for turn, (query, place) in enumerate(turns):
            ranked = rankings[query][place]
            row = ranked.row
            if row is None:
                if turn % PAGE_READ == 0:
                    coming = [rankings[q][p] for q, p in turns[turn : turn + PAGE_READ]]
                    rows = await self._rows([hit.id for hit in coming if hit.row is None])
                row = rows.get(ranked.id)
            if row is not None:
                hit = take_record(taken, ranked.to_hit(row), budget)
                if hit is None:
                    break
                taken.append(hit)
                shown[query].append(hit)
            # A record that was deleted meanwhile is passed over.
            seen[query] += 1
        cut = [count < len(ranking) for count, ranking in zip(seen, rankings, strict=True)]
        cursor = None
        if len(rankings) == 1 and cut[0]:
            position = Position(delivered + seen[0], (id_digest(rankings[0][seen[0] - 1].id),))
            arguments = self._request.cursor_arguments(self._collection)
            cursor = encode_cursor(CursorKind.HITS, arguments, position.to_bytes())
        return QueryResult(
            results=[
                QueryMatches(query=query.text, hits=hits, cut=True if was_cut else None)
                for query, hits, was_cut in zip(self._request.queries, shown, cut, strict=True)
            ],
            next_cursor=cursor,
            note=" ".join(dict.fromkeys(self._notes)) or None,
        )

    async def _rows(self, ids: Sequence[str]) -> dict[str, StoredRecord]:
        rows = await self._database.get(
            self._collection.id,
            Filter(ids=list(dict.fromkeys(ids))),
            include=self._request.include,
            deadline=self._deadline,
        )
        return {row.id: row for row in rows}


def _also(matching: Filter, where_document: Mapping[str, Any]) -> Filter:
    if matching.where_document is None:
        return replace(matching, where_document=where_document)
    return replace(matching, where_document={"$and": [matching.where_document, where_document]})
