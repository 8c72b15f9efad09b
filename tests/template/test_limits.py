"""Limits of AWS that a deployment would meet and moto does not have. Where AWS says them: docs/aws-facts.md."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.template.deployed import TEMPLATE, Document, deployed, source
from tests.template.stacks import STACKS, stack, user_data

NESTED = sorted(path.stem for path in STACKS.glob("*.yaml"))
TEMPLATES = ["template", *NESTED]
TEMPLATE_BYTES, INLINE_BYTES = 1_048_576, 51_200
RESOURCES, PARAMETERS, OUTPUTS, MAPPINGS = 500, 200, 200, 200
PARAMETER_BYTES, PARAMETER_DESCRIPTION, DESCRIPTION_BYTES = 4_096, 4_000, 1_024
LOGICAL_ID = re.compile(r"[A-Za-z0-9]{1,255}")
# How long a name can be that a stack's name or a reference comes to: a secret's ARN is the longest.
LONGEST_REFERENCE = 640
ROLE_POLICIES, TRUST_POLICY = 10_240, 2_048
BUCKET_POLICY = 20_480
FUNCTION_POLICY = 20_480
# What Lambda writes around a permission: names, an id of 170 characters at most, two ARNs of 140, a service.
PERMISSION_BYTES = 560
DESCRIPTIONS = {
    "AWS::Lambda::Function": 256,
    "AWS::Lambda::LayerVersion": 256,
    "AWS::Lambda::Version": 256,
    "AWS::IAM::Role": 1_000,
    "AWS::SecretsManager::Secret": 2_048,
    "AWS::AppConfig::Application": 1_024,
    "AWS::WAFv2::WebACL": 256,
}
ALARM_DESCRIPTION = 1_024
LONGEST_STACK_NAME = 128
# What Lambda keeps for itself: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
RESERVED = {
    *("_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV"),
    *("AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION"),
    *("AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME"),
    *("AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"),
}
VARIABLE = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+")
EDGE_FUNCTION, INLINE_FUNCTION, USER_DATA = 10_240, 4 * 1_048_576, 16_384
PATTERN = 2_048


def document(name: str) -> Document:
    return source() if name == "template" else stack(name)


def resources(name: str) -> dict[str, Document]:
    """Return the resources of a template as CloudFormation sees them: the main one transformed."""
    found: dict[str, Document] = dict(deployed().resources) if name == "template" else stack(name)["Resources"]
    return found


def of_type(kind: str) -> Iterator[tuple[str, Document]]:
    for name in TEMPLATES:
        for logical, resource in resources(name).items():
            if resource["Type"] == kind:
                yield f"{name}: {logical}", resource.get("Properties", {})


def longest(value: Any) -> int:
    """Return how many characters a value can come to, with the longest of names in place of each reference."""
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref")):
        ((kind, item),) = value.items()
        if kind == "Fn::Sub":
            text = item if isinstance(item, str) else item[0]
            references = re.findall(r"\$\{[^!}][^}]*\}", text)
            return len(text) + sum(LONGEST_REFERENCE - len(reference) for reference in references)
        if kind == "Fn::If":
            return max(longest(item[1]), longest(item[2]))
        return 0 if item == "AWS::NoValue" else LONGEST_REFERENCE
    if isinstance(value, dict):
        return 2 + sum(len(json.dumps(key)) + 2 + longest(item) for key, item in value.items())
    if isinstance(value, list):
        return 2 + sum(longest(item) + 1 for item in value)
    return len(json.dumps(value))


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_fits_with_what_packaging_and_the_transform_make_of_it(name: str) -> None:
    # `sam deploy` puts it into S3; without that it would have to be smaller.
    written = (TEMPLATE if name == "template" else STACKS / f"{name}.yaml").stat().st_size
    processed = json.dumps(deployed().document if name == "template" else stack(name))
    packaged = yaml.safe_dump(json.loads(json.dumps(document(name))))  # anchors are written out
    assert max(written, len(processed), len(packaged)) < TEMPLATE_BYTES


@pytest.mark.parametrize("name", NESTED)
def test_a_nested_template_also_fits_into_a_request(name: str) -> None:
    # For whoever tries one with `aws cloudformation create-stack --template-body`.
    assert (STACKS / f"{name}.yaml").stat().st_size < INLINE_BYTES


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_has_no_more_of_anything_than_cloudformation_takes(name: str) -> None:
    assert len(resources(name)) <= RESOURCES
    assert len(document(name)["Parameters"]) <= PARAMETERS
    assert len(document(name).get("Outputs", {})) <= OUTPUTS
    assert len(document(name).get("Mappings", {})) <= MAPPINGS


@pytest.mark.parametrize("name", TEMPLATES)
def test_names_in_a_template_are_letters_and_digits(name: str) -> None:
    for section in ("Parameters", "Outputs"):
        assert all(LOGICAL_ID.fullmatch(key) for key in document(name).get(section, {}))
    assert all(LOGICAL_ID.fullmatch(key) for key in resources(name))


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_a_template_says_of_itself_is_not_too_long(name: str) -> None:
    assert len(document(name)["Description"].encode()) <= DESCRIPTION_BYTES
    for parameter in document(name)["Parameters"].values():
        assert len(parameter["Description"]) <= PARAMETER_DESCRIPTION
        assert len(str(parameter.get("Default", "")).encode()) <= PARAMETER_BYTES
    for output in document(name).get("Outputs", {}).values():
        assert len(output.get("Description", "").encode()) <= DESCRIPTION_BYTES


@pytest.mark.parametrize("kind", sorted(DESCRIPTIONS))
def test_a_description_is_not_too_long(kind: str) -> None:
    found = list(of_type(kind))
    assert found
    for where, properties in found:
        value = properties.get("Description", "")
        text = value if isinstance(value, str) else value["Fn::Sub"]
        references = re.findall(r"\$\{[^}]+\}", text)
        assert len(text) + sum(LONGEST_STACK_NAME - len(item) for item in references) <= DESCRIPTIONS[kind], where


def test_an_alarms_description_is_not_too_long() -> None:
    found = list(of_type("AWS::CloudWatch::Alarm"))
    assert found
    assert all(len(properties["AlarmDescription"]) <= ALARM_DESCRIPTION for _, properties in found)


def test_the_policies_of_a_role_fit_into_it_with_the_longest_names() -> None:
    for where, properties in of_type("AWS::IAM::Role"):
        written = [policy["PolicyDocument"] for policy in plain(properties.get("Policies", []))]
        assert sum(map(longest, written)) < ROLE_POLICIES, where
        assert longest(properties["AssumeRolePolicyDocument"]) < TRUST_POLICY, where


def plain(policies: list[Document]) -> Iterator[Document]:
    """Yield inline policies, those under a condition included."""
    for policy in policies:
        for item in policy["Fn::If"][1:] if "Fn::If" in policy else [policy]:
            if "PolicyDocument" in item:
                yield item


def test_the_bucket_policy_fits() -> None:
    ((_, properties),) = of_type("AWS::S3::BucketPolicy")
    assert longest(properties["PolicyDocument"]) < BUCKET_POLICY


def test_the_policy_of_a_function_holds_a_permission_for_each_route() -> None:
    # Each is a statement with an id, the function's ARN, the caller and its ARN.
    by_function: dict[str, int] = {}
    for _, properties in of_type("AWS::Lambda::Permission"):
        target = json.dumps(properties["FunctionName"])
        path = json.dumps(properties.get("SourceArn", ""))
        by_function[target] = by_function.get(target, 0) + PERMISSION_BYTES + len(path)
    assert by_function
    assert max(by_function.values()) < FUNCTION_POLICY


def test_variables_have_names_that_lambda_takes() -> None:
    found = list(of_type("AWS::Lambda::Function"))
    for where, properties in found:
        names = properties.get("Environment", {}).get("Variables", {})
        assert not RESERVED & set(names), where
        assert all(VARIABLE.fullmatch(name) for name in names), where
    assert len(found) > len(NESTED)


def test_the_function_at_the_edge_fits() -> None:
    (code,) = (properties["FunctionCode"]["Fn::Sub"] for _, properties in of_type("AWS::CloudFront::Function"))
    longest_url = 300  # a host of 253 characters, https:// and a port
    assert len(code.encode()) + longest_url < EDGE_FUNCTION


def test_inline_code_fits() -> None:
    codes = [
        (where, properties["Code"]["ZipFile"])
        for where, properties in of_type("AWS::Lambda::Function")
        if "ZipFile" in properties.get("Code", {})
    ]
    assert codes
    assert all(len(code) <= INLINE_FUNCTION for _, code in codes), [where for where, _ in codes]


def test_user_data_fits_with_the_longest_names() -> None:
    names = {"Deployment": "d" * LONGEST_STACK_NAME, "PatchTime": "t" * 64, "Logs": "l" * 512}
    assert len(user_data(names).encode()) < USER_DATA


def test_patterns_of_events_fit() -> None:
    for where, properties in of_type("AWS::Events::Rule"):
        assert longest(properties.get("EventPattern", {})) < PATTERN, where


def test_names_of_log_groups_fit_with_the_longest_stack_name() -> None:
    for where, properties in of_type("AWS::Logs::LogGroup"):
        text = properties.get("LogGroupName", {"Fn::Sub": ""})["Fn::Sub"]
        assert len(text.replace("${AWS::StackName}", "s" * LONGEST_STACK_NAME)) <= 512, where
        assert not text.startswith("aws/"), where
