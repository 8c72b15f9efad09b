"""The dashboard, alarms and saved queries: wired, valid, and made by CloudWatch as far as moto plays it."""

import json
import re
from typing import Any

import boto3
import pytest

from tests.support.observability import STACK, Document, Observability
from tests.template.deployed import deployed, source

CHROMA = [True, False]
# What AWS/… metrics have as dimensions, of what is asked for here.
AWS_DIMENSIONS = {
    "AWS/ApiGateway": {"ApiName", "Stage"},
    "AWS/Lambda": {"FunctionName", "Resource"},
    "AWS/SQS": {"QueueName"},
    "AWS/EC2": {"AutoScalingGroupName"},
}
AWS_METRICS = {
    "AWS/ApiGateway": {"Count", "4XXError", "5XXError", "Latency"},
    "AWS/Lambda": {"Invocations", "Errors", "Throttles", "Duration", "ConcurrentExecutions"},
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible"},
    "AWS/EC2": {"CPUUtilization", "CPUCreditBalance", "NetworkIn", "NetworkOut"},
}
ASKED_FOR = {
    "server-errors",
    "latency",
    "refusals",
    "invalid-api-key",
    "chroma-down",
    "disk",
    "memory",
    "key-age",
    "snapshot",
    "dead-letters",
    "upkeep-missing",
}
SILENCE_IS_TROUBLE = {"disk", "snapshot", "upkeep-missing", "watch-missing"}


def alarms(stack: Observability) -> dict[str, Document]:
    return {
        alarm["AlarmName"].removeprefix("example-"): alarm
        for alarm in stack.of_type("AWS::CloudWatch::Alarm").values()
    }


@pytest.mark.parametrize("chroma", CHROMA)
def test_every_alarm_tells_the_topic_when_it_begins_and_when_it_ends(chroma: bool) -> None:
    stack = Observability(chroma=chroma)
    (topic,) = stack.of_type("AWS::SNS::Topic")
    for alarm in alarms(stack).values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [f"arn:aws:sns:eu-central-1:123456789012:{topic}"]


def test_there_is_an_alarm_for_everything_that_should_wake_somebody() -> None:
    assert set(alarms(Observability())) >= ASKED_FOR
    assert set(alarms(Observability())) - set(alarms(Observability(chroma=False))) == {"disk", "memory", "snapshot"}


def test_the_topic_sends_mail_only_where_there_is_an_address() -> None:
    (subscription,) = Observability().of_type("AWS::SNS::Subscription").values()
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "me@example.com")
    assert Observability(email="").of_type("AWS::SNS::Subscription") == {}


def test_the_topic_has_the_deployments_key_where_there_is_one() -> None:
    (plain,) = Observability().of_type("AWS::SNS::Topic").values()
    (encrypted,) = Observability(key="arn:key").of_type("AWS::SNS::Topic").values()
    assert "KmsMasterKeyId" not in plain
    assert encrypted["KmsMasterKeyId"] == "arn:key"


@pytest.mark.parametrize("name", sorted(alarms(Observability())))
def test_an_alarm_says_what_silence_means_and_can_be_evaluated(name: str) -> None:
    alarm = alarms(Observability())[name]
    silence = "breaching" if name in SILENCE_IS_TROUBLE else alarm["TreatMissingData"]
    assert alarm["TreatMissingData"] == silence
    assert silence in {"breaching", "notBreaching", "ignore"}
    assert alarm["AlarmDescription"].endswith(".")
    for each in alarm.get("Metrics", [alarm]):
        period = each.get("Period") or each.get("MetricStat", {}).get("Period", 60)
        # At most a day together, or a week where a period is an hour or more.
        assert period % 60 == 0
        assert period * alarm["EvaluationPeriods"] <= (86_400 if period < 3_600 else 7 * 86_400)


def test_the_reason_for_what_silence_means_stands_beside_it() -> None:
    lines = STACK.read_text().splitlines()
    places = [place for place, line in enumerate(lines) if "TreatMissingData:" in line]
    assert len(places) == len(alarms(Observability()))
    assert all(lines[place - 1].strip().startswith("# ") for place in places)


def schema_problems(body: Document) -> list[str]:
    """Compare a dashboard with CloudWatch's description of its body.

    Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    """
    problems: list[str] = []
    known = {
        "text": ({"markdown"}, {"markdown", "background"}),
        "log": ({"query", "region"}, {"query", "region", "title", "view", "stacked", "accountId"}),
        "alarm": ({"alarms"}, {"alarms", "title", "sortBy", "states"}),
        "metric": (
            {"metrics", "region", "title"},
            {"metrics", "region", "title", "stat", "period", "view", "stacked", "yAxis", "annotations", "legend"},
        ),
    }
    options = {"color", "expression", "id", "label", "period", "region", "stat", "visible", "yAxis"}
    if set(body) - {"start", "end", "periodOverride", "variables", "widgets"}:
        problems.append("unknown fields of the dashboard")
    for widget in body["widgets"]:
        title = widget["properties"].get("title", widget["type"])
        needed, allowed = known[widget["type"]]
        properties = set(widget["properties"])
        if not (1 <= widget["width"] <= 24 and 1 <= widget["height"] <= 1000):
            problems.append(f"{title}: size")
        if needed - properties or properties - allowed:
            problems.append(f"{title}: {sorted(needed - properties)} missing, {sorted(properties - allowed)} unknown")
        ids: list[str] = []
        for row in widget["properties"].get("metrics", []):
            given = [item for item in row if isinstance(item, dict)]
            if len(given) > 1 or (given and row[-1] is not given[0]):
                problems.append(f"{title}: options are the last of a row")
            for item in given:
                problems += [f"{title}: {name}" for name in set(item) - options]
                ids += [item["id"]] if "id" in item else []
        if len(ids) != len(set(ids)) or not all(re.fullmatch(r"[a-z][A-Za-z0-9_]{0,254}", name) for name in ids):
            problems.append(f"{title}: ids")
        if len(widget["properties"].get("metrics", [])) > 500:
            problems.append(f"{title}: too many metrics")
    return problems


