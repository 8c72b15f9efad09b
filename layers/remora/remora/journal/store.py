"""The journal's objects in S3: conditional writes, listings and removals, within a deadline.

boto3 is blocking, so its calls run in threads; it takes 0.3 s to load, so that happens with the first call, in a
thread. It comes with Lambda's Python runtimes. Conditional writes need a release of 25 November 2024 or later;
every runtime for Python 3.14 has one.
"""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from remora.chroma.deadline import Deadline
from remora.errors import UnavailableError
from remora.journal.failures import (
    CONDITIONAL_REQUEST_CONFLICT,
    MISSING,
    PRECONDITION_FAILED,
    no_answer,
    refusal,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef, PutObjectRequestTypeDef

_CONCURRENCY = 32
_CONNECT_SECONDS = 2
_READ_SECONDS = 5
_ATTEMPTS = 4
# Times that a write is repeated because S3 was busy with another one of the same key.
_CONFLICTS = 10
_CONFLICT_SECONDS = 0.05
# DeleteObjects takes no more keys.
_DELETED_AT_ONCE = 1_000

_T = TypeVar("_T")


class PreconditionFailedError(Exception):
    """The object is not what a conditional write expects; nothing was written."""


class _MissingError(Exception):
    """What a request is about does not exist."""


class _DeadlineExpiredError(Exception):
    """A request was about to be sent when nobody waited for it any more."""


class _ConflictError(Exception):
    """S3 was busy with another write of the same key."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it was read or written.

    Attributes:
        body: Its content.
        etag: Changes with the content; for `replace`.
        version: S3's id of this version of it, None in a bucket without versions.
    """

    body: bytes
    etag: str
    version: str | None


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """A version that a key has or had.

    Attributes:
        key: The key.
        version: S3's id of the version.
        current: Whether it is what a read of the key finds.
        marker: Whether it only says that the object was deleted.
    """

    key: str
    version: str
    current: bool
    marker: bool


class JournalStore:
    """A bucket. There should be one instance a process; it may be used by any number of threads and tasks."""

    def __init__(self, bucket: str) -> None:
        """Make a store; nothing is imported or connected yet.

        Args:
            bucket: The bucket, with versioning enabled. Region, credentials and endpoint come from the environment.
        """
        self._bucket = bucket
        self._made: S3Client | None = None
        self._making = threading.Lock()
        self._thread = threading.local()
        self._executor = ThreadPoolExecutor(_CONCURRENCY, thread_name_prefix="journal")

    async def get(self, key: str, *, deadline: Deadline) -> StoredObject | None:
        """Return an object; None if there is none."""

        def get(client: "S3Client") -> StoredObject:
            answer = client.get_object(Bucket=self._bucket, Key=key)
            with answer["Body"] as body:
                return StoredObject(body.read(), answer["ETag"], answer.get("VersionId"))

        try:
            return await self._run(get, deadline, changes=False)
        except _MissingError:
            return None

    async def create(self, key: str, body: bytes, *, deadline: Deadline) -> StoredObject:
        """Write an object that must not exist yet. One that exists with the same body is taken for our own.

        Raises:
            PreconditionFailedError: There is another one.
        """
        while True:
            try:
                return await self._put(key, body, {"IfNoneMatch": "*"}, deadline)
            except PreconditionFailedError:
                # Our own, if the answer to an earlier attempt was lost.
                standing = await self.get(key, deadline=deadline)
                if standing is None:
                    continue
                if standing.body != body:
                    raise
                return standing

    async def replace(self, key: str, body: bytes, *, etag: str, deadline: Deadline) -> StoredObject:
        """Write an object in place of what was read.

        Raises:
            PreconditionFailedError: It is something else by now, or gone.
        """
        return await self._put(key, body, {"IfMatch": etag}, deadline)

    async def remove(self, key: str, version: str | None, *, deadline: Deadline) -> None:
        """Destroy one version of an object, or the object in a bucket without versions; it may be gone already."""

        def delete(client: "S3Client") -> None:
            if version is None:
                client.delete_object(Bucket=self._bucket, Key=key)
            else:
                client.delete_object(Bucket=self._bucket, Key=key, VersionId=version)

        # Gone already, where S3's stand-ins say so.
        try:
            await self._run(delete, deadline, changes=True)
        except _MissingError:
            return

    async def remove_all(self, versions: Sequence[ObjectVersion], *, deadline: Deadline) -> None:
        """Destroy versions of objects."""

        def delete(part: Sequence[ObjectVersion]) -> Callable[["S3Client"], list[str]]:
            objects: list[ObjectIdentifierTypeDef] = [{"Key": each.key, "VersionId": each.version} for each in part]

            def call(client: "S3Client") -> list[str]:
                answer = client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
                return [error.get("Code", "") for error in answer.get("Errors", [])]

            return call

        for start in range(0, len(versions), _DELETED_AT_ONCE):
            codes = await self._run(delete(versions[start : start + _DELETED_AT_ONCE]), deadline, changes=True)
            left = [code for code in codes if code not in MISSING]
            if left:
                raise refusal({"Error": {"Code": left[0]}}, changes=True)

    async def keys(self, prefix: str, *, after: str | None = None, deadline: Deadline) -> AsyncIterator[str]:
        """Go through the keys that begin with a prefix, in their order.

        Args:
            prefix: How they begin.
            after: Where to go on; keys up to it are left out.
            deadline: When the last of them must be there.
        """
        while True:

            def page(client: "S3Client", after: str | None = after) -> tuple[list[str], bool]:
                begin: dict[str, Any] = {} if after is None else {"StartAfter": after}
                answer = client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **begin)
                return [found["Key"] for found in answer.get("Contents", [])], answer["IsTruncated"]

            keys, more = await self._run(page, deadline, changes=False)
            for key in keys:
                yield key
            if not more:
                return
            after = keys[-1]

    async def folders(self, prefix: str, *, deadline: Deadline) -> list[str]:
        """Return what follows a prefix in the keys that begin with it, up to the next `/`, each once, in order."""
        folders: list[str] = []
        begin: dict[str, Any] = {}
        while True:

            def page(client: "S3Client", begin: dict[str, Any] = begin) -> tuple[list[str], dict[str, Any]]:
                answer = client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, Delimiter="/", **begin)
                found = [each["Prefix"] for each in answer.get("CommonPrefixes", [])]
                return found, {"ContinuationToken": answer["NextContinuationToken"]} if answer["IsTruncated"] else {}

            found, begin = await self._run(page, deadline, changes=False)
            folders += [each.removeprefix(prefix).removesuffix("/") for each in found]
            if not begin:
                return folders

    async def versions(self, prefix: str, *, deadline: Deadline) -> list[ObjectVersion]:
        """Return all versions of the objects whose keys begin with a prefix, markers of deletions included."""
        return [version async for version in self.each_version(prefix, deadline=deadline)]

    async def each_version(self, prefix: str, *, deadline: Deadline) -> AsyncIterator[ObjectVersion]:
        """Go through all versions of the objects whose keys begin with a prefix, markers of deletions included."""
        begin: dict[str, Any] = {}
        while True:

            def page(client: "S3Client", begin: dict[str, Any] = begin) -> tuple[list[ObjectVersion], dict[str, Any]]:
                answer = client.list_object_versions(Bucket=self._bucket, Prefix=prefix, **begin)
                found = [
                    ObjectVersion(each["Key"], each["VersionId"], each["IsLatest"], marker=False)
                    for each in answer.get("Versions", [])
                ] + [
                    ObjectVersion(each["Key"], each["VersionId"], each["IsLatest"], marker=True)
                    for each in answer.get("DeleteMarkers", [])
                ]
                more = {
                    "KeyMarker": answer.get("NextKeyMarker", ""),
                    "VersionIdMarker": answer.get("NextVersionIdMarker", ""),
                }
                return found, more if answer["IsTruncated"] else {}

            found, begin = await self._run(page, deadline, changes=False)
            for version in found:
                yield version
            if not begin:
                return

    async def _put(
        self, key: str, body: bytes, condition: dict[Literal["IfNoneMatch", "IfMatch"], str], deadline: Deadline
    ) -> StoredObject:
        def put(client: "S3Client") -> StoredObject:
            request: PutObjectRequestTypeDef = {
                "Bucket": self._bucket,
                "Key": key,
                "Body": body,
                "ContentType": "application/json",
                **condition,  # type: ignore[typeddict-item]
            }
            answer = client.put_object(**request)
            return StoredObject(body, answer["ETag"], answer.get("VersionId"))

        for _ in range(_CONFLICTS):
            try:
                return await self._run(put, deadline, changes=True)
            except _MissingError:
                # If-Match, and there is nothing.
                raise PreconditionFailedError from None
            except _ConflictError:
                await asyncio.sleep(random.uniform(0, _CONFLICT_SECONDS))  # noqa: S311 - only spreads attempts
        raise UnavailableError("Others write the same part of the journal all the time. It is safe to try again.")

    async def _run(self, call: Callable[["S3Client"], _T], deadline: Deadline, *, changes: bool) -> _T:
        """Run a call of the client in a thread.

        Raises:
            _MissingError: There is nothing under that key.
            PreconditionFailedError: Its condition does not hold.
            _ConflictError: It has to be repeated.
            UnavailableError: It was not answered in time, or refused.
        """
        seconds = deadline.remaining()
        if seconds <= 0:
            raise UnavailableError("No time was left for the journal. It is safe to try again.")
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.get_running_loop().run_in_executor(
                    self._executor, self._call, call, deadline, changes
                )
        except (TimeoutError, _DeadlineExpiredError):
            raise no_answer(f"did not answer within {seconds:.1f} seconds", changes=changes) from None

    def _call(self, call: Callable[["S3Client"], _T], deadline: Deadline, changes: bool) -> _T:
        from botocore.exceptions import BotoCoreError, ClientError

        self._thread.deadline = deadline
        try:
            return call(self._client())
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in MISSING:
                raise _MissingError from None
            if code == PRECONDITION_FAILED:
                raise PreconditionFailedError from None
            if code == CONDITIONAL_REQUEST_CONFLICT:
                raise _ConflictError from None
            raise refusal(error.response, changes=changes) from None
        except BotoCoreError as error:
            # The class says what happened; the message may hold the endpoint, and with it the bucket.
            raise no_answer(f"could not be reached ({type(error).__name__})", changes=changes) from None

    def _client(self) -> "S3Client":
        with self._making:
            if self._made is None:
                import boto3
                from botocore.config import Config

                client: S3Client = boto3.client(
                    "s3",
                    config=Config(
                        # Else URLs are signed in the old way, which newer buckets refuse.
                        signature_version="s3v4",
                        connect_timeout=_CONNECT_SECONDS,
                        read_timeout=_READ_SECONDS,
                        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
                        max_pool_connections=_CONCURRENCY,
                    ),
                )
                client.meta.events.register_first("before-send.s3", self._refuse_late)
                self._made = client
            return self._made

    def _refuse_late(self, **_: object) -> None:
        # Before each attempt, so that a thread that was frozen or repeats a request writes nothing after its call.
        deadline: Deadline = self._thread.deadline
        if deadline.expired:
            raise _DeadlineExpiredError
