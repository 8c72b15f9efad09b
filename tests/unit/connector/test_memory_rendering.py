"""Readable text of the memory's results: everything that a model needs to go on, for those that read only text."""

import shlex
from datetime import UTC, datetime
from typing import Any

import pytest

from connector.tools.memory import rendering
from remora.ingest.jobs import Ingestion, Upload
from remora.jobs.status import JobStatus
from remora.memory.models import (
    ConversationResult,
    Count,
    DeletionPreview,
    DeletionResult,
    GetResult,
    Hit,
    Memory,
    MemoryDetail,
    MemoryPage,
    Overview,
    SearchResult,
    Signals,
    Similar,
    StoredMemory,
    StoreResult,
    Turn,
    UpdateResult,
    Version,
)

AT = datetime(2026, 5, 1, 9, 30, tzinfo=UTC)


def memory(number: int = 1, **parts: Any) -> Memory:
    """Return a memory."""
    given = {"content": f"Fact number {number}.", "version": 1, "created_at": AT, "updated_at": AT, **parts}
    return Memory.model_validate({"id": f"m{number}", **given})


def hit(number: int = 1, **parts: Any) -> Hit:
    """Return a hit."""
    return Hit.model_validate(
        {
            "id": f"m{number}",
            "score": 0.8149,
            "signals": Signals(),
            "passage": f"Fact number {number}.",
            "whole": True,
            "type": "note",
            "created_at": AT,
            "updated_at": AT,
            "version": 1,
            **parts,
        }
    )


def test_a_hit_shows_its_rank_id_score_time_and_passage() -> None:
    text = rendering.search_result(SearchResult(hits=(hit(1), hit(2))))
    assert text == (
        "1. id: m1 (score 0.81) · 2026-05-01 09:30 UTC\nFact number 1.\n\n"
        "2. id: m2 (score 0.81) · 2026-05-01 09:30 UTC\nFact number 2."
    )


def test_a_turn_shows_who_spoke_and_where() -> None:
    turn = Turn(id="D1:3", speaker="Melanie", position=2)
    text = rendering.search_result(SearchResult(hits=(hit(turn=turn, conversation_id="c-26"),)))
    assert "conversation c-26 turn D1:3" in text
    assert "\nMelanie: Fact number 1." in text


def test_what_is_unusual_about_a_memory_is_said_and_the_usual_is_not() -> None:
    unusual = hit(type="decision", tags=("work", "api"), source="minutes.md", metadata={"page": 3, "who": ["A"]})
    line = rendering.search_result(SearchResult(hits=(unusual,))).splitlines()[0]
    for part in ("decision", "tags: work, api", "source: minutes.md", 'metadata: {"page":3,"who":["A"]}'):
        assert part in line
    usual = rendering.search_result(SearchResult(hits=(hit(),))).splitlines()[0]
    assert not any(word in usual for word in ("note", "tags", "source", "metadata", "conversation"))


def test_a_search_says_what_it_understood_and_how_to_go_on() -> None:
    text = rendering.search_result(
        SearchResult(
            hits=(hit(whole=False),), when="2026-05-01 up to 2026-05-02 (UTC)", next_cursor="abc", note="Hm."
        )
    )
    assert text.startswith("when: 2026-05-01 up to 2026-05-02 (UTC)\n")
    assert "memory_get shows all of m1" in text
    assert "Hm." in text
    assert text.endswith("cursor=abc")


def test_a_search_without_hits_says_why() -> None:
    assert rendering.search_result(SearchResult(hits=(), note="No memory reaches min_score 0.5.")) == (
        "No memory reaches min_score 0.5."
    )
    assert "Nothing in the memory matches" in rendering.search_result(SearchResult(hits=()))


def test_a_page_counts_all_and_shows_each() -> None:
    text = rendering.memory_page(MemoryPage(memories=(memory(1), memory(2)), total=1_234, next_cursor="abc"))
    assert text.startswith("1,234 memories in all, newest first")
    assert "Fact number 1." in text
    assert "Fact number 2." in text
    assert "cursor=abc" in text
    assert rendering.memory_page(MemoryPage(memories=(), total=0)) == "No memories."


def test_a_memory_stands_between_the_turns_around_it_and_above_its_history() -> None:
    detail = MemoryDetail(
        id="m2",
        memory=memory(2, version=2, turn=Turn(id="t", speaker="Bo", position=1)),
        before=memory(1, turn=Turn(id="s", speaker="Al", position=0)),
        after=memory(3),
        history=(
            Version(version=1, action="store", at=AT, by="laptop", content="Old."),
            Version(version=2, action="update", at=AT, by="phone", content="New.", changed=("content",)),
        ),
    )
    lines = rendering.get_result(GetResult(memories=(detail,))).splitlines()
    assert lines[0].startswith("id: m2 · version 2 · ")
    assert lines[1:4] == [
        "[before, id: m1] Al: Fact number 1.",
        "Bo: Fact number 2.",
        "[after, id: m3] Fact number 3.",
    ]
    assert lines[4:] == [
        "- version 1, 2026-05-01 09:30 UTC, store by laptop: Old.",
        "- version 2, 2026-05-01 09:30 UTC, update by phone (content): New.",
    ]