@pytest.mark.parametrize("chroma", CHROMA)
def test_the_dashboard_is_what_cloudwatch_accepts(chroma: bool) -> None:
    assert schema_problems(Observability(chroma=chroma).dashboard) == []
    assert len(Observability(chroma=chroma).dashboard["widgets"]) <= 500


def test_the_dashboard_answers_the_questions_in_their_order() -> None:
    texts = [widget for widget in Observability().dashboard["widgets"] if widget["type"] == "text"]
    questions = [widget["properties"]["markdown"].splitlines()[0] for widget in texts]
    assert questions == [
        "# Is it up?",
        "# Is it fast?",
        "# Who is refused, and why?",
        "# Who is throttled?",
        "# What does Chroma do?",
        "# Journal and jobs",
        "# What does it cost?",
    ]
    assert "us-east-1 alone" in texts[-1]["properties"]["markdown"]


@pytest.mark.parametrize("chroma", CHROMA)
def test_every_alarm_is_on_the_dashboard(chroma: bool) -> None:
    stack = Observability(chroma=chroma)
    (widget,) = (widget for widget in stack.dashboard["widgets"] if widget["type"] == "alarm")
    shown = {arn.rpartition(":")[2] for arn in widget["properties"]["alarms"]}
    assert shown == set(stack.of_type("AWS::CloudWatch::Alarm"))


def test_what_is_asked_of_aws_has_the_names_that_aws_gives_it() -> None:
    stack = Observability()
    for metric in (*stack.alarmed(), *stack.shown()):
        if metric.namespace.startswith("AWS/"):
            assert metric.name in AWS_METRICS[metric.namespace]
            assert {name for name, _ in metric.dimensions} <= AWS_DIMENSIONS[metric.namespace]


def test_gigabyte_seconds_are_counted_with_the_memory_that_functions_have() -> None:
    text = json.dumps(Observability().dashboard)
    for function, memory in (("authorizer", 512), ("oauth", 1024), ("upkeep", 1024), ("watch", 256)):
        logical = {"oauth": "OAuth"}.get(function, function.capitalize()) + "Function"
        assert deployed().resources[logical]["Properties"]["MemorySize"] == memory
        assert f"{function} * {memory} / 1024000" in text


def test_the_template_gives_the_stack_every_parameter_that_it_has() -> None:
    given = source()["Resources"]["Observability"]["Properties"]
    assert set(given["Parameters"]) == set(Observability().parameters) - {"AWS::Region"}


@pytest.mark.parametrize("chroma", CHROMA)
def test_cloudwatch_makes_the_dashboard_and_the_alarms(aws_environment: dict[str, str], chroma: bool) -> None:
    stack, cloudwatch = Observability(chroma=chroma), boto3.client("cloudwatch")
    cloudwatch.put_dashboard(DashboardName="example", DashboardBody=json.dumps(stack.dashboard))
    kept = cloudwatch.get_dashboard(DashboardName="example")["DashboardBody"]
    assert json.loads(kept) == stack.dashboard
    for name, alarm in alarms(stack).items():
        cloudwatch.put_metric_alarm(**alarm | {"AlarmName": name, "Threshold": float(alarm["Threshold"])})
        (made,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
        assert made["AlarmActions"] == alarm["AlarmActions"]
        assert made["TreatMissingData"] == alarm["TreatMissingData"]
        assert made["Threshold"] == float(alarm["Threshold"])
    cloudwatch.delete_alarms(AlarmNames=list(alarms(stack)))


def test_sns_and_logs_make_the_topic_the_filters_and_the_queries(aws_environment: dict[str, str]) -> None:
    stack = Observability()
    sns, logs = boto3.client("sns"), boto3.client("logs")
    (subscription,) = stack.of_type("AWS::SNS::Subscription").values()
    topic = sns.create_topic(Name="alarms")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol=subscription["Protocol"], Endpoint=subscription["Endpoint"])
    (made,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert made["Endpoint"] == "me@example.com"
    logs.create_log_group(logGroupName="AccessLogs")
    for name, each in stack.of_type("AWS::Logs::MetricFilter").items():
        (transformation,) = each["MetricTransformations"]
        lowered: Any = {key[0].lower() + key[1:]: value for key, value in transformation.items()}
        logs.put_metric_filter(
            logGroupName=each["LogGroupName"],
            filterName=name,
            filterPattern=each["FilterPattern"],
            metricTransformations=[lowered],
        )
    assert len(logs.describe_metric_filters(logGroupName="AccessLogs")["metricFilters"]) == 3
