"""What all parts of a space's journal are made of."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

from remora.journal.layout import Layout
from remora.journal.store import JournalStore

_T = TypeVar("_T")


class Part:
    """A part of the journal of one space.

    Attributes:
        space: The space.
    """

    def __init__(self, store: JournalStore, space: str) -> None:
        """Bind it to a space.

        Args:
            store: The bucket.
            space: The space, named like a Chroma database.

        Raises:
            InvalidArgumentError: That is no name of a space.
        """
        self.space = space
        self._store = store
        self._layout = Layout(space)


async def gather_all(awaitables: Iterable[Awaitable[_T]]) -> list[_T]:
    """Wait for all of them, side by side, and return what they returned, in order.

    Raises:
        BaseException: The first error among them, after all have ended: nothing goes on behind the caller's back.
    """
    outcomes = await asyncio.gather(*awaitables, return_exceptions=True)
    results: list[_T] = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        results.append(outcome)
    return results
