"""The objects of local S3 buckets on disk, and the events about them that no function has handled yet."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from remora.errors import InvalidArgumentError, UnavailableError

# A version has a row, and later versions of a key have higher ones. The content comes last, so that what is before
# it is read without it. `facts` is JSON that only the S3 service understands.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS versions (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    version TEXT NOT NULL,
    marker INTEGER NOT NULL,
    modified TEXT NOT NULL,
    etag TEXT NOT NULL,
    size INTEGER NOT NULL,
    facts TEXT NOT NULL,
    content BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS versions_by_key ON versions (bucket, key, row);
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    function TEXT NOT NULL,
    payload TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
);
"""
_COLUMNS = "row, bucket, key, version, marker, modified, etag, size, facts"
_CURRENT = "row = (SELECT max(row) FROM versions WHERE bucket = found.bucket AND key = found.key)"


@dataclass(frozen=True, slots=True)
class Version:
    """A version of an object as it is on disk, without its content.

    Attributes:
        row: Its place; a later version of the same key has a higher one.
        bucket: The bucket.
        key: The key.
        version: S3's id of the version.
        marker: Whether it only says that the object was deleted.
        modified: When it was written, ISO 8601.
        etag: Its ETag, without quotes.
        size: Of its content, in bytes.
        facts: What else the S3 service knows of it, as JSON.
    """

    row: int
    bucket: str
    key: str
    version: str
    marker: bool
    modified: str
    etag: str
    size: int
    facts: str


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version to be written; the attributes are those of `Version`, and its content."""

    bucket: str
    key: str
    version: str
    marker: bool
    modified: str
    etag: str
    facts: str
    content: bytes


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """An event that a function has yet to handle.

    Attributes:
        id: Its id; later events have higher ones.
        function: Name of the function.
        payload: The event, as JSON.
        attempts: How often the function has failed to handle it.
    """

    id: int
    function: str
    payload: str
    attempts: int


class ObjectTable:
    """A SQLite database. What a call has written is on disk when it returns, and survives the end of the machine.

    Attributes:
        lock: Held by whoever uses the table, for as long as what is read and written belongs together.
    """

    def __init__(self, path: Path | None) -> None:
        """Open the database, made if it is not there.

        Args:
            path: Its file; None keeps it in memory.

        Raises:
            InvalidArgumentError: The file cannot be used.
        """
        self.lock = threading.RLock()
        try:
            if path is not None:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._database = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise InvalidArgumentError(
                f"{path}, which holds the objects of S3, cannot be used ({error}). "
                "Put back a copy of it, or choose another data directory with --data."
            ) from None

    def versions(self, bucket: str, key: str) -> list[Version]:
        """Return the versions of a key, the oldest first."""
        query = f"SELECT {_COLUMNS} FROM versions WHERE bucket = ? AND key = ? ORDER BY row"  # noqa: S608
        return [_version(row) for row in self._database.execute(query, (bucket, key))]

    def current(self, bucket: str, *, prefix: str = "", after: str | None = None) -> Iterator[Version]:
        """Go through the objects of a bucket in the order of their keys; deleted ones are left out.

        Args:
            bucket: The bucket.
            prefix: What their keys begin with.
            after: Where to go on; keys up to it are left out.
        """
        return self._walk("AND " + _CURRENT + " AND NOT marker ORDER BY key", bucket, prefix, after)

    def history(self, bucket: str, *, prefix: str = "", after: str | None = None) -> Iterator[Version]:
        """Go through all versions in a bucket, in the order of their keys, the latest of each first.

        Args:
            bucket: The bucket.
            prefix: What their keys begin with.
            after: Where to go on; keys up to it are left out.
        """
        return self._walk("ORDER BY key, row DESC", bucket, prefix, after)

    def keys(self, bucket: str) -> list[str]:
        """Return every key of a bucket that has a version."""
        query = "SELECT DISTINCT key FROM versions WHERE bucket = ? ORDER BY key"
        return [key for (key,) in self._database.execute(query, (bucket,))]

    def content(self, row: int) -> bytes:
        """Return the content of a version, which is empty if it is gone."""
        found = self._database.execute("SELECT content FROM versions WHERE row = ?", (row,)).fetchone()
        return bytes(found[0]) if found is not None else b""

    def apply(
        self,
        *,
        added: Sequence[NewVersion] = (),
        removed: Sequence[int] = (),
        events: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Write changes, all of them or none.

        Args:
            added: New versions, the older ones of a key before the later.
            removed: Rows of versions that are no more.
            events: Functions and what they are to handle, as JSON.

        Raises:
            UnavailableError: Nothing was written: the disk is full, or does not work.
        """
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("DELETE FROM versions WHERE row = ?", [(row,) for row in removed])
            self._database.executemany(
                "INSERT INTO versions (bucket, key, version, marker, modified, etag, size, facts, content) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *(new.bucket, new.key, new.version, new.marker, new.modified, new.etag),
                        *(len(new.content), new.facts, new.content),
                    )
                    for new in added
                ],
            )
            self._database.executemany("INSERT INTO events (function, payload) VALUES (?, ?)", events)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise UnavailableError(f"Nothing was written: {error}.") from None

    def expire(self, bucket: str, prefix: str, modified_before: str) -> int:
        """Remove the objects, with all their versions, that were last written before a moment; return how many.

        Args:
            bucket: The bucket.
            prefix: What their keys begin with.
            modified_before: The moment, ISO 8601, as in `Version.modified`.
        """
        keys = [
            (bucket, version.key)
            for version in self.current(bucket, prefix=prefix)
            if version.modified < modified_before
        ]
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany("DELETE FROM versions WHERE bucket = ? AND key = ?", keys)
        self._database.execute("COMMIT")
        return len(keys)

    def pending_events(self, after: int = 0) -> list[PendingEvent]:
        """Return the events with an id above `after` that are not settled, the oldest first."""
        query = "SELECT id, function, payload, attempts FROM events WHERE id > ? ORDER BY id"
        return [PendingEvent(*row) for row in self._database.execute(query, (after,))]

    def count_attempt(self, event_id: int) -> None:
        """Remember that a function has failed to handle an event."""
        self._database.execute("UPDATE events SET attempts = attempts + 1 WHERE id = ?", (event_id,))

    def settle_event(self, event_id: int) -> None:
        """Forget an event: it was handled, or given up."""
        self._database.execute("DELETE FROM events WHERE id = ?", (event_id,))

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _walk(self, rest: str, bucket: str, prefix: str, after: str | None) -> Iterator[Version]:
        # One bound, so that the index leads to the first row that is asked for.
        bound, begin = ("key > ?", after) if after is not None and after >= prefix else ("key >= ?", prefix)
        query = f"SELECT {_COLUMNS} FROM versions AS found WHERE bucket = ? AND {bound} {rest}"  # noqa: S608
        for row in self._database.execute(query, (bucket, begin)):
            version = _version(row)
            # Keys with the prefix stand together: behind the last of them there is none.
            if not version.key.startswith(prefix):
                return
            yield version


def _version(row: tuple[int, str, str, str, int, str, str, int, str]) -> Version:
    number, bucket, key, version, marker, modified, etag, size, facts = row
    return Version(number, bucket, key, version, bool(marker), modified, etag, size, facts)
