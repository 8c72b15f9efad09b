"""Rotates the origin secret: makes a new version, and has the distribution and the web ACL show and look for it.

The functions accept the current version and the one before (`remora.auth.edge`). So the distribution must show the
current one everywhere before there is a next: otherwise it would show one that nobody accepts any more. A rotation
that was cut short is therefore finished first, and nothing is made anew.
"""

import secrets
import string
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from botocore.exceptions import ClientError

from remora.auth.edge import ORIGIN_HEADER
from remora.aws_failures import code_of, explained
from remora.errors import ConflictError, InvalidArgumentError, UnavailableError
from remora.operations.deployment import Deployment

DISTRIBUTION_OUTPUT: Final = "DistributionId"
SECRET_OUTPUT: Final = "OriginSecretArn"  # noqa: S105 - the name of an output
WEB_ACL_OUTPUT: Final = "AddressLimitArn"

_LENGTH = 64  # as the template has it made
_PREPARED = "REMORA-PREPARED"
_POLL_SECONDS = 10.0
_SECONDS_BETWEEN_REPORTS = 60.0
_MOST_SECONDS = 3600.0
_CHANGED_MEANWHILE = frozenset({"InvalidIfMatchVersion", "PreconditionFailed", "WAFOptimisticLockException"})
_NO_LONGER_CURRENT = frozenset({"InvalidParameterException", "InvalidRequestException"})


class Outcome(Enum):
    """What was done."""

    ROTATED = "rotated"
    FINISHED = "finished"
    """A rotation that had been cut short was brought to its end; no new version was made."""


@dataclass(frozen=True, slots=True)
class _Version:
    """A version of the origin secret."""

    id: str
    text: str = field(repr=False)


def rotate(deployment: Deployment, report: Callable[[str], None]) -> Outcome:
    """Rotate the origin secret of a deployment, or finish a rotation that was cut short.

    Args:
        deployment: The deployment.
        report: Told each step.

    Raises:
        InvalidArgumentError: It has no distribution.
        ConflictError: Something else is changing it just now.
        UnavailableError: CloudFront takes longer than an hour.
        RemoraError: AWS refused, or does not answer.
    """
    if not deployment.has_distribution:
        raise InvalidArgumentError(
            "There is no distribution, and so no origin secret. Name a stack that has one with --stack."
        )
    if deployment.status.endswith("_IN_PROGRESS"):
        raise ConflictError(f"The stack is being changed ({deployment.status}). Wait until that is done.")
    return _Rotation(deployment, report).run()


