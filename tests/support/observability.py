"""`stacks/observability.yaml` as CloudFormation would make it, with every value put in."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from samtranslator.yaml_helper import yaml_parse

STACK: Final = Path(__file__).parents[2] / "stacks" / "observability.yaml"
NAMESPACE: Final = "Remora/example"
_PLACEHOLDER = re.compile(r"\$\{(!?)([^}]+)\}")

Document = dict[str, Any]
Dimensions = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric that somebody asks for."""

    namespace: str
    name: str
    dimensions: Dimensions


class Observability:
    """The stack, for one set of parameters.

    Attributes:
        parameters: Every parameter with its value.
        resources: Properties of every resource that there is, with its type, by logical id.
    """

    def __init__(self, *, chroma: bool = True, email: str = "me@example.com", key: str = "") -> None:
        document = yaml_parse(STACK.read_text())
        self.parameters = {
            name: str(parameter["Default"]) if parameter.get("Default", "") != "" else name
            for name, parameter in document["Parameters"].items()
        }
        self.parameters |= {
            "Deployment": "example",
            "MetricsNamespace": NAMESPACE,
            "Stage": "dev",
            "ConnectorMemory": "1769",
            "IngestMemory": "1769",
            "AlarmEmail": email,
            "KmsKeyArn": key,
            "ChromaGroup": "group" if chroma else "",
            "AWS::Region": "eu-central-1",
        }
        self._conditions = {"HasEmail": bool(email), "HasKey": bool(key), "HasChroma": chroma}
        assert set(document["Conditions"]) == set(self._conditions)
        self._types = {name: resource["Type"] for name, resource in document["Resources"].items()}
        self.resources: Mapping[str, tuple[str, Document]] = {
            name: (resource["Type"], self._resolve(resource["Properties"]))
            for name, resource in document["Resources"].items()
            if self._conditions.get(resource.get("Condition", ""), True)
        }

    def of_type(self, kind: str) -> dict[str, Document]:
        """Return the properties of every resource of a type."""
        return {name: properties for name, (type_, properties) in self.resources.items() if type_ == kind}

    @property
    def dashboard(self) -> Document:
        """The dashboard's body."""
        (dashboard,) = self.of_type("AWS::CloudWatch::Dashboard").values()
        body: Document = json.loads(dashboard["DashboardBody"])
        return body

    def alarmed(self) -> Iterator[Metric]:
        """Yield every metric that an alarm asks for."""
        for alarm in self.of_type("AWS::CloudWatch::Alarm").values():
            for each in alarm.get("Metrics", [{"MetricStat": {"Metric": alarm}}]):
                if "MetricStat" in each:
                    metric = each["MetricStat"]["Metric"]
                    dimensions = frozenset((item["Name"], item["Value"]) for item in metric.get("Dimensions", []))
                    yield Metric(metric["Namespace"], metric["MetricName"], dimensions)

    def shown(self) -> Iterator[Metric]:
        """Yield every metric that the dashboard names, without those that it searches for."""
        for widget in self.dashboard["widgets"]:
            before: list[str] = []
            for row in widget["properties"].get("metrics", []):
                words = [item for item in row if isinstance(item, str)]
                if not words:
                    continue
                # `.` is the same as above, `...` is all of it up to what follows.
                if words[0] == "...":
                    words = [*before[: len(before) - len(words) + 1], *words[1:]]
                words = [before[place] if word == "." else word for place, word in enumerate(words)]
                before = words
                yield Metric(words[0], words[1], frozenset(zip(words[2::2], words[3::2], strict=True)))

    def searched(self) -> Iterator[tuple[str, frozenset[str], str]]:
        """Yield namespace, names of dimensions and metric of every search on the dashboard."""
        for widget in self.dashboard["widgets"]:
            for row in widget["properties"].get("metrics", []):
                for item in row:
                    if isinstance(item, dict) and "SEARCH" in item.get("expression", ""):
                        found = re.search(r"SEARCH\('\{([^}]+)\} MetricName=\"(\w+)\"", item["expression"])
                        assert found, item
                        namespace, *names = found[1].split(",")
                        yield namespace, frozenset(names), found[2]

    def queries(self) -> Iterator[tuple[str, tuple[str, ...], str]]:
        """Yield name, log groups and text of every query, saved or on the dashboard."""
        for query in self.of_type("AWS::Logs::QueryDefinition").values():
            yield query["Name"], tuple(query["LogGroupNames"]), query["QueryString"]
        for widget in self.dashboard["widgets"]:
            if widget["type"] == "log":
                text = widget["properties"]["query"]
                yield widget["properties"]["title"], tuple(re.findall(r"SOURCE '([^']+)'", text)), text

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [item for item in map(self._resolve, value) if item is not None]
        if not isinstance(value, dict):
            return value
        if "Ref" in value:
            return None if value["Ref"] == "AWS::NoValue" else self._named(value["Ref"])
        if "Fn::If" in value:
            condition, then, other = value["Fn::If"]
            return self._resolve(then if self._conditions[condition] else other)
        if "Fn::Join" in value:
            separator, parts = value["Fn::Join"]
            return separator.join(self._resolve(parts))
        if "Fn::Sub" in value:
            text, variables = value["Fn::Sub"] if isinstance(value["Fn::Sub"], list) else (value["Fn::Sub"], {})
            given = {name: self._resolve(item) for name, item in variables.items()}
            return _PLACEHOLDER.sub(
                lambda found: f"${{{found[2]}}}" if found[1] else given.get(found[2]) or self._named(found[2], given),
                text,
            )
        resolved = {name: self._resolve(item) for name, item in value.items()}
        return {name: item for name, item in resolved.items() if item is not None}

    def _named(self, name: str, given: Mapping[str, str] | None = None) -> str:
        if given is not None and name in given:
            return given[name]
        if name in self.parameters:
            return self.parameters[name]
        resource, _, attribute = name.partition(".")
        kind = self._types[resource].split("::")[1].lower()
        return f"arn:aws:{kind}:eu-central-1:123456789012:{resource}" if attribute or kind == "sns" else resource
