"""Makes of a memory what the index keeps: its passages, the texts that are embedded, the terms that are counted."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

from remora.embedding.embedder import Embedder
from remora.memory.index.layout import (
    CONTEXT_TOKENS,
    PASSAGE_TOKENS,
    RecordId,
    called,
    context_of,
    digest_of,
    facets,
    milliseconds,
    spoken_passage,
)
from remora.memory.index.segments import NewEntry, NewPassage, Precedence, body_of
from remora.memory.lexicon import index_terms, name_words
from remora.memory.models import Memory
from remora.memory.passages import split

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_QUESTION_END = ("?", "？")
_CHARACTERS_PER_TOKEN = 4
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


@dataclass(frozen=True)
class PreparedMemory:
    """A memory with all that the index keeps of it but its vectors.

    Attributes:
        memory: The memory.
        digest: Of all that it says.
        passages: Its passages; together they are its content.
    """

    memory: Memory
    digest: str
    passages: tuple[str, ...]

    @cached_property
    def record_ids(self) -> list[str]:
        """The ids of its records, in the order of its passages."""
        memory = self.memory
        return [str(RecordId(memory.id, memory.version, self.digest, number)) for number in range(len(self.passages))]

    def embedded_text(self, passage: int, embedder: Embedder) -> str:
        """Return what is embedded for a passage: itself, after what stands before it."""
        text = spoken_passage(self.memory, self.passages[passage])
        context = context_of(self.memory, passage)
        if not context:
            return text
        room = min(CONTEXT_TOKENS * embedder.window // 256, embedder.window - embedder.count_tokens(text))
        return f"{_end_of(context, room, embedder)}\n{text}"

    def entry(self, precedence: Precedence) -> NewEntry:
        """Return what a segment keeps of it."""
        memory = self.memory
        first = memory.created_at
        # The day that something was said on is as good as said: "what did she buy on May 3, 2023?"
        day = index_terms(f"{first.day} {_MONTHS[first.month - 1]} {first.year}")
        headings = index_terms(memory.context) if memory.context and memory.turn is None else None
        passages = []
        for passage in self.passages:
            terms = index_terms(spoken_passage(memory, passage))
            words = index_terms(passage).total() if memory.turn is not None else terms.total()
            terms.update(day)
            if headings is not None:
                terms.update(headings)
            passages.append(NewPassage(text=passage, words=words, questions=_question_tenths(passage), terms=terms))
        text = spoken_passage(memory, memory.content).encode()
        speaker = (memory.turn.speaker if memory.turn is not None else None) or ""
        return NewEntry(
            memory_id=memory.id,
            precedence=precedence,
            digest=self.digest,
            body=body_of(memory),
            created=milliseconds(first),
            fingerprint=int.from_bytes(blake2b(text, digest_size=8).digest(), signed=True),
            facets=(*facets(memory), *map(called, sorted(name_words(speaker)))),
            passages=tuple(passages),
        )


def prepare(memory: Memory, embedder: Embedder) -> PreparedMemory:
    """Cut a memory into passages.

    Raises:
        InvalidArgumentError: Its text is not valid Unicode.
        UnavailableError: The model cannot be loaded.
    """
    special = embedder.count_tokens("")
    speaker = embedder.count_tokens(spoken_passage(memory, "")) - special
    budget = PASSAGE_TOKENS * embedder.window // 256
    passages = split(
        memory.content, count_tokens=embedder.count_tokens, max_tokens=max(budget // 2, budget - speaker)
    )
    return PreparedMemory(memory, digest_of(memory), tuple(passages))


def prepare_all(memories: Sequence[Memory], embedder: Embedder) -> list[PreparedMemory]:
    """Cut memories into passages."""
    return [prepare(memory, embedder) for memory in memories]


def _end_of(context: str, room: int, embedder: Embedder) -> str:
    """Return as much of the end of a context as there is room for, in tokens."""
    while context and embedder.count_tokens(context) > room:
        overlong = embedder.count_tokens(context) - room
        context = context[max(1, min(len(context) // 2, overlong * _CHARACTERS_PER_TOKEN)) :]
        # Not from the middle of a word, unless it is all one word.
        context = context.partition(" ")[2] or context
    return context


def _question_tenths(passage: str) -> int:
    sentences = [sentence for each in _SENTENCE_END.split(passage) if (sentence := each.strip())]
    questions = sum(sentence.endswith(_QUESTION_END) for sentence in sentences)
    return round(10 * questions / len(sentences)) if sentences else 0
