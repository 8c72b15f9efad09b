"""Reads the logs of a deployment's functions as one stream in the order of time, from CloudWatch or a local run.

What the functions write is JSON, one object a line (Powertools); what Lambda itself writes is text. Metrics, which
are in the same stream, and the beginning and end of invocations are left out.
"""

import heapq
import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from remora.aws_failures import code_of, explained
from remora.errors import InvalidArgumentError, NotFoundError
from remora.operations.deployment import Deployment
from remora.operations.text import clean

FUNCTIONS: Final = ("authorizer", "connector", "oauth", "ingest", "upkeep", "watch")
"""The functions, by the ends of their log groups' names."""

API: Final = "api"
"""Stands for the API's access log."""

_ERRORS: Final = frozenset({"ERROR", "CRITICAL"})
_FAILURES = re.compile(r"Task timed out|Runtime exited|Runtime\.|signal: killed|Unable to import")
# Of CloudWatch Logs: any of these terms, with the case they have here.
_ERROR_PATTERN: Final = "?ERROR ?CRITICAL ?timed ?exited ?killed ?Traceback"
_TRACE: Final = "Traceback (most recent call last):"
# How the authorizer refuses a credential, which it has said in a record before: no failure.
_REFUSAL: Final = "Exception: Unauthorized"
_NOISE = re.compile(r"(INIT_START|INIT_REPORT|START|END|REPORT|EXTENSION|TELEMETRY|XRAY) ")
_KNOWN = frozenset(
    {
        "level",
        "location",
        "message",
        "timestamp",
        "service",
        "cold_start",
        "exception",
        "exception_name",
        "sampling_rate",
    }
    | {"function_name", "function_memory_size", "function_arn", "function_request_id", "xray_trace_id", "stack_trace"}
)
_POLL_SECONDS: Final = 2.0
# CloudWatch shows some events seconds after their time.
_LATE: Final = timedelta(seconds=30)
_LONGEST_LINE: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One record.

    Attributes:
        time: When it was written.
        function: The function that wrote it.
        level: Its level; `INFO` for what has none.
        message: What it says.
        fields: What it says besides, by name.
        exception: The trace of an exception; empty without one.
        request_id: Id of the invocation; empty if it is not known.
    """

    time: datetime
    function: str
    level: str
    message: str
    fields: Mapping[str, str] = field(default_factory=dict)
    exception: str = ""
    request_id: str = ""

    @property
    def is_error(self) -> bool:
        """Whether it says that something failed."""
        return self.level in _ERRORS

    def __lt__(self, other: "Entry") -> bool:
        """Whether it was written before another one."""
        return self.time < other.time

    def text(self) -> str:
        """Return it as a line, with the exception's trace below. Holds no control characters."""
        extra = " ".join(f"{name}={value}" for name, value in self.fields.items())
        request = f" [{self.request_id[:8]}]" if self.request_id else ""
        moment = self.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        line = f"{moment}Z {self.level:<8} {self.function:<10} {self.message}{f'  {extra}' if extra else ''}{request}"
        return "\n".join(clean(part) for part in (line, *(f"    {part}" for part in self.exception.splitlines())))


def parse(line: str, function: str, written: datetime) -> Entry | None:
    """Return the record that a line is, or None for one that says nothing to a reader.

    Args:
        line: The line.
        function: The function whose log it is in; may be empty where the line says it.
        written: When it was written, as far as the line does not say it.
    """
    stripped = line[:_LONGEST_LINE].strip()
    if not stripped or _NOISE.match(stripped):
        return None
    try:
        document = json.loads(stripped)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        return _text(stripped, function, written)
    if "_aws" in document:
        return None
    if function == API:
        return _access(document, written)
    extra = {str(name): _shown(value) for name, value in document.items() if name not in _KNOWN and value is not None}
    return Entry(
        time=_moment(document.get("timestamp"), written),
        function=str(document.get("service") or function),
        level=str(document.get("level") or "INFO").upper(),
        message=_shown(document.get("message", "")),
        fields=extra,
        exception=str(document.get("exception") or ""),
        request_id=str(document.get("function_request_id") or ""),
    )


def _text(text: str, function: str, written: datetime) -> Entry | None:
    """Return the record that Lambda or Python wrote as text."""
    first, *rest = text.splitlines()
    # Python ends a trace with the error; Lambda puts it in front.
    message, trace = (rest[-1], text) if first.startswith(_TRACE) and rest else (first, "\n".join(rest))
    message = message.removeprefix("[ERROR]").strip()
    if message == _REFUSAL:
        return None
    is_error = trace or first.startswith("[ERROR]") or _FAILURES.search(first)
    return Entry(written, function, "ERROR" if is_error else "INFO", message, exception=trace)


