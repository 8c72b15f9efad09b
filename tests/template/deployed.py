"""`template.yaml` as CloudFormation receives it: transformed by AWS's own SAM translator."""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

TEMPLATE: Final = Path(__file__).parents[2] / "template.yaml"
METHODS: Final = ("get", "head", "post", "put", "patch", "delete", "options", "x-amazon-apigateway-any-method")

NO_VALUE: Final = {"Ref": "AWS::NoValue"}
EVERYTHING: Final = dict.fromkeys(
    (
        "HasChromaSecret",
        "HasDistribution",
        "HasDomain",
        "HasKey",
        "HasNetwork",
        "HasServer",
        "LimitsConnectors",
        "LimitsIngests",
        "UsesSnapStart",
    ),
    True,
)

Document = dict[str, Any]


@cache
def source() -> Document:
    """Return the template as written, with CloudFormation's short forms as mappings; to be read only."""
    document: Document = yaml_parse(TEMPLATE.read_text())
    return document


@dataclass(frozen=True)
class Route:
    """One method of one path, and what its definition asks of a caller."""

    path: str
    method: str
    security: frozenset[str]
    integration: str


def chosen(value: Any, conditions: Mapping[str, bool]) -> Any:
    """Return a value with each `Fn::If` decided, and what is then `AWS::NoValue` left out."""
    if isinstance(value, list):
        decided = [chosen(item, conditions) for item in value]
        return [item for item in decided if item != NO_VALUE]
    if not isinstance(value, dict):
        return value
    if "Fn::If" in value:
        condition, yes, no = value["Fn::If"]
        return chosen(yes if conditions[condition] else no, conditions)
    decided_items = {key: chosen(item, conditions) for key, item in value.items()}
    return {key: item for key, item in decided_items.items() if item != NO_VALUE}


@dataclass(frozen=True)
class Deployed:
    """The transformed template."""

    document: Document

    @property
    def resources(self) -> Mapping[str, Document]:
        """Every resource by its logical id."""
        resources: Mapping[str, Document] = self.document["Resources"]
        return resources

    def of_type(self, kind: str) -> dict[str, Document]:
        """Return the properties of every resource of a type, by logical id."""
        return {name: item.get("Properties", {}) for name, item in self.resources.items() if item["Type"] == kind}

    def only(self, kind: str) -> Document:
        """Return the properties of the one resource of a type."""
        (properties,) = self.of_type(kind).values()
        return properties

    @property
    def api(self) -> Document:
        """The API's OpenAPI definition."""
        body: Document = self.only("AWS::ApiGateway::RestApi")["Body"]
        return body

    def routes(self) -> list[Route]:
        """Return every method that the API has."""
        return [
            Route(
                path,
                method.upper(),
                frozenset(name for requirement in operation.get("security", []) for name in requirement),
                json.dumps(operation["x-amazon-apigateway-integration"]),
            )
            for path, operations in self.api["paths"].items()
            for method, operation in operations.items()
            if method in METHODS
        ]

    def environment(self, function: str) -> Document:
        """Return the environment variables of a function, of a deployment with everything."""
        variables: Document = self.resources[function]["Properties"]["Environment"]["Variables"]
        return dict(chosen(variables, EVERYTHING))

    def gateway_responses(self) -> Mapping[str, Document]:
        """Return what API Gateway answers by itself, by response type."""
        responses: Mapping[str, Document] = self.api["x-amazon-apigateway-gateway-responses"]
        return responses


@cache
def deployed(**parameters: str) -> Deployed:
    """Transform the template for a deployment with these parameters, and defaults for the rest."""
    document = deepcopy(source())  # the translator changes what it is given
    for resource in document["Resources"].values():
        for key in ("CodeUri", "ContentUri"):
            if key in resource.get("Properties", {}):
                resource["Properties"][key] = "s3://bucket/key"  # as `sam package` leaves it
    document["Globals"]["Function"].pop("CodeUri")
    for resource in document["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    session = boto3.Session(region_name="eu-central-1")
    values = {"ChromaHost": "chroma.internal", **parameters}
    return Deployed(Translator({}, Parser(), boto_session=session).translate(document, values))
