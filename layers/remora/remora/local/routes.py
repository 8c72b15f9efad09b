"""Finds the route of a request among the resources of an API."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from remora.local.deployment import Route

_GREEDY = re.compile(r"^\{[^{}]+\+\}$")
_PARAMETER = re.compile(r"^\{[^{}]+\}$")


@dataclass(frozen=True, slots=True)
class Match:
    """A route and the values of the parameters in its path, decoded."""

    route: Route
    path_parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Resource:
    segments: tuple[str, ...]
    methods: Mapping[str, Route]

    def specificity(self) -> tuple[int, ...]:
        # A static segment wins over a parameter, a parameter over a greedy one, from left to right.
        return tuple(2 if _GREEDY.match(part) else 1 if _PARAMETER.match(part) else 0 for part in self.segments)


class Router:
    """The resources of an API, the most specific first."""

    def __init__(self, routes: Sequence[Route]) -> None:
        resources: dict[str, dict[str, Route]] = {}
        for route in routes:
            resources.setdefault(route.resource, {})[route.method] = route
        self._resources = sorted(
            (_Resource(_segments(path), methods) for path, methods in resources.items()),
            key=_Resource.specificity,
        )

    def match(self, method: str, path: str) -> Match | None:
        """Return the route for a request, or None.

        The most specific resource that fits the path decides, whether it has the method or not.

        Args:
            method: Upper case.
            path: Below the stage, percent-encoded. A slash at its end changes nothing.
        """
        segments = _segments(path)
        for resource in self._resources:
            parameters = _parameters(resource.segments, segments)
            if parameters is not None:
                route = resource.methods.get(method) or resource.methods.get("ANY")
                return None if route is None else Match(route, parameters)
        return None


def _segments(path: str) -> tuple[str, ...]:
    trimmed = path.removeprefix("/").removesuffix("/")
    return tuple(trimmed.split("/")) if trimmed else ()


def _parameters(pattern: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, str] | None:
    greedy = bool(pattern) and _GREEDY.match(pattern[-1]) is not None
    if len(segments) != len(pattern) and not (greedy and len(segments) > len(pattern)):
        return None
    parameters: dict[str, str] = {}
    for index, part in enumerate(pattern):
        if greedy and index == len(pattern) - 1:
            parameters[part[1:-2]] = unquote("/".join(segments[index:]))
        elif _PARAMETER.match(part):
            parameters[part[1:-1]] = unquote(segments[index])
        elif part != unquote(segments[index]):
            return None
    return parameters
