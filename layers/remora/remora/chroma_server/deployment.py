"""Reads what a deployed stack says of its Chroma server, and changes the stack's parameters."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from remora.aws_failures import code_of, explained, message_of
from remora.errors import ConflictError, InvalidArgumentError, UnavailableError
from remora.operations.deployment import described

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

VOLUME_PARAMETER: Final = "ChromaVolumeId"
VERSION_PARAMETER: Final = "ChromaVersion"
SHA256_PARAMETER: Final = "ChromaSha256"

Report = Callable[[str], None]
"""Is told what happens, for whoever waits."""

_VOLUME_OUTPUT = "ChromaVolumeId"
_ZONE_OUTPUT = "ChromaAvailabilityZone"
_GROUP_OUTPUT = "ChromaGroupName"
_SIZE_PARAMETER = "ChromaVolumeGiB"
_KEY_PARAMETER = "ChromaVolumeKeyArn"
_CAPABILITIES: Final = ("CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND")
_SECONDS = 60 * 60


@dataclass(frozen=True, slots=True)
class ChromaDeployment:
    """The Chroma server of a stack.

    Attributes:
        stack: Name of the stack.
        volume: Id of the volume that holds its data.
        zone: Availability zone of the server.
        group: Name of its Auto Scaling group.
        version: Version of Chroma.
        volume_gib: Size that volumes are to have.
        volume_key: ARN of the KMS key that encrypts them; empty for the account's default key.
    """

    stack: str
    volume: str
    zone: str
    group: str
    version: str
    volume_gib: int
    volume_key: str


class Stack:
    """A deployed stack, as far as its Chroma server is concerned."""

    def __init__(self, client: "CloudFormationClient", name: str, pause: float = 10) -> None:
        """Name the stack; nothing is asked yet.

        Args:
            client: CloudFormation, in the stack's region.
            name: Name of the stack.
            pause: Seconds between two looks at a change that goes on.
        """
        self._client = client
        self._name = name
        self._pause = pause

    def read(self) -> ChromaDeployment:
        """Return what the stack says of its Chroma server.

        Raises:
            NotFoundError: There is no such stack.
            InvalidArgumentError: It has no Chroma server of its own.
            PermissionDeniedError: The credentials do not allow to ask.
            UnavailableError: AWS did not answer.
        """
        found = self._describe()
        outputs = {item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])}
        parameters = {item["ParameterKey"]: item["ParameterValue"] for item in found.get("Parameters", [])}
        if missing := sorted({_VOLUME_OUTPUT, _ZONE_OUTPUT, _GROUP_OUTPUT} - set(outputs)):
            raise InvalidArgumentError(
                f"The stack {self._name} has no Chroma server of its own: its outputs lack {', '.join(missing)}. "
                "An external Chroma server is backed up and upgraded where it runs."
            )
        return ChromaDeployment(
            stack=self._name,
            volume=outputs[_VOLUME_OUTPUT],
            zone=outputs[_ZONE_OUTPUT],
            group=outputs[_GROUP_OUTPUT],
            version=parameters[VERSION_PARAMETER],
            volume_gib=int(parameters[_SIZE_PARAMETER]),
            volume_key=parameters.get(_KEY_PARAMETER, ""),
        )

    def change(self, changes: Mapping[str, str], report: Report) -> None:
        """Change parameters, leave the rest as it is, and wait until that is done.

        Args:
            changes: New values by parameter.
            report: Is told each state that the stack comes to.

        Raises:
            ConflictError: The stack is being changed already.
            UnavailableError: The change failed, and CloudFormation went back to how it was; or AWS did not answer.
            PermissionDeniedError: The credentials do not allow it.
        """
        parameters = [item["ParameterKey"] for item in self._describe().get("Parameters", [])]
        with explained():
            try:
                self._client.update_stack(
                    StackName=self._name,
                    UsePreviousTemplate=True,
                    Capabilities=_CAPABILITIES,
                    Parameters=[
                        {"ParameterKey": name, "ParameterValue": changes[name]}
                        if name in changes
                        else {"ParameterKey": name, "UsePreviousValue": True}
                        for name in parameters
                    ],
                )
            except ClientError as error:
                if code_of(error) != "ValidationError":
                    raise
                raise ConflictError(
                    f"The stack {self._name} cannot be changed now: {message_of(error)} Nothing was changed."
                ) from None
        self._wait(report)

    def _wait(self, report: Report) -> None:
        seen = ""
        deadline = time.monotonic() + _SECONDS
        while True:
            status = self._describe()["StackStatus"]
            if status != seen:
                report(f"Stack {self._name}: {status}")
                seen = status
            if not status.endswith("_IN_PROGRESS"):
                break
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"The stack {self._name} is still {status} after an hour. It goes on by itself."
                )
            time.sleep(self._pause)
        if status != "UPDATE_COMPLETE":
            raise UnavailableError(f"The change failed ({status}): {self._reason()}")

    def _reason(self) -> str:
        """Return why the last change failed: the first failure of it, which the others follow from."""
        with explained():
            events = self._client.describe_stack_events(StackName=self._name)["StackEvents"]
        failures = []
        for event in events:
            if event.get("ResourceStatusReason") == "User Initiated":
                break
            if event.get("ResourceStatus", "").endswith("_FAILED"):
                failures.append(
                    f"{event.get('LogicalResourceId')}: {event.get('ResourceStatusReason', 'no reason given')}"
                )
        return failures[-1] if failures else "no reason given"

    def _describe(self) -> Mapping[str, Any]:
        return described(self._client, self._name)
