"""Memories on their way out of a space and into another: nothing is lost, doubled or overwritten."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from remora.errors import InvalidArgumentError
from remora.memory.models import MemoryChanges, NewMemory, NewTurn, SearchRequest
from remora.transfer.lines import check_file
from tests.integration.transfer.conftest import LocalSpaces, NewSpace, Space, soon

pytestmark = pytest.mark.anyio

MOMENT = datetime(2025, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC)


async def fill(space: Space) -> dict[str, str]:
    """Put one memory of each kind into a space; return their ids by what became of them."""
    stored = await space.memory.store(
        [
            NewMemory(content="The boat is called Halcyon.", tags=("boat",), created_at=MOMENT),
            NewMemory(
                content="Ünïcode\u2028and\r\nlines, 漢字, 🦑",
                type="fact",
                metadata={"count": 1, "share": 1.0, "yes": True, "people": ("Ada", "Grace"), "sizes": (1.5, 2.0)},
                source="notes.txt",
                context="Chapter one",
            ),
            NewMemory(content="The harbour fee is 40 euros."),
            NewMemory(content="An old password hint."),
            NewMemory(content="A private address."),
        ],
        deadline=soon(),
    )
    plain, rich, edited, deleted, purged = (memory.id for memory in stored.memories)
    await space.memory.update(edited, MemoryChanges(content="The harbour fee is 45 euros."), deadline=soon())
    await space.memory.delete([deleted], deadline=soon())
    await space.memory.delete([purged], purge=True, confirm=True, deadline=soon())
    turns = [
        NewTurn(content=f"Sentence {number} of our talk.", speaker="Ada", id=f"t{number}") for number in range(12)
    ]
    talk = await space.memory.store_conversation(turns, conversation_id="talk", deadline=soon())
    await space.memory.delete([talk.turns[0].id, talk.turns[9].id], purge=True, confirm=True, deadline=soon())
    return {
        "plain": plain,
        "rich": rich,
        "edited": edited,
        "deleted": deleted,
        "purged": purged,
        "turn": talk.turns[3].id,
    }


async def ids(space: Space) -> dict[str, int]:
    """What the index has: versions by id."""
    return {id_: version for id_, version in (await space.index.versions(deadline=soon())).items() if version}


async def test_an_export_imported_elsewhere_is_exported_just_so(new_space: NewSpace) -> None:
    here, there = new_space(), new_space()
    await fill(here)
    lines = await here.export()

    report = await there.transfer.import_lines(lines, deadline=soon())

    assert (report.lines, report.created, report.unchanged) == (len(lines), 17, 0)
    assert (report.conflicts, report.errors, report.pending) == ((), (), 0)
    assert (await there.export())[1:] == lines[1:]
    assert await ids(there) == await ids(here)


async def test_exporting_twice_gives_the_same_lines_but_for_the_header(new_space: NewSpace) -> None:
    space = new_space()
    await fill(space)

    first, second = await space.export(), await space.export()

    assert first[1:] == second[1:]
    assert json.loads(first[0])["space"] == space.name


async def test_small_pages_together_are_the_same_whole_file(new_space: NewSpace) -> None:
    space = new_space()
    await fill(space)
    whole = await space.export()

    paged = await space.export(max_bytes=1_024)

    assert paged[1:] == whole[1:]
    summary = check_file(line.encode() for line in paged)
    assert (summary.lines, summary.memories) == (len(whole), 17)


async def test_an_empty_space_is_exported_as_an_empty_whole_file(new_space: NewSpace) -> None:
    lines = await new_space().export()

    assert check_file(line.encode() for line in lines).memories == 0


async def test_importing_again_changes_nothing(new_space: NewSpace) -> None:
    here, there = new_space(), new_space()
    await fill(here)
    lines = await here.export()
    await there.transfer.import_lines(lines, deadline=soon())

    again = await there.transfer.import_lines(lines, deadline=soon())

    assert (again.created, again.unchanged, again.conflicts, again.errors) == (0, 17, (), ())
    assert (await there.export())[1:] == lines[1:]
    own = await here.transfer.import_lines(lines, deadline=soon())
    assert (own.created, own.conflicts) == (0, ())


async def test_imported_memories_are_found_with_their_history(new_space: NewSpace) -> None:
    here, there = new_space(), new_space()
    known = await fill(here)
    await there.transfer.import_lines(await here.export(), deadline=soon())

    found = await there.memory.search(SearchRequest(query="harbour fee euros"), deadline=soon())
    (detail,) = (await there.memory.get([known["edited"]], history=True, deadline=soon())).memories

    assert found.hits[0].id == known["edited"]
    assert detail.history is not None
    assert [version.content for version in detail.history] == [
        "The harbour fee is 40 euros.",
        "The harbour fee is 45 euros.",
    ]
    assert {version.by for version in detail.history} == {"tester"}


async def test_a_content_that_was_imported_is_not_stored_a_second_time(new_space: NewSpace) -> None:
    here, there = new_space(), new_space()
    known = await fill(here)
    await there.transfer.import_lines(await here.export(), deadline=soon())

    stored = await there.memory.store([NewMemory(content="The boat is called Halcyon.")], deadline=soon())

    assert (stored.memories[0].id, stored.memories[0].created) == (known["plain"], False)


async def test_a_deleted_memory_can_be_restored_where_it_was_imported(new_space: NewSpace) -> None:
    here, there = new_space(), new_space()
    known = await fill(here)
    await there.transfer.import_lines(await here.export(), deadline=soon())

    await there.memory.restore([known["deleted"]], deadline=soon())

    (detail,) = (await there.memory.get([known["deleted"]], deadline=soon())).memories
    assert detail.memory is not None
    assert detail.memory.content == "An old password hint."


async def test_an_imported_conversation_goes_on_where_it_stopped(new_space: NewSpace) -> None:
    here, there = new_space(), new_space()
    await fill(here)
    await there.transfer.import_lines(await here.export(), deadline=soon())
    turns = [NewTurn(content="Sentence 11 of our talk.", id="t11"), NewTurn(content="One more.", id="t12")]

    result = await there.memory.store_conversation(turns, conversation_id="talk", deadline=soon())

    assert [turn.created for turn in result.turns] == [False, True]
    assert result.turns[1].id.endswith("-12")
    # The one that was purged cannot come back either.
    again = await there.memory.store_conversation(
        [NewTurn(content="Sentence 0 of our talk.", id="t0")], conversation_id="talk", deadline=soon()
    )
    assert not again.turns[0].created


async def test_turns_do_not_take_places_that_other_turns_may_get(new_space: NewSpace) -> None:
    here, there = new_space(), new_space()
    await fill(here)
    other = [NewTurn(content=f"Another talk {place}.", id=f"other{place}") for place in range(3)]
    await there.memory.store_conversation(other, conversation_id="talk", deadline=soon())

    report = await there.transfer.import_lines(await here.export(), deadline=soon())

    # The conversation, and each of its turns.
    assert (report.created, len(report.conflicts)) == (5, 13)
    more = [NewTurn(content=f"And more {place}.", id=f"more{place}") for place in range(12)]
    result = await there.memory.store_conversation(more, conversation_id="talk", deadline=soon())
    assert all(turn.created for turn in result.turns)


async def test_nothing_of_a_purged_memory_is_exported(new_space: NewSpace) -> None:
    space = new_space()
    await fill(space)

    text = "\n".join(await space.export())

    assert "A private address." not in text
    assert "Sentence 0 of our talk." not in text
    assert "An old password hint." in text


async def test_an_old_export_does_not_bring_back_what_was_purged_since(new_space: NewSpace) -> None:
    space = new_space()
    known = await fill(space)
    lines = await space.export()
    await space.memory.delete([known["plain"]], purge=True, confirm=True, deadline=soon())

    report = await space.transfer.import_lines(lines, deadline=soon())

    assert [(conflict.id, conflict.reason) for conflict in report.conflicts] == [
        (known["plain"], "It was purged here. It was left alone.")
    ]
    assert "Halcyon" not in "\n".join(await space.export())


async def test_an_import_that_stopped_between_two_versions_goes_on(new_space: NewSpace) -> None:
    here, there = new_space(), new_space()
    known = await fill(here)
    before = await here.export()
    await there.transfer.import_lines(before, deadline=soon())
    await here.memory.update(known["plain"], MemoryChanges(tags=("boat", "name")), deadline=soon())
    await here.memory.delete([known["rich"]], deadline=soon())
    after = await here.export()

    report = await there.transfer.import_lines(after, deadline=soon())

    assert (report.created, report.unchanged, report.conflicts) == (2, 15, ())
    assert (await there.export())[1:] == after[1:]
    assert await ids(there) == await ids(here)
    # What is newer here than in the file stays.
    older = await there.transfer.import_lines(before, deadline=soon())
    assert (older.created, older.unchanged, older.conflicts) == (0, 17, ())
    assert (await there.export())[1:] == after[1:]


async def test_another_history_under_the_same_id_is_left_alone_and_reported(new_space: NewSpace) -> None:
    here, there = new_space(), new_space()
    known = await fill(here)
    await there.transfer.import_lines(await here.export(), deadline=soon())
    await here.memory.update(known["plain"], MemoryChanges(content="The boat is called Kittiwake."), deadline=soon())
    await there.memory.update(known["plain"], MemoryChanges(content="The boat is called Petrel."), deadline=soon())
    mine = await there.export()

    report = await there.transfer.import_lines(await here.export(), deadline=soon())

    assert [(conflict.id, conflict.reason) for conflict in report.conflicts] == [
        (known["plain"], "Its version 2 is another one here. It was left alone.")
    ]
    assert (await there.export())[1:] == mine[1:]


async def test_bad_lines_are_reported_by_number_and_do_not_stop_the_others(new_space: NewSpace) -> None:
    here, there = new_space(), new_space()
    await fill(here)
    lines = await here.export()
    spoiled = [lines[0], "{nonsense", "", *lines[1:], '{"kind":"memory","id":"0123456789","entries":[]}']

    report = await there.transfer.import_lines(spoiled, deadline=soon())

    assert [error.line for error in report.errors] == [2, len(spoiled)]
    assert report.created == 17
    assert (await there.export())[1:] == lines[1:]


async def test_the_rest_of_a_history_without_its_beginning_is_an_error(new_space: NewSpace) -> None:
    here, there = new_space(), new_space()
    known = await fill(here)
    line = next(line for line in await here.export() if known["edited"] in line)
    document = json.loads(line)
    document["entries"] = document["entries"][1:]

    report = await there.transfer.import_lines([json.dumps(document)], deadline=soon())

    assert (report.created, len(report.errors)) == (0, 1)
    assert "versions 1 to 1 are missing" in report.errors[0].reason


async def test_a_file_of_a_later_release_is_refused_as_a_whole(new_space: NewSpace) -> None:
    space = new_space()
    await fill(space)
    lines = await space.export()
    header = json.dumps({**json.loads(lines[0]), "schema_version": 2})

    with pytest.raises(InvalidArgumentError, match="version 2 of the format"):
        await new_space().transfer.import_lines([header, *lines[1:]], deadline=soon())


async def test_a_cursor_of_something_else_is_refused(new_space: NewSpace) -> None:
    space = new_space()
    await fill(space)
    page = await space.transfer.export_page(max_bytes=1_024, deadline=soon())

    with pytest.raises(InvalidArgumentError):
        await space.transfer.export_page(page.next_cursor, embeddings=True, deadline=soon())
    with pytest.raises(InvalidArgumentError):
        await space.transfer.rebuild(page.next_cursor, deadline=soon())
    with pytest.raises(InvalidArgumentError, match="damaged"):
        await space.transfer.export_page("x" * 40, deadline=soon())


async def test_an_import_does_what_there_is_time_for_and_says_how_much(new_space: NewSpace) -> None:
    space = new_space()
    lines = [
        json.dumps({"kind": "new", "memory": {"content": f"Number {number} {'long ' * 2_000}"}})
        for number in range(8)
    ]
    done = calls = 0
    while done < len(lines):
        report = await space.transfer.import_lines(lines[done:], deadline=soon(9))
        assert 1 <= report.lines < len(lines)
        done += report.lines
        calls += 1

    assert calls > 1
    assert len(await ids(space)) == 8


async def test_one_new_memory_that_cannot_be_stored_does_not_stop_the_others(new_space: NewSpace) -> None:
    space = new_space()
    contents = [f"Fact {number}" for number in range(9)]
    contents[4] = " "
    lines = [json.dumps({"kind": "new", "memory": {"content": content}}) for content in contents]

    report = await space.transfer.import_lines(lines, deadline=soon())

    assert (report.created, [error.line for error in report.errors]) == (8, [5])
    again = await space.transfer.import_lines(lines, deadline=soon())
    assert (again.created, again.unchanged) == (0, 8)


async def test_a_collection_becomes_memories_once(new_space: NewSpace) -> None:
    space = new_space()
    await space.collections.create("notes", deadline=soon())
    await space.collections.add(
        "notes",
        ids=[f"n{number}" for number in range(250)],
        documents=[f"Note number {number}." for number in range(250)],
        metadatas=[{"number": number, "tags": ["a", "b"]} for number in range(250)],
        uris=[f"file:///notes/{number}.txt" if number % 2 else None for number in range(250)],
        deadline=soon(),
    )
    await space.collections.add("notes", ids=["bare"], embeddings=[[1.0] * 384], deadline=soon())

    async def run() -> tuple[int, int, list[str]]:
        created, unchanged, refused = 0, 0, []
        cursor: str | None = None
        while True:
            report = await space.transfer.import_collection("notes", cursor, deadline=soon())
            created += report.created
            unchanged += report.unchanged
            refused += [f"{error.id}: {error.reason}" for error in report.errors]
            cursor = report.next_cursor
            if cursor is None:
                return created, unchanged, refused

    assert await run() == (250, 0, ["bare: it has no document"])
    assert await run() == (0, 250, ["bare: it has no document"])
    found = await space.memory.search(SearchRequest(query="Note number 77"), deadline=soon())
    memory = found.hits[0]
    assert memory.source == "file:///notes/77.txt"
    assert memory.metadata["chroma_id"] == "n77"
    assert memory.metadata["number"] == 77
    assert list(memory.metadata["tags"]) == ["a", "b"]


Damage = Callable[[Space, dict[str, str]], Awaitable[None]]


async def _loses_records(space: Space, known: dict[str, str]) -> None:
    await space.index.remove([known["plain"], known["turn"]], deadline=soon())


async def _keeps_an_old_version(space: Space, known: dict[str, str]) -> None:
    (old, *_) = await space.journal.history(known["edited"], deadline=soon())
    await space.index.remove([known["edited"]], deadline=soon())
    assert old.memory is not None
    await space.index.put([old.memory], deadline=soon())


async def _keeps_a_deleted_one(space: Space, known: dict[str, str]) -> None:
    (old, *_) = await space.journal.history(known["deleted"], deadline=soon())
    assert old.memory is not None
    await space.index.put([old.memory], deadline=soon())


async def _has_one_that_nobody_wrote(space: Space, known: dict[str, str]) -> None:
    (old, *_) = await space.journal.history(known["plain"], deadline=soon())
    assert old.memory is not None
    for id_ in ("0000000000", "zzzzzzzzzz"):
        await space.index.put([old.memory.model_copy(update={"id": id_})], deadline=soon())


async def _is_gone(space: Space, _: dict[str, str]) -> None:
    await space.index.drop(deadline=soon())


@pytest.mark.parametrize(
    "damage",
    [_loses_records, _keeps_an_old_version, _keeps_a_deleted_one, _has_one_that_nobody_wrote, _is_gone],
)
async def test_a_rebuild_makes_a_damaged_index_agree_with_the_journal(new_space: NewSpace, damage: Damage) -> None:
    space = new_space()
    known = await fill(space)
    whole = await ids(space)
    await damage(space, known)
    assert await ids(space) != whole

    assert await space.rebuild() > 0

    assert await ids(space) == whole
    assert await space.rebuild() == 0
    found = await space.memory.search(SearchRequest(query="boat called Halcyon"), deadline=soon())
    assert found.hits[0].id == known["plain"]


async def test_a_fresh_rebuild_makes_the_whole_index_anew(new_space: NewSpace) -> None:
    space = new_space()
    await fill(space)
    whole = await ids(space)

    assert await space.rebuild(fresh=True) == len(whole)

    assert await ids(space) == whole


async def test_a_rebuild_in_many_short_steps_ends_where_one_long_one_does(new_space: NewSpace) -> None:
    space = new_space()
    await fill(space)
    whole = await ids(space)
    # So little time that each step does the least that it can.
    progress = await space.transfer.rebuild(fresh=True, deadline=soon(9))
    steps = 1
    while progress.next_cursor is not None:
        progress = await space.transfer.rebuild(progress.next_cursor, deadline=soon(9))
        steps += 1

    assert steps > 3
    assert (progress.done, progress.total) == (17, 17)
    assert await ids(space) == whole


async def test_a_rebuild_that_is_begun_again_in_the_middle_loses_nothing(new_space: NewSpace) -> None:
    space = new_space()
    await fill(space)
    whole = await ids(space)
    await space.transfer.rebuild(fresh=True, deadline=soon(9))

    await space.rebuild()

    assert await ids(space) == whole


async def test_an_import_of_an_export_with_vectors_asks_the_model_for_nothing(
    new_space: NewSpace, spaces: LocalSpaces
) -> None:
    here, there = new_space(), new_space()
    known = await fill(here)
    lines = await here.export(embeddings=True)
    embedded_before = spaces.embedder.texts_embedded

    report = await there.transfer.import_lines(lines, deadline=soon())

    assert (report.created, report.errors) == (17, ())
    assert spaces.embedder.texts_embedded == embedded_before
    assert (await there.export(embeddings=True))[1:] == lines[1:]
    assert check_file(line.encode() for line in lines).memories == 17
    found = await there.memory.search(SearchRequest(query="boat called Halcyon"), deadline=soon())
    assert found.hits[0].id == known["plain"]


async def test_vectors_of_another_model_are_made_anew(new_space: NewSpace, spaces: LocalSpaces) -> None:
    here, there = new_space(), new_space()
    await fill(here)
    lines = [line.replace("all-MiniLM-L6-v2", "another-model") for line in await here.export(embeddings=True)]
    embedded_before = spaces.embedder.texts_embedded

    await there.transfer.import_lines(lines, deadline=soon())

    assert spaces.embedder.texts_embedded > embedded_before
    assert (await there.export(embeddings=True))[1:] == (await here.export(embeddings=True))[1:]
