"""What every collection operation works with: one space's database, the embedder, and what is known of both."""

from dataclasses import dataclass

from remora.chroma.client import Database
from remora.collections.handles import Handles
from remora.collections.models import Engine
from remora.collections.texts import TextFunctions
from remora.embedding.embedder import Embedder


@dataclass(frozen=True, slots=True)
class Workspace:
    """One space.

    Attributes:
        database: Its database.
        embedder: Makes vectors of text.
        engine: What kind of Chroma answers.
        handles: Its collections, as they were seen last.
        functions: Which of them take text.
    """

    database: Database
    embedder: Embedder
    engine: Engine
    handles: Handles
    functions: TextFunctions
