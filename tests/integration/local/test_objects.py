"""The local S3: what is kept, what a listing shows, and that writes are undivided."""

import io
import socket
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remora.errors import InvalidArgumentError
from remora.local.aws import LocalAws
from remora.local.objects import ObjectTable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "remora-objects"
ROUNDS, WRITERS = 20, 16


def serve(data_dir: Path) -> LocalAws:
    aws = LocalAws(data_dir)
    aws.s3_client.create_bucket(Bucket=BUCKET)
    aws.s3_client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return aws


@pytest.fixture
def aws(tmp_path: Path) -> Iterator[LocalAws]:
    with serve(tmp_path) as aws:
        yield aws


@pytest.fixture
def s3(aws: LocalAws) -> "S3Client":
    return aws.s3_client


def content(s3: "S3Client", key: str, **options: Any) -> bytes:
    return s3.get_object(Bucket=BUCKET, Key=key, **options)["Body"].read()


def code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


# What S3 takes in a key and XML can say: no control characters, no noncharacters, no lone surrogates.
KEYS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cn"]) | st.sampled_from("/+%&?#=. ☕"), min_size=1, max_size=30
).filter(lambda key: not {".", ".."} & set(key.split("/")) and not key.startswith("/"))


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.dictionaries(KEYS, st.binary(max_size=2000), min_size=1, max_size=20))
def test_objects_are_the_same_after_a_restart(
    tmp_path_factory: pytest.TempPathFactory, bodies: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("objects")
    with serve(folder) as aws:
        put = {
            key: aws.s3_client.put_object(
                Bucket=BUCKET,
                Key=key,
                Body=body,
                ContentType="text/x-tea",
                Metadata={"leaf": "green", "under_score": "1"},
            )
            for key, body in bodies.items()
        }
    with serve(folder) as aws:
        for key, body in bodies.items():
            answer = aws.s3_client.get_object(Bucket=BUCKET, Key=key)
            assert answer["Body"].read() == body
            assert (answer["ETag"], answer["VersionId"]) == (put[key]["ETag"], put[key]["VersionId"])
            assert answer["ContentType"] == "text/x-tea"
            assert answer["Metadata"] == {"leaf": "green", "under_score": "1"}
        listed = aws.s3_client.list_objects_v2(Bucket=BUCKET)["Contents"]
        assert {found["Key"]: found["Size"] for found in listed} == {key: len(body) for key, body in bodies.items()}


def test_every_way_to_change_an_object_is_kept(tmp_path: Path) -> None:
    large = bytes(range(256)) * 40_000
    with serve(tmp_path) as aws:
        s3 = aws.s3_client
        for key in ("put", "deleted", "one", "two", "twice", "back"):
            s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
        first = s3.put_object(Bucket=BUCKET, Key="twice", Body=b"second")["VersionId"]
        s3.delete_object(Bucket=BUCKET, Key="twice", VersionId=first)
        s3.delete_object(Bucket=BUCKET, Key="deleted")
        marker = s3.delete_object(Bucket=BUCKET, Key="back")["VersionId"]
        s3.delete_object(Bucket=BUCKET, Key="back", VersionId=marker)
        s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "one"}, {"Key": "two"}]})
        s3.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": "put"})
        s3.upload_fileobj(io.BytesIO(large), BUCKET, "large")
    with serve(tmp_path) as aws:
        s3 = aws.s3_client
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
        assert keys == ["back", "copy", "large", "put", "twice"]
        assert content(s3, "twice") == b"twice"
        assert content(s3, "back") == b"back"
        assert content(s3, "copy") == b"put"
        assert content(s3, "large") == large
        assert content(s3, "large", Range="bytes=300-303") == large[300:304]
        history = s3.list_object_versions(Bucket=BUCKET, Prefix="deleted")
        assert [(item["IsLatest"], item["Size"]) for item in history["Versions"]] == [(False, 7)]
        assert [item["IsLatest"] for item in history["DeleteMarkers"]] == [True]
        assert content(s3, "deleted", VersionId=history["Versions"][0]["VersionId"]) == b"deleted"


