"""The journal of one space, as the memory service uses it."""

from remora.journal.claims import Claims
from remora.journal.conversations import Conversations
from remora.journal.intents import Intents
from remora.journal.versions import Versions


class Journal(Versions, Claims, Conversations, Intents):
    """The journal of one space; see the package for its layout and for the order that a write has to keep.

    Nothing is kept between calls, so an instance may be shared by any number of them. Every method takes the deadline
    by which it has to answer, and raises `UnavailableError` if S3 does not answer by then or refuses; repeating the
    same call is always safe.
    """
