"""Makes text from elsewhere fit to be shown on a terminal."""

import re

# Control characters, and those that change the direction of what follows.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """Return a text in one line, without what a terminal would obey: part of it may come from whoever called."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r", "").replace("\n", "\\n").replace("\t", " "))