def test_a_key_without_versions_can_be_written_anew(s3: "S3Client") -> None:
    version = s3.put_object(Bucket=BUCKET, Key="k", Body=b"1", IfNoneMatch="*")["VersionId"]
    s3.delete_object(Bucket=BUCKET, Key="k", VersionId=version)
    assert "Versions" not in s3.list_object_versions(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"2", IfNoneMatch="*")
    assert content(s3, "k") == b"2"


def conditionally(s3: "S3Client", key: str, body: bytes, **condition: Any) -> bool:
    """Write an object if a condition holds; return whether it did."""
    try:
        s3.put_object(Bucket=BUCKET, Key=key, Body=body, **condition)
    except ClientError as error:
        if code(error) != "PreconditionFailed":
            raise
        return False
    return True


def test_of_many_who_create_an_object_at_once_one_succeeds(s3: "S3Client") -> None:
    with ThreadPoolExecutor(WRITERS) as pool:
        for number in range(ROUNDS):
            key, bodies = f"created/{number}", [b"%d" % writer for writer in range(WRITERS)]
            created = pool.map(partial(conditionally, s3, key, IfNoneMatch="*"), bodies)
            winners = [body for body, won in zip(bodies, created, strict=True) if won]
            assert winners == [content(s3, key)]


def test_of_many_who_replace_an_object_at_once_each_sees_what_it_replaces(s3: "S3Client") -> None:
    s3.put_object(Bucket=BUCKET, Key="counter", Body=b"0")

    def count(_: int) -> None:
        replaced = False
        while not replaced:
            read = s3.get_object(Bucket=BUCKET, Key="counter")
            following = b"%d" % (int(read["Body"].read()) + 1)
            replaced = conditionally(s3, "counter", following, IfMatch=read["ETag"])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count, range(40)))
    assert content(s3, "counter") == b"40"


def test_an_upload_that_breaks_off_leaves_nothing(aws: LocalAws, s3: "S3Client") -> None:
    url = urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "half"}, ExpiresIn=60))
    assert url.hostname is not None
    with socket.create_connection((url.hostname, url.port or 80)) as connection:
        head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 500)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.makefile("rb").read()
    assert b"400 Bad Request" in answer
    assert b"IncompleteBody" in answer
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_a_write_that_does_not_fit_on_the_disk_is_refused_and_leaves_nothing(aws: LocalAws, s3: "S3Client") -> None:
    s3.put_object(Bucket=BUCKET, Key="kept", Body=b"before")
    with aws.objects.lock:
        (pages,) = aws.objects._database.execute("PRAGMA page_count").fetchone()
        aws.objects._database.execute(f"PRAGMA max_page_count = {pages + 1}")
    for key in ("kept", "new"):
        with pytest.raises(ClientError) as refused:
            s3.put_object(Bucket=BUCKET, Key=key, Body=b"x" * 100_000)
        assert code(refused.value) == "InternalError"
    assert content(s3, "kept") == b"before"
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["kept"]
    with aws.objects.lock:
        aws.objects._database.execute("PRAGMA max_page_count = 1000000")
    s3.put_object(Bucket=BUCKET, Key="new", Body=b"after", IfNoneMatch="*")
    assert content(s3, "new") == b"after"


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.sets(st.text("ab/é", min_size=1, max_size=5).filter(lambda key: not key.startswith("/")), max_size=12),
    prefix=st.text("ab/", max_size=2),
    delimiter=st.sampled_from(["", "/"]),
    page=st.integers(1, 4),
)
def test_a_listing_in_pages_shows_each_object_and_prefix_once_and_in_order(
    s3: "S3Client", keys: set[str], prefix: str, delimiter: str, page: int
) -> None:
    for old in s3.list_object_versions(Bucket=BUCKET).get("Versions", []):
        s3.delete_object(Bucket=BUCKET, Key=old["Key"], VersionId=old["VersionId"])
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"")
    expected = {key for key in keys if key.startswith(prefix)}
    if delimiter:
        cut = {key: key.find(delimiter, len(prefix)) for key in expected}
        expected = {key if end < 0 else key[: end + 1] for key, end in cut.items()}

    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix=prefix, Delimiter=delimiter, PaginationConfig={"PageSize": page}
    )
    shown = []
    for answer in pages:
        items = [item["Key"] for item in answer.get("Contents", [])]
        items += [item["Prefix"] for item in answer.get("CommonPrefixes", [])]
        assert len(items) <= page
        shown += sorted(items)
    assert shown == sorted(expected)

    histories = s3.get_paginator("list_object_versions").paginate(
        Bucket=BUCKET, Prefix=prefix, PaginationConfig={"PageSize": page}
    )
    versions = [item["Key"] for answer in histories for item in answer.get("Versions", [])]
    assert versions == sorted(key for key in keys if key.startswith(prefix))


