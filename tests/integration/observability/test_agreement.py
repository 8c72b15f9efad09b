"""The dashboard, the alarms and the queries ask for what the functions really write.

Every function runs as it does in Lambda, does something of each kind, and what it wrote is compared.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

import boto3
import pytest

from remora.auth.keys import generate_key
from tests.integration.observability.conftest import NAMESPACE, Start
from tests.support.chroma_server import ChromaServer
from tests.support.lambda_event import event, tool_call
from tests.support.observability import Metric, Observability
from tests.template.deployed import source

METHOD_ARN = "arn:aws:execute-api:eu-central-1:123456789012:api123/dev/POST/mcp"
VOLUME_GIB = 20
# Written by the agent on Chroma's machine, as its configuration says (stacks/chroma.yaml).
SERVER = {"disk_used_percent", "disk_used", "mem_used_percent", "procstat_memory_rss"}
# Written by metric filters, and of those that happen rarely by functions that this test does not bring so far.
FILTERED = {"InvalidApiKeys", "Throttled", "QuotaExceeded"}
# What Logs Insights finds of itself.
BUILT_IN = {"@timestamp", "@message"}
Lines = dict[str, list[dict[str, Any]]]


def authorizer_event(key: str) -> dict[str, Any]:
    return {
        "type": "REQUEST",
        "methodArn": METHOD_ARN,
        "resource": "/mcp",
        "path": "/mcp",
        "httpMethod": "POST",
        "headers": {"authorization": f"Bearer {key}"},
        "requestContext": {"identity": {"sourceIp": "192.0.2.1"}, "stage": "dev", "apiId": "api123"},
    }


def made(key: str) -> dict[str, Any]:
    return {"detail": {"object": {"key": key, "size": 1}, "bucket": {"name": "memory"}}}


@pytest.fixture
def lines(start: Start, own_chroma_server: ChromaServer, bucket: str, key: str) -> Lines:
    """What the functions write, by function, when they have done everything that they are asked about."""
    s3, ec2 = boto3.client("s3"), boto3.client("ec2")
    volume = ec2.create_volume(AvailabilityZone="eu-central-1a", Size=VOLUME_GIB)["VolumeId"]
    ec2.create_snapshot(VolumeId=volume)
    port = str(own_chroma_server.port)
    connector = start("connector", REMORA_CHROMA_PORT=port)
    connector.invoke(tool_call("memory_store", {"content": "The lamp is in the cellar."}))
    connector.invoke(tool_call("memory_search", {"query": "lamp"}))
    connector.invoke(tool_call("chroma_query_documents", {"collection_name": "none", "query_texts": ["x"]}))
    connector.invoke(event("resources/read", {"uri": "memory://no/such"}))
    authorizer = start("authorizer")
    authorizer.invoke(authorizer_event(key))
    authorizer.invoke(authorizer_event(generate_key("alice")))
    watch = start("watch", REMORA_CHROMA_VOLUME=volume)
    watch.invoke({})
    upkeep = start("upkeep", REMORA_CHROMA_PORT=port, REMORA_BACKUPS="daily")
    upkeep.invoke({})
    # A purge that died half way: its tombstone is there, and so is what it should have destroyed.
    (stored,) = s3.list_objects_v2(Bucket=bucket, Prefix="memories/example/")["Contents"]
    _die_in_a_purge(bucket, stored["Key"])
    s3.delete_object(Bucket=bucket, Key=_swept(bucket))
    own_chroma_server.kill()
    connector.invoke(tool_call("memory_store", {"content": "Kept while Chroma is down."}))
    upkeep.invoke({})
    upkeep.invoke({"requestPayload": made("uploads/example/0123456789abcdefghjkmnpqrs/file")})
    ingest = start("ingest", REMORA_CHROMA_PORT=port)
    ingest.invoke(made("uploads/example/0123456789abcdefghjkmnpqrs/file"))
    processes = {
        "connector": connector,
        "authorizer": authorizer,
        "watch": watch,
        "upkeep": upkeep,
        "ingest": ingest,
    }
    return {function: process.lines() for function, process in processes.items()}


def _die_in_a_purge(bucket: str, key: str) -> None:
    s3 = boto3.client("s3")
    entry = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    folder, _, _ = key.rpartition("/")
    tombstone = entry | {"version": 2, "action": "purge", "memory": None}
    s3.put_object(Bucket=bucket, Key=f"{folder}/00000002.json", Body=json.dumps(tombstone))
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(entry | {"memory": None}))


def _swept(bucket: str) -> str:
    (found,) = boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix="upkeep/")["Contents"]
    return found["Key"]


def written(lines: Iterable[dict[str, Any]]) -> set[Metric]:
    """Return every metric that CloudWatch makes of lines in the embedded metric format."""
    metrics: set[Metric] = set()
    for line in lines:
        for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
            for names in directive["Dimensions"]:
                dimensions = frozenset((name, line[name]) for name in names)
                metrics |= {Metric(directive["Namespace"], each["Name"], dimensions) for each in directive["Metrics"]}
    return metrics


def test_every_metric_that_is_asked_for_is_written(lines: Lines) -> None:
    stack = Observability()
    found = written(line for function in lines.values() for line in function)
    assert {metric.namespace for metric in found} == {NAMESPACE}
    for metric in (*stack.alarmed(), *stack.shown()):
        if metric.namespace.startswith("AWS/"):
            continue
        if metric.namespace == "Remora/Chroma":
            assert metric.name in SERVER
            assert metric.dimensions == {("Deployment", "example")}
        elif metric.name in FILTERED:
            assert not metric.dimensions
        elif metric.name != "Bugs":  # there is none that a test could ask for
            assert metric in found, metric
    for namespace, dimensions, name in stack.searched():
        assert any(
            (each.namespace, frozenset(key for key, _ in each.dimensions), each.name) == (namespace, dimensions, name)
            for each in found
        ), (dimensions, name)


def test_what_a_filter_counts_is_a_field_of_the_access_log_with_a_value_that_api_gateway_writes() -> None:
    stack, fields = Observability(), access_log_fields()
    types = set(source()["Resources"]["ConnectorApi"]["Properties"]["GatewayResponses"])
    filters = stack.of_type("AWS::Logs::MetricFilter").values()
    assert {each["MetricTransformations"][0]["MetricName"] for each in filters} == FILTERED
    for each in filters:
        found = re.fullmatch(r'\{ \$\.(\w+) = "(\w+)" \}', each["FilterPattern"])
        assert found
        assert fields[found[1]] == "$context.error.responseType"
        assert found[2] in types


def access_log_fields() -> dict[str, str]:
    setting = source()["Resources"]["ConnectorApi"]["Properties"]["AccessLogSetting"]
    fields: dict[str, str] = json.loads(setting["Format"])
    return fields


def fields_of(query: str) -> set[str]:
    """Return the fields that a query reads."""
    made = set(re.findall(r" as (\w+)", query))
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "", re.sub(r"SOURCE '[^']+'", "", query))
    words = set(re.findall(r"@?[A-Za-z_][A-Za-z0-9_.]*", text))
    grammar = {"fields", "filter", "stats", "sort", "limit", "desc", "by", "as", "and", "or", "count", "max", "bin"}
    return words - grammar - made - {"h"}


def flat(line: dict[str, Any], before: str = "") -> set[str]:
    names: set[str] = set()
    for name, value in line.items():
        names |= flat(value, f"{before}{name}.") if isinstance(value, dict) else {before + name}
    return names


def test_every_field_that_a_query_reads_is_written(lines: Lines) -> None:
    groups = {f"{function.capitalize()}Logs": lines[function] for function in lines}
    for name, sources, query in Observability().queries():
        if sources == ("OAuthLogs",):  # see the test of its handler
            assert fields_of(query) <= {"message", "level", "reason", "source_network"} | BUILT_IN
            continue
        if sources == ("AccessLogs",):
            there = set(access_log_fields())
        else:
            there = set().union(*(flat(line) for group in sources for line in groups[group] if "level" in line))
        assert fields_of(query) <= there | BUILT_IN, name


def test_what_a_query_looks_for_is_what_is_said(lines: Lines) -> None:
    said = {
        line["message"] for function in lines.values() for line in function if isinstance(line.get("message"), str)
    }
    for _, _, query in Observability().queries():
        for message in re.findall(r"message = ['\"]([^'\"]+)['\"]", query):
            assert message in said


def test_nothing_of_a_key_and_nothing_of_a_memory_is_written(lines: Lines, key: str) -> None:
    text = json.dumps(lines)
    assert key not in text
    assert key.rpartition("_")[2] not in text
    assert "cellar" not in text
