"""How well the memory finds what a question needs, in conversations of LoCoMo's form: `make bench-recall DATA=file`.

LoCoMo (Maharana et al., "Evaluating Very Long-Term Conversational Memory of LLM Agents", ACL 2024) asks questions
about long conversations and names, for each, the turns that hold the evidence. Each conversation is stored in a
space of its own with `store_conversation`, one memory a turn, and each question is searched in every mode through
the memory service, with a real Chroma server and the real model. A question's recall at k is the share of its
evidence turns among the first k hits; an evidence turn counts once, however many hits name it. MRR is the mean of 1
/ rank of the first hit that is evidence, over the first hundred. Questions without evidence are left out.
"""

import argparse
import asyncio
import json
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.memory_service import memory_services
from remora.chroma.deadline import Deadline
from remora.memory.limits import MAX_TURNS_PER_CALL
from remora.memory.models import NewTurn, SearchMode, SearchRequest
from remora.memory.service import MemoryService

_CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
_DEPTH = 100
_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the turns that answer it."""

    text: str
    evidence: frozenset[str]
    category: str


@dataclass(slots=True)
class Scores:
    """Sums over questions."""

    questions: int = 0
    recall_at_5: float = 0.0
    recall_at_10: float = 0.0
    reciprocal_rank: float = 0.0

    def add(self, found: Sequence[str], evidence: frozenset[str]) -> None:
        """Count one question, given the turn ids of its hits, best first."""
        self.questions += 1
        self.recall_at_5 += len(evidence.intersection(found[:5])) / len(evidence)
        self.recall_at_10 += len(evidence.intersection(found[:10])) / len(evidence)
        self.reciprocal_rank += next((1 / rank for rank, turn in enumerate(found, 1) if turn in evidence), 0.0)

    def __str__(self) -> str:
        count = max(self.questions, 1)
        return (
            f"R@5 {self.recall_at_5 / count:.3f} R@10 {self.recall_at_10 / count:.3f} "
            f"MRR {self.reciprocal_rank / count:.3f}"
        )


@dataclass(slots=True)
class Tally:
    """Scores of one mode, over all questions and by category."""

    all: Scores = field(default_factory=Scores)
    categories: dict[str, Scores] = field(default_factory=lambda: defaultdict(Scores))


def turns(conversation: Mapping[str, Any]) -> Iterator[NewTurn]:
    """Give a conversation's turns, in their order, with a picture's caption behind the words."""
    for number in range(1, len(conversation) + 1):
        spoken = conversation.get(f"session_{number}")
        if not spoken:
            continue
        began = datetime.strptime(conversation[f"session_{number}_date_time"], "%I:%M %p on %d %B, %Y")
        for turn in spoken:
            caption = f" [{turn['blip_caption']}]" if turn.get("blip_caption") else ""
            yield NewTurn(
                id=turn["dia_id"],
                speaker=turn["speaker"],
                content=turn["text"] + caption,
                time=began.replace(tzinfo=UTC),
            )


def questions(item: Mapping[str, Any], known: frozenset[str]) -> Iterator[Question]:
    """Give the questions that have evidence among the turns."""
    for each in item["qa"]:
        named = {turn for entry in each.get("evidence", ()) for turn in re.split(r"[;,\s]+", entry)}
        evidence = frozenset(named & known)
        if evidence:
            yield Question(each["question"], evidence, _CATEGORIES[each["category"]])


async def _store(service: MemoryService, said: Sequence[NewTurn], conversation_id: str) -> None:
    for start in range(0, len(said), MAX_TURNS_PER_CALL):
        stored = await service.store_conversation(
            said[start : start + MAX_TURNS_PER_CALL],
            conversation_id=conversation_id,
            deadline=Deadline.after(_SECONDS),
        )
        if stored.pending:
            raise RuntimeError(stored.note)


async def _search(service: MemoryService, question: Question, mode: SearchMode) -> list[str]:
    found: list[str] = []
    cursor = None
    while len(found) < _DEPTH:
        page = await service.search(
            SearchRequest(query=question.text, mode=mode, limit=_DEPTH),
            cursor=cursor,
            max_tokens=50_000,
            deadline=Deadline.after(_SECONDS),
        )
        found += [hit.turn.id for hit in page.hits if hit.turn is not None]
        cursor = page.next_cursor
        if cursor is None:
            break
    return found[:_DEPTH]


async def _measure(items: Sequence[Mapping[str, Any]], folder: Path) -> dict[SearchMode, Tally]:
    tallies = {mode: Tally() for mode in (SearchMode.DENSE, SearchMode.LEXICAL, SearchMode.HYBRID)}
    async with memory_services(folder) as service_of:
        for number, item in enumerate(items, 1):
            said = list(turns(item["conversation"]))
            asked = list(questions(item, frozenset(turn.id for turn in said if turn.id is not None)))
            service = service_of(f"conversation-{number}")
            _progress(f"conversation {number} of {len(items)}: storing {len(said)} turns")
            await _store(service, said, str(item.get("sample_id", number)))
            for position, question in enumerate(asked, 1):
                for mode, tally in tallies.items():
                    found = await _search(service, question, mode)
                    tally.all.add(found, question.evidence)
                    tally.categories[question.category].add(found, question.evidence)
                _progress(f"conversation {number} of {len(items)}: {position} of {len(asked)} questions")
    print(file=sys.stderr)
    return tallies


def _progress(text: str) -> None:
    print(f"\r  {text:60}", end="", file=sys.stderr, flush=True)


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(prog="make bench-recall", description=__doc__)
    parser.add_argument("data", type=Path, help="a JSON file in LoCoMo's format")
    items = json.loads(parser.parse_args().data.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        tallies = asyncio.run(_measure(items, Path(folder)))
    for mode, tally in tallies.items():
        print(f"{mode} {tally.all}")
    print(f"\n{tallies[SearchMode.HYBRID].all.questions} questions; by category:")
    for mode, tally in tallies.items():
        for category in _CATEGORIES.values():
            if category in tally.categories:
                scores = tally.categories[category]
                print(f"{mode} {category} ({scores.questions}) {scores}")


if __name__ == "__main__":
    main()
