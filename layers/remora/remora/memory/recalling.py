"""Answers searches: ranks, cuts the ranking to the caller's budget, and says when nothing is relevant."""

import struct
from collections.abc import Sequence
from datetime import datetime

from remora.budget import TokenBudget, check_max_tokens, json_bytes, shorten
from remora.chroma.deadline import Deadline
from remora.collections.cursors import CursorKind, decode_cursor, encode_cursor, reading_position
from remora.errors import InvalidArgumentError
from remora.memory import searching
from remora.memory.limits import MAX_HITS, MAX_QUERY_CHARACTERS
from remora.memory.models import Hit, SearchRequest, SearchResult
from remora.memory.viewing import ENVELOPE_TOKENS, interval_bytes, resume_interval, selection_arguments
from remora.memory.workspace import Workspace

_BYTES_PER_TOKEN = 3
# The moment of the first page, and the score of the last hit shown; its id follows.
_POSITION = struct.Struct("<qd")


async def search(
    space: Workspace,
    request: SearchRequest,
    *,
    cursor: str | None,
    max_tokens: int,
    now: datetime,
    deadline: Deadline,
) -> SearchResult:
    """Find memories, best first.

    Raises:
        InvalidArgumentError: The request or the cursor cannot be used.
        UnavailableError: Chroma did not answer in time.
    """
    check_max_tokens(max_tokens)
    _check(request)
    arguments = {**request.model_dump(mode="json", exclude={"filter"}), **selection_arguments(space, request.filter)}
    after: tuple[float, str] | None = None
    if cursor is not None:
        position = decode_cursor(cursor, CursorKind.MEMORY_HITS, arguments)
        with reading_position():
            selection, position = resume_interval(request.filter, position)
            moment, score = _POSITION.unpack_from(position)
            now = datetime.fromtimestamp(moment / 1000, tz=now.tzinfo)
            after = (-score, position[_POSITION.size :].decode())
        request = request.model_copy(update={"filter": selection})
    ranked = await searching.rank(space.index, request, now=now, deadline=deadline)
    start = 0
    if after is not None:
        start = next((place for place, each in enumerate(ranked) if _position(each) > after), len(ranked))
    end = min(start + request.limit, len(ranked))
    budget = TokenBudget(max_tokens, reserved=ENVELOPE_TOKENS)
    hits: list[Hit] = []
    for candidate in ranked[start:end]:
        hit = _fit(candidate.hit(), budget, first=not hits)
        if hit is None:
            break
        hits.append(hit)
    next_cursor = None
    if hits and start + len(hits) < len(ranked):
        last = ranked[start + len(hits) - 1]
        place = _POSITION.pack(round(now.timestamp() * 1000), last.score) + last.memory_id.encode()
        next_cursor = encode_cursor(CursorKind.MEMORY_HITS, arguments, interval_bytes(request.filter.when) + place)
    return SearchResult(
        hits=tuple(hits),
        when=request.filter.when.understood if request.filter.when is not None else None,
        next_cursor=next_cursor,
        note=None if hits else _nothing(request, ranked, cursor),
    )


def _position(candidate: searching.Candidate) -> tuple[float, str]:
    return -candidate.score, candidate.memory_id


def _check(request: SearchRequest) -> None:
    if not request.query.strip():
        raise InvalidArgumentError("query is empty. Say what to look for; memory_list needs no query.")
    if len(request.query) > MAX_QUERY_CHARACTERS:
        raise InvalidArgumentError(
            f"query has {len(request.query)} characters; it may have {MAX_QUERY_CHARACTERS}. Ask in a sentence."
        )
    if not 1 <= request.limit <= MAX_HITS:
        raise InvalidArgumentError(f"limit is {request.limit}. It may be from 1 to {MAX_HITS}.")
    if not 0 <= request.min_score <= 1:
        raise InvalidArgumentError(f"min_score is {request.min_score}. It may be from 0 to 1.")
    if request.recency_half_life_days is not None and not 0 < request.recency_half_life_days <= 36_500:
        raise InvalidArgumentError("recency_half_life_days may be more than 0 and up to 36500 days.")


def _fit(hit: Hit, budget: TokenBudget, *, first: bool) -> Hit | None:
    """Take a hit into the answer if it fits; the first is cut rather than left out."""
    if budget.take(hit.model_dump_json(exclude_none=True)):
        return hit
    if not first:
        return None
    frame = len(hit.model_copy(update={"passage": "", "whole": False}).model_dump_json(exclude_none=True).encode())
    room = max(budget.remaining * _BYTES_PER_TOKEN - frame - 8, 3 * _BYTES_PER_TOKEN)
    budget.remaining = 0
    passage = shorten(hit.passage, max_bytes=min(room, json_bytes(hit.passage)))
    return hit.model_copy(update={"passage": passage, "whole": False})


def _nothing(request: SearchRequest, ranked: Sequence[object], cursor: str | None) -> str:
    if cursor is not None or ranked:
        return "There are no more hits."
    if request.min_score > 0:
        return f"Nothing relevant: no memory reaches min_score {request.min_score:g}."
    if not request.filter.is_empty:
        return "No memory fits the filters. Check them with memory_overview, or search without."
    return "Nothing found. The memory is empty, or holds none of these words (mode=lexical)."
