"""Reads the nested stack that holds the CloudFront distribution, as far as the local run plays it."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from remora.errors import InvalidArgumentError
from remora.local.aws import LocalAws
from remora.local.deployment import EdgeSettings
from remora.local.messages import Json

_STACK_NAME = "remora-local-edge"
_FUNCTION = "AWS::CloudFront::Function"
_DISTRIBUTION = "AWS::CloudFront::Distribution"
_SECRET_REFERENCE = re.compile(r"\{\{resolve:secretsmanager:(arn:[^{}]+?)(?::SecretString)?\}\}")

_Document = dict[str, Json]


def holds_distribution(template: _Document) -> bool:
    """Return whether a nested stack is the one with the distribution."""
    return any(resource.get("Type") == _DISTRIBUTION for resource in template["Resources"].values())


def edge_settings(path: Path, template: _Document, parameters: Mapping[str, str], aws: LocalAws) -> EdgeSettings:
    """Resolve what the local run needs of the distribution.

    Args:
        path: The nested stack's template, for messages.
        template: What it says.
        parameters: What the stack around it gives to it, resolved.
        aws: Where the secrets are that it refers to.

    Raises:
        InvalidArgumentError: It does not have one distribution with one origin and one function.
    """
    functions, distributions = _of_type(template, _FUNCTION), _of_type(template, _DISTRIBUTION)
    if len(functions) != 1 or len(distributions) != 1 or len(_origins(distributions[0])) != 1:
        raise InvalidArgumentError(
            f"{path} has {len(functions)} functions and {len(distributions)} distributions; "
            "the local run plays one function and one distribution with one origin."
        )
    stack: _Document = {
        **{section: template[section] for section in ("Parameters", "Mappings", "Conditions") if section in template},
        "Resources": {},
        "Outputs": {
            "Function": {"Value": functions[0]["FunctionCode"]},
            "Headers": {"Value": {"Fn::ToJsonString": _origins(distributions[0])[0].get("OriginCustomHeaders", [])}},
        },
    }
    client = aws.cloudformation
    client.create_stack(
        StackName=_STACK_NAME,
        TemplateBody=json.dumps(stack),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )
    created = client.describe_stacks(StackName=_STACK_NAME)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in created["Outputs"]}
    return EdgeSettings(
        function=outputs["Function"],
        origin_headers={
            header["HeaderName"]: _with_secrets(header["HeaderValue"], aws)
            for header in json.loads(outputs["Headers"])
        },
    )


def _of_type(template: _Document, kind: str) -> list[_Document]:
    return [resource["Properties"] for resource in template["Resources"].values() if resource["Type"] == kind]


def _origins(distribution: _Document) -> list[_Document]:
    origins: list[_Document] = distribution["DistributionConfig"]["Origins"]
    return origins


def _with_secrets(value: str, aws: LocalAws) -> str:
    """Resolve dynamic references to secrets, which moto leaves as they are."""

    def text(found: re.Match[str]) -> str:
        return aws.secretsmanager.get_secret_value(SecretId=found[1])["SecretString"]

    return _SECRET_REFERENCE.sub(text, value)
