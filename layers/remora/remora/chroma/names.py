"""The names that Chroma accepts, checked before one becomes part of a request's path."""

import re
from urllib.parse import quote

from remora.errors import InvalidArgumentError

# Chroma 1.5.9: "Expected a name containing 3-512 characters from [a-zA-Z0-9._-], starting and ending with a
# character in [a-zA-Z0-9]". Besides being the server's rule it keeps "/", "%" and ".." out of request paths.
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,510}[a-zA-Z0-9]")
_SHOWN_CHARACTERS = 80


def check_name(name: str, kind: str) -> str:
    """Return `name` if Chroma accepts it for a collection, database or tenant.

    Args:
        name: The name as the caller gave it.
        kind: What it names, for the message: `collection`, `database`, …

    Raises:
        InvalidArgumentError: It is not a name.
    """
    if not _NAME.fullmatch(name):
        shown = name if len(name) <= _SHOWN_CHARACTERS else name[:_SHOWN_CHARACTERS] + "…"
        raise InvalidArgumentError(
            f"{shown!r} is not a {kind} name. A name has 3 to 512 characters out of a-z, A-Z, 0-9, '.', '_' "
            "and '-', and begins and ends with a letter or digit."
        )
    return name


def path_segment(value: str) -> str:
    """Return `value` as exactly one segment of a path, whatever it holds."""
    return quote(value, safe="")
