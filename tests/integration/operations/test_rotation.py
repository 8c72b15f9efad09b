"""Rotating the origin secret, about a distribution, a secret and a web ACL in moto, cut short wherever it can be."""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.moto_api import state_manager

from remora.auth.edge import ORIGIN_HEADER, VIEWER_HEADER, Edge
from remora.aws import Aws
from remora.errors import ConflictError, InvalidArgumentError, UnavailableError
from remora.operations import rotation
from remora.operations.deployment import Deployment, Whereabouts, find
from remora.operations.rotation import Outcome, rotate
from tests.integration.operations.conftest import Remora

FIRST = "First" * 12 + "abcd"
CHANGES = ("PutSecretValue", "UpdateSecretVersionStage", "UpdateDistribution", "UpdateWebACL")
VIEWER = "203.0.113.7"
BEFORE, AFTER = "before-call.*.*", "after-call.*.*"
UPDATING_DISTRIBUTION = "provide-client-params.cloudfront.UpdateDistribution"
UPDATING_WEB_ACL = "provide-client-params.wafv2.UpdateWebACL"
EVENTS = (BEFORE, AFTER, UPDATING_DISTRIBUTION, UPDATING_WEB_ACL)


class Killed(BaseException):
    """The process has come to its end."""


@dataclass(frozen=True)
class Front:
    """What is in front of a deployment."""

    secret: str
    distribution: str
    acl: str
    clients: Mapping[str, Any]
    own: Mapping[str, Any]
    aws: Aws
    found: Deployment

    def deployment(self) -> Deployment:
        """Return the deployment, with clients that nobody watches."""
        for client in self.clients.values():
            for event in EVENTS:
                client.meta.events.unregister(event, unique_id=event)
        return self.found

    def hooked(self, event: str, hook: Callable[..., None]) -> Deployment:
        """Return the deployment with clients that call a hook at an event."""
        deployment = self.deployment()
        for client in self.clients.values():
            client.meta.events.register(event, hook, unique_id=event)
        return deployment

    def watched(self, event: str, hook: Callable[[str], None]) -> Deployment:
        """Return the deployment with clients that call a hook with each operation's name, before or after it."""
        return self.hooked(event, lambda model, **_: hook(model.name))

    def shown(self) -> str:
        found = self.own["cloudfront"].get_distribution(Id=self.distribution)["Distribution"]
        (origin,) = found["DistributionConfig"]["Origins"]["Items"]
        (header,) = (item for item in origin["CustomHeaders"]["Items"] if item["HeaderName"] == ORIGIN_HEADER)
        value: str = header["HeaderValue"]
        return value

    def rules(self) -> Any:
        return self.web_acl()["WebACL"]["Rules"]

    def web_acl(self) -> Any:
        name, acl_id = self.acl.split("/")[-2:]
        return self.own["wafv2"].get_web_acl(Name=name, Scope="REGIONAL", Id=acl_id)

    def looked_for(self) -> str:
        statement = self.rules()[0]["Statement"]["RateBasedStatement"]["ScopeDownStatement"]["ByteMatchStatement"]
        text: str = statement["SearchString"].decode()
        return text

    def version(self, stage: str = "AWSCURRENT") -> str:
        found = self.own["secretsmanager"].get_secret_value(SecretId=self.secret, VersionStage=stage)
        text: str = found["SecretString"]
        return text

    def lets_in(self) -> bool:
        headers = {ORIGIN_HEADER: self.shown(), VIEWER_HEADER: VIEWER}
        return Edge(self.secret, self.aws).caller_address(headers, "192.0.2.1") == VIEWER


def rules(secret: str) -> list[dict[str, Any]]:
    visibility = {"CloudWatchMetricsEnabled": True, "MetricName": "address-limit", "SampledRequestsEnabled": False}
    match = {
        "FieldToMatch": {"SingleHeader": {"Name": ORIGIN_HEADER}},
        "PositionalConstraint": "EXACTLY",
        "SearchString": secret.encode(),
        "TextTransformations": [{"Priority": 0, "Type": "NONE"}],
    }
    statement = {
        "Limit": 2000,
        "AggregateKeyType": "CUSTOM_KEYS",
        "CustomKeys": [{"Header": {"Name": VIEWER_HEADER, "TextTransformations": match["TextTransformations"]}}],
        "ScopeDownStatement": {"ByteMatchStatement": match},
    }
    rule = {"Name": "address", "Priority": 0, "Statement": {"RateBasedStatement": statement}}
    return [{**rule, "Action": {"Block": {}}, "VisibilityConfig": visibility}]


