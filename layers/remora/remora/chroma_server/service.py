"""Upgrades, restores and replaces the Chroma server of a deployment, never without a way back."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remora.aws_failures import explained
from remora.chroma_server.backups import Backup, Backups
from remora.chroma_server.deployment import (
    SHA256_PARAMETER,
    VERSION_PARAMETER,
    VOLUME_PARAMETER,
    ChromaDeployment,
    Report,
    Stack,
)
from remora.chroma_server.releases import Release, find_release, order
from remora.errors import InvalidArgumentError, UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient

_REFRESH_SECONDS = 60 * 60


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What an upgrade did.

    Attributes:
        before: The version before.
        after: The version now.
        backup: The snapshot from before.
    """

    before: str
    after: str
    backup: Backup


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did.

    Attributes:
        before: The volume before, which is kept.
        after: The volume in use now.
    """

    before: str
    after: str


class ChromaServer:
    """The Chroma server of a deployment."""

    def __init__(
        self,
        stack: Stack,
        backups: Backups,
        autoscaling: "AutoScalingClient",
        *,
        find: Callable[[str], Release] = find_release,
        pause: float = 10,
    ) -> None:
        """Take what it is operated through.

        Args:
            stack: The stack.
            backups: Its snapshots and volumes.
            autoscaling: Auto Scaling, in the stack's region.
            find: Finds a version of Chroma.
            pause: Seconds between two looks at what goes on.
        """
        self._stack = stack
        self._backups = backups
        self._autoscaling = autoscaling
        self._find = find
        self._pause = pause

    def deployment(self) -> ChromaDeployment:
        """Return what the stack says of the server.

        Raises:
            RemoraError: As `Stack.read`.
        """
        return self._stack.read()

    def upgrade(self, version: str, report: Report) -> Upgraded:
        """Make a snapshot, then put a machine with another version of Chroma in the place of this one.

        When that does not come up, CloudFormation brings a machine with the version before back. Its data may have
        been changed by the newer one by then: the snapshot is the way back.

        Args:
            version: A version that is newer than the one that runs.
            report: Is told what happens.

        Raises:
            InvalidArgumentError: The version is not newer, or the server could not run it.
            NotFoundError: There is no such version.
            RemoraError: As `Backups.create` and `Stack.change`.
        """
        deployment = self._stack.read()
        if order(version) <= order(deployment.version):
            raise InvalidArgumentError(
                f"The server runs Chroma {deployment.version}, and {version} is not newer. An older Chroma cannot "
                "read what a newer one has written: `remora backup restore SNAPSHOT --chroma-version VERSION` goes "
                "back to both. `remora chroma replace` renews the machine."
            )
        release = self._find(version)
        backup = self._backups.create(deployment, "upgrade", report)
        try:
            self._stack.change({VERSION_PARAMETER: version, SHA256_PARAMETER: release.sha256}, report)
        except UnavailableError as error:
            raise UnavailableError(
                f"{error} If Chroma {deployment.version} does not answer now, go back to the data from before with "
                f"`remora backup restore {backup.id}`."
            ) from None
        return Upgraded(deployment.version, version, backup)

    def restore(self, source: str, report: Report, version: str | None = None) -> Restored:
        """Put another volume in the place of the one in use, which is kept.

        Args:
            source: A snapshot, of which a volume is made, or a volume.
            report: Is told what happens.
            version: The version of Chroma that goes with it; the one that runs unless given.

        Raises:
            InvalidArgumentError: The source cannot be used.
            NotFoundError: There is no such snapshot, volume or version.
            RemoraError: As `Stack.change`.
        """
        deployment = self._stack.read()
        changes = {}
        if version is not None and version != deployment.version:
            changes = {VERSION_PARAMETER: version, SHA256_PARAMETER: self._find(version).sha256}
        if source.startswith("vol-"):
            if source == deployment.volume:
                raise InvalidArgumentError(f"The volume {source} is the one in use.")
            self._backups.check_volume(deployment, source)
            volume = source
        else:
            volume = self._backups.new_volume(deployment, self._backups.find(source), report)
        try:
            self._stack.change({**changes, VOLUME_PARAMETER: volume}, report)
        except UnavailableError as error:
            raise UnavailableError(
                f"{error} The server has its volume {deployment.volume} again; {volume} is not in use: keep it, or "
                f"delete it with `aws ec2 delete-volume --volume-id {volume}`."
            ) from None
        self._backups.hand_over(deployment, deployment.volume, volume)
        return Restored(deployment.volume, volume)

    def replace(self, report: Report) -> None:
        """Put a new machine, with the newest image, in the place of this one. Volume and address go over to it.

        Raises:
            UnavailableError: It was not there within an hour, or AWS did not answer.
            RemoraError: As `Stack.read`.
        """
        group = self._stack.read().group
        with explained():
            # As in the template: the old one ends first.
            refresh = self._autoscaling.start_instance_refresh(
                AutoScalingGroupName=group, Preferences={"MinHealthyPercentage": 0, "MaxHealthyPercentage": 100}
            )["InstanceRefreshId"]
        seen, deadline = "", time.monotonic() + _REFRESH_SECONDS
        while seen != "Successful":
            with explained():
                (found,) = self._autoscaling.describe_instance_refreshes(
                    AutoScalingGroupName=group, InstanceRefreshIds=[refresh]
                )["InstanceRefreshes"]
            if found["Status"] != seen:
                seen = found["Status"]
                report(f"Machine of {group}: {seen}")
            if seen in {"Failed", "Cancelled", "RollbackFailed", "RollbackSuccessful"} or time.monotonic() > deadline:
                raise UnavailableError(
                    f"The machine was not replaced ({seen}): {found.get('StatusReason', 'no reason')}"
                )
            time.sleep(0 if seen == "Successful" else self._pause)
