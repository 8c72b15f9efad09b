"""Puts the scripts of the Chroma server into its template, which can hold text and refer to no file.

A block of the template that begins with `| # scripts/chroma/<name>` holds that file. `make format` runs this; a test
fails when the two differ.
"""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
TEMPLATE = REPOSITORY / "stacks" / "chroma.yaml"

_BLOCK = re.compile(
    r"^(?P<indent> *)(?P<head>[^\n]*\| # (?P<path>scripts/chroma/\S+)\n)(?:(?P=indent) +[^\n]*\n|\n)*", re.MULTILINE
)


def embedded(template: str) -> str:
    """Return the template with the files as they are now."""

    def block(match: re.Match[str]) -> str:
        indent = match["indent"] + "  "
        lines = (REPOSITORY / match["path"]).read_text().splitlines()
        return match["indent"] + match["head"] + "".join(f"{indent}{line}".rstrip() + "\n" for line in lines)

    return _BLOCK.sub(block, template)


if __name__ == "__main__":
    TEMPLATE.write_text(embedded(TEMPLATE.read_text()))
