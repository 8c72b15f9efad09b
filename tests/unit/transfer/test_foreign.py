"""What other systems export, read as memories."""

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remora.errors import InvalidArgumentError
from remora.memory.models import NewMemory
from remora.transfer.foreign import ForeignRecord, Format, Problem, detect_format, read_foreign

DATA = Path(__file__).parents[2] / "data" / "transfer"

# As doobidoo/mcp-memory-service writes it (src/mcp_memory_service/sync/exporter.py, MemoryExporter), with tags as
# text and ISO times as its web API and its database have them (src/mcp_memory_service/models/memory.py).
MCP_MEMORY_SERVICE = DATA / "mcp-memory-service.json"

# As mem0ai/mem0 answers `Memory.get_all` (mem0/memory/main.py: MemoryItem and the promoted keys), with what its
# platform adds (docs.mem0.ai, API reference, get memories: categories).
MEM0 = DATA / "mem0.json"

NOTES = DATA / "notes"


def read(path: Path) -> tuple[dict[int, NewMemory], dict[int, str]]:
    """Read a file or folder of any format: memories and problems by number."""
    memories, problems = {}, {}
    for record in read_foreign(path, detect_format(path)):
        if isinstance(record, Problem):
            problems[record.number] = record.reason
        else:
            assert isinstance(record, ForeignRecord)
            memories[record.number] = record.memory
    return memories, problems


def test_memories_of_mcp_memory_service_keep_time_tags_type_and_metadata() -> None:
    memories, problems = read(MCP_MEMORY_SERVICE)

    assert detect_format(MCP_MEMORY_SERVICE) is Format.MCP_MEMORY_SERVICE
    assert memories[1] == NewMemory(
        content="The staging database moved to Frankfurt; its host name is db-2.staging.example.",
        type="decision",
        tags=("infrastructure", "staging"),
        metadata={
            "content_hash": "8d4f3f0d3f5b0f1f0d3e2b7ad8b4f2a1c6e9d5b7a3f1e0c2d4b6a8f0e1c3d5b7",
            "export_source": "studio-laptop",
            "original_updated_at": "2025-07-11T10:00:00.500000+00:00",
            "importance": 0.8,
            "reviewed": True,
            "people": ("Ada", "Grace"),
            "origin": '{"ticket":"OPS-114","links":[1,2]}',
        },
        source="mcp-memory-service",
        created_at=datetime(2025, 7, 10, 10, 0, 0, 250_000, tzinfo=UTC),
    )
    assert memories[2].tags == ("preference", "ada")
    assert memories[2].type == "note"
    assert memories[2].created_at == datetime(2025, 7, 1, 8, tzinfo=UTC)
    assert set(memories) == {1, 2}
    assert "no text" in problems[3]
    assert "'yesterday-ish' is not a time" in problems[4]


def test_memories_of_mem0_keep_their_owners_and_times() -> None:
    memories, problems = read(MEM0)

    assert detect_format(MEM0) is Format.MEM0
    assert memories[1] == NewMemory(
        content="User is planning to watch a movie tonight.",
        metadata={
            "mem0_id": "892db2ae-06d9-49e5-8b3e-585ef9b85b8e",
            "mem0_hash": "1a271c007316c94377175ee80e746a19",
            "original_updated_at": "2025-03-01T15:00:00+00:00",
            "user_id": "alice",
            "agent_id": "assistant",
            "run_id": "trip-planning-2025",
            "category": "movies",
            "confidence": 0.93,
            "tags": ("plan", "evening"),
        },
        source="mem0",
        created_at=datetime(2025, 2, 27, 16, 33, 20, 557_000, tzinfo=UTC),
    )
    assert memories[2].tags == ("entertainment", "preferences")
    assert memories[2].created_at == datetime(2025, 2, 28, 0, 33, 21, 1_000, tzinfo=UTC)
    assert set(problems) == {3}


@pytest.mark.parametrize("wrap", [list, lambda records: {"memories": records}, lambda records: {"records": records}])
def test_mem0_records_are_known_in_every_wrapper(tmp_path: Path, wrap: object) -> None:
    records = json.loads(MEM0.read_text(encoding="utf-8"))["results"]
    path = tmp_path / "export.json"
    path.write_text(json.dumps(wrap(records)), encoding="utf-8")  # type: ignore[operator]

    assert detect_format(path) is Format.MEM0
    assert set(read(path)[0]) == {1, 2}


def test_a_folder_of_notes_keeps_paths_headings_and_times_of_change(tmp_path: Path) -> None:
    notes = shutil.copytree(NOTES, tmp_path / "notes")
    changed = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    os.utime(notes / "garden.md", (changed.timestamp(), changed.timestamp()))

    memories, problems = read(notes)

    assert memories[1] == NewMemory(
        content="Sown on 3 March, planted out on 12 May. The *San Marzano* did best.",
        type="document",
        metadata={"title": "Garden"},
        source="garden.md",
        context="Garden > Tomatoes",
        created_at=changed,
    )
    assert memories[2].source == "projects/camera.txt"
    assert not problems


def test_a_long_file_becomes_a_memory_for_each_section(tmp_path: Path) -> None:
    path = tmp_path / "book.md"
    path.write_text("# One\n\n" + "First. " * 300 + "\n\n# Two\n\n" + "Second. " * 300, encoding="utf-8")

    records = list(read_foreign(path, Format.TEXT))

    memories = [record.memory for record in records if isinstance(record, ForeignRecord)]
    assert [(memory.context, memory.metadata["part"]) for memory in memories] == [("One", 1), ("Two", 2)]
    assert all(memory.source == "book.md" for memory in memories)


def test_files_that_are_no_text_are_named_and_do_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"%PDF-1.7 not text at all")
    (tmp_path / "b.txt").write_text(" \n", encoding="utf-8")
    (tmp_path / "c.md").write_text("kept", encoding="utf-8")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "d.md").write_text("left out", encoding="utf-8")

    memories, problems = read(tmp_path)

    assert [memory.content for memory in memories.values()] == ["kept"]
    assert "a.txt" in problems[1]
    assert "b.txt: The file is empty" in problems[2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("other.json", '{"nodes": [], "edges": []}', "format that is not known"),
        ("cut.json", MCP_MEMORY_SERVICE.read_text(encoding="utf-8")[:300], "not whole JSON"),
        ("image.png", "\x89PNG", "format that is not known"),
    ],
)
def test_what_is_not_known_is_refused_with_what_is(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")

    with pytest.raises(InvalidArgumentError, match=message) as raised:
        detect_format(path)
    assert "mcp-memory-service and mem0" in str(raised.value)


def test_a_file_of_another_format_than_the_one_named_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="is not an export of mcp-memory-service"):
        read_foreign(MEM0, Format.MCP_MEMORY_SERVICE)


def test_a_missing_file_and_an_empty_folder_are_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="No such file"):
        detect_format(tmp_path / "nothing.json")
    with pytest.raises(InvalidArgumentError, match="holds no text files"):
        read(tmp_path)


FIELDS = ["content", "content_hash", "tags", "created_at", "updated_at", "memory_type", "metadata"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(FIELDS),
            JSON,
        )
        | JSON,
        max_size=4,
    )
)
def test_any_json_becomes_memories_or_problems_one_for_each_record(
    tmp_path_factory: pytest.TempPathFactory, records: list[object]
) -> None:
    path = tmp_path_factory.mktemp("any") / "export.json"
    path.write_text(json.dumps({"export_metadata": {}, "memories": records}), encoding="utf-8")

    memories, problems = read(path)

    assert sorted([*memories, *problems]) == list(range(1, len(records) + 1))
