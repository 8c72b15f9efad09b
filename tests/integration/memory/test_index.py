"""The index on a real Chroma server, with the real model: what is put is there, once, in its newest state."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remora.chroma.client import ChromaClient, Database
from remora.chroma.deadline import Deadline
from remora.chroma.vectors import unpack
from remora.chroma.wire import Filter
from remora.embedding import MiniLM
from remora.embedding.embedder import Embedded
from remora.memory.ids import turn_memory_id
from remora.memory.index import MemoryIndex
from remora.memory.index.layout import PASSAGES, SEGMENTS
from remora.memory.index.segments import decode
from remora.memory.models import Memory, MemoryFilter, Turn
from tests.support.chroma_server import ChromaServer

pytestmark = pytest.mark.anyio

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
EVERYTHING = MemoryFilter()
LONG = " ".join(f"Sentence number {number} tells of ship {number % 7} and its cargo." for number in range(120))


def soon() -> Deadline:
    return Deadline.after(60)


def memory(number: int, content: str, **parts: Any) -> Memory:
    at = START + timedelta(minutes=number)
    return Memory(
        **{"id": f"{number:010d}", "version": 1, "content": content, "created_at": at, "updated_at": at} | parts
    )


def turns(*said: str) -> list[Memory]:
    """Turns of a conversation between Ann and Bob, each with the one before it as its context."""
    speakers = ("Ann", "Bob")
    spoken = [f"{speakers[number % 2]}: {text}" for number, text in enumerate(said)]
    return [
        memory(
            number,
            text,
            id=turn_memory_id("talk", number),
            type="turn",
            conversation_id="talk",
            turn=Turn(id=f"t{number}", speaker=speakers[number % 2], position=number),
            context=spoken[number - 1] if number else None,
        )
        for number, text in enumerate(said)
    ]


@pytest.fixture
async def client(chroma_server: ChromaServer) -> AsyncIterator[ChromaClient]:
    client = ChromaClient(chroma_server.host, chroma_server.port)
    yield client
    await client.aclose()


@pytest.fixture
def database(client: ChromaClient, space_name: str) -> Database:
    return client.database(space_name)


@pytest.fixture
def index(database: Database, embedder: MiniLM) -> MemoryIndex:
    return MemoryIndex(database, embedder)


async def record_ids(database: Database, name: str = PASSAGES) -> list[str]:
    collection = await database.get_collection(name, deadline=soon())
    return sorted(record.id for record in await database.get(collection.id, Filter(), deadline=soon()))


async def words_in_segments(database: Database) -> str:
    """All that segments say, whether it counts or not."""
    collection = await database.get_collection(SEGMENTS, deadline=soon())
    records = await database.get(collection.id, Filter(), include=("metadatas",), deadline=soon())
    segments = [decode(str((record.metadata or {})["data"])) for record in records]
    return repr([(segment.bodies, segment.texts, segment.terms, segment.facets) for segment in segments])


async def test_a_space_without_an_index_reads_as_empty(index: MemoryIndex) -> None:
    assert await index.ids(EVERYTHING, deadline=soon()) == []
    assert await index.fetch(["0000000001"], deadline=soon()) == {}
    assert await index.facts(deadline=soon()) == []
    assert await index.versions(deadline=soon()) == {}
    assert await index.vectors(["0000000001"], deadline=soon()) == {}
    assert await index.similar([memory(1, "hello")], floor=0.5, limit=3, deadline=soon()) == [[]]
    await index.remove(["0000000001"], deadline=soon())
    await index.put([], deadline=soon())
    await index.drop(deadline=soon())


async def test_memories_come_back_as_they_were_put(index: MemoryIndex) -> None:
    memories = [
        memory(1, "naïve 東京 🧑‍🚀\n\ttabs  and\r\nlines ", tags=("ä", "b"), source="a/b.txt"),
        memory(2, LONG, metadata={"pages": (1, 2), "draft": True, "flags": (False, True), "x": 1.0}),
        memory(3, "a chunk", context="Manual\nSafety", type="document"),
        *turns("Shall we?", "Yes."),
    ]
    await index.put(memories, deadline=soon())
    found = await index.fetch([each.id for each in memories], deadline=soon())
    kept = [each if each.turn is None else each.model_copy(update={"context": None}) for each in memories]
    assert list(found.values()) == kept
    assert [each.model_dump_json() for each in found.values()] == [each.model_dump_json() for each in kept]


async def test_a_listing_is_newest_first(index: MemoryIndex) -> None:
    twins = [memory(1, "twin", id=id_) for id_ in ("bbbbbbbbbb", "aaaaaaaaaa")]
    await index.put([memory(3, "late"), *twins, memory(2, "middle")], deadline=soon())
    listed = await index.ids(EVERYTHING, deadline=soon())
    assert [id_ for _, id_ in listed] == ["0000000003", "0000000002", "bbbbbbbbbb", "aaaaaaaaaa"]
    assert listed[0][0] == round((START + timedelta(minutes=3)).timestamp() * 1000)


async def test_putting_twice_is_putting_once(index: MemoryIndex, database: Database) -> None:
    memories = [memory(1, "apples"), memory(2, LONG)]
    await index.put(memories, deadline=soon())
    records, segments = await record_ids(database), await record_ids(database, SEGMENTS)
    await index.put(memories, deadline=soon())
    assert await record_ids(database) == records
    assert await record_ids(database, SEGMENTS) == segments


async def test_a_new_version_leaves_nothing_of_the_old_one_to_be_found(
    index: MemoryIndex, database: Database
) -> None:
    await index.put([memory(1, LONG)], deadline=soon())
    await index.put([memory(1, "short now", version=2)], deadline=soon())
    assert [record.split(".")[:2] for record in await record_ids(database)] == [["0000000001", "2"]]
    found = await index.fetch(["0000000001"], deadline=soon())
    assert (found["0000000001"].version, found["0000000001"].content) == (2, "short now")
    view = await index.view(deadline=soon())
    assert not len(view.postings("cargo")[0])
    assert view.memories == 1


async def test_an_older_version_is_passed_over(index: MemoryIndex, database: Database) -> None:
    await index.put([memory(1, "new", version=3)], deadline=soon())
    before = await record_ids(database)
    await index.put([memory(1, "old", version=2)], deadline=soon())
    assert (await index.fetch(["0000000001"], deadline=soon()))["0000000001"].content == "new"
    assert await record_ids(database) == before


async def test_a_turn_whose_context_has_changed_is_embedded_anew(index: MemoryIndex, database: Database) -> None:
    first, second = turns("Where were you?", "At the harbour.")
    await index.put([first, second], deadline=soon())
    before = await index.vectors([second.id], deadline=soon())
    assert before[second.id][0].text == "Ann: Where were you?\nBob: At the harbour."
    asked = first.model_copy(update={"content": "Who sank?", "version": 2})
    await index.put([asked, second.model_copy(update={"context": "Ann: Who sank?"})], deadline=soon())
    after = await index.vectors([second.id], deadline=soon())
    assert after[second.id][0].text == "Ann: Who sank?\nBob: At the harbour."
    assert after[second.id][0].vector != before[second.id][0].vector
    assert len(await record_ids(database)) == 2


async def test_a_vector_is_that_of_the_text_it_is_said_to_be_of(index: MemoryIndex, embedder: MiniLM) -> None:
    chunk = memory(1, LONG, context="Shipping\nCargo lists")
    await index.put([chunk, *turns("Hello.", "Who is it?")], deadline=soon())
    stored = await index.vectors([chunk.id, turn_memory_id("talk", 0), turn_memory_id("talk", 1)], deadline=soon())
    assert len(stored) == 3
    texts = [each for parts in stored.values() for each in parts]
    assert len(stored[chunk.id]) > 5
    assert all(each.text.startswith("Shipping\nCargo lists\n") for each in stored[chunk.id])
    assert all(embedder.count_tokens(each.text) <= embedder.window for each in texts)
    for each, made in zip(texts, embedder.embed([each.text for each in texts]).vectors, strict=True):
        assert unpack(each.vector) == pytest.approx(made.tolist(), abs=2e-3)


async def test_what_is_removed_leaves_no_word_behind(index: MemoryIndex, database: Database) -> None:
    secret = memory(1, "the password is xyzzy", tags=("hushhush",), metadata={"owner": "mallory"})
    await index.put([secret, memory(2, "apples are red"), *turns("Hello.")], deadline=soon())
    await index.put([secret.model_copy(update={"content": "the password is plugh", "version": 2})], deadline=soon())
    await index.remove(["0000000001", "nothing000"], deadline=soon())
    assert not [record for record in await record_ids(database) if record.startswith("0000000001")]
    said = await words_in_segments(database)
    assert "apples" in said
    for word in ("xyzzy", "plugh", "hushhush", "mallory"):
        assert word not in said
    assert await index.fetch(["0000000001"], deadline=soon()) == {}
    assert {row.id for row in await index.facts(deadline=soon())} == {"0000000002", turn_memory_id("talk", 0)}


async def test_what_was_removed_can_be_put_again(index: MemoryIndex) -> None:
    await index.put([memory(1, "apples")], deadline=soon())
    await index.remove(["0000000001"], deadline=soon())
    await index.put([memory(1, "apples")], deadline=soon())
    assert await index.versions(deadline=soon()) == {"0000000001": 1}


async def test_many_small_writes_end_in_few_segments(index: MemoryIndex, database: Database) -> None:
    memories = [memory(number, f"note {number} of ship {number % 3}") for number in range(40)]
    for each in memories:
        await index.put([each], deadline=soon())
    assert len(await record_ids(database, SEGMENTS)) <= 2 * 7
    fresh = MemoryIndex(database, index.embedder)
    assert list((await fresh.fetch([each.id for each in memories], deadline=soon())).values()) == memories


async def test_processes_see_what_others_wrote(database: Database, embedder: MiniLM) -> None:
    one, other = MemoryIndex(database, embedder), MemoryIndex(database, embedder)
    await one.put([memory(1, "apples")], deadline=soon())
    assert "0000000001" in await other.fetch(["0000000001"], deadline=soon())
    await other.put([memory(1, "pears", version=2)], deadline=soon())
    assert (await one.fetch(["0000000001"], deadline=soon()))["0000000001"].content == "pears"
    await one.remove(["0000000001"], deadline=soon())
    assert await other.ids(EVERYTHING, deadline=soon()) == []


async def test_writers_at_the_same_time_lose_nothing(
    database: Database, embedder: MiniLM, client: ChromaClient
) -> None:
    writers = [MemoryIndex(database, embedder) for _ in range(4)]
    await asyncio.gather(
        *(writers[number % 4].put([memory(number, f"number {number}")], deadline=soon()) for number in range(32)),
        *(writers[number].put([memory(99, "all the same")], deadline=soon()) for number in range(4)),
    )
    fresh = MemoryIndex(database, embedder)
    assert await fresh.versions(deadline=soon()) == {f"{number:010d}": 1 for number in (*range(32), 99)}


async def test_an_index_that_was_dropped_is_empty_and_can_be_filled_again(
    database: Database, embedder: MiniLM
) -> None:
    one, other = MemoryIndex(database, embedder), MemoryIndex(database, embedder)
    await one.put([memory(1, "apples")], deadline=soon())
    assert len(await other.ids(EVERYTHING, deadline=soon())) == 1
    await one.drop(deadline=soon())
    assert await other.ids(EVERYTHING, deadline=soon()) == []
    assert await one.ids(EVERYTHING, deadline=soon()) == []
    await other.put([memory(2, "pears")], deadline=soon())
    assert await one.versions(deadline=soon()) == {"0000000002": 1}


async def test_an_audit_names_what_is_not_whole(index: MemoryIndex, database: Database) -> None:
    await index.put([memory(1, LONG), memory(2, "apples"), memory(3, "pears")], deadline=soon())
    collection = await database.get_collection(PASSAGES, deadline=soon())
    lost = next(record for record in await record_ids(database) if record.endswith(".1"))
    await database.delete(collection.id, Filter(ids=[lost]), deadline=soon())
    # Somebody who was interrupted before the segment was there.
    other = MemoryIndex(database, index.embedder)
    await other.put([memory(4, "plums")], deadline=soon())
    segments = await database.get_collection(SEGMENTS, deadline=soon())
    newest = max(await record_ids(database, SEGMENTS))
    await database.delete(segments.id, Filter(ids=[newest]), deadline=soon())
    expected: dict[str, int | None] = {"0000000001": None, "0000000002": 1, "0000000003": 1, "0000000004": None}
    assert await index.versions(deadline=soon()) == expected
    await index.put([memory(1, LONG), memory(4, "plums")], deadline=soon())
    assert await index.versions(deadline=soon()) == dict.fromkeys(expected, 1)


async def test_near_duplicates_are_named_with_their_similarity(index: MemoryIndex) -> None:
    await index.put(
        [
            memory(1, "My sister lives in Lisbon."),
            memory(2, "The oven is broken."),
            *turns("My sister lives in Lisbon."),
        ],
        deadline=soon(),
    )
    new = [memory(3, "My sister lives in Lisbon!"), memory(4, "Tulips"), memory(5, LONG), memory(1, "My sister")]
    same, nothing, long, itself = await index.similar(new, floor=0.8, limit=3, deadline=soon())
    assert [id_ for id_, _ in same] == ["0000000001"]
    assert 0.9 < same[0][1] <= 1
    assert (nothing, long, itself) == ([], [], [])


STATES = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["put", "put", "remove", "other", "fresh"])), max_size=14
)


class LengthEmbedder:
    """An embedder for tests in which vectors do not matter: a text's says how long it is."""

    name, dimension, window = "length", 4, 256

    def load(self) -> None:
        """There is nothing to load."""

    def count_tokens(self, text: str) -> int:
        return len(text.split()) + 2

    def embed(self, texts: Sequence[str]) -> Embedded:
        vectors = np.array([[len(text) % 7 + 1, 1, 2, 3] for text in texts], dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Embedded(vectors, tuple(map(self.count_tokens, texts)))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STATES)
def test_any_order_of_writes_agrees_with_a_simple_model(
    steps: list[tuple[int, str]], chroma_server: ChromaServer, new_space_name: Callable[[], str]
) -> None:
    async def run() -> None:
        client = ChromaClient(chroma_server.host, chroma_server.port)
        database = client.database(new_space_name())
        indexes = [MemoryIndex(database, LengthEmbedder()), MemoryIndex(database, LengthEmbedder())]
        model: dict[str, Memory] = {}
        for version, (number, action) in enumerate(steps, 1):
            if action == "fresh":
                indexes[0] = MemoryIndex(database, LengthEmbedder())
            elif action == "remove":
                await indexes[0].remove([f"{number:010d}"], deadline=soon())
                model.pop(f"{number:010d}", None)
            else:
                new = memory(number, f"state {version} of {number}", version=version)
                await indexes[action == "other"].put([new], deadline=soon())
                model[new.id] = new
        for index in indexes:
            assert await index.fetch([f"{number:010d}" for number in range(6)], deadline=soon()) == model
            assert await index.versions(deadline=soon()) == {id_: each.version for id_, each in model.items()}
        await client.aclose()

    asyncio.run(run())
