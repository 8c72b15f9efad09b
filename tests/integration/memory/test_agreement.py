"""Property: whatever is done in whatever order, the memory agrees with a dictionary."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remora.errors import NotFoundError
from remora.memory.models import MemoryChanges, MemoryFilter, NewMemory
from tests.integration.memory.conftest import MakeService, MakeTransfer
from tests.integration.memory.test_storing import soon

CONTENTS = ["alpha", "Alpha", "beta", "gamma ray", "δέλτα"]

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("store"), st.sampled_from(CONTENTS), st.just(0)),
        st.tuples(st.just("update"), st.sampled_from(CONTENTS), st.integers(0, 5)),
        st.tuples(st.sampled_from(["delete", "restore", "purge"]), st.just(""), st.integers(0, 5)),
    ),
    max_size=14,
)


class Model:
    """What a memory is, in a few lines: contents by id, and which of them are deleted."""

    def __init__(self) -> None:
        self.contents: dict[str, str] = {}
        self.deleted: set[str] = set()

    @property
    def live(self) -> dict[str, str]:
        """What can be found."""
        return {id_: content for id_, content in self.contents.items() if id_ not in self.deleted}


def test_store_update_delete_restore_purge_and_export_in_any_order_agree_with_a_dictionary(
    make_service: MakeService, make_transfer: MakeTransfer
) -> None:
    """Each example starts from what the ones before it left, which the model knows."""
    model = Model()
    service, transfer = make_service(), make_transfer()

    async def check(operations: list[tuple[str, str, int]]) -> None:
        for action, content, number in operations:
            known = list(model.contents)
            if action == "store":
                (stored,) = (await service.store([NewMemory(content=content)], deadline=soon())).memories
                holders = {id_ for id_, held in model.live.items() if held == content}
                # Edits may have made two memories say the same; deleting the one that owns the words frees them.
                assert stored.created or holders
                assert (stored.id in holders) != stored.created
                assert not (stored.created and stored.id in model.contents)
                model.contents[stored.id] = content
            elif not known:
                continue
            elif action == "update":
                id_ = known[number % len(known)]
                if id_ in model.deleted:
                    with pytest.raises(NotFoundError):
                        await service.update(id_, MemoryChanges(content=content), deadline=soon())
                    continue
                result = await service.update(id_, MemoryChanges(content=content), deadline=soon())
                assert bool(result.changed) == (model.contents[id_] != content)
                model.contents[id_] = content
            else:
                id_ = known[number % len(known)]
                if action == "restore":
                    result2 = await service.restore([id_], deadline=soon())
                    assert result2.count == int(id_ in model.deleted)
                    model.deleted.discard(id_)
                elif action == "delete":
                    result2 = await service.delete([id_], deadline=soon())
                    assert result2.count == int(id_ not in model.deleted)
                    model.deleted.add(id_)
                else:
                    await service.delete([id_], purge=True, confirm=True, deadline=soon())
                    del model.contents[id_]
                    model.deleted.discard(id_)
        # What an export says is the same, deleted memories and all.
        exported = await transfer.export_page(deadline=soon())
        assert exported.next_cursor is None
        lines = [json.loads(line) for line in exported.lines]
        newest = {line["id"]: line["entries"][-1] for line in lines if line["kind"] == "memory"}
        told = {
            id_: (entry["memory"]["content"], entry["action"] == "delete")
            for id_, entry in newest.items()
            if entry["action"] != "purge"
        }
        assert told == {id_: (content, id_ in model.deleted) for id_, content in model.contents.items()}
        page = await service.page(MemoryFilter(), limit=500, max_tokens=50_000, deadline=soon())
        assert {memory.id: memory.content for memory in page.memories} == model.live
        assert (await service.overview(deadline=soon())).memories == len(model.live)

    with asyncio.Runner() as runner:

        @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(operations=OPERATIONS)
        def agrees(operations: list[tuple[str, str, int]]) -> None:
            task: Coroutine[Any, Any, None] = check(operations)
            runner.run(task)

        agrees()
