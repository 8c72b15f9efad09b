"""How old the keys are that are valid, and how full the secret is that holds them. Names principals, never keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from remora.auth.keys import CAPACITY, Principals, StoredPrincipal

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class KeyReport:
    """What there is to say of the principals secret.

    Attributes:
        ages: Age in days of the oldest valid key of each principal that has one whose age is known.
        unknown: Valid keys whose age is not known, because they were stored before it was kept.
        principals: How many principals there are.
        used_percent: How much of the room in the secret is used.
    """

    ages: Mapping[str, float]
    unknown: int
    principals: int
    used_percent: float

    @property
    def oldest(self) -> float:
        """Age in days of the oldest valid key; 0 if there is none, or none whose age is known."""
        return max(self.ages.values(), default=0.0)


def examine(document: str, now: datetime | None = None) -> KeyReport:
    """Look at the principals secret.

    A key counts as long as it lets somebody in: not when it has expired, or its principal is disabled.

    Args:
        document: The secret's text.
        now: The time to judge by; the current time unless given.

    Raises:
        ValidationError: It is no principals document. The error holds nothing of what it says.
    """
    moment = now or datetime.now(UTC)
    stored = Principals.model_validate_json(document).principals
    created = {principal_id: _created(principal, moment) for principal_id, principal in stored.items()}
    return KeyReport(
        ages={
            principal_id: max(0.0, (moment - min(known)).total_seconds() / _DAY)
            for principal_id, times in created.items()
            if (known := [time for time in times if time is not None])
        },
        unknown=sum(time is None for times in created.values() for time in times),
        principals=len(stored),
        used_percent=100 * len(document.encode()) / CAPACITY,
    )


def _created(principal: StoredPrincipal, now: datetime) -> list[datetime | None]:
    if principal.disabled:
        return []
    return [key.created_at for key in principal.keys if key.expires_at is None or key.expires_at > now]
