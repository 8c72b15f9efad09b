"""Changing: ids and history stay, two editors lose nothing, deletions can be undone and purges cannot."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from remora.errors import ConflictError, InvalidArgumentError, NotFoundError
from remora.memory.models import MemoryChanges, MemoryFilter, NewMemory, NewTurn, SearchMode, SearchRequest
from remora.memory.service import MemoryService
from tests.integration.memory.conftest import MakeService
from tests.integration.memory.test_storing import content_of, soon, store

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.anyio


async def ids_found(service: MemoryService, query: str, mode: SearchMode = SearchMode.HYBRID) -> list[str]:
    """Return the ids of a search's hits."""
    found = await service.search(SearchRequest(query=query, mode=mode), deadline=soon())
    return [hit.id for hit in found.hits]


async def test_an_update_changes_what_is_given_and_nothing_else(service: MemoryService) -> None:
    new = NewMemory(content="Old words", tags=("a", "b"), metadata={"x": 1, "y": True}, source="diary")
    (stored,) = (await service.store([new], deadline=soon())).memories
    changes = MemoryChanges(tags=("c",), metadata={"y": None, "z": ("p", "q")})
    result = await service.update(stored.id, changes, deadline=soon())
    assert (result.version, set(result.changed)) == (2, {"tags", "metadata"})
    (detail,) = (await service.get([stored.id], deadline=soon())).memories
    memory = detail.memory
    assert memory is not None
    assert (memory.content, memory.tags, dict(memory.metadata), memory.source, memory.version) == (
        "Old words",
        ("c",),
        {"x": 1, "z": ("p", "q")},
        "diary",
        2,
    )


async def test_an_update_that_changes_nothing_makes_no_version(service: MemoryService) -> None:
    (id_,) = await store(service, "Same")
    result = await service.update(id_, MemoryChanges(content="Same"), deadline=soon())
    assert (result.version, result.changed) == (1, ())


async def test_a_number_is_not_a_truth_value(service: MemoryService) -> None:
    (stored,) = (await service.store([NewMemory(content="m", metadata={"k": 1})], deadline=soon())).memories
    result = await service.update(stored.id, MemoryChanges(metadata={"k": True}), deadline=soon())
    assert result.changed == ("metadata",)


async def test_an_edited_memory_is_found_by_its_new_words_only(service: MemoryService) -> None:
    (id_,) = await store(service, "The spare key is under the flowerpot.")
    await service.update(id_, MemoryChanges(content="The spare key hangs behind the clock."), deadline=soon())
    assert await ids_found(service, "flowerpot", SearchMode.LEXICAL) == []
    assert await ids_found(service, "clock", SearchMode.LEXICAL) == [id_]


async def test_an_edit_from_an_old_version_is_refused_and_changes_nothing(make_service: MakeService) -> None:
    alice, bob = make_service("alice"), make_service("bob")
    (id_,) = await store(alice, "Draft")
    await bob.update(id_, MemoryChanges(content="Bob's draft"), version=1, deadline=soon())
    with pytest.raises(ConflictError, match="version 2"):
        await alice.update(id_, MemoryChanges(content="Alice's draft"), version=1, deadline=soon())
    assert await content_of(alice, id_) == "Bob's draft"


async def test_two_editors_at_once_both_stand_in_the_history(make_service: MakeService) -> None:
    editors = [make_service(f"editor-{number}") for number in range(5)]
    (id_,) = await store(editors[0], "Start")
    await asyncio.gather(
        *(
            editor.update(id_, MemoryChanges(content=f"Edit {number}"), deadline=soon())
            for number, editor in enumerate(editors)
        )
    )
    (detail,) = (await editors[0].get([id_], history=True, deadline=soon())).memories
    assert detail.history is not None
    assert [version.version for version in detail.history] == [1, 2, 3, 4, 5, 6]
    assert {version.content for version in detail.history[1:]} == {f"Edit {number}" for number in range(5)}
    # The index shows the last of them, and no other.
    assert detail.memory is not None
    assert detail.memory.content == detail.history[-1].content
    assert (await editors[0].page(MemoryFilter(), deadline=soon())).total == 1


