"""The command `remora memory`: takes memories out of a deployment and into it, and rebuilds their index."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from remora.cli.terminal import DONE, add_data_option, finish, say, tell
from remora.errors import InvalidArgumentError, UnavailableError

if TYPE_CHECKING:
    from remora.transfer.remote import Deployment, RemoteTransfer

REFUSED = 3
"""Exit status: done, but some records were not taken."""

_FORMATS = ("auto", "remora", "mcp-memory-service", "mem0", "text")
_SHOWN_REASONS = 20
_FIRST_LINES, _MOST_LINES = 100, 4_000
# Lambda takes 6 MB, the API 5; the vectors of a last memory may come on top.
_MOST_BYTES = 3 * 1024 * 1024
_PRIVATE = 0o600
_INTERRUPTED = "Interrupted. What was done stays; give the same command again to go on."


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command to the parser."""
    parser = commands.add_parser(
        "memory",
        help="export, import or rebuild a memory",
        description="Work with the memory of a deployment: that of --url and --key, else of REMORA_URL and "
        "REMORA_KEY, else the one that `remora dev` runs here.",
    )
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    export = _action(actions, "export", _export, "write everything that the memory holds into a file")
    export.add_argument("file", metavar="FILE", help="file to write, as JSON Lines; - for standard output")
    export.add_argument(
        "--embeddings", action="store_true", help="write the vectors too, so that an import needs no model"
    )
    import_ = _action(actions, "import", _import, "take memories in; what is there already stays as it is")
    import_.add_argument("path", metavar="FILE|FOLDER", type=Path, nargs="?", help="what to import")
    import_.add_argument(
        "--format", choices=_FORMATS, default="auto", help="what it is (default: found out from what it holds)"
    )
    import_.add_argument("--collection", metavar="NAME", help="import a Chroma collection of the same space instead")
    rebuild = _action(actions, "rebuild", _rebuild, "make the index agree with the journal (scope admin)")
    rebuild.add_argument(
        "--fresh", action="store_true", help="remove the whole index first; nothing is found until it is back"
    )
    _action(actions, "status", _status, "show how many memories there are, and what the key may do")


def _action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace, "RemoteTransfer"], int],
    summary: str,
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    parser.add_argument("--url", help="URL of the deployment, as clients use it (default: REMORA_URL)")
    parser.add_argument("--key", help="bearer key (default: REMORA_KEY, which other users of the machine cannot see)")
    parser.add_argument("--space", help="space to work in (default: the key's own; another takes the scope admin)")
    add_data_option(parser)
    parser.set_defaults(run=finish(lambda arguments: run(arguments, _remote(arguments)), _INTERRUPTED))
    return parser


def _remote(arguments: argparse.Namespace) -> "RemoteTransfer":
    from remora.transfer.remote import RemoteTransfer

    return RemoteTransfer(replace(_deployment(arguments), space=arguments.space))


def _deployment(arguments: argparse.Namespace) -> "Deployment":
    from remora.local.connection import Connection
    from remora.transfer.remote import Deployment

    url = arguments.url or os.environ.get("REMORA_URL")
    key = arguments.key or os.environ.get("REMORA_KEY")
    if url and key:
        return Deployment(url, key)
    if url or key:
        # The local run's key is never sent anywhere else.
        raise InvalidArgumentError("Give both the URL and the key: --url and --key, or REMORA_URL and REMORA_KEY.")
    try:
        document = (arguments.data / "connection.json").read_bytes()
    except OSError:
        raise InvalidArgumentError(
            "No deployment is named, and none runs here. Give --url and --key, or REMORA_URL and REMORA_KEY, "
            "or start `remora dev`."
        ) from None
    try:
        connection = Connection.model_validate_json(document)
    except ValueError:
        raise InvalidArgumentError(
            f"{arguments.data / 'connection.json'} cannot be read. Start `remora dev` again."
        ) from None
    return Deployment(connection.url, connection.key)


# ---- export ----


def _export(arguments: argparse.Namespace, remote: "RemoteTransfer") -> int:
    if arguments.file == "-":
        _write_export(sys.stdout.buffer, remote, arguments.embeddings)
        sys.stdout.buffer.flush()
        return DONE
    from remora.transfer.lines import check_file

    path = Path(arguments.file)
    part = path.with_name(f"{path.name}.part")
    try:
        # What it holds is private.
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE), "wb") as file:
            _write_export(file, remote, arguments.embeddings)
        with part.open("rb") as file:
            summary = check_file(file)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    say(f"Exported {summary.memories:,} memories to {path}.")
    return DONE


def _write_export(file: BinaryIO, remote: "RemoteTransfer", embeddings: bool) -> None:
    with _progress("Exporting", None) as advance:
        for part in remote.export(embeddings=embeddings):
            file.write(part)
            advance(part.count(b"\n"))


# ---- import ----


@dataclass
class _Tally:
    """What has become of an import so far."""

    created: int = 0
    unchanged: int = 0
    pending: int = 0
    conflicts: int = 0
    errors: int = 0
    _shown: list[str] = field(default_factory=list)

    def refuse(self, what: str, reason: str, *, conflict: bool = False) -> None:
        """Count something that was not taken, and say so, if it is among the first."""
        self.conflicts += conflict
        self.errors += not conflict
        if self.conflicts + self.errors <= _SHOWN_REASONS:
            tell(f"remora: {what}: {reason}")

    def finish(self) -> int:
        """Say what has become of it all, and return the exit status."""
        refused = self.conflicts + self.errors
        if refused > _SHOWN_REASONS:
            tell(f"remora: … and {refused - _SHOWN_REASONS:,} more")
        parts = [f"{self.created:,} new", f"{self.unchanged:,} there already"]
        if self.conflicts:
            parts.append(f"{self.conflicts:,} in conflict and left alone")
        if self.errors:
            parts.append(f"{self.errors:,} not readable")
        say(f"Imported: {', '.join(parts)}.")
        if self.pending:
            say(f"{self.pending:,} are kept safely and become searchable soon; `remora memory rebuild` does it now.")
        return REFUSED if refused else DONE


