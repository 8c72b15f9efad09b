"""Where in the bucket a space's objects are; the one place that makes and reads keys."""

import re
from dataclasses import dataclass
from hashlib import sha256

from remora.chroma.names import check_name
from remora.journal.entries import MEMORY_ID_PATTERN
from remora.memory.ids import conversation_key

_MEMORY_ID = re.compile(MEMORY_ID_PATTERN)
_ENTRY = re.compile(r"(?P<memory_id>[^/]+)/(?P<version>\d{8})\.json")


def is_memory_id(text: str) -> bool:
    """Whether `text` can be the id of a memory, so that it may become part of a key."""
    return _MEMORY_ID.fullmatch(text) is not None and not text.endswith("\n")


ALL_MEMORIES = "memories/"
"""What the keys of the entries of all spaces begin with."""

ALL_PENDING = "pending/"
"""What the keys of the intents of all spaces begin with."""


def space_of_intent(key: str) -> str | None:
    """Return the space that an intent's key is of; None if it is no such key."""
    parts = key.removeprefix(ALL_PENDING).split("/")
    return parts[0] if len(parts) == 2 else None


@dataclass(frozen=True, slots=True)
class Layout:
    """Keys of one space.

    The kind of an object comes first, because S3's lifecycle rules, events and permissions go by prefixes. A space is
    named like a Chroma database, so its name holds neither "/" nor anything that needs an escape, and no key of one
    space begins with the prefix of another.
    """

    space: str

    def __post_init__(self) -> None:
        check_name(self.space, "space")

    @property
    def memories(self) -> str:
        """What the keys of all entries begin with."""
        return f"{ALL_MEMORIES}{self.space}/"

    @property
    def pending(self) -> str:
        """What the keys of all intents begin with."""
        return f"{ALL_PENDING}{self.space}/"

    def versions(self, memory_id: str) -> str:
        """Return what the keys of a memory's entries begin with."""
        if not is_memory_id(memory_id):
            raise ValueError("not the id of a memory")
        return f"{self.memories}{memory_id}/"

    def entry(self, memory_id: str, version: int) -> str:
        """Return the key of an entry. Keys of later versions sort behind it."""
        return f"{self.versions(memory_id)}{version:08d}.json"

    def parse_entry(self, key: str) -> tuple[str, int] | None:
        """Return the memory and version of an entry's key; None if it is no such key."""
        found = _ENTRY.fullmatch(key.removeprefix(self.memories))
        return (found["memory_id"], int(found["version"])) if found else None

    def claim(self, key: str) -> str:
        """Return the key of the claim to an idempotency key, which the object's key does not show."""
        return f"claims/{self.space}/{sha256(key.encode()).hexdigest()}.json"

    def conversation(self, conversation_id: str) -> str:
        """Return the key of a conversation's manifest, which is named as the ids of its turns begin."""
        return f"conversations/{self.space}/{conversation_key(conversation_id)}.json"

    def intent(self, intent_id: str) -> str:
        """Return the key of an intent."""
        return f"{self.pending}{intent_id}.json"

    def parse_intent(self, key: str) -> str:
        """Return the id of an intent from its key."""
        return key.removeprefix(self.pending).removesuffix(".json")
