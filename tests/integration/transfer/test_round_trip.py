"""Any memories with any histories, imported and exported again: not a character is different."""

import asyncio
import json
from collections.abc import Callable, Iterator

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remora.chroma.client import ChromaClient
from remora.transfer.lines import HistoryEntry, MemoryLine
from tests.integration.transfer.conftest import LocalSpaces, soon
from tests.support.chroma_server import ChromaServer
from tests.unit.transfer.strategies import IDS, MOMENTS, histories

BUCKET = "transfer-any"

PURGED = st.builds(
    lambda version, at: (HistoryEntry(version=version, action="purge", at=at, by="example"),),
    st.integers(2, 5),
    MOMENTS,
)
LINES = IDS.flatmap(
    lambda id_: (histories(id_) | PURGED).map(lambda entries: MemoryLine(id=id_, entries=entries).to_json())
)


@pytest.fixture
def lasting(
    chroma_server: ChromaServer, aws_environment: dict[str, str]
) -> Iterator[tuple[asyncio.Runner, LocalSpaces]]:
    """An event loop, and spaces to be used on it."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    client = ChromaClient(chroma_server.host, chroma_server.port)
    with asyncio.Runner() as runner:
        yield runner, LocalSpaces(client, BUCKET)
        runner.run(client.aclose())


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(LINES, min_size=1, max_size=4, unique_by=lambda line: json.loads(line)["id"]))
def test_whatever_is_imported_is_exported_just_so(
    lasting: tuple[asyncio.Runner, LocalSpaces], new_space_name: Callable[[], str], lines: list[str]
) -> None:
    runner, spaces = lasting
    space = spaces.space(new_space_name())

    report = runner.run(space.transfer.import_lines(lines, deadline=soon()))

    assert (report.created, report.pending, report.conflicts, report.errors) == (len(lines), 0, (), ())
    exported = runner.run(space.export())
    assert exported[1:-1] == sorted(lines, key=lambda line: str(json.loads(line)["id"]))
    again = runner.run(space.transfer.import_lines(exported, deadline=soon()))
    assert (again.created, again.unchanged, again.conflicts) == (0, len(lines), ())
