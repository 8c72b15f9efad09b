"""Reads plain text and Markdown files, one or a folder of them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from remora.errors import InvalidArgumentError
from remora.ingest.chunking import chunks
from remora.ingest.reading import read as read_document
from remora.memory.models import NewMemory
from remora.transfer.foreign.records import ForeignRecord, Problem, known

SUFFIXES = (".txt", ".text", ".md", ".markdown")
TYPE = "document"

_CHUNK_TOKENS = 1_000
"""Of one memory: a long section, or a whole note. Each is embedded in passages anyway."""

_CHARACTERS_PER_TOKEN = 4


def list_files(folder: Path) -> list[Path]:
    """Return the text files of a folder and the folders in it, hidden ones left out, in the order of their paths.

    Raises:
        InvalidArgumentError: There is none.
    """
    found = sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in SUFFIXES
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )
    if not found:
        raise InvalidArgumentError(f"{folder} holds no text files; {', '.join(SUFFIXES)} are read.")
    return found


def read(path: Path) -> Iterator[ForeignRecord | Problem]:
    """Turn files into memories, a section or a short file each, with its headings as context.

    The file's path is the source, its time of change the time of creation. Records are numbered by file.

    Args:
        path: A file, or a folder.
    """
    files = list_files(path) if path.is_dir() else [path]
    for number, file in enumerate(files, 1):
        source = file.relative_to(path).as_posix() if path.is_dir() else file.name
        try:
            yield from (ForeignRecord(number, memory) for memory in _memories(file, source))
        except InvalidArgumentError as error:
            yield Problem(number, f"{source}: {error}")
        except OSError as error:
            yield Problem(number, f"{source} cannot be read ({error.strerror})")


def _memories(file: Path, source: str) -> list[NewMemory]:
    changed = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    document = read_document(file.read_bytes(), name=file.name)
    parts = chunks(document, count_tokens=_estimate_tokens, max_tokens=_CHUNK_TOKENS)
    return [
        NewMemory(
            content=part.text,
            type=TYPE,
            metadata=known(title=document.title, part=part.number if len(parts) > 1 else None),
            source=source,
            context=" > ".join(part.headings) or None,
            created_at=changed,
        )
        for part in parts
    ]


def _estimate_tokens(text: str) -> int:
    # The embedding model's own count would need the model, which is not where files are read.
    return len(text) // _CHARACTERS_PER_TOKEN