def make_distribution(headers: dict[str, str]) -> str:
    items = [{"HeaderName": name, "HeaderValue": value} for name, value in headers.items()]
    origin = {
        "Id": "api",
        "DomainName": "api.example.com",
        "OriginPath": "/dev",
        "CustomHeaders": {"Quantity": len(items), "Items": items},
        "CustomOriginConfig": {
            "HTTPPort": 80,
            "HTTPSPort": 443,
            "OriginProtocolPolicy": "https-only",
            "OriginSslProtocols": {"Quantity": 1, "Items": ["TLSv1.2"]},
        },
    }
    behavior = {"TargetOriginId": "api", "ViewerProtocolPolicy": "https-only", "CachePolicyId": "none"}
    config: Any = {
        "CallerReference": str(uuid.uuid4()),
        "Origins": {"Quantity": 1, "Items": [origin]},
        "DefaultCacheBehavior": behavior,
        "Comment": "remora",
        "Enabled": True,
    }
    made = boto3.client("cloudfront").create_distribution(DistributionConfig=config)
    distribution: str = made["Distribution"]["Id"]
    return distribution


@pytest.fixture(scope="module")
def made_clients(aws_session: boto3.Session, moto_url: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Clients for the rotation, and others for the tests; making them takes long enough to be shared."""
    services = ("cloudfront", "secretsmanager", "wafv2")
    watched, own = (
        {name: aws_session.client(name, endpoint_url=moto_url) for name in services}  # type: ignore[call-overload]
        for _ in range(2)
    )
    return watched, own


@pytest.fixture
def front(
    aws_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    made_clients: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> Iterator[Front]:
    """A deployment whose distribution, web ACL and secret agree."""
    monkeypatch.setattr(rotation, "_POLL_SECONDS", 0.0)
    secret = boto3.client("secretsmanager").create_secret(Name=f"origin-{uuid.uuid4()}", SecretString=FIRST)["ARN"]
    distribution = make_distribution({"x-other": "kept", ORIGIN_HEADER: FIRST})
    waf = boto3.client("wafv2")
    acl = waf.create_web_acl(
        Name=f"limit-{uuid.uuid4()}",
        Scope="REGIONAL",
        DefaultAction={"Allow": {}},
        Description="How often one address may call.",
        CustomResponseBodies={"too-many-requests": {"ContentType": "APPLICATION_JSON", "Content": "{}"}},
        Rules=rules(FIRST),  # type: ignore[arg-type]
        VisibilityConfig=rules(FIRST)[0]["VisibilityConfig"],
    )["Summary"]["ARN"]
    stack = f"remora-{uuid.uuid4()}"
    outputs = {"OriginSecretArn": secret, "DistributionId": distribution, "AddressLimitArn": acl}
    template = {
        "Parameters": {"Distribution": {"Type": "String", "Default": "true"}},
        "Resources": {"Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": stack}}},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(StackName=stack, TemplateBody=json.dumps(template))
    clients, own = made_clients
    found = replace(find(Whereabouts(stack, None, None, Path())), make_client=clients.__getitem__)
    yield Front(secret, distribution, acl, clients, own, Aws(), found)
    state_manager.unset_transition("cloudfront::distribution")
    cloudformation.delete_stack(StackName=stack)


def ignore(_: str) -> None:
    pass


def test_everything_shows_the_new_version_and_the_one_before_is_accepted_too(
    front: Front, remora: Remora, aws_environment: dict[str, str]
) -> None:
    before = front.web_acl()["WebACL"]
    done = remora("edge", "rotate", "--stack", front.found.name, **aws_environment)
    assert done.returncode == 0, done.stderr
    new = front.version()
    assert new != FIRST
    assert len(new) == 64
    assert new.isalnum()
    assert new.isascii()
    assert front.shown() == front.looked_for() == new
    assert front.version("AWSPREVIOUS") == FIRST
    assert "You may rotate again now" in done.stdout
    for text in (FIRST, new):
        assert text not in done.stdout + done.stderr
    # Everything else is as it was.
    after = front.web_acl()["WebACL"]
    assert {**after, "Rules": None} == {**before, "Rules": None}
    (expected,) = rules(new)
    assert front.rules()[0]["Statement"] == expected["Statement"]
    config = boto3.client("cloudfront").get_distribution(Id=front.distribution)["Distribution"]["DistributionConfig"]
    (origin,) = config["Origins"]["Items"]
    assert {"HeaderName": "x-other", "HeaderValue": "kept"} in origin["CustomHeaders"]["Items"]
    assert origin["OriginPath"] == "/dev"


def test_what_the_distribution_shows_is_accepted_at_every_moment(front: Front) -> None:
    seen: list[str] = []

    def look(operation: str) -> None:
        seen.append(operation)
        assert front.lets_in(), seen

    for _ in range(3):
        assert rotate(front.watched(AFTER, look), ignore) is Outcome.ROTATED
    assert [operation for operation in seen if operation in CHANGES] == [*CHANGES] * 3


@pytest.mark.parametrize("event", [BEFORE, AFTER])
def test_wherever_it_is_cut_short_nobody_is_refused_and_the_next_run_finishes_it(front: Front, event: str) -> None:
    calls: list[str] = []
    rotate(front.watched(event, calls.append), ignore)
    for survived in range(len(calls)):
        before, left = front.version(), survived

        def cut(_: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed

        with pytest.raises(Killed):
            rotate(front.watched(event, cut), ignore)
        assert front.lets_in(), calls[survived]
        began, complete = front.version(), front.shown() == front.looked_for() == front.version()
        assert rotate(front.deployment(), ignore) is (Outcome.ROTATED if complete else Outcome.FINISHED)
        assert front.shown() == front.looked_for() == front.version()
        # Another version would have made the one that is shown elsewhere worthless.
        assert complete or front.version() == began != before
        assert front.lets_in()


def test_a_rotation_waits_until_the_one_before_has_arrived_everywhere(front: Front) -> None:
    rotate(front.deployment(), ignore)
    before = front.version()
    state_manager.set_transition("cloudfront::distribution", {"progression": "manual", "times": 6})
    # moto's are on their way only when they are new.
    made = make_distribution({ORIGIN_HEADER: before})
    outputs = {**front.deployment().outputs, "DistributionId": made}
    told: list[str] = []
    assert rotate(replace(front.deployment(), outputs=outputs), told.append) is Outcome.FINISHED
    assert front.own["cloudfront"].get_distribution(Id=made)["Distribution"]["Status"] == "Deployed"
    assert front.version() == before
    assert "cut short" in told[0]


def test_of_two_at_once_one_is_told_to_try_again(front: Front) -> None:
    def overtake(operation: str) -> None:
        if operation == "UpdateSecretVersionStage":
            rotate(front.deployment(), ignore)

    with pytest.raises(ConflictError, match="same command again"):
        rotate(front.watched(BEFORE, overtake), ignore)
    assert front.shown() == front.looked_for() == front.version()
    assert front.lets_in()


def test_a_web_acl_that_somebody_else_changes_is_not_overwritten(front: Front) -> None:
    def meddle(operation: str) -> None:
        if operation == "UpdateWebACL":
            found = front.web_acl()
            name, acl_id = front.acl.split("/")[-2:]
            boto3.client("wafv2").update_web_acl(
                Name=name,
                Id=acl_id,
                Scope="REGIONAL",
                LockToken=found["LockToken"],
                DefaultAction={"Allow": {}},
                Rules=found["WebACL"]["Rules"],
                VisibilityConfig=found["WebACL"]["VisibilityConfig"],
            )

    with pytest.raises(ConflictError, match="same command again"):
        rotate(front.watched(BEFORE, meddle), ignore)
    assert rotate(front.deployment(), ignore) is Outcome.FINISHED
    assert front.looked_for() == front.version()


def test_the_distribution_is_changed_only_if_it_is_as_it_was_read(front: Front) -> None:
    conditions: list[str] = []
    deployment = front.hooked(UPDATING_DISTRIBUTION, lambda params, **_: conditions.append(params["IfMatch"]))
    rotate(deployment, ignore)
    assert conditions == [boto3.client("cloudfront").get_distribution(Id=front.distribution)["ETag"]]


def test_what_aws_says_of_a_refused_value_does_not_show_it(front: Front) -> None:
    def refuse(params: dict[str, Any], **_: object) -> None:
        match = params["Rules"][0]["Statement"]["RateBasedStatement"]["ScopeDownStatement"]["ByteMatchStatement"]
        message = f"Error reason: not allowed, parameter: {match['SearchString'].decode()}"
        raise ClientError({"Error": {"Code": "WAFInvalidParameterException", "Message": message}}, "UpdateWebACL")

    with pytest.raises(UnavailableError, match=r"parameter: \[the secret\]") as refused:
        rotate(front.hooked(UPDATING_WEB_ACL, refuse), ignore)
    assert front.version() not in str(refused.value)


def test_without_a_web_acl_there_is_none_to_change(front: Front) -> None:
    outputs = {name: value for name, value in front.deployment().outputs.items() if name != "AddressLimitArn"}
    assert rotate(replace(front.deployment(), outputs=outputs), ignore) is Outcome.ROTATED
    assert front.shown() == front.version()
    assert front.looked_for() == FIRST


def test_it_refuses_where_there_is_nothing_to_rotate_or_the_stack_is_changing(front: Front) -> None:
    deployment = front.deployment()
    with pytest.raises(InvalidArgumentError, match="no distribution"):
        rotate(replace(deployment, parameters={"Distribution": "false"}), ignore)
    with pytest.raises(ConflictError, match="UPDATE_IN_PROGRESS"):
        rotate(replace(deployment, status="UPDATE_IN_PROGRESS"), ignore)
    outputs = {**deployment.outputs, "DistributionId": make_distribution({"x-other": "kept"})}
    with pytest.raises(InvalidArgumentError, match="shows no origin secret"):
        rotate(replace(deployment, outputs=outputs), ignore)
    assert front.version() == FIRST
