"""Who is calling: the one value that the authorizer makes of a credential and everything behind it trusts."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

SPACE_HEADER: Final = "Remora-Space"
"""Names the space to work in. One's own may be named by anyone, another one by principals with the scope `admin`."""


class Scope(StrEnum):
    """What a principal may do. Each includes nothing but itself: a writer usually holds `read` too."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose credential has been checked.

    Attributes:
        id: The principal's name, `[a-z0-9-]{1,32}`.
        scopes: What it may do.
        space: The Chroma database it works in.
    """

    id: str
    scopes: frozenset[Scope]
    space: str

    def to_authorizer_context(self) -> dict[str, str]:
        """Return the principal as an API Gateway authorizer context, whose values must be scalars."""
        return {"principal_id": self.id, "scopes": " ".join(sorted(self.scopes)), "space": self.space}

    @classmethod
    def from_authorizer_context(cls, context: Mapping[str, Any]) -> Self:
        """Read the principal out of `event["requestContext"]["authorizer"]`.

        Raises:
            KeyError: The context was not made by `to_authorizer_context`.
            ValueError: It names a scope that does not exist.
        """
        return cls(
            id=str(context["principal_id"]),
            scopes=frozenset(Scope(name) for name in str(context["scopes"]).split()),
            space=str(context["space"]),
        )
