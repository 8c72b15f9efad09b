"""Evaluates the small languages that API Gateway has outside VTL: mapping expressions and gateway templates."""

import json
import re

from remora.local.messages import Json, RequestContext

_PLACEHOLDER = re.compile(r"\$(context|stageVariables|method)((?:\.[A-Za-z0-9_-]+)+)")


def mapped_value(expression: str, context: RequestContext) -> str | None:
    """Evaluate a mapping expression.

    Args:
        expression: `'a static value'`, `method.request.(header|querystring|path).<name>`, `context.<name>` or
            `stageVariables.<name>`.
        context: The request.

    Returns:
        The value, or None if the request has no such thing.
    """
    if expression.startswith("'") and expression.endswith("'"):
        return expression[1:-1]
    source, _, name = expression.partition(".")
    if source == "context":
        value = _context_value(name, context)
        return None if value is None else str(value)
    if source == "stageVariables":
        return context.stage_variables.get(name)
    kind, _, name = name.removeprefix("request.").partition(".")
    if source != "method":
        return None
    if kind == "header":
        return context.request.header(name)
    if kind == "querystring":
        return context.request.query_value(name)
    return context.path_parameters.get(name) if kind == "path" else None


def render(template: str, context: RequestContext, error_type: str, message: str | None) -> str:
    """Fill in a gateway response's body template: variables only, as API Gateway does outside VTL.

    Args:
        template: The template.
        context: The request.
        error_type: `$context.error.responseType`.
        message: `$context.error.message`, and quoted as JSON `$context.error.messageString`.
    """
    error = {"message": message or "", "messageString": json.dumps(message), "responseType": error_type}

    def value(found: re.Match[str]) -> str:
        source, name = found[1], found[2][1:]
        if source == "context" and name.startswith("error."):
            return error.get(name.removeprefix("error."), "")
        return mapped_value(f"{source}.{name}", context) or ""

    return _PLACEHOLDER.sub(value, template)


def _context_value(name: str, context: RequestContext) -> Json:
    value: Json = context.to_event()
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
