"""Files of jobs in S3: signed URLs to send and fetch them, and whole reads and writes."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from remora.chroma.deadline import Deadline
from remora.errors import InvalidArgumentError
from remora.journal import JournalStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class FileStore(JournalStore):
    """The memory's bucket, for files."""

    async def signed_url(
        self, operation: Literal["get_object", "put_object"], key: str, *, seconds: int, deadline: Deadline
    ) -> str:
        """Return a URL with which anyone may do one thing with one object for some time.

        Args:
            operation: Fetch it, or write it.
            key: The object's key.
            seconds: How long the URL works at most; less where the function's own credentials end before.
            deadline: When the answer must be there.
        """

        def sign(client: "S3Client") -> str:
            return client.generate_presigned_url(
                operation, Params={"Bucket": self._bucket, "Key": key}, ExpiresIn=seconds
            )

        return await self._run(sign, deadline, changes=False)

    async def read(self, key: str, *, max_bytes: int, deadline: Deadline) -> bytes | None:
        """Return a file's content; None if there is no such file.

        Raises:
            InvalidArgumentError: It is larger than `max_bytes`.
        """

        def read(client: "S3Client") -> bytes | int:
            answer = client.get_object(Bucket=self._bucket, Key=key)
            with answer["Body"] as body:
                return answer["ContentLength"] if answer["ContentLength"] > max_bytes else body.read()

        try:
            content = await self._run(read, deadline, changes=False)
        except KeyError:
            return None
        if isinstance(content, int):
            raise InvalidArgumentError(
                f"The file has {content:,} bytes; files up to {max_bytes:,} bytes are read. Send it in parts."
            )
        return content

    async def write(self, key: str, path: Path, *, content_type: str, deadline: Deadline) -> None:
        """Write a file of at most 5 GB."""

        def write(client: "S3Client") -> None:
            with path.open("rb") as body:
                client.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=content_type)

        await self._run(write, deadline, changes=True)
