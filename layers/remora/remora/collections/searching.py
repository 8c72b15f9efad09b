"""Runs searches of Chroma's Search API, which only distributed engines have."""

from collections.abc import Mapping, Sequence
from typing import Any

from remora.chroma.deadline import Deadline
from remora.chroma.wire import Json, StoredCollection
from remora.collections.limits import MAX_RESULTS, MAX_SEARCHES
from remora.collections.models import Hit, QueryMatches, QueryResult
from remora.collections.pages import page_budget, take_record, to_record
from remora.collections.texts import embed
from remora.collections.workspace import Workspace
from remora.errors import InvalidArgumentError, UnsupportedError

_PARTS = ("filter", "rank", "group_by", "limit", "select")
_DEFAULT_SELECT = {"keys": ["#document", "#metadata", "#score"]}
_DEFAULT_LIMIT = 10
_MAX_RANK_DEPTH = 16
_OWN_KEY = "#embedding"


def check_searches(searches: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Check the outline of searches; what an expression means is the engine's to judge.

    Args:
        searches: Objects with `filter`, `rank`, `group_by`, `limit` (`{"limit": n, "offset": n}`) and `select`
            (`{"keys": [...]}`), as `Search.to_dict()` of Chroma's client makes them.

    Raises:
        InvalidArgumentError: One is not of that form.
    """
    if isinstance(searches, str | Mapping) or not isinstance(searches, Sequence):
        raise InvalidArgumentError("searches is a list of search objects.")
    if not 1 <= len(searches) <= MAX_SEARCHES:
        raise InvalidArgumentError(f"There are {len(searches)} searches; there may be 1 to {MAX_SEARCHES}.")
    return [_search(search, f"searches[{index}]") for index, search in enumerate(searches)]


def _search(search: object, path: str) -> dict[str, Any]:
    if not isinstance(search, Mapping):
        raise InvalidArgumentError(f"{path} is not an object.")
    unknown = sorted(str(name) for name in search if name not in _PARTS)
    if unknown:
        raise InvalidArgumentError(f"{path} has {', '.join(unknown)}; a search has {', '.join(_PARTS)}.")
    checked = {name: part for name, part in search.items() if part is not None and part != {}}
    for name, part in checked.items():
        if not isinstance(part, Mapping):
            raise InvalidArgumentError(f"{path}.{name} is not an object.")
    limit = {"offset": 0, "limit": _DEFAULT_LIMIT, **checked.get("limit", {})}
    if not isinstance(limit["limit"], int) or not 1 <= limit["limit"] <= MAX_RESULTS:
        raise InvalidArgumentError(f"{path}.limit.limit is a whole number from 1 to {MAX_RESULTS}.")
    return {**checked, "limit": limit, "select": checked.get("select", _DEFAULT_SELECT)}


async def run_searches(
    space: Workspace,
    collection: StoredCollection,
    searches: Sequence[Mapping[str, Any]],
    *,
    max_tokens: int,
    deadline: Deadline,
) -> QueryResult:
    """Run searches; texts to be found by meaning are embedded first.

    Args:
        space: Where the collection is.
        collection: The collection.
        searches: Checked searches.
        max_tokens: Budget of the answer.
        deadline: When the answer must be there.

    Raises:
        UnsupportedError: A text is to be embedded by a function that Remora does not have.
    """
    ready = [
        {**search, "rank": await _embedded(space, collection, search["rank"], deadline)}
        if "rank" in search
        else search
        for search in searches
    ]
    answers = await space.database.search(collection.id, ready, deadline=deadline)
    budget = page_budget(max_tokens)
    taken: list[Hit] = []
    results: list[QueryMatches] = []
    for answer in answers:
        hits: list[Hit] = []
        cut = False
        for row, score in zip(answer.records, answer.scores, strict=True):
            found = Hit(**dict(to_record(row)), search_score=score)
            hit = take_record(taken, found, budget)
            if hit is None:
                cut = True
                break
            taken.append(hit)
            hits.append(hit)
        results.append(QueryMatches(hits=hits, cut=True if cut else None))
    return QueryResult(results=results)


async def _embedded(
    space: Workspace, collection: StoredCollection, rank: Json, deadline: Deadline, depth: int = 1
) -> Json:
    """Return a rank expression with every text to be found by meaning in the place of its vector."""
    if depth > _MAX_RANK_DEPTH:
        raise InvalidArgumentError(f"A rank expression is nested at most {_MAX_RANK_DEPTH} levels deep.")
    if isinstance(rank, list):
        return [await _embedded(space, collection, part, deadline, depth + 1) for part in rank]
    if not isinstance(rank, Mapping):
        return rank
    nearest = rank.get("$knn")
    if isinstance(nearest, Mapping) and isinstance(nearest.get("query"), str):
        if nearest.get("key", _OWN_KEY) != _OWN_KEY:
            raise UnsupportedError(
                f"Remora makes no vectors for {nearest['key']!r}; give `query` as a vector of that index."
            )
        await space.functions.require(collection, deadline=deadline)
        (text,) = await embed(space.embedder, [nearest["query"]])
        return {**rank, "$knn": {**nearest, "query": list(text.vector)}}
    return {name: await _embedded(space, collection, part, deadline, depth + 1) for name, part in rank.items()}
