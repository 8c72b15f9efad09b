"""One module for each format, each with a function `read(content: bytes) -> Document`."""
