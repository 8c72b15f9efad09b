"""Paging through records while others write, and keeping to a token budget."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from remora.budget import estimate_tokens
from remora.collections.models import Include, RecordPage
from remora.collections.service import Collections
from remora.errors import InvalidArgumentError, NotFoundError
from tests.integration.collections.conftest import soon

pytestmark = pytest.mark.anyio


async def fill(space: Collections, name: str, ids: Sequence[str], *, group: int = 0) -> None:
    """Store records with tiny vectors."""
    await space.add(
        name,
        ids=ids,
        embeddings=[[1.0, float(number)] for number in range(len(ids))],
        metadatas=[{"group": group}] * len(ids),
        deadline=soon(),
    )


async def rest_of(space: Collections, name: str, page: RecordPage, **arguments: object) -> list[str]:
    """Follow the cursors from a page on, and return all ids that come."""
    ids: list[str] = []
    while page.next_cursor is not None:
        page = await space.get(name, include=(), cursor=page.next_cursor, deadline=soon(), **arguments)  # type: ignore[arg-type]
        ids += [record.id for record in page.records]
    return ids


async def numbered(space: Collections, count: int) -> list[str]:
    await space.create("notes", embedding_function="none", deadline=soon())
    ids = [f"r{number:03}" for number in range(count)]
    await fill(space, "notes", ids)
    return ids


async def test_pages_come_in_the_order_of_writing_and_end_without_a_cursor(space: Collections) -> None:
    ids = await numbered(space, 95)
    first = await space.get("notes", include=(), limit=40, deadline=soon())
    assert [record.id for record in first.records] == ids[:40]
    assert await rest_of(space, "notes", first, limit=40) == ids[40:]


async def test_an_exact_last_page_has_no_cursor(space: Collections) -> None:
    ids = await numbered(space, 40)
    page = await space.get("notes", include=(), limit=40, deadline=soon())
    assert [record.id for record in page.records] == ids
    assert page.next_cursor is None


async def test_a_shown_page_may_be_deleted_before_the_next_is_asked_for(space: Collections) -> None:
    ids = await numbered(space, 100)
    first = await space.get("notes", include=(), limit=30, deadline=soon())
    await space.delete_documents("notes", ids=[record.id for record in first.records], deadline=soon())
    assert await rest_of(space, "notes", first, limit=30) == ids[30:]


async def test_records_added_updated_and_upserted_meanwhile_move_nothing(space: Collections) -> None:
    ids = await numbered(space, 60)
    first = await space.get("notes", include=(), limit=20, deadline=soon())
    await space.update("notes", ids=ids[5:25], metadatas=[{"seen": True}] * 20, deadline=soon())
    await space.upsert("notes", ids=ids[10:30], embeddings=[[2.0, 2.0]] * 20, deadline=soon())
    await fill(space, "notes", ["late"])
    assert await rest_of(space, "notes", first, limit=20) == [*ids[20:], "late"]


async def test_records_that_begin_to_match_a_filter_before_the_cursor_double_nothing(space: Collections) -> None:
    ids = await numbered(space, 60)
    odd = ids[1::2]
    await space.update("notes", ids=odd, metadatas=[{"odd": True}] * 30, deadline=soon())
    first = await space.get("notes", where={"odd": True}, include=(), limit=10, deadline=soon())
    assert [record.id for record in first.records] == odd[:10]
    await space.update("notes", ids=ids[0:12:2], metadatas=[{"odd": True}] * 6, deadline=soon())
    assert await rest_of(space, "notes", first, where={"odd": True}, limit=10) == odd[10:]


async def test_a_record_deleted_and_written_again_does_not_lead_the_cursor_astray(space: Collections) -> None:
    ids = await numbered(space, 60)
    first = await space.get("notes", include=(), limit=20, deadline=soon())
    await space.delete_documents("notes", ids=[ids[18], ids[19], ids[20]], deadline=soon())
    await fill(space, "notes", [ids[19], ids[20]])
    rest = await rest_of(space, "notes", first, limit=20)
    assert rest[: len(ids) - 21] == ids[21:]


async def test_when_everything_around_a_cursor_is_gone_it_says_so(space: Collections) -> None:
    ids = await numbered(space, 60)
    first = await space.get("notes", include=(), limit=20, deadline=soon())
    await space.delete_documents("notes", ids=ids[10:50], deadline=soon())
    with pytest.raises(InvalidArgumentError, match="start again"):
        await space.get("notes", cursor=first.next_cursor, deadline=soon())


async def test_when_nothing_is_left_the_next_page_is_empty(space: Collections) -> None:
    ids = await numbered(space, 60)
    first = await space.get("notes", include=(), limit=20, deadline=soon())
    await space.delete_documents("notes", ids=ids, deadline=soon())
    page = await space.get("notes", cursor=first.next_cursor, deadline=soon())
    assert (page.records, page.next_cursor) == ([], None)


class PagingUnderWrites(RuleBasedStateMachine):
    """Writes of every kind between pages, against what has to hold: no record that stayed is missed or doubled."""

    runner: asyncio.Runner
    space: Collections
    number = 0

    @initialize(count=st.integers(1, 60), limit=st.integers(1, 25), filtered=st.booleans())
    def begin(self, count: int, limit: int, filtered: bool) -> None:
        PagingUnderWrites.number += 1
        self.name = f"paging-{PagingUnderWrites.number}"
        self.limit = limit
        self.where = {"group": 1} if filtered else None
        self.cursor: str | None = None
        self.shown: list[str] = []
        self.done = False
        self.written = count
        self.alive = [f"r{number}" for number in range(count)]
        self.runner.run(self.space.create(self.name, embedding_function="none", deadline=soon()))
        self.runner.run(fill(self.space, self.name, self.alive, group=1))
        self.throughout = list(self.alive)

    @precondition(lambda self: not self.done)
    @rule()
    def next_page(self) -> None:
        try:
            page = self.runner.run(
                self.space.get(
                    self.name,
                    where=self.where,
                    include=(),
                    limit=self.limit,
                    cursor=self.cursor,
                    deadline=soon(),
                )
            )
        except InvalidArgumentError:
            # Everything around the cursor was deleted, and it says so.
            self.done = True
            self.throughout = []
            return
        self.shown += [record.id for record in page.records]
        self.cursor = page.next_cursor
        self.done = self.cursor is None

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        if not self.alive:
            return
        start = data.draw(st.integers(0, len(self.alive) - 1))
        gone = self.alive[start : start + data.draw(st.integers(1, 8))]
        self.runner.run(self.space.delete_documents(self.name, ids=gone, deadline=soon()))
        self.alive = [record_id for record_id in self.alive if record_id not in gone]
        self.throughout = [record_id for record_id in self.throughout if record_id not in gone]

    @rule(count=st.integers(1, 5))
    def add(self, count: int) -> None:
        new = [f"r{self.written + number}" for number in range(count)]
        self.written += count
        self.runner.run(fill(self.space, self.name, new, group=1))
        self.alive += new

    @rule(data=st.data(), group=st.integers(0, 1))
    def update(self, data: st.DataObject, group: int) -> None:
        if not self.alive:
            return
        changed = data.draw(st.sets(st.sampled_from(self.alive), min_size=1, max_size=4))
        metadatas = [{"group": group}] * len(changed)
        self.runner.run(self.space.update(self.name, ids=sorted(changed), metadatas=metadatas, deadline=soon()))
        if self.where is not None:
            # It left the selection, or came in: not a record that matched throughout.
            self.throughout = [record_id for record_id in self.throughout if record_id not in changed]

    def teardown(self) -> None:
        if not hasattr(self, "name"):
            return
        while not self.done:
            self.next_page()
        throughout = set(self.throughout)
        assert [record_id for record_id in self.shown if record_id in throughout] == self.throughout


def test_paging_survives_any_writes_in_between(lasting_space: Collections, runner: asyncio.Runner) -> None:
    PagingUnderWrites.space = lasting_space
    PagingUnderWrites.runner = runner
    run_state_machine_as_test(
        PagingUnderWrites,
        settings=settings(
            max_examples=12,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


async def test_a_page_never_costs_more_than_its_budget_and_the_rest_follows(space: Collections) -> None:
    await space.create("notes", embedding_function="none", deadline=soon())
    documents = [f"{number} " + "żółw " * (number * 7 % 60) for number in range(80)]
    ids = [f"r{number}" for number in range(80)]
    await space.add("notes", ids=ids, documents=documents, embeddings=[[1.0, 2.0]] * 80, deadline=soon())
    seen: dict[str, str | None] = {}
    cursor = None
    for _ in range(200):
        page = await space.get("notes", max_tokens=300, cursor=cursor, deadline=soon())
        assert estimate_tokens(page.model_dump_json()) <= 300
        seen.update((record.id, record.document) for record in page.records)
        if (cursor := page.next_cursor) is None:
            break
    assert cursor is None
    whole = {record_id: text for record_id, text in seen.items() if text == documents[ids.index(record_id)]}
    assert list(seen) == ids
    assert len(whole) > 60


async def test_a_record_larger_than_the_budget_is_shown_in_part_and_says_so(space: Collections) -> None:
    await space.create("notes", embedding_function="none", deadline=soon())
    text = '"quoted" żółw\n' * 5_000
    await space.add("notes", ids=["a", "b"], documents=[text, "b"], embeddings=[[1.0, 2.0]] * 2, deadline=soon())
    page = await space.get("notes", max_tokens=400, deadline=soon())
    (record,) = page.records
    assert record.document is not None
    assert text.startswith(record.document)
    assert len(record.document) > 400
    assert (record.document_truncated, record.document_characters) == (True, len(text))
    assert estimate_tokens(page.model_dump_json()) <= 400
    rest = await space.get("notes", max_tokens=400, cursor=page.next_cursor, deadline=soon())
    assert [(record.id, record.document, record.document_truncated) for record in rest.records] == [("b", "b", None)]


async def test_parts_that_alone_exceed_the_budget_are_left_out_by_name(space: Collections) -> None:
    await space.create("notes", embedding_function="none", deadline=soon())
    await space.add(
        "notes",
        ids=["a"],
        documents=["short"],
        embeddings=[[0.123456] * 2_000],
        metadatas=[{"long": "x" * 5_000}],
        deadline=soon(),
    )
    page = await space.get("notes", include=tuple(Include), max_tokens=300, deadline=soon())
    (record,) = page.records
    assert (record.document, record.omitted) == ("short", ["embedding", "metadata"])
    assert estimate_tokens(page.model_dump_json()) <= 300


async def test_ids_and_filters_select_together(space: Collections) -> None:
    ids = await numbered(space, 20)
    await space.update("notes", ids=ids[:5], metadatas=[{"group": 7}] * 5, deadline=soon())
    page = await space.get(
        "notes", ids=[ids[9], ids[3], "unknown", ids[1]], where={"group": 7}, include=(), deadline=soon()
    )
    assert [record.id for record in page.records] == [ids[1], ids[3]]


async def test_include_says_which_parts_come_back(space: Collections) -> None:
    await space.create("notes", embedding_function="none", deadline=soon())
    await space.add(
        "notes",
        ids=["a"],
        documents=["d"],
        embeddings=[[1.0, 2.0]],
        metadatas=[{"k": 1}],
        uris=["u:1"],
        deadline=soon(),
    )
    parts = {
        Include.DOCUMENTS: ("document", "d"),
        Include.METADATAS: ("metadata", {"k": 1}),
        Include.URIS: ("uri", "u:1"),
        Include.EMBEDDINGS: ("embedding", [1.0, 2.0]),
    }
    for part, (name, value) in parts.items():
        (record,) = (await space.get("notes", include=(part,), deadline=soon())).records
        assert record.model_dump() == {"id": "a", name: value}


async def test_peek_shows_the_first_records_and_its_cursor_goes_on(space: Collections) -> None:
    ids = await numbered(space, 12)
    page = await space.peek("notes", limit=5, deadline=soon())
    assert [record.id for record in page.records] == ids[:5]
    assert await rest_of(space, "notes", page) == ids[5:]


async def test_a_cursor_of_another_selection_or_collection_is_refused(space: Collections) -> None:
    ids = await numbered(space, 30)
    await space.create("other", embedding_function="none", deadline=soon())
    page = await space.get("notes", limit=5, where={"group": 0}, deadline=soon())
    for arguments in ({"where": {"group": 1}}, {}, {"where": {"group": 0}, "ids": ids}):
        with pytest.raises(InvalidArgumentError, match="other arguments"):
            await space.get("notes", cursor=page.next_cursor, deadline=soon(), **arguments)
    with pytest.raises(InvalidArgumentError, match="other arguments"):
        await space.get("other", where={"group": 0}, cursor=page.next_cursor, deadline=soon())
    listing = await space.list_collections(limit=1, deadline=soon())
    with pytest.raises(InvalidArgumentError, match="another operation"):
        await space.get("notes", cursor=listing.next_cursor, deadline=soon())
    assert page.next_cursor is not None
    for damaged in ("", "nonsense", page.next_cursor[:-1], "é" * 40, "A" * 5_000):
        with pytest.raises(InvalidArgumentError, match="damaged"):
            await space.get("notes", where={"group": 0}, cursor=damaged, deadline=soon())


async def test_a_cursor_into_a_collection_that_was_made_anew_is_refused(space: Collections) -> None:
    await numbered(space, 30)
    page = await space.get("notes", limit=5, deadline=soon())
    await space.delete("notes", deadline=soon())
    await numbered(space, 30)
    with pytest.raises(InvalidArgumentError, match="other arguments"):
        await space.get("notes", cursor=page.next_cursor, deadline=soon())


@pytest.mark.parametrize(
    "arguments",
    [
        {"limit": 0},
        {"limit": 1_001},
        {"max_tokens": 199},
        {"max_tokens": 50_001},
        {"ids": ["a", "a"]},
        {"ids": "abc"},
        {"include": ("distances",)},
        {"where": {"a": 1, "b": 2}},
        {"where_document": {"$contains": ""}},
    ],
)
async def test_arguments_out_of_bounds_are_refused(space: Collections, arguments: dict[str, object]) -> None:
    await numbered(space, 1)
    with pytest.raises(InvalidArgumentError):
        await space.get("notes", deadline=soon(), **arguments)  # type: ignore[arg-type]


async def test_a_collection_that_is_not_there_is_named(space: Collections) -> None:
    with pytest.raises(NotFoundError, match="no collection named 'nowhere'"):
        await space.get("nowhere", deadline=soon())