def test_deleted_purged_cut_and_missing_memories_are_told_apart() -> None:
    text = rendering.get_result(
        GetResult(
            memories=(
                MemoryDetail(id="m1", memory=memory(1), deleted=True),
                MemoryDetail(id="m9", memory=None),
                MemoryDetail(id="m2", memory=memory(2), cut=True),
            ),
            missing=("zz",),
            note="One did not fit.",
        )
    )
    assert "id: m1 · DELETED; memory_delete with restore=true brings it back" in text
    assert "id: m9 · PURGED" in text
    assert "cut to max_tokens" in text
    assert 'no memory with these ids: ["zz"]' in text
    assert "One did not fit." in text


def test_storing_says_what_is_new_what_was_there_and_what_is_similar() -> None:
    text = rendering.store_result(
        StoreResult(
            memories=(
                StoredMemory(id="m1", created=True, similar=(Similar(id="m9", similarity=0.934, content="A\nb"),)),
                StoredMemory(id="m2", created=False),
            )
        )
    )
    assert text.splitlines() == [
        "Stored 1 new memory, 1 was there already.",
        "id: m1",
        "  similar (0.93) is id: m9: A b",
        "id: m2 (there already)",
    ]


def test_what_is_pending_is_said_in_every_answer_that_can_have_it() -> None:
    note = "Kept safely, but not searchable yet: Chroma did not answer."
    texts = [
        rendering.store_result(StoreResult(memories=(StoredMemory(id="m1", created=True),), pending=1, note=note)),
        rendering.conversation_result(
            ConversationResult(conversation_id="c", turns=(), created=1, total=1, pending=1, note=note)
        ),
        rendering.update_result(UpdateResult(id="m1", version=2, changed=("tags",), pending=True, note=note)),
        rendering.deletion_result(DeletionResult(action="delete", done=True, count=1, pending=1, note=note)),
    ]
    assert all(note in text for text in texts)
    assert "not searchable yet" in rendering.overview(Overview(memories=1, passages=1, conversations=0, pending=1))
    assert "PENDING 2" in rendering.store_result(StoreResult(memories=(), pending=2, note=None))


def test_a_preview_cannot_be_taken_for_a_deletion() -> None:
    preview = DeletionResult(
        action="delete", done=False, count=3, preview=(DeletionPreview(id="m1", content="One\ntwo"),), when="today"
    )
    text = rendering.deletion_result(preview)
    assert "PREVIEW, nothing done yet: would delete 3 memories." in text
    assert "- id: m1: One two" in text
    assert "… and 2 more" in text
    assert "confirm=true" in text
    assert "when: today" in text
    done = rendering.deletion_result(
        DeletionResult(action="purge", done=True, count=1, ids=("m1",), missing=("m2",), note="Gone.")
    )
    assert done.splitlines() == [
        "Purged for good: 1 memory.",
        'ids: ["m1"]',
        'Not found, or in that state already: ["m2"]',
        "Gone.",
    ]


def test_an_upload_shows_a_command_that_no_file_name_can_break() -> None:
    upload = Upload(url="https://bucket.example/x?a=1&b=2", expires_at=AT, max_bytes=50_000_000)
    text = rendering.ingestion(
        Ingestion(
            id="j1",
            source="a $(b) \"c\" 'd'.pdf",
            status=JobStatus.AWAITING_UPLOAD,
            upload=upload,
            updated_at=AT,
        )
    )
    (command,) = [line for line in text.splitlines() if line.startswith("curl ")]
    assert shlex.split(command) == ["curl", "--upload-file", "a $(b) \"c\" 'd'.pdf", upload.url]
    assert "50,000,000 bytes" in text
    assert "memory_ingest with id=j1" in text


@pytest.mark.parametrize(
    ("status", "parts", "says"),
    [
        (JobStatus.RUNNING, {"chunks": 9, "stored": 4}, "running, 4 of 9 chunks stored"),
        (JobStatus.RUNNING, {"note": "It is being read."}, "running\nIt is being read."),
        (JobStatus.DONE, {"chunks": 9, "stored": 9, "created": 2}, "done, 9 of 9 chunks stored, 2 of them new"),
        (JobStatus.DONE, {"replaced": 3}, "3 of an earlier state deleted"),
        (JobStatus.DONE, {"pending": 4, "note": "Searchable soon."}, "PENDING 4: Searchable soon."),
        (JobStatus.FAILED, {"error": "It holds no text."}, "FAILED: It holds no text."),
    ],
)
def test_an_ingestion_says_how_far_it_is(status: JobStatus, parts: dict[str, Any], says: str) -> None:
    text = rendering.ingestion(Ingestion(id="j1", source="a.pdf", status=status, updated_at=AT, **parts))
    assert text.startswith("id: j1, a.pdf: ")
    assert says in text


def test_an_overview_is_in_numbers_and_an_empty_memory_says_how_to_fill_it() -> None:
    text = rendering.overview(
        Overview(
            memories=1_200,
            passages=1_300,
            conversations=1,
            tags=(Count(name="work", count=7), Count(name="home", count=2)),
            months=(Count(name="2026-05", count=9),),
            oldest=AT,
            newest=AT,
        )
    )
    assert text.startswith("1,200 memories in 1,300 passages, 1 conversation")
    assert "tags: work (7), home (2)" in text
    assert "by month: 2026-05 (9)" in text
    assert "memory_store" in rendering.overview(Overview(memories=0, passages=0, conversations=0))
