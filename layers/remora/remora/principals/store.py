"""Reads and changes the principals secret, so that no change made at the same time is ever lost.

Secrets Manager writes a value and lets it take effect in two steps, and the second can be made conditional. A change
is therefore a compare-and-swap: put the new document as a version of its own, under a label that means nothing to
those who read the secret; then move the label AWSCURRENT to it *from the version that was read*, which Secrets
Manager refuses if AWSCURRENT is no longer there (UpdateSecretVersionStage: "If the label is attached and […] the
version ID does not match, then the operation fails"). Whoever is refused reads again and makes the change again.

One label serves all writers: a new version takes it from the one before, so that no label is ever left behind (a
secret holds 20). The version that lost it stays for the moment that its writer needs, because Secrets Manager removes
no version that is younger than 24 hours.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from random import SystemRandom
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from pydantic import ValidationError

from remora.auth.keys import CAPACITY, Principals
from remora.aws_failures import code_of, explained
from remora.errors import ConflictError, InvalidArgumentError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

_CURRENT = "AWSCURRENT"
_PREPARED = "REMORA-PREPARED"
_ATTEMPTS = 16
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds
_LOST = frozenset({"InvalidParameterException", "InvalidRequestException"})

_random = SystemRandom()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The principals at a moment.

    Attributes:
        principals: All of them.
        version: Id of the secret's version that held them.
        size: Bytes that they take of the secret's `CAPACITY`.
    """

    principals: Principals
    version: str
    size: int


class PrincipalsStore:
    """The principals secret of one deployment."""

    def __init__(self, client: "SecretsManagerClient", secret: str) -> None:
        """Note where the secret is.

        Args:
            client: Secrets Manager.
            secret: Name or ARN of the secret.
        """
        self._client = client
        self._secret = secret

    def read(self) -> Snapshot:
        """Return the principals as they are.

        Raises:
            InvalidArgumentError: What the secret holds is no principals document.
            NotFoundError: There is no such secret.
            PermissionDeniedError: The credentials do not allow it.
            UnavailableError: Secrets Manager did not answer.
        """
        with explained():
            try:
                answer = self._client.get_secret_value(SecretId=self._secret, VersionStage=_CURRENT)
            except ClientError as error:
                if code_of(error) == "ResourceNotFoundException":
                    raise NotFoundError(f"There is no secret {self._secret} that holds a value.") from None
                raise
        document = answer.get("SecretString", "")
        try:
            principals = Principals.model_validate_json(document)
        except ValidationError:
            raise InvalidArgumentError(
                f"The secret {self._secret} holds no principals document. The version labelled AWSPREVIOUS "
                "holds the one before."
            ) from None
        return Snapshot(principals, answer["VersionId"], len(document.encode()))

    def change(self, change: Callable[[Principals], Principals]) -> Principals:
        """Change the principals, and return what they are then.

        Args:
            change: Returns the changed principals. It is asked again when somebody else was faster, and also when an
                answer of AWS was lost on its way and the change may already have been made; then it has to return
                what it was given.

        Raises:
            ConflictError: Others changed them at the same time, again and again; nothing was changed.
            InvalidArgumentError: The document would be larger than a secret; nothing was changed.
            RemoraError: What `change` and `read` raise.
        """
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt)))
            before = self.read()
            after = change(before.principals)
            if after == before.principals or self._swap(before.version, fitting(after)):
                return after
        raise ConflictError(
            f"Others changed the principals at the same time, {_ATTEMPTS} times in a row. "
            "Nothing was changed; try again."
        )

    def _swap(self, version: str, document: str) -> bool:
        """Make a document the current one, if a version still is; return whether it was."""
        token = str(uuid.uuid4())
        with explained():
            try:
                self._client.put_secret_value(
                    SecretId=self._secret, ClientRequestToken=token, SecretString=document, VersionStages=[_PREPARED]
                )
            except ClientError as error:
                if code_of(error) == "LimitExceededException":
                    raise UnavailableError(
                        "Secrets Manager takes no more versions of the principals secret: it keeps every one for 24 "
                        "hours, and about 100 of them. Nothing was changed; try again later, and change less often."
                    ) from None
                raise
            try:
                self._client.update_secret_version_stage(
                    SecretId=self._secret, VersionStage=_CURRENT, RemoveFromVersionId=version, MoveToVersionId=token
                )
            except ClientError as error:
                if code_of(error) in _LOST:
                    return False
                raise
        return True


def fitting(principals: Principals) -> str:
    """Return the document of principals.

    Raises:
        InvalidArgumentError: It is larger than a secret.
    """
    document = principals.to_document()
    size = len(document.encode())
    if size > CAPACITY:
        raise InvalidArgumentError(
            f"The principals would take {size:,} bytes, and their secret holds {CAPACITY:,}. Nothing was changed. "
            "Revoke principals that are no longer used (`remora key list` shows them), or deploy a second stack."
        )
    return document
