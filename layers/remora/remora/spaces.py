"""Spaces: each is one Chroma database, reached through a handle that is bound to it.

Isolation is by construction: nothing that works in a space can name another one.
"""

from functools import lru_cache

from remora.chroma.client import ChromaClient
from remora.collections.models import Engine
from remora.collections.service import Collections
from remora.embedding import Embedder

_KEPT_HANDLES = 256


class Spaces:
    """Gives out the collections of a space."""

    def __init__(self, chroma: ChromaClient, embedder: Embedder, *, engine: Engine) -> None:
        @lru_cache(maxsize=_KEPT_HANDLES)
        def collections(space: str) -> Collections:
            return Collections(chroma.database(space), embedder, engine=engine)

        self._collections = collections

    def collections(self, space: str) -> Collections:
        """Return the collections of a space, whose database is created on first use."""
        return self._collections(space)
