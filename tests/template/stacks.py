"""The nested templates, as written, and what the user data of the Chroma server comes to."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from samtranslator.yaml_helper import yaml_parse

from tests.template.deployed import TEMPLATE, Document

STACKS: Final = TEMPLATE.parent / "stacks"
USER_DATA: Final = {
    "AWS::Region": "eu-central-1",
    "ChromaPort": "8000",
    "ChromaSha256": "0" * 64,
    "ChromaVersion": "1.5.9",
    "Deployment": "remora",
    "Interface": "eni-0123456789abcdef0",
    "Logs": "remora-Chroma-ABC-Logs-DEF",
    "PatchTime": "Sun *-*-* 03:30:00",
    "Volume": "vol-0123456789abcdef0",
}


@cache
def stack(name: str) -> Document:
    """Return a template of the folder `stacks`, with CloudFormation's short forms as mappings."""
    document: Document = yaml_parse((STACKS / f"{name}.yaml").read_text())
    return document


def resource(name: str, logical_id: str) -> Document:
    """Return the properties of a resource of a nested template."""
    properties: Document = stack(name)["Resources"][logical_id].get("Properties", {})
    return properties


def user_data(values: Mapping[str, str]) -> str:
    """Return the user data of the Chroma server, as its machine receives it.

    Args:
        values: What parameters and resources come to, by name; those of `USER_DATA` unless they say otherwise.
    """
    known = {**USER_DATA, **values}

    def text(part: Any) -> str:
        if isinstance(part, str):
            return part
        ((kind, value),) = part.items()
        if kind == "Ref":
            return known[str(value)]
        if kind == "Fn::If":
            return text(value[2])
        assert kind == "Fn::Sub"
        template, variables = (value, {}) if isinstance(value, str) else value
        for name, item in {**known, **{name: text(item) for name, item in variables.items()}}.items():
            template = template.replace(f"${{{name}}}", item)
        assert "${" not in template, template
        return str(template)

    separator, parts = resource("chroma", "LaunchTemplate")["LaunchTemplateData"]["UserData"]["Fn::Base64"][
        "Fn::Join"
    ]
    return str(separator).join(text(part) for part in parts)
