"""moto's S3 with its objects in an `ObjectTable` instead of in memory.

moto keeps the versions of a bucket's objects in a mapping, `FakeBucket.keys`. Here that mapping reads the table, and
collects what a request changes until the request is over; then it is written in one transaction, or forgotten. So a
start loads nothing, memory holds no object, and moto remains the one that speaks S3. Its listings are replaced too:
they go through every object of the bucket.

What moto sets on an object after the request that wrote it (tags, ACLs, legal holds) is not kept.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, S3Backend, s3_backends
from moto.s3.utils import _VersionedKeyStore

from remora.local.deployment import ACCOUNT_ID, REGION
from remora.local.objects import NewVersion, ObjectTable, Version

_PARTITION = "aws"
# What a read of the object answers besides its content and its metadata.
_FACTS = (
    "encryption",
    "kms_key_id",
    "bucket_key_enabled",
    "checksum_algorithm",
    "checksum_type",
    "checksum_value",
    "checksum_parts",
    "website_redirect_location",
    "_storage_class",
)


@dataclass(frozen=True, slots=True)
class CreatedObject:
    """An object that a request has created.

    Attributes:
        bucket: The bucket.
        key: The key.
        size: Of its content, in bytes.
        etag: Its ETag, without quotes.
        version: S3's id of the version; None in a bucket without versions.
    """

    bucket: str
    key: str
    size: int
    etag: str
    version: str | None


@dataclass(frozen=True, slots=True)
class Changes:
    """What a request has changed."""

    added: tuple[NewVersion, ...]
    removed: tuple[int, ...]
    created: tuple[CreatedObject, ...]


class StoredKey(FakeKey):
    """A version of an object, whose content is read when it is asked for."""

    def __init__(self, version: Version, table: ObjectTable, *, versioned: bool, latest: bool) -> None:
        super().__init__(
            name=version.key,
            value=b"",
            account_id=ACCOUNT_ID,
            region_name=REGION,
            etag=version.etag,
            is_versioned=versioned,
            version_id=version.version,
            bucket_name=version.bucket,
        )
        self.dispose()
        self.row = version.row
        self.is_latest = latest
        self.contentsize = version.size
        self._table = table
        self.last_modified = datetime.fromisoformat(version.modified)
        facts = json.loads(version.facts)
        self._metadata.update(facts.pop("metadata"))
        for name, value in facts.items():
            setattr(self, name, value)

    @property
    def value(self) -> bytes:
        """Its content."""
        return self._table.content(self.row)

    @value.setter
    def value(self, value: bytes) -> None:
        """Nothing but the constructor, which knows no content, writes to a version that is on disk."""


class StoredMarker(FakeDeleteMarker):
    """A delete marker that is on disk."""

    def __init__(self, version: Version, before: Any | None, *, latest: bool = True) -> None:  # noqa: ANN401 - moto's
        # Of the version that was deleted, moto takes no more than the name.
        super().__init__(key=cast("FakeKey", before or SimpleNamespace(name=version.key)))
        self.row = version.row
        self.is_latest = latest
        self.last_modified = datetime.fromisoformat(version.modified)
        self._version_id = version.version


class StoredKeys(_VersionedKeyStore):
    """The versions of a bucket's objects by key. The caller holds the table's lock."""

    def __init__(self, bucket: FakeBucket, table: ObjectTable) -> None:
        super().__init__()
        self._bucket = bucket
        self._table = table
        # What this request has read or written: keys to their versions, the oldest first.
        self._read: dict[str, list[Any]] = {}
        self._changed: dict[str, list[Any]] = {}

    def changes(self) -> Changes:
        """Return what was changed since the last `settle`."""
        added: list[NewVersion] = []
        removed: list[int] = []
        created: list[CreatedObject] = []
        for key, versions in self._changed.items():
            kept = {version.row for version in versions if isinstance(version, StoredKey | StoredMarker)}
            before = self._table.versions(self._bucket.name, key)
            removed += [version.row for version in before if version.row not in kept]
            new = [version for version in versions if not isinstance(version, StoredKey | StoredMarker)]
            added += [_new_version(self._bucket.name, version) for version in new]
            if new and isinstance(new[-1], FakeKey):
                etag = new[-1].etag.strip('"')
                version_id = new[-1].version_id if self._bucket.is_versioned else None
                created.append(CreatedObject(self._bucket.name, key, new[-1].contentsize, etag, version_id))
        return Changes(tuple(added), tuple(removed), tuple(created))

    def settle(self) -> None:
        """Go on from what the table says: the request is over."""
        for versions in self._changed.values():
            for version in versions:
                if isinstance(version, FakeKey):
                    version.dispose()
        self._changed.clear()
        self._read.clear()

    def stored(self, version: Version, *, latest: bool = True) -> StoredKey:
        """Return a version of an object as moto has it."""
        return StoredKey(version, self._table, versioned=self._bucket.is_versioned, latest=latest)

    def __sgetitem__(self, key: str) -> list[Any]:
        found = self._changed.get(key, self._read.get(key))
        if found is None:
            found = []
            for version in self._table.versions(self._bucket.name, key):
                before = found[-1] if found else None
                found.append(StoredMarker(version, before) if version.marker else self.stored(version))
            self._read[key] = found
        if not found:
            raise KeyError(key)
        # moto appends to what it is given.
        return list(found)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.getlist(key) is not None

    def __len__(self) -> int:
        return len(self._table.keys(self._bucket.name))

    def __setitem__(self, key: str, value: object) -> None:
        self._changed[key] = [*self.getlist(key, []), value]

    def setlist(self, key: str, list_: object) -> None:
        """Replace the versions of a key."""
        self._changed[key] = list(list_) if isinstance(list_, list | tuple) else [list_]

    def pop(self, key: str) -> None:  # type: ignore[override]
        """Remove all versions of a key.

        Raises:
            KeyError: There are none.
        """
        if key not in self:
            # A key whose versions this request has removed one by one.
            if key in self._changed:
                return
            raise KeyError(key)
        self._changed[key] = []

    def _self_iterable(self) -> dict[str, Any]:
        return dict.fromkeys(self._table.keys(self._bucket.name))


class StoredBackend(S3Backend):
    """moto's S3 of the local account."""

    def __init__(self, table: ObjectTable) -> None:
        super().__init__(_PARTITION, ACCOUNT_ID)
        self._table = table
        self._keys: dict[str, StoredKeys] = {}

    def install(self) -> None:
        """Answer for S3 from now on, in this process."""
        s3_backends[ACCOUNT_ID][_PARTITION] = self

    def uninstall(self) -> None:
        """Leave S3 to an empty moto."""
        for name in self.buckets:
            s3_backends.bucket_accounts.pop(name, None)
        s3_backends[ACCOUNT_ID].pop(_PARTITION, None)

    def changes(self) -> Changes:
        """Return what was changed since the last `settle`, in all buckets."""
        parts = [keys.changes() for keys in self._keys.values()]
        return Changes(
            tuple(version for part in parts for version in part.added),
            tuple(row for part in parts for row in part.removed),
            tuple(created for part in parts for created in part.created),
        )

    def settle(self) -> None:
        """Go on from what the table says: the request is over."""
        for keys in self._keys.values():
            keys.settle()

    def create_bucket(self, bucket_name: str, region_name: str, bucket_namespace: str | None = None) -> FakeBucket:
        """Create a bucket, as moto does. What the table has of a bucket of this name is in it."""
        bucket = super().create_bucket(bucket_name, region_name, bucket_namespace)
        bucket.keys = self._keys[bucket_name] = StoredKeys(bucket, self._table)
        return bucket

    def delete_bucket(self, bucket_name: str) -> FakeBucket | None:
        """Delete a bucket, as moto does; return None if there is still something in it."""
        deleted = super().delete_bucket(bucket_name)
        if deleted is not None:
            del self._keys[bucket_name]
        return deleted

    def list_objects_v2(  # type: ignore[override] # a list, as moto's own is, whatever it says
        self,
        bucket: FakeBucket,
        prefix: str | None,
        delimiter: str | None,
        continuation_token: str | None,
        start_after: str | None,
        max_keys: int,
    ) -> tuple[list[FakeKey | str], bool, str | None]:
        """Return a page of objects and common prefixes, whether there are more, and the token of the next page."""
        after = self._pagination_tokens.get(continuation_token) if continuation_token else start_after
        page: list[FakeKey | str] = []
        for version in self._table.current(bucket.name, prefix=prefix or "", after=after):
            folder = _common_prefix(version.key, prefix or "", delimiter)
            if folder is None:
                page.append(self._keys[bucket.name].stored(version))
            elif folder not in page[-1:] and (after is None or folder > after):
                page.append(folder)
            # One more than fits, which says that there is a next page.
            if len(page) > max_keys:
                break
        page_and_more: tuple[list[FakeKey | str], bool, str | None] = self._truncate_result(page, max_keys)
        return page_and_more

    def list_object_versions(
        self,
        bucket_name: str,
        delimiter: str | None = None,
        key_marker: str | None = None,
        max_keys: int | None = 1000,
        prefix: str = "",
        version_id_marker: str | None = None,
    ) -> tuple[list[FakeKey], list[str], list[FakeDeleteMarker], str | None, str | None]:
        """Return a page of versions, common prefixes and delete markers, and the two markers of the next page."""
        stored = self._keys[self.get_bucket(bucket_name).name]
        keys: list[FakeKey] = []
        prefixes: list[str] = []
        markers: list[FakeDeleteMarker] = []
        last = (key_marker, version_id_marker)
        last_key: str | None = None
        for version in self._versions_from(bucket_name, prefix, key_marker, version_id_marker):
            folder = _common_prefix(version.key, prefix, delimiter)
            if folder is not None and (folder in prefixes or folder == key_marker):
                continue
            if max_keys is not None and len(keys) + len(prefixes) + len(markers) >= max_keys:
                return keys, prefixes, markers, *last
            if folder is not None:
                prefixes.append(folder)
                last = (folder, None)
                continue
            last = (version.key, version.version)
            latest = version.key not in (last_key, key_marker)
            last_key = version.key
            if version.marker:
                markers.append(StoredMarker(version, None, latest=latest))
            else:
                keys.append(stored.stored(version, latest=latest))
        return keys, prefixes, markers, None, None

    def _versions_from(
        self, bucket: str, prefix: str, key_marker: str | None, version_id_marker: str | None
    ) -> Iterator[Version]:
        """Go through the versions behind the markers: of their key, only those that are older than theirs."""
        if key_marker is not None and version_id_marker is not None:
            older = self._table.versions(bucket, key_marker)[::-1]
            places = [place for place, version in enumerate(older) if version.version == version_id_marker]
            yield from older[places[0] + 1 :] if places else ()
        yield from self._table.history(bucket, prefix=prefix, after=key_marker)


def _common_prefix(key: str, prefix: str, delimiter: str | None) -> str | None:
    """Return what a listing shows instead of a key that has the delimiter behind the prefix."""
    if not delimiter:
        return None
    head, found, _ = key.removeprefix(prefix).partition(delimiter)
    return prefix + head + found if found else None


def _new_version(bucket: str, version: FakeKey | FakeDeleteMarker) -> NewVersion:
    modified = version.last_modified.isoformat(timespec="microseconds")
    if isinstance(version, FakeDeleteMarker):
        facts = json.dumps({"metadata": {}})
        return NewVersion(bucket, version.name, version.version_id, True, modified, "", facts, b"")
    facts = json.dumps({name: getattr(version, name) for name in _FACTS} | {"metadata": dict(version.metadata)})
    etag = version.etag.strip('"')
    return NewVersion(bucket, version.name, version.version_id, False, modified, etag, facts, version.value)
