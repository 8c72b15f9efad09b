"""Searches on a real Chroma server with the real model: what is found, in which order, and why."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remora.chroma.client import ChromaClient
from remora.chroma.deadline import Deadline
from remora.embedding import MiniLM
from remora.memory.ids import turn_memory_id
from remora.memory.index import MemoryIndex
from remora.memory.models import Interval, Memory, MemoryFilter, SearchMode, SearchRequest, TagMatch, Turn
from remora.memory.searching import NEAREST, Ranking, rank
from tests.support.chroma_server import ChromaServer

pytestmark = pytest.mark.anyio

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
MODES = list(SearchMode)


def soon() -> Deadline:
    return Deadline.after(60)


def memory(number: int, content: str, **parts: Any) -> Memory:
    at = START + timedelta(minutes=number)
    return Memory(
        **{"id": f"{number:010d}", "version": 1, "content": content, "created_at": at, "updated_at": at} | parts
    )


def turns(conversation: str, *said: tuple[str, str]) -> list[Memory]:
    return [
        memory(
            number,
            text,
            id=turn_memory_id(conversation, number),
            type="turn",
            conversation_id=conversation,
            turn=Turn(id=f"t{number}", speaker=speaker, position=number),
            context=f"{said[number - 1][0]}: {said[number - 1][1]}" if number else None,
        )
        for number, (speaker, text) in enumerate(said)
    ]


async def search(index: MemoryIndex, query: str, **parts: Any) -> Ranking:
    return await rank(index, SearchRequest(query=query, **parts), now=NOW, deadline=soon())


def ids(ranking: Ranking) -> list[str]:
    return [candidate.memory_id for candidate in ranking]


@pytest.fixture
async def index(chroma_server: ChromaServer, space_name: str, embedder: MiniLM) -> AsyncIterator[MemoryIndex]:
    client = ChromaClient(chroma_server.host, chroma_server.port)
    yield MemoryIndex(client.database(space_name), embedder)
    await client.aclose()


SHELF = [
    memory(1, "The harbour office closes at six on Fridays."),
    memory(2, "Grandmother's recipe: rye flour, water, salt, and three days of patience."),
    memory(3, "Invoice INV-2291 was paid twice by mistake."),
    memory(4, "The dentist moved the appointment to the ninth of June."),
    memory(5, "Luca is allergic to walnuts and hazelnuts."),
]


@pytest.mark.parametrize("mode", MODES)
async def test_an_empty_space_has_nothing(index: MemoryIndex, mode: SearchMode) -> None:
    assert len(await search(index, "anything", mode=mode)) == 0


@pytest.mark.parametrize(
    ("query", "number", "mode"),
    [
        ("how do I bake bread?", 2, SearchMode.DENSE),
        ("which nuts must he not eat", 5, SearchMode.DENSE),
        ("inv-2291", 3, SearchMode.LEXICAL),
        ("paying an invoice", 3, SearchMode.LEXICAL),
        ("when does the office by the sea close?", 1, SearchMode.HYBRID),
        ("Luca's allergies", 5, SearchMode.HYBRID),
        ("INV-2291", 3, SearchMode.HYBRID),
    ],
)
async def test_what_was_meant_comes_first(index: MemoryIndex, query: str, number: int, mode: SearchMode) -> None:
    await index.put(SHELF, deadline=soon())
    assert ids(await search(index, query, mode=mode))[0] == f"{number:010d}"


async def test_a_hit_says_what_it_was_found_by(index: MemoryIndex) -> None:
    await index.put([*SHELF, memory(6, "ferries", tags=("a",), metadata={"x": (1, 2)}, source="s")], deadline=soon())
    hit = (await search(index, "ferries", recency_half_life_days=31.0))[0].hit()
    assert (hit.id, hit.passage, hit.whole, hit.type, hit.version) == ("0000000006", "ferries", True, "note", 1)
    assert (hit.tags, hit.source, dict(hit.metadata)) == (("a",), "s", {"x": [1, 2]})
    assert hit.created_at == START + timedelta(minutes=6)
    signals = hit.signals
    assert signals.dense == pytest.approx(1, abs=0.02)
    assert signals.lexical == signals.lexical_context
    assert signals.lexical is not None
    assert 0.9 < signals.lexical <= 1
    assert signals.dense_context == 0
    assert signals.recency == pytest.approx(0.5, abs=0.02)
    (lexical,) = (await search(index, "ferries", mode=SearchMode.LEXICAL))[:]
    assert (lexical.signals.dense, lexical.signals.dense_context, lexical.signals.recency) == (None, None, None)
    dense = (await search(index, "ferries", mode=SearchMode.DENSE))[0]
    assert (dense.signals.lexical, dense.signals.lexical_context) == (None, None)
    assert dense.score == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("mode", MODES)
async def test_nothing_relevant_is_nothing_above_a_score(index: MemoryIndex, mode: SearchMode) -> None:
    await index.put(SHELF, deadline=soon())
    floor = {SearchMode.HYBRID: 0.2, SearchMode.LEXICAL: 0.2, SearchMode.DENSE: 0.3}[mode]
    assert ids(await search(index, "Kubernetes ingress controller", mode=mode, min_score=floor)) == []
    found = await search(index, "harbour office", mode=mode, min_score=floor)
    assert ids(found)[0] == "0000000001"
    assert all(floor <= candidate.score <= 1 for candidate in found)


async def test_an_answer_is_found_by_the_words_of_its_question(index: MemoryIndex) -> None:
    talk = turns(
        "talk",
        ("Ann", "Good morning! I have coffee."),
        ("Bob", "Where did your brother go diving last summer?"),
        ("Ann", "He stayed on a small island near Split for two weeks."),
        ("Bob", "Sounds lovely, thanks!"),
        ("Ann", "Let us talk about the budget now."),
        ("Bob", "The budget for paint is used up."),
    )
    await index.put(talk, deadline=soon())
    found = await search(index, "Where did Ann's brother go diving?")
    assert found[0].entry.memory().turn == talk[2].turn
    assert found[0].signals.lexical_context is not None
    assert found[0].signals.lexical is not None
    assert found[0].signals.lexical_context > found[0].signals.lexical


async def test_the_named_speaker_comes_before_the_other_one(index: MemoryIndex) -> None:
    await index.put(
        [*turns("one", ("Ann", "I sold the old boat.")), *turns("two", ("Bob", "I sold the old boat too."))],
        deadline=soon(),
    )
    for name in ("Ann", "Bob"):
        found = await search(index, f"What did {name} sell?", mode=SearchMode.HYBRID)
        turn = found[0].entry.memory().turn
        assert turn is not None
        assert turn.speaker == name


async def test_a_question_that_names_the_day_finds_what_was_said_on_it(index: MemoryIndex) -> None:
    await index.put(
        [
            memory(number, f"Cleaned {boat}.", created_at=START + timedelta(days=number))
            for number, boat in enumerate(("Aurora", "Bella", "Clio", "Dora", "Echo", "Flora", "Gaia", "Hera"))
        ],
        deadline=soon(),
    )
    assert ids(await search(index, "What was cleaned on May 6, 2026?"))[0] == "0000000005"


@pytest.mark.parametrize("mode", MODES)
async def test_a_long_memory_is_one_hit_with_its_best_passage(index: MemoryIndex, mode: SearchMode) -> None:
    filler = "The committee discussed the usual matters and came to no conclusion about any of them. "
    long = filler * 30 + "Margarethe hid the telescope under the stairs of the chapel. " + filler * 30
    await index.put([memory(9, long), *SHELF], deadline=soon())
    found = await search(index, "Where is Margarethe's telescope hidden?", mode=mode)
    assert ids(found).count("0000000009") == 1
    hit = found[0].hit()
    assert (hit.id, hit.whole) == ("0000000009", False)
    assert "telescope under the stairs" in hit.passage
    assert hit.passage in long
    assert len(hit.passage) < len(long) / 4


@pytest.mark.parametrize("mode", MODES)
async def test_no_text_comes_twice(index: MemoryIndex, mode: SearchMode) -> None:
    same = [memory(number, "The keys are in the blue bowl.") for number in (7, 6, 8)]
    await index.put([*same, memory(9, "The keys are in the red bowl.")], deadline=soon())
    found = await search(index, "Where are the keys?", mode=mode)
    # Equal scores are in the order of the ids.
    assert sorted(ids(found)) == ["0000000006", "0000000009"]


async def test_recent_memories_come_first_if_asked_for(index: MemoryIndex) -> None:
    old = memory(1, "The meeting room is on the second floor.", created_at=NOW - timedelta(days=300))
    new = memory(2, "The meeting room is on the fourth floor.", created_at=NOW - timedelta(days=1))
    for pair in ([old, new], [memory(1, new.content, created_at=old.created_at, version=2)]):
        await index.put(pair, deadline=soon())
    await index.put([memory(2, old.content, created_at=new.created_at, version=2)], deadline=soon())
    plain = await search(index, "Which floor is the second meeting room on?")
    assert ids(plain)[0] == "0000000002"
    found = await search(index, "Which floor is the fourth meeting room on?", recency_half_life_days=30.0)
    assert ids(found)[0] == "0000000002"
    assert found[0].signals.recency == pytest.approx(2 ** (-1 / 30), abs=1e-3)
    assert found[1].signals.recency == pytest.approx(2**-10, abs=1e-3)


@pytest.mark.parametrize("mode", MODES)
async def test_what_is_removed_or_changed_is_not_found_as_it_was(index: MemoryIndex, mode: SearchMode) -> None:
    await index.put(SHELF, deadline=soon())
    await index.put([memory(1, "The zoo opens at nine.", version=2)], deadline=soon())
    await index.remove(["0000000005"], deadline=soon())
    found = await search(index, "harbour office closes allergic walnuts", mode=mode)
    assert "0000000005" not in ids(found)
    assert all("harbour" not in candidate.hit().passage for candidate in found)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("query", ["!?", "the of and", "a" * 4_000, "ünïcödé 東京 🧑‍🚀", "x\n\ty"])
async def test_any_query_is_answered(index: MemoryIndex, query: str, mode: SearchMode) -> None:
    await index.put(SHELF, deadline=soon())
    found = await search(index, query, mode=mode)
    assert [candidate.score for candidate in found] == sorted((each.score for each in found), reverse=True)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("every", [2, 40])
async def test_a_filter_finds_the_same_whether_many_or_few_fit(
    index: MemoryIndex, chroma_server: ChromaServer, space_name: str, mode: SearchMode, every: int
) -> None:
    """With many that fit, what Chroma finds is filtered here; with few, Chroma filters."""
    count = 4 * NEAREST
    memories = [
        memory(number, f"ship {number} carries cargo {number % 7}", tags=("kept",) if number % every == 0 else ())
        for number in range(count)
    ]
    await index.put(memories, deadline=soon())
    found = await search(index, "ship that carries cargo 3", mode=mode, filter=MemoryFilter(tags=("kept",)))
    fitting = [each for each in memories if each.tags]
    assert set(ids(found)) <= {each.id for each in fitting}
    if mode is SearchMode.DENSE:
        client = ChromaClient(chroma_server.host, chroma_server.port)
        alone = MemoryIndex(client.database(f"{space_name}-alone"), index.embedder)
        await alone.put(fitting, deadline=soon())
        assert ids(found)[:10] == ids(await search(alone, "ship that carries cargo 3", mode=mode))[:10]
        await client.aclose()
    else:
        assert found[0].hit().passage.endswith("cargo 3")


TAGS = ("red", "green", "blue")
FILTERS = st.builds(
    MemoryFilter,
    tags=st.lists(st.sampled_from(TAGS), max_size=2, unique=True).map(tuple),
    tag_match=st.sampled_from(TagMatch),
    type=st.sampled_from([None, None, "note", "fact"]),
    source=st.sampled_from([None, None, "mail", "web"]),
    conversation_id=st.sampled_from([None, None, None, "talk"]),
    metadata=st.sampled_from([{}, {}, {"room": 3}, {"room": 3.0}, {"room": "3"}, {"who": "ann"}, {"done": True}]),
    when=st.none()
    | st.tuples(st.none() | st.integers(0, 30), st.none() | st.integers(0, 30)).map(
        lambda ends: Interval(
            asked="x",
            understood="x",
            start=None if ends[0] is None else START + timedelta(minutes=ends[0]),
            end=None if ends[1] is None else START + timedelta(minutes=ends[1]),
        )
    ),
)
ROOMS: list[Any] = [3, 3.5, "3", (1, 3), (2,), True]
MANY = [
    memory(
        number,
        f"parcel {number} was sent to the {('island', 'valley', 'castle')[number % 3]}",
        tags=tuple(tag for place, tag in enumerate(TAGS) if number >> place & 1),
        type=("note", "fact")[number % 2],
        source=(None, "mail", "web")[number % 3],
        metadata={"room": ROOMS[number % 6]}
        if number % 4
        else {"who": ("ann", "bob") if number % 8 else "ann", "done": number % 8 == 0},
    )
    for number in range(24)
] + turns("talk", *((("Ann", "Bob")[number % 2], f"parcel of turn {number}") for number in range(6)))


def fits(each: Memory, selection: MemoryFilter) -> bool:
    """Whether a filter selects a memory, said plainly."""

    def has(key: str, scalar: object) -> bool:
        held = each.metadata.get(key)
        values = held if isinstance(held, tuple) else (held,)
        return any(value == scalar and isinstance(value, bool) == isinstance(scalar, bool) for value in values)

    when = selection.when
    return (
        (
            not selection.tags
            or (any if selection.tag_match is TagMatch.ANY else all)(tag in each.tags for tag in selection.tags)
        )
        and selection.type in {None, each.type}
        and selection.source in {None, each.source}
        and selection.conversation_id in {None, each.conversation_id}
        and all(has(key, scalar) for key, scalar in selection.metadata.items())
        and (when is None or when.start is None or each.created_at >= when.start)
        and (when is None or when.end is None or each.created_at < when.end)
    )


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def filled(
    chroma_server: ChromaServer, new_space_name: Any, embedder: MiniLM, runner: asyncio.Runner
) -> Iterator[MemoryIndex]:
    """An index of `MANY`, for use in `runner`."""
    client = ChromaClient(chroma_server.host, chroma_server.port)
    index = MemoryIndex(client.database(new_space_name()), embedder)
    runner.run(index.put(MANY, deadline=soon()))
    yield index
    runner.run(client.aclose())


@settings(max_examples=25, deadline=None)
@given(selection=FILTERS, mode=st.sampled_from(SearchMode))
def test_filters_select_exactly_what_fits(
    selection: MemoryFilter, mode: SearchMode, filled: MemoryIndex, runner: asyncio.Runner
) -> None:
    wanted = {each.id for each in MANY if fits(each, selection)}
    assert set(ids(runner.run(search(filled, "parcel", mode=mode, filter=selection)))) == wanted
    assert {id_ for _, id_ in runner.run(filled.ids(selection, deadline=soon()))} == wanted
