"""The local principal and how a client reaches it, kept in the data directory."""

import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from remora.auth.keys import Principals, StoredKey, StoredPrincipal, generate_key, hash_key
from remora.auth.principal import Scope
from remora.errors import InvalidArgumentError

PRINCIPAL_ID = "local"
SPACE = "local"


class Connection(BaseModel):
    """What a client needs. Kept in `connection.json`, but for the parts.

    Attributes:
        url: The URL of the MCP endpoint.
        stage_url: The URL of the API's stage, which is below the distribution.
        key: A bearer key.
        parts: URLs of endpoints that offer a part of the tools.
    """

    model_config = ConfigDict(frozen=True)

    url: str
    stage_url: str
    key: str
    parts: tuple[str, ...] = Field(default=(), exclude=True)

    @classmethod
    def of(cls, data_dir: Path) -> "Connection":
        """Return how a client reaches the run that uses a data directory.

        Raises:
            InvalidArgumentError: None does, or its file cannot be read.
        """
        path = data_dir / "connection.json"
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError:
            raise InvalidArgumentError(
                f"No deployment is named, and none runs here ({data_dir}). Name one, or start `remora dev`."
            ) from None
        except ValidationError:
            raise InvalidArgumentError(f"{path} cannot be read. Start `remora dev` again.") from None


class LocalPrincipal(BaseModel):
    """The one principal of a local run, the same in every run on a data directory. Kept in `principal.json`.

    Attributes:
        key: Its bearer key.
        usage_key: Value of its API Gateway key.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    key: str
    usage_key: str

    @classmethod
    def of(cls, data_dir: Path) -> "LocalPrincipal":
        """Return the principal of a data directory, made on the first run.

        Raises:
            InvalidArgumentError: Its file is there and cannot be read.
        """
        path = data_dir / "principal.json"
        if path.exists():
            try:
                return cls.model_validate_json(path.read_text(encoding="utf-8"))
            except (OSError, ValidationError):
                raise InvalidArgumentError(
                    f"{path} cannot be read. Remove it to have a new key made; your data stays."
                ) from None
        principal = cls(key=generate_key(PRINCIPAL_ID), usage_key=secrets.token_urlsafe(32))
        write_private(path, principal.model_dump_json())
        return principal

    def stored(self) -> Principals:
        """Return the principals document that lets this principal in, with every scope."""
        return Principals(
            principals={
                PRINCIPAL_ID: StoredPrincipal(
                    scopes=frozenset(Scope),
                    space=SPACE,
                    usage_key=self.usage_key,
                    keys=(StoredKey(sha256=hash_key(self.key)),),
                )
            }
        )


@contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """Keep a data directory for one local run at a time, and create it if there is none.

    Raises:
        InvalidArgumentError: Another run uses it, or it cannot be created.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (data_dir / "lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise InvalidArgumentError(
            f"The data directory {data_dir} cannot be used ({error.strerror}). Choose another with --data."
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise InvalidArgumentError(
                f"The data directory {data_dir} is in use by another `remora dev` "
                f"(process {lock.read().strip() or 'unknown'}). Stop that one, or choose another with --data."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextmanager
def published(data_dir: Path, connection: Connection) -> Iterator[None]:
    """Keep `connection.json` in the data directory for as long as the connection can be used."""
    withdraw(data_dir)
    write_private(data_dir / "connection.json", connection.model_dump_json(indent=2) + "\n")
    try:
        yield
    finally:
        withdraw(data_dir)


def withdraw(data_dir: Path) -> None:
    """Remove `connection.json`, which a run that was killed may have left."""
    (data_dir / "connection.json").unlink(missing_ok=True)


def write_private(path: Path, content: str) -> None:
    """Write a file in one step, readable by its owner only.

    Raises:
        OSError: It cannot be written; what was there before stays.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
