"""Keeps the principals of a local run between runs, and tells the command line how to reach the run's AWS."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, field_serializer

from remora.auth.keys import Principals
from remora.errors import InvalidArgumentError
from remora.local.connection import PRINCIPAL_ID, LocalPrincipal, write_private
from remora.principals.service import PrincipalsService
from remora.principals.stack import read_stack
from remora.principals.store import PrincipalsStore
from remora.principals.usage_keys import UsageKeys

if TYPE_CHECKING:
    from remora.local.aws import LocalAws

_ACCESS_FILE = "aws.json"
_PRINCIPALS_FILE = "principals.json"


class LocalAccess(BaseModel):
    """How the AWS of a local run is reached. Kept in `aws.json` while the run serves.

    Attributes:
        endpoint: Base URL of all its services.
        region: Its region.
        access_key: The access key that it answers.
        secret_key: What goes with it.
        stack: Name of the stack there.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    endpoint: str
    region: str
    access_key: SecretStr
    secret_key: SecretStr
    stack: str

    @field_serializer("access_key", "secret_key")
    def _written(self, value: SecretStr) -> str:
        return value.get_secret_value()

    @classmethod
    def of(cls, data_dir: Path) -> "LocalAccess":
        """Return how to reach the run that uses a data directory.

        Raises:
            InvalidArgumentError: None does, or its file cannot be read.
        """
        try:
            return cls.model_validate_json((data_dir / _ACCESS_FILE).read_bytes())
        except OSError:
            raise InvalidArgumentError(
                f"No stack is named, and none runs here ({data_dir}). Give --stack, or start `remora dev`."
            ) from None
        except ValidationError:
            raise InvalidArgumentError(
                f"{data_dir / _ACCESS_FILE} cannot be read. Start `remora dev` again."
            ) from None


def admit(local: LocalPrincipal, aws: "LocalAws", stack: str, data_dir: Path) -> None:
    """Store the principals of the last run and the local one where the authorizer looks, each with its usage key.

    From then on whatever becomes of them is kept in the data directory, before whoever changed it is answered.

    Args:
        local: The local principal.
        aws: The local AWS.
        stack: Name of the stack there.
        data_dir: The data directory.

    Raises:
        InvalidArgumentError: The principals that were kept cannot be read, or the template lacks an output.
    """
    found = read_stack(aws.cloudformation, stack)
    path = data_dir / _PRINCIPALS_FILE
    principals = _kept(path)
    everyone = {**principals.principals, **local.stored().principals}
    document = principals.model_copy(update={"principals": everyone}).to_document()
    aws.secretsmanager.put_secret_value(SecretId=found.secret, SecretString=document)
    store = PrincipalsStore(aws.secretsmanager, found.secret)
    PrincipalsService(store, UsageKeys(aws.apigateway, stack, found.plans)).mend()

    def keep() -> None:
        current = store.read().principals
        others = {name: principal for name, principal in current.principals.items() if name != PRINCIPAL_ID}
        write_private(path, current.model_copy(update={"principals": others}).to_document())

    aws.on_change("secretsmanager", keep)


@contextmanager
def reachable(data_dir: Path, aws: "LocalAws", stack: str) -> Iterator[None]:
    """Keep `aws.json` in the data directory for as long as the local AWS serves."""
    environment = aws.environment()
    access = LocalAccess(
        endpoint=environment["AWS_ENDPOINT_URL"],
        region=environment["AWS_REGION"],
        access_key=SecretStr(environment["AWS_ACCESS_KEY_ID"]),
        secret_key=SecretStr(environment["AWS_SECRET_ACCESS_KEY"]),
        stack=stack,
    )
    write_private(data_dir / _ACCESS_FILE, access.model_dump_json(indent=2) + "\n")
    try:
        yield
    finally:
        (data_dir / _ACCESS_FILE).unlink(missing_ok=True)


def _kept(path: Path) -> Principals:
    try:
        return Principals.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Principals(principals={})
    except (OSError, ValidationError):
        raise InvalidArgumentError(
            f"{path} cannot be read. Mend it, or remove it to start without the principals that were made here."
        ) from None
