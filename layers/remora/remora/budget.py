"""How many tokens an answer costs the caller's model, and how records are cut to a budget.

The estimate is one token for three bytes of compact UTF-8 JSON, rounded up. English prose comes to about four
bytes a token with current tokenizers, JSON with ids and numbers to about three, so the estimate errs on the
safe side without a tokenizer of any one vendor.
"""

from pydantic_core import to_json

from remora.errors import InvalidArgumentError

DEFAULT_MAX_TOKENS = 4_000
MIN_MAX_TOKENS = 200
MAX_MAX_TOKENS = 50_000

_BYTES_PER_TOKEN = 3


def estimate_tokens(rendered: str) -> int:
    """Estimate the tokens of rendered text.

    Args:
        rendered: The text as the caller will receive it, usually compact JSON.
    """
    return -(-len(rendered.encode()) // _BYTES_PER_TOKEN)


def check_max_tokens(max_tokens: int) -> int:
    """Return `max_tokens` if it is a budget that can be kept.

    Raises:
        InvalidArgumentError: It is too small to hold an answer, or larger than clients accept.
    """
    if not MIN_MAX_TOKENS <= max_tokens <= MAX_MAX_TOKENS:
        raise InvalidArgumentError(
            f"max_tokens is {max_tokens}. It may be from {MIN_MAX_TOKENS} to {MAX_MAX_TOKENS}."
        )
    return max_tokens


class TokenBudget:
    """What is left of an answer's tokens while records are put into it."""

    def __init__(self, max_tokens: int, *, reserved: int = 0) -> None:
        """Start a budget.

        Args:
            max_tokens: Tokens of the whole answer.
            reserved: Tokens kept back for what surrounds the records, such as the cursor.
        """
        self.remaining = max_tokens - reserved

    def take(self, rendered: str) -> bool:
        """Take the cost of one more item, if it still fits; return whether it did."""
        # One more character for the comma.
        tokens = estimate_tokens(rendered + ",")
        if tokens > self.remaining:
            return False
        self.remaining -= tokens
        return True


def shorten(text: str, *, max_bytes: int) -> str:
    """Return the longest beginning of `text` whose compact JSON has at most `max_bytes`, quotes not counted.

    Args:
        text: Any text.
        max_bytes: Bytes of UTF-8, with the escapes that JSON needs.
    """
    if max_bytes <= 0:
        return ""
    low, high = 0, min(len(text), max_bytes)
    while low < high:
        middle = (low + high + 1) // 2
        if json_bytes(text[:middle]) <= max_bytes:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def json_bytes(text: str) -> int:
    """Return the bytes of `text` inside a JSON string, quotes not counted."""
    return len(to_json(text)) - 2
