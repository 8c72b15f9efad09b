"""Cursors: opaque strings that say where a listing goes on, and which listing that is.

A cursor is base64url without padding over: one byte of version, one byte of kind, 8 bytes of a digest of the
arguments that it belongs to, the position, and 6 bytes of a digest of all that. The digests catch mistakes (a
cursor used with another query, collection or space, or damaged on its way through a model); they are no protection
and need be none, since a cursor grants nothing that the caller could not ask for without it.
"""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import Any, Self

from pydantic_core import to_json

from remora.errors import InvalidArgumentError

_VERSION = 1
_HEAD = struct.Struct("<BB8s")
_CHECK_BYTES = 6
_ID_DIGEST_BYTES = 6
_MAX_CURSOR_CHARACTERS = 2_048


class CursorKind(IntEnum):
    """What a cursor goes through."""

    COLLECTIONS = 1
    DATABASES = 2
    RECORDS = 3
    HITS = 4
    MEMORIES = 5
    MEMORY_HITS = 6


def _ordered(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _ordered(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_ordered(item) for item in value]
    return value


def _arguments_digest(arguments: Mapping[str, Any]) -> bytes:
    return sha256(to_json(_ordered(arguments), bytes_mode="base64")).digest()[:8]


def encode_cursor(kind: CursorKind, arguments: Mapping[str, Any], position: bytes) -> str:
    """Return a cursor.

    Args:
        kind: What it goes through.
        arguments: What selects the items; the next call has to bring the same.
        position: Where to go on.
    """
    content = _HEAD.pack(_VERSION, kind, _arguments_digest(arguments)) + position
    return urlsafe_b64encode(content + sha256(content).digest()[:_CHECK_BYTES]).rstrip(b"=").decode("ascii")


def decode_cursor(cursor: str, kind: CursorKind, arguments: Mapping[str, Any]) -> bytes:
    """Return the position in a cursor that `encode_cursor` made for the same kind and arguments.

    Raises:
        InvalidArgumentError: It is damaged, or belongs to another call.
    """
    try:
        if len(cursor) > _MAX_CURSOR_CHARACTERS:
            raise ValueError
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        content, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
        version, found_kind, digest = _HEAD.unpack_from(content)
    except (ValueError, Base64Error, struct.error):
        raise _damaged() from None
    # Comparing with the one true spelling also refuses characters that base64 decoders pass over.
    if check != sha256(content).digest()[:_CHECK_BYTES] or urlsafe_b64encode(raw).rstrip(b"=") != cursor.encode():
        raise _damaged()
    if version != _VERSION or found_kind != kind:
        raise InvalidArgumentError("This cursor belongs to another operation. Call without a cursor to start again.")
    if digest != _arguments_digest(arguments):
        raise InvalidArgumentError(
            "This cursor belongs to a call with other arguments. Repeat the call that returned it, with the same "
            "space, collection, ids, filters and queries, or call without a cursor to start again."
        )
    return bytes(content[_HEAD.size :])


@contextmanager
def reading_position() -> Iterator[None]:
    """Turn what goes wrong while the bytes of a position are read into the error for a damaged cursor.

    Anyone can make a cursor whose digests are right, so a position may hold anything.

    Raises:
        InvalidArgumentError: They are not the bytes of a position.
    """
    try:
        yield
    except (struct.error, ValueError, OverflowError, OSError):
        raise _damaged() from None


def _damaged() -> InvalidArgumentError:
    return InvalidArgumentError(
        "This cursor is damaged. Pass next_cursor exactly as it was returned, or call without a cursor "
        "to start again."
    )


def id_digest(record_id: str) -> bytes:
    """Return the few bytes by which a cursor knows a record again."""
    return sha256(record_id.encode("utf-8", "surrogatepass")).digest()[:_ID_DIGEST_BYTES]


@dataclass(frozen=True, slots=True)
class Position:
    """A place between two records of a listing whose order is stable.

    Attributes:
        offset: Records before it when it was taken.
        behind: Digests of the last ids before it, in order.
        ahead: Digests of the first ids after it, in order.
    """

    offset: int = 0
    behind: tuple[bytes, ...] = ()
    ahead: tuple[bytes, ...] = ()

    def to_bytes(self) -> bytes:
        """Return the position as it is kept in a cursor."""
        head = struct.pack("<IBB", self.offset, len(self.behind), len(self.ahead))
        return head + b"".join(self.behind) + b"".join(self.ahead)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read a position out of a cursor.

        Raises:
            InvalidArgumentError: These are not the bytes of a position.
        """
        try:
            offset, behind, ahead = struct.unpack_from("<IBB", content)
        except struct.error:
            raise _damaged() from None
        digests = content[struct.calcsize("<IBB") :]
        if len(digests) != (behind + ahead) * _ID_DIGEST_BYTES:
            raise _damaged()
        cut: Sequence[bytes] = [
            digests[start : start + _ID_DIGEST_BYTES] for start in range(0, len(digests), _ID_DIGEST_BYTES)
        ]
        return cls(offset, tuple(cut[:behind]), tuple(cut[behind:]))
