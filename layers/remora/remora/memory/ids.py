"""The ids of memories: short, stable, and easy to read out.

A memory's id is 10 characters of Crockford's base32 in lower case (https://www.crockford.com/base32.html), which has
no i, l, o or u. A turn of a conversation has the conversation's key and its position, `7h3kq9x2ma-12`, so that its
neighbours follow from its id alone.
"""

import re
import secrets
from hashlib import sha256
from typing import NamedTuple

from remora.errors import InvalidArgumentError

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_CHARACTERS = 10
_BITS = 5 * _CHARACTERS
_POSITION_DIGITS = 9
_MOST_CHARACTERS = 64
"""Of an id that a caller brings, spaces around it included; longer ones are not looked at."""

_ID = re.compile(rf"([{_ALPHABET}]{{{_CHARACTERS}}})(?:-(0|[1-9][0-9]{{0,{_POSITION_DIGITS - 1}}}))?")
_LOOK_ALIKES = str.maketrans("oil", "011")


class Neighbours(NamedTuple):
    """The ids beside a turn's: none before the first turn, and neither for a memory that is no turn.

    The one after need not be stored yet.
    """

    before: str | None
    after: str | None


def _base32(number: int) -> str:
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(_BITS - 5, -5, -5))


def new_memory_id() -> str:
    """Return 50 random bits: among a million ids, the chance that any two are equal is 1 in 2,000."""
    return _base32(secrets.randbits(_BITS))


def conversation_key(conversation_id: str) -> str:
    """Return what the ids of a conversation's turns begin with: the first 50 bits of the SHA-256 of its UTF-8."""
    digest = sha256(conversation_id.encode("utf-8", "surrogatepass")).digest()
    return _base32(int.from_bytes(digest) >> len(digest) * 8 - _BITS)


def turn_memory_id(conversation_id: str, position: int) -> str:
    """Return the id of the turn at a position from 0 to 999,999,999.

    Raises:
        ValueError: The position is outside of that.
    """
    if not 0 <= position < 10**_POSITION_DIGITS:
        raise ValueError(f"a turn's position is from 0 to {10**_POSITION_DIGITS - 1}")
    return f"{conversation_key(conversation_id)}-{position}"


def turn_neighbours(memory_id: str) -> Neighbours:
    """Return the ids of the turns before and after.

    Args:
        memory_id: As `check_memory_id` returns it.
    """
    match = _ID.fullmatch(memory_id)
    if match is None or match[2] is None:
        return Neighbours(None, None)
    key, position = match[1], int(match[2])
    return Neighbours(f"{key}-{position - 1}" if position else None, f"{key}-{position + 1}")


def check_memory_id(text: str) -> str:
    """Return the id as it is stored: in lower case, without spaces around it, o read as 0 and i and l as 1.

    Raises:
        InvalidArgumentError: No memory can have that id.
    """
    found = text.strip().lower().translate(_LOOK_ALIKES) if len(text) <= _MOST_CHARACTERS else ""
    if not _ID.fullmatch(found):
        shown = repr(text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…")
        raise InvalidArgumentError(
            f"{shown} is no id of a memory. An id is {_CHARACTERS} letters and digits, such as 7h3kq9x2ma; that of a "
            "conversation's turn goes on with its position, such as 7h3kq9x2ma-12. Storing, searching and listing "
            "answer with ids."
        )
    return found
