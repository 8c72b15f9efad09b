"""What an examination finds: one fact each, whether it is well, and what to do if it is not."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from remora.errors import InvalidArgumentError, PermissionDeniedError, RemoraError


class Status(StrEnum):
    """How a thing is."""

    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact.

    Attributes:
        check: What was looked at.
        status: How it is.
        found: What was seen; never a credential.
        advice: What to do; empty if nothing is.
    """

    check: str
    status: Status
    found: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at.

    Attributes:
        name: What it is.
        look: Looks, and returns what it finds.
    """

    name: str
    look: Callable[[], Iterable[Finding]]


def ok(check: str, found: str) -> Finding:
    """Return that a thing is well."""
    return Finding(check, Status.OK, found)


def warning(check: str, found: str, advice: str) -> Finding:
    """Return that a thing works and should not stay as it is."""
    return Finding(check, Status.WARNING, found, advice)


def broken(check: str, found: str, advice: str) -> Finding:
    """Return that a thing does not work."""
    return Finding(check, Status.BROKEN, found, advice)


def skipped(check: str, reason: str) -> Finding:
    """Return that a thing was not looked at, and why."""
    return Finding(check, Status.SKIPPED, reason)


def examine(checks: Iterable[Check]) -> Iterator[Finding]:
    """Look at everything; what cannot be looked at does not keep the rest from it."""
    for check in checks:
        try:
            yield from check.look()
        except PermissionDeniedError as error:
            yield warning(check.name, str(error), "Use credentials that may read it, or leave it unexamined.")
        except InvalidArgumentError as error:
            # What was given is not enough to look, and the message says what would be.
            yield broken(check.name, str(error), "")
        except RemoraError as error:
            yield broken(check.name, str(error), "See the message; `remora logs --errors` may say more.")


def is_broken(findings: Iterable[Finding]) -> bool:
    """Return whether something does not work."""
    return any(finding.status is Status.BROKEN for finding in findings)