def _import(arguments: argparse.Namespace, remote: "RemoteTransfer") -> int:
    if (arguments.path is None) == (arguments.collection is None):
        raise InvalidArgumentError("Give either a file or folder, or --collection NAME.")
    if arguments.collection is not None:
        return _import_collection(arguments.collection, remote)
    from remora.transfer.foreign import Format, Problem, detect_format, read_foreign
    from remora.transfer.lines import NewLine, check_file

    path: Path = arguments.path
    format_ = detect_format(path) if arguments.format == "auto" else Format(arguments.format)
    tally = _Tally()
    if format_ is Format.REMORA:
        with path.open("rb") as file:
            summary = check_file(file)
        with path.open("rb") as file:
            # Header and footer have said what they had to say.
            lines = (
                (number, line.rstrip(b"\r\n")) for number, line in enumerate(file, 1) if 1 < number < summary.lines
            )
            _send(lines, summary.lines - 2, "line", remote, tally)
        return tally.finish()

    def new_lines() -> Iterator[tuple[int, bytes]]:
        for record in read_foreign(path, format_):
            if isinstance(record, Problem):
                tally.refuse(f"record {record.number}", record.reason)
            else:
                yield record.number, NewLine(memory=record.memory).to_json().encode()

    _send(new_lines(), None, "record", remote, tally)
    return tally.finish()


def _send(
    lines: Iterator[tuple[int, bytes]], total: int | None, noun: str, remote: "RemoteTransfer", tally: _Tally
) -> None:
    """Send lines, as many at once as the deployment has time for.

    Args:
        lines: The lines with their numbers.
        total: How many they are, if that is known.
        noun: What a number is of.
        remote: Where to.
        tally: Counts what becomes of them.
    """
    from remora.transfer.lines import is_embeddings

    waiting: list[tuple[int, bytes]] = []
    following: tuple[int, bytes] | None = next(lines, None)
    at_once = _FIRST_LINES
    with _progress("Importing", total) as advance:
        while waiting or following is not None:
            size = sum(_bytes_on_the_way(line) for _, line in waiting)
            while following is not None:
                is_full = len(waiting) >= at_once or size + _bytes_on_the_way(following[1]) > _MOST_BYTES
                # Vectors are of use only together with their memory.
                if waiting and is_full and not is_embeddings(following[1]):
                    break
                waiting.append(following)
                size += _bytes_on_the_way(following[1])
                following = next(lines, None)
            report = remote.import_lines([line for _, line in waiting])
            if not report.lines:
                raise UnavailableError("The deployment takes no more lines. Give the same command again to go on.")
            tally.created += report.created
            tally.unchanged += report.unchanged
            tally.pending += report.pending
            for refused in report.errors:
                tally.refuse(f"{noun} {waiting[refused.line - 1][0]}", refused.reason)
            for refused in report.conflicts:
                name = f" ({refused.id})" if refused.id else ""
                tally.refuse(f"{noun} {waiting[refused.line - 1][0]}{name}", refused.reason, conflict=True)
            advance(report.lines)
            waiting = waiting[report.lines :]
            at_once = min(_MOST_LINES, max(_FIRST_LINES, 2 * report.lines))


def _bytes_on_the_way(line: bytes) -> int:
    """Return the bytes of a line within a JSON string, which is how a request travels into a function."""
    from remora.budget import json_bytes

    return json_bytes(line.decode(errors="replace")) + 2


def _import_collection(name: str, remote: "RemoteTransfer") -> int:
    tally = _Tally()
    cursor: str | None = None
    with _progress("Importing", None) as advance:
        while True:
            report = remote.import_collection(name, cursor)
            tally.created += report.created
            tally.unchanged += report.unchanged
            tally.pending += report.pending
            for refused in report.errors:
                tally.refuse(f"record {refused.id!r}", refused.reason)
            advance(report.created + report.unchanged + len(report.errors))
            cursor = report.next_cursor
            if cursor is None:
                break
    return tally.finish()


# ---- rebuild, status ----


def _rebuild(arguments: argparse.Namespace, remote: "RemoteTransfer") -> int:
    progress = remote.rebuild(None, fresh=arguments.fresh)
    repaired = progress.repaired
    with _progress("Rebuilding", progress.total) as advance:
        advance(progress.done)
        while progress.next_cursor is not None:
            done = progress.done
            progress = remote.rebuild(progress.next_cursor, fresh=False)
            repaired += progress.repaired
            advance(progress.done - done)
    say(f"Compared {progress.done:,} memories with the index; {repaired:,} were put right.")
    return DONE


def _status(_: argparse.Namespace, remote: "RemoteTransfer") -> int:
    status = remote.status()
    say(f"Space     {status.space}")
    say(f"Memories  {status.memories:,}, indexed as {status.passages:,} passages")
    say(f"Pending   {status.pending:,}")
    say(f"Scopes    {', '.join(status.scopes)}")
    return DONE


@contextmanager
def _progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show how far something is, on a terminal; give out what counts it on."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)