def _access(document: Mapping[str, Any], written: datetime) -> Entry:
    status = str(document.get("status", ""))
    level = "ERROR" if status.startswith("5") else "WARNING" if status.startswith("4") else "INFO"
    names = ("principal", "ip", "latency", "error", "integrationStatus")
    fields = {name: _shown(document[name]) for name in names if document.get(name) not in (None, "", "-")}
    message = f"{document.get('method', '-')} {document.get('resource', '-')} {status}"
    return Entry(written, API, level, message, fields, request_id=str(document.get("requestId") or ""))


def read(
    deployment: Deployment, functions: Sequence[str], since: datetime, *, errors: bool = False, follow: bool = False
) -> Iterator[Entry]:
    """Go through the records of functions in the order of time.

    Args:
        deployment: Whose.
        functions: Which, of `FUNCTIONS` and `API`.
        since: The earliest of them.
        errors: Whether only what failed is wanted.
        follow: Whether to wait for more at the end; then it has none.

    Raises:
        InvalidArgumentError: The deployment keeps no such log.
        RemoraError: The logs cannot be read.
    """
    if deployment.data_dir is not None:
        if API in functions:
            raise InvalidArgumentError("The local run has no access log: `remora dev` prints requests itself.")
        entries = _local(deployment.data_dir / "functions.log", since, follow=follow)
        entries = (entry for entry in entries if entry.function in functions or not entry.function)
    else:
        entries = _aws(deployment, functions, since, errors=errors, follow=follow)
    return (entry for entry in entries if entry.is_error) if errors else entries


def log_group(deployment: Deployment, function: str) -> str:
    """Return the name of a function's log group."""
    return f"/aws/apigateway/{deployment.name}" if function == API else f"/aws/lambda/{deployment.name}-{function}"


# ---- AWS ----


def _aws(
    deployment: Deployment, functions: Sequence[str], since: datetime, *, errors: bool, follow: bool
) -> Iterator[Entry]:
    client = deployment.client("logs")
    seen: dict[str, datetime] = {}
    start = since
    while True:
        until = datetime.now(UTC)
        streams = [_events(client, log_group(deployment, name), name, start, errors) for name in functions]
        for event_id, entry in heapq.merge(*streams, key=lambda pair: pair[1].time):
            if event_id not in seen:
                seen[event_id] = entry.time
                yield entry
        if not follow:
            return
        start = max(start, until - _LATE)
        # What is older is not asked for again.
        seen = {event_id: moment for event_id, moment in seen.items() if moment >= start - _LATE}
        time.sleep(_POLL_SECONDS)


def _events(client: Any, group: str, function: str, start: datetime, errors: bool) -> Iterator[tuple[str, Entry]]:  # noqa: ANN401
    arguments: dict[str, Any] = {"logGroupName": group, "startTime": int(start.timestamp() * 1000)}
    if errors and function != API:
        arguments["filterPattern"] = _ERROR_PATTERN
    while True:
        with explained():
            try:
                page = client.filter_log_events(**arguments)
            except ClientError as error:
                if code_of(error) == "ResourceNotFoundException":
                    raise NotFoundError(f"There is no log group {group}.") from None
                raise
        for event in page.get("events", ()):
            entry = parse(event["message"], function, datetime.fromtimestamp(event["timestamp"] / 1000, UTC))
            if entry is not None:
                yield event["eventId"], entry
        token = page.get("nextToken")
        if not token:
            return
        arguments["nextToken"] = token


# ---- the local run ----


def _local(path: Path, since: datetime, *, follow: bool) -> Iterator[Entry]:
    try:
        file = path.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise NotFoundError(f"There is no {path}: nothing has run here yet.") from None
    with file:
        moment, function = since, ""
        for record in _records(_lines(file, follow=follow)):
            # Text says neither its time nor its function: it belongs to what came before.
            entry = parse(record, function, moment)
            if entry is None:
                continue
            moment, function = entry.time, entry.function
            if moment >= since:
                yield entry


def _records(lines: Iterable[str]) -> Iterator[str]:
    """Join the lines of a trace."""
    trace = ""
    for line in lines:
        if trace:
            trace += line
            if line.startswith(" ") and len(trace) < _LONGEST_LINE:
                continue
            yield trace
            trace = ""
        elif line.startswith(_TRACE):
            trace = line
        else:
            yield line
    if trace:
        yield trace


def _lines(file: Iterable[str], *, follow: bool) -> Iterator[str]:
    part = ""
    while True:
        for text in file:
            part += text
            if part.endswith("\n") or len(part) > _LONGEST_LINE:
                yield part
                part = ""
        if not follow:
            if part:
                yield part
            return
        time.sleep(_POLL_SECONDS / 4)


def _moment(text: object, otherwise: datetime) -> datetime:
    # Powertools writes 2026-11-21 08:00:00,123+0000.
    try:
        moment = datetime.fromisoformat(str(text).replace(",", "."))
    except ValueError:
        return otherwise
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
