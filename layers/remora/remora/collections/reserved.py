"""The collection names that are Remora's own: what is kept under them is hidden here, and cannot be named."""

from remora.errors import InvalidArgumentError

_PREFIX = "remora."


def is_reserved(name: str) -> bool:
    """Return whether a collection of that name is Remora's own."""
    return name.startswith(_PREFIX)


def refuse_reserved(name: str) -> None:
    """Refuse a name that is Remora's own.

    Raises:
        InvalidArgumentError: It is.
    """
    if is_reserved(name):
        raise InvalidArgumentError(
            f"Collection names that begin with {_PREFIX!r} are reserved for the memory; use the memory_* tools for "
            "what it holds, and another name for a collection of yours."
        )