class _Rotation:
    def __init__(self, deployment: Deployment, report: Callable[[str], None]) -> None:
        self._secret = deployment.output(SECRET_OUTPUT)
        self._distribution = deployment.output(DISTRIBUTION_OUTPUT)
        self._web_acl = deployment.outputs.get(WEB_ACL_OUTPUT)
        self._secretsmanager = deployment.client("secretsmanager")
        self._cloudfront = deployment.client("cloudfront")
        self._wafv2 = deployment.client("wafv2")
        self._report = report

    def run(self) -> Outcome:
        current = self._current()
        if self._show(current) or not self._is_everywhere():
            self._report("An earlier rotation was cut short. It is finished first.")
            self._wait()
            return Outcome.FINISHED
        self._show(self._renewed(current))
        self._wait()
        return Outcome.ROTATED

    def _current(self) -> _Version:
        with explained():
            answer = self._secretsmanager.get_secret_value(SecretId=self._secret, VersionStage="AWSCURRENT")
        return _Version(answer["VersionId"], answer["SecretString"])

    def _renewed(self, before: _Version) -> _Version:
        """Make a new version the current one, if one still is that was read: see `remora.principals.store`."""
        alphabet = string.ascii_letters + string.digits
        version = _Version(str(uuid.uuid4()), "".join(secrets.choice(alphabet) for _ in range(_LENGTH)))
        with _conditional(version.text, frozenset()):
            self._secretsmanager.put_secret_value(
                SecretId=self._secret,
                ClientRequestToken=version.id,
                SecretString=version.text,
                VersionStages=[_PREPARED],
            )
        with _conditional(version.text, _NO_LONGER_CURRENT):
            self._secretsmanager.update_secret_version_stage(
                SecretId=self._secret,
                VersionStage="AWSCURRENT",
                RemoveFromVersionId=before.id,
                MoveToVersionId=version.id,
            )
        self._report("Made a new version of the secret. The one before is accepted too.")
        return version

    def _show(self, version: _Version) -> bool:
        """Have everything show a version, or look for it; return whether anything did not."""
        changed = [self._show_at_distribution(version), self._show_at_web_acl(version)]
        return any(changed)

    def _show_at_distribution(self, version: _Version) -> bool:
        with explained():
            answer = self._cloudfront.get_distribution(Id=self._distribution)
        config = answer["Distribution"]["DistributionConfig"]
        headers = [
            header
            for origin in config["Origins"]["Items"]
            for header in origin.get("CustomHeaders", {}).get("Items", [])
            if header["HeaderName"].lower() == ORIGIN_HEADER
        ]
        if not headers:
            raise InvalidArgumentError(
                f"The distribution {self._distribution} shows no origin secret: somebody has changed it by hand. "
                "Deploy the stack again."
            )
        if all(header["HeaderValue"] == version.text for header in headers):
            return False
        for header in headers:
            header["HeaderValue"] = version.text
        with _conditional(version.text, _CHANGED_MEANWHILE):
            self._cloudfront.update_distribution(
                Id=self._distribution, IfMatch=answer["ETag"], DistributionConfig=config
            )
        self._report("The distribution shows the new version from now on.")
        return True

    def _show_at_web_acl(self, version: _Version) -> bool:
        if self._web_acl is None:
            return False
        # arn:aws:wafv2:REGION:ACCOUNT:regional/webacl/NAME/ID
        name, acl_id = self._web_acl.split("/")[-2:]
        with explained():
            answer = self._wafv2.get_web_acl(Name=name, Scope="REGIONAL", Id=acl_id)
        acl = answer["WebACL"]
        matches = [match for match in _matches(acl["Rules"]) if match["SearchString"] != version.text.encode()]
        if not matches:
            return False
        for match in matches:
            match["SearchString"] = version.text.encode()
        # An update replaces everything, so everything that it takes is given back as it was.
        taken = self._wafv2.meta.service_model.operation_model("UpdateWebACL").input_shape.members
        kept = {key: value for key, value in acl.items() if key in taken}
        with _conditional(version.text, _CHANGED_MEANWHILE):
            self._wafv2.update_web_acl(**{**kept, "Scope": "REGIONAL", "LockToken": answer["LockToken"]})
        self._report("The web ACL looks for the new version.")
        return True

    def _is_everywhere(self) -> bool:
        with explained():
            answer = self._cloudfront.get_distribution(Id=self._distribution)
        return bool(answer["Distribution"]["Status"] == "Deployed")

    def _wait(self) -> None:
        began = time.monotonic()
        told = began
        while not self._is_everywhere():
            now = time.monotonic()
            if now - began > _MOST_SECONDS:
                raise UnavailableError(
                    "CloudFront takes longer than an hour. It goes on by itself, and nobody is refused meanwhile; "
                    "give the same command again later."
                )
            if now - told >= _SECONDS_BETWEEN_REPORTS:
                told = now
                self._report(f"CloudFront takes it to all its places: {round((now - began) / 60)} minutes so far.")
            time.sleep(_POLL_SECONDS)
        self._report("The distribution shows it everywhere.")


def _matches(value: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - rules of a web ACL, as deep as they are
    """Yield the statements that compare the origin secret."""
    if isinstance(value, list):
        for item in value:
            yield from _matches(item)
    elif isinstance(value, dict):
        match = value.get("ByteMatchStatement", {})
        if match.get("FieldToMatch", {}).get("SingleHeader", {}).get("Name", "").lower() == ORIGIN_HEADER:
            yield match
        for item in value.values():
            yield from _matches(item)


@contextmanager
def _conditional(secret: str, lost: frozenset[str]) -> Iterator[None]:
    """Explain what AWS says to a change that it makes only if nobody else did, without the secret that it was given.

    Args:
        secret: The secret.
        lost: Codes by which AWS says that somebody else did.

    Raises:
        ConflictError: Somebody else did.
        RemoraError: As in `explained`.
    """
    with explained():
        try:
            yield
        except ClientError as error:
            if code_of(error) in lost:
                raise ConflictError(
                    "Something else changed the secret, the distribution or the web ACL at the same time. "
                    "Give the same command again."
                ) from None
            # AWS WAF names the value that it refuses.
            said = error.response["Error"]
            said["Message"] = said.get("Message", "no reason given").replace(secret, "[the secret]")
            raise
