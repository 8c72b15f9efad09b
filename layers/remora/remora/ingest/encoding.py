"""Decodes text files by a fixed rule, never by a guess: a wrong guess would store wrong words without a trace."""

import codecs

from remora.errors import InvalidArgumentError

# The four bytes of UTF-32 begin like the two of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def decode(content: bytes, *, declared: str | None = None) -> str:
    r"""Return the text of a file, with lines that end with \n alone.

    A byte order mark decides; without one the text must be UTF-8, or else in the encoding that the file itself
    declares.

    Args:
        content: The file.
        declared: A Python codec's name, if the format lets a file name its encoding. Trusted: the caller has
            checked it against a list.

    Raises:
        InvalidArgumentError: The file is not text in that encoding.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _text(content[len(mark) :], encoding)
    try:
        return _text(content, "utf-8")
    except InvalidArgumentError:
        if declared is None:
            raise
        return _text(content, declared)


def _text(content: bytes, encoding: str) -> str:
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(
            f"The file is not text in {encoding.upper()}: byte {error.start} does not fit. Save it as UTF-8, which "
            "is taken with and without a byte order mark; UTF-16 and UTF-32 need one."
        ) from error
    if "\0" in text:
        raise InvalidArgumentError(
            "The file holds NUL characters, so it is not plain text: it is another format under this name, or "
            "UTF-16 without a byte order mark. Save it as UTF-8."
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")
