"""Time zones by their IANA names."""

import re
from datetime import tzinfo
from zoneinfo import ZoneInfo

from remora.errors import InvalidArgumentError

_NAME = re.compile(r"[A-Za-z0-9_+-]{1,32}(?:/[A-Za-z0-9_+-]{1,32}){0,2}")
_SHOWN_CHARACTERS = 60


def zone_named(name: str | None) -> tzinfo:
    """Return a time zone; UTC for None.

    Raises:
        InvalidArgumentError: There is none of that name.
    """
    if name is None:
        return ZoneInfo("UTC")
    try:
        if not _NAME.fullmatch(name):
            raise ValueError
        return ZoneInfo(name)
    except (ValueError, LookupError, OSError):
        shown = name if len(name) <= _SHOWN_CHARACTERS else f"{name[:_SHOWN_CHARACTERS]}…"
        raise InvalidArgumentError(
            f"There is no time zone {shown!r}. Give an IANA name, such as Europe/Berlin, America/New_York or UTC."
        ) from None
