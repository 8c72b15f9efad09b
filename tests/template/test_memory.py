"""The memory's bucket, what starts the functions that work on it, and what becomes of their failures."""

import json
from datetime import UTC, datetime

import pytest

from remora.local.buckets import CreatedObject
from remora.local.deployment import Rule
from remora.local.events import object_created, receivers
from tests.template.deployed import Document, deployed

JOURNAL = ("memories/", "claims/", "conversations/", "pending/")
FILES = ("jobs/", "uploads/", "exports/")


def bucket() -> Document:
    return deployed().only("AWS::S3::Bucket")


def lifecycle() -> list[Document]:
    rules: list[Document] = bucket()["LifecycleConfiguration"]["Rules"]
    assert all(rule["Status"] == "Enabled" for rule in rules)
    return rules


def test_the_bucket_is_closed_to_the_public() -> None:
    assert set(bucket()["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket()["PublicAccessBlockConfiguration"]) == 4
    assert bucket()["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert "CorsConfiguration" not in bucket()


def test_the_bucket_keeps_versions_and_is_encrypted() -> None:
    assert bucket()["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = bucket()["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    condition, own, default = rule["Fn::If"]
    assert condition == "HasKey"
    assert own["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"Ref": "KmsKeyArn"}}
    assert default["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_the_bucket_is_spoken_to_over_tls_alone() -> None:
    policy = deployed().only("AWS::S3::BucketPolicy")
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [
        {"Fn::GetAtt": ["MemoryBucket", "Arn"]},
        {"Fn::Sub": "${MemoryBucket.Arn}/*"},
    ]


@pytest.mark.parametrize("name", ["MemoryBucket", "MemoryBucketPolicy"])
def test_the_journal_outlives_the_stack(name: str) -> None:
    resource = deployed().resources[name]
    assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
    assert resource["UpdateReplacePolicy"] == "Retain"
    assert "BucketName" not in resource["Properties"]


def test_nothing_in_the_journal_of_memories_ever_expires() -> None:
    for rule in lifecycle():
        prefix = rule.get("Prefix", "")
        if "memories/".startswith(prefix) or prefix.startswith("memories/"):
            assert set(rule) == {"Id", "Status", "AbortIncompleteMultipartUpload"}


@pytest.mark.parametrize("prefix", FILES)
def test_files_of_jobs_expire(prefix: str) -> None:
    (rule,) = (rule for rule in lifecycle() if rule.get("Prefix") == prefix)
    assert 1 <= rule["ExpirationInDays"] <= 30
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == 1


@pytest.mark.parametrize("prefix", ["claims/", "conversations/", "pending/"])
def test_of_the_rest_of_the_journal_only_what_was_replaced_expires(prefix: str) -> None:
    (rule,) = (rule for rule in lifecycle() if rule.get("Prefix") == prefix)
    assert "ExpirationInDays" not in rule
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] >= 30
    assert rule["ExpiredObjectDeleteMarker"] is True


def test_the_bucket_names_no_function_so_that_nothing_runs_in_a_circle() -> None:
    assert bucket()["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    assert "Function" not in json.dumps(bucket())


def rule_of(function: str) -> Document:
    (rule,) = (
        rule
        for rule in deployed().of_type("AWS::Events::Rule").values()
        if {"Ref": f"{function}Aliaslive"} in [target["Arn"] for target in rule["Targets"]]
    )
    return rule


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("uploads/home/0123456789/file", True),
        ("jobs/home/0123456789/request-1.json", True),
        ("jobs/home/0123456789/job.json", False),
        ("exports/home/0123456789/memory.jsonl", False),
        ("memories/home/0123456789/00000001.json", False),
        ("memories/uploads/0123456789/00000001.json", False),
        ("pending/home/01.json", False),
    ],
)
def test_uploads_and_requests_start_ingest_and_nothing_else_does(key: str, expected: bool) -> None:
    pattern = rule_of("IngestFunction")["EventPattern"]
    assert pattern["detail"]["bucket"] == {"name": [{"Ref": "MemoryBucket"}]}
    resolved = {**pattern, "detail": {**pattern["detail"], "bucket": {"name": ["memory"]}}}
    event = object_created(CreatedObject("memory", key, 1, "etag", None), reason="PutObject", at=datetime.now(UTC))
    assert bool(receivers([Rule("Requested", resolved, None, ("IngestFunction",))], event)) is expected


def test_the_upkeep_runs_as_often_as_the_parameter_says() -> None:
    assert rule_of("UpkeepFunction")["ScheduleExpression"] == {"Fn::Sub": "rate(${UpkeepMinutes} minutes)"}


@pytest.mark.parametrize("function", ["IngestFunction", "UpkeepFunction"])
def test_only_its_rule_may_run_a_function_that_nobody_waits_for(function: str) -> None:
    (permission,) = (
        permission
        for permission in deployed().of_type("AWS::Lambda::Permission").values()
        if permission["FunctionName"] == {"Ref": f"{function}Aliaslive"}
    )
    assert permission["Principal"] == "events.amazonaws.com"
    (rule, _) = permission["SourceArn"]["Fn::GetAtt"]
    assert deployed().resources[rule]["Properties"] == rule_of(function)


def asynchronous(function: str) -> Document:
    (configuration,) = (
        configuration
        for configuration in deployed().of_type("AWS::Lambda::EventInvokeConfig").values()
        if configuration["FunctionName"] == {"Ref": function}
    )
    return configuration


@pytest.mark.parametrize(
    ("function", "told"),
    [
        ("IngestFunction", {"Ref": "UpkeepFunctionAliaslive"}),
        ("UpkeepFunction", {"Fn::GetAtt": ["DeadLetters", "Arn"]}),
        ("WatchFunction", {"Fn::GetAtt": ["DeadLetters", "Arn"]}),
    ],
)
def test_an_event_is_tried_three_times_and_then_somebody_is_told(function: str, told: Document) -> None:
    configuration = asynchronous(function)
    assert configuration["Qualifier"] == "live"
    assert configuration["MaximumRetryAttempts"] == 2
    assert configuration["DestinationConfig"] == {"OnFailure": {"Destination": told}}


def test_every_function_that_nobody_waits_for_says_what_becomes_of_its_failures() -> None:
    called = {
        target["Arn"]["Ref"].removesuffix("Aliaslive")
        for rule in deployed().of_type("AWS::Events::Rule").values()
        for target in rule["Targets"]
    }
    assert called == {"IngestFunction", "UpkeepFunction", "WatchFunction"}
    assert len(deployed().of_type("AWS::Lambda::EventInvokeConfig")) == len(called)


def test_dead_letters_are_kept_for_two_weeks_and_encrypted() -> None:
    queue = deployed().only("AWS::SQS::Queue")
    assert queue["MessageRetentionPeriod"] == 14 * 86_400
    assert queue["KmsMasterKeyId"] == {"Fn::If": ["HasKey", {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}]}
    assert queue["SqsManagedSseEnabled"] == {"Fn::If": ["HasKey", {"Ref": "AWS::NoValue"}, True]}


@pytest.mark.parametrize("prefix", ["backups/", "upkeep/"])
def test_what_the_upkeep_writes_expires(prefix: str) -> None:
    (rule,) = (rule for rule in lifecycle() if rule.get("Prefix") == prefix)
    assert rule["ExpirationInDays"] == ({"Ref": "BackupDays"} if prefix == "backups/" else 7)
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] == 1


def test_the_retries_of_a_job_end_while_its_file_is_still_there() -> None:
    seconds = asynchronous("IngestFunction")["MaximumEventAgeInSeconds"]
    (rule,) = (rule for rule in lifecycle() if rule.get("Prefix") == "uploads/")
    assert seconds < rule["ExpirationInDays"] * 86_400