def test_versions_are_listed_latest_first_through_pages_that_part_them(s3: "S3Client") -> None:
    put = [s3.put_object(Bucket=BUCKET, Key="k", Body=b"%d" % number)["VersionId"] for number in range(5)]
    marker = s3.delete_object(Bucket=BUCKET, Key="k")["VersionId"]
    other = s3.put_object(Bucket=BUCKET, Key="l", Body=b"")["VersionId"]
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET, PaginationConfig={"PageSize": 2})
    shown = [
        (item["VersionId"], item["IsLatest"])
        for page in pages
        for item in [*page.get("DeleteMarkers", []), *page.get("Versions", [])]
    ]
    latest = {marker, other}
    assert shown == [(version, version in latest) for version in (marker, *reversed(put), other)]


def test_what_has_expired_is_removed_with_its_versions(tmp_path: Path) -> None:
    with serve(tmp_path) as aws:
        for key in ("short/old", "short/old", "short/new", "long/old"):
            aws.s3_client.put_object(Bucket=BUCKET, Key=key, Body=b"")
        old = (datetime.now(UTC) - timedelta(days=2)).replace(tzinfo=None).isoformat(timespec="microseconds")
        with aws.objects.lock:
            aws.objects._database.execute("UPDATE versions SET modified = ? WHERE key LIKE '%/old'", (old,))
            limit = (datetime.now(UTC) - timedelta(days=1)).replace(tzinfo=None).isoformat(timespec="microseconds")
            assert aws.objects.expire(BUCKET, "short/", limit) == 1
        listed = aws.s3_client.list_object_versions(Bucket=BUCKET)["Versions"]
        assert [item["Key"] for item in listed] == ["long/old", "short/new"]


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "objects.sqlite3").write_bytes(b"this is no database" * 100)
    with pytest.raises(
        InvalidArgumentError, match=r"objects\.sqlite3, which holds the objects of S3, cannot be used"
    ):
        LocalAws(tmp_path)


def test_an_object_and_the_events_about_it_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    table = ObjectTable(tmp_path / "objects.sqlite3")
    table.apply(events=[("F", "{}")])
    assert [(event.function, event.attempts) for event in table.pending_events()] == [("F", 0)]
    (event,) = table.pending_events()
    table.count_attempt(event.id)
    assert table.pending_events()[0].attempts == 1
    table.settle_event(event.id)
    table.close()
    again = ObjectTable(tmp_path / "objects.sqlite3")
    assert again.pending_events() == []
    again.apply(events=[("F", "{}")])
    # A later event never has the id of an earlier one, so that "behind this one" stays true.
    assert again.pending_events()[0].id > event.id
    again.close()
    with sqlite3.connect(tmp_path / "objects.sqlite3") as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