async def test_a_deleted_memory_is_not_found_and_comes_back_as_it_was(service: MemoryService) -> None:
    (id_,) = await store(service, "The dentist is on Tuesday at four.")
    deleted = await service.delete([id_], deadline=soon())
    assert (deleted.done, deleted.count, deleted.ids) == (True, 1, (id_,))
    assert await ids_found(service, "When is the dentist?") == []
    (detail,) = (await service.get([id_], deadline=soon())).memories
    assert detail.deleted
    restored = await service.restore([id_], deadline=soon())
    assert restored.count == 1
    assert await ids_found(service, "When is the dentist?") == [id_]


async def test_deleting_what_is_deleted_or_unknown_is_said(service: MemoryService) -> None:
    (id_,) = await store(service, "Once")
    await service.delete([id_], deadline=soon())
    result = await service.delete([id_, "zzzzzzzzzz"], deadline=soon())
    assert (result.count, set(result.missing)) == (0, {id_, "zzzzzzzzzz"})
    with pytest.raises(NotFoundError, match="restore"):
        await service.update(id_, MemoryChanges(content="Twice"), deadline=soon())
    with pytest.raises(NotFoundError):
        await service.update("zzzzzzzzzz", MemoryChanges(content="Twice"), deadline=soon())


async def test_a_filter_previews_until_it_is_confirmed(service: MemoryService) -> None:
    await service.store(
        [NewMemory(content=f"Item {number}", tags=("old" if number % 2 else "new",)) for number in range(6)],
        deadline=soon(),
    )
    selection = MemoryFilter(tags=("old",))
    preview = await service.delete(selection=selection, deadline=soon())
    assert (preview.done, preview.count, len(preview.preview)) == (False, 3, 3)
    assert (await service.page(MemoryFilter(), deadline=soon())).total == 6
    done = await service.delete(selection=selection, confirm=True, deadline=soon())
    assert (done.done, done.count) == (True, 3)
    page = await service.page(MemoryFilter(), deadline=soon())
    assert {memory.tags for memory in page.memories} == {("new",)}


@pytest.mark.parametrize("selection", [None, MemoryFilter()])
async def test_deleting_everything_by_mistake_is_refused(
    service: MemoryService, selection: MemoryFilter | None
) -> None:
    with pytest.raises(InvalidArgumentError, match="either ids, or a filter"):
        await service.delete(selection=selection, confirm=True, deadline=soon())


async def test_a_purge_asks_first_and_leaves_no_content_anywhere(
    service: MemoryService, s3: "S3Client", bucket: str
) -> None:
    (id_,) = await store(service, "Xylophone secret")
    await service.update(id_, MemoryChanges(content="Xylophone secret, again"), deadline=soon())
    preview = await service.delete([id_], purge=True, deadline=soon())
    assert not preview.done
    await service.delete([id_], purge=True, confirm=True, deadline=soon())
    bodies = []
    for version in s3.list_object_versions(Bucket=bucket).get("Versions", []):
        key, number = version["Key"], version["VersionId"]
        bodies.append(s3.get_object(Bucket=bucket, Key=key, VersionId=number)["Body"].read())
    assert bodies
    assert not any(b"Xylophone" in body for body in bodies)
    assert await ids_found(service, "Xylophone") == []
    assert (await service.restore([id_], deadline=soon())).count == 0
    (new,) = await store(service, "Xylophone secret")
    assert new != id_


async def test_a_purged_turn_leaves_no_trace_in_the_turn_after_it(
    service: MemoryService, s3: "S3Client", bucket: str
) -> None:
    result = await service.store_conversation(
        [
            NewTurn(id="1", speaker="Ann", content="The wombat code is seven."),
            NewTurn(id="2", speaker="Ben", content="Understood, thanks."),
        ],
        conversation_id="chat",
        deadline=soon(),
    )
    first, second = (turn.id for turn in result.turns)
    assert second in await ids_found(service, "wombat")
    await service.delete([first], purge=True, confirm=True, deadline=soon())
    assert await ids_found(service, "wombat", SearchMode.LEXICAL) == []
    for version in s3.list_object_versions(Bucket=bucket).get("Versions", []):
        body = s3.get_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])["Body"].read()
        assert b"wombat" not in body
    assert await content_of(service, second) == "Understood, thanks."
