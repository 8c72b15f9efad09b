"""How often something is done; apart from what is done, so that settings are read without it."""

from datetime import date, timedelta
from enum import StrEnum


class BackupPeriod(StrEnum):
    """How often a backup is made."""

    OFF = "off"
    DAILY = "daily"
    WEEKLY = "weekly"

    def first_day(self, today: date) -> date:
        """Return the day that names the period of a day: itself, or the Monday of its week."""
        return today - timedelta(days=today.weekday()) if self is BackupPeriod.WEEKLY else today
