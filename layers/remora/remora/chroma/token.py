"""The token that a Chroma which asks for one is shown, kept in Secrets Manager."""

import asyncio

from remora.aws import Secret
from remora.errors import UnavailableError

HEADER = b"x-chroma-token"
"""What Chroma Cloud, and Chroma's own token authentication, take it in."""

KEPT_SECONDS = 300.0
"""How long a token is kept in memory: a new one is shown after that."""


class Token:
    """Reads the token when it is first needed, and again after a while.

    Args:
        secret: The secret, whose text is the token alone.
    """

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    async def read(self) -> bytes:
        """Return the token.

        Raises:
            UnavailableError: It cannot be read, or is no token.
        """
        text = (await asyncio.to_thread(self._secret.text) or "").strip()
        if not (text and text.isascii() and text.isprintable()):
            raise UnavailableError(
                "Chroma's token cannot be used: the secret named by ChromaSecretArn must hold the token alone, in "
                "one line. Nothing was sent."
            )
        return text.encode()
