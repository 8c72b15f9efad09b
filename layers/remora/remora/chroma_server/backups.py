"""Snapshots of the Chroma server's volume, and volumes made from them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from remora.aws_failures import explained
from remora.chroma_server.deployment import ChromaDeployment, Report
from remora.errors import InvalidArgumentError, UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import SnapshotTypeDef, TagTypeDef

DEPLOYMENT_TAG: Final = "remora:chroma"
"""Marks the volume in use and its snapshots; what carries it is in the daily schedule."""

FORMER_TAG: Final = "remora:chroma-former"
"""Marks a volume that another has taken the place of."""

_MADE_TAG = "remora:made"
_SECONDS = 6 * 60 * 60


@dataclass(frozen=True, slots=True)
class Backup:
    """A snapshot of a Chroma server's volume.

    Attributes:
        id: Its id.
        made_at: The moment that it shows.
        gib: Size of a volume made from it.
        state: `pending`, `completed` or `error`.
        progress: How far it has come, as AWS writes it: `100%`.
        made: What made it: `daily`, `by hand`, or what else the tag says.
        deployment: The deployment that it is of, if it says so.
    """

    id: str
    made_at: datetime
    gib: int
    state: str
    progress: str
    made: str
    deployment: str


class Backups:
    """The snapshots and volumes of a deployment."""

    def __init__(self, client: "EC2Client", pause: float = 10) -> None:
        """Take EC2 in the stack's region.

        Args:
            client: EC2.
            pause: Seconds between two looks at what goes on.
        """
        self._client = client
        self._pause = pause

    def list(self, deployment: ChromaDeployment) -> Sequence[Backup]:
        """Return the snapshots of a deployment, the newest first.

        Raises:
            PermissionDeniedError: The credentials do not allow it.
            UnavailableError: AWS did not answer.
        """
        with explained():
            pages = self._client.get_paginator("describe_snapshots").paginate(
                OwnerIds=["self"], Filters=[{"Name": f"tag:{DEPLOYMENT_TAG}", "Values": [deployment.stack]}]
            )
            found = [_backup(snapshot) for page in pages for snapshot in page["Snapshots"]]
        return sorted(found, key=lambda backup: backup.made_at, reverse=True)

    def find(self, snapshot_id: str) -> Backup:
        """Return a snapshot of this account.

        Raises:
            NotFoundError: There is none.
            PermissionDeniedError: The credentials do not allow it.
            UnavailableError: AWS did not answer.
        """
        with explained():
            (snapshot,) = self._client.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
        return _backup(snapshot)

    def create(self, deployment: ChromaDeployment, made: str, report: Report) -> Backup:
        """Make a snapshot of the volume in use, and wait until it is complete.

        It shows the volume at the moment of the call, as a power cut would leave it.

        Args:
            deployment: Whose volume.
            made: What makes it.
            report: Is told how far it has come.

        Raises:
            PermissionDeniedError: The credentials do not allow it.
            UnavailableError: It failed, or AWS did not answer.
        """
        with explained():
            snapshot_id = self._client.create_snapshot(
                VolumeId=deployment.volume,
                Description=f"Chroma of {deployment.stack}, {made}",
                TagSpecifications=[
                    {"ResourceType": "snapshot", "Tags": [*_tags(deployment), {"Key": _MADE_TAG, "Value": made}]}
                ],
            )["SnapshotId"]
        seen, deadline = "", time.monotonic() + _SECONDS
        while True:
            backup = self.find(snapshot_id)
            if backup.progress != seen:
                report(f"Snapshot {snapshot_id} of {deployment.volume}: {backup.progress or backup.state}")
                seen = backup.progress
            if backup.state == "completed":
                return backup
            if backup.state == "error" or time.monotonic() > deadline:
                raise UnavailableError(f"The snapshot {snapshot_id} is {backup.state}. Nothing else was changed.")
            time.sleep(self._pause)

    def new_volume(self, deployment: ChromaDeployment, backup: Backup, report: Report) -> str:
        """Make a volume from a snapshot where the server can use it, and return its id.

        Raises:
            InvalidArgumentError: The snapshot is not complete.
            PermissionDeniedError: The credentials do not allow it.
            UnavailableError: It failed, or AWS did not answer.
        """
        if backup.state != "completed":
            raise InvalidArgumentError(
                f"The snapshot {backup.id} is {backup.state}. Take one that is completed, or wait for it."
            )
        key = {"KmsKeyId": deployment.volume_key} if deployment.volume_key else {}
        with explained():
            volume_id = self._client.create_volume(
                AvailabilityZone=deployment.zone,
                SnapshotId=backup.id,
                Size=max(backup.gib, deployment.volume_gib),
                VolumeType="gp3",
                Encrypted=True,
                TagSpecifications=[{"ResourceType": "volume", "Tags": [*_tags(deployment)]}],
                **key,  # type: ignore[arg-type]
            )["VolumeId"]
        deadline = time.monotonic() + _SECONDS
        while (state := self._volume(volume_id)[0]) != "available":
            if state == "error" or time.monotonic() > deadline:
                raise UnavailableError(f"The volume {volume_id} is {state}. Nothing else was changed.")
            time.sleep(self._pause)
        report(f"Volume {volume_id} made from {backup.id}")
        return volume_id

    def check_volume(self, deployment: ChromaDeployment, volume_id: str) -> None:
        """Check that the server could use a volume.

        Raises:
            InvalidArgumentError: It is in another availability zone, or in use.
            NotFoundError: There is none.
            PermissionDeniedError: The credentials do not allow it.
            UnavailableError: AWS did not answer.
        """
        state, zone = self._volume(volume_id)
        if zone != deployment.zone:
            raise InvalidArgumentError(
                f"The volume {volume_id} is in {zone} and the server in {deployment.zone}. "
                "Make a snapshot of it, and restore that."
            )
        if state != "available":
            raise InvalidArgumentError(f"The volume {volume_id} is {state}. Detach it first.")

    def hand_over(self, deployment: ChromaDeployment, former: str, current: str) -> None:
        """Write on two volumes which one is in use now. Only that one gets daily snapshots.

        Raises:
            PermissionDeniedError: The credentials do not allow it.
            UnavailableError: AWS did not answer.
        """
        with explained():
            self._client.create_tags(Resources=[current], Tags=_tags(deployment))
            self._client.delete_tags(Resources=[current], Tags=[{"Key": FORMER_TAG}])
            self._client.create_tags(Resources=[former], Tags=[{"Key": FORMER_TAG, "Value": deployment.stack}])
            self._client.delete_tags(Resources=[former], Tags=[{"Key": DEPLOYMENT_TAG}])

    def _volume(self, volume_id: str) -> tuple[str, str]:
        with explained():
            (volume,) = self._client.describe_volumes(VolumeIds=[volume_id])["Volumes"]
        return volume["State"], volume["AvailabilityZone"]


def _tags(deployment: ChromaDeployment) -> "Sequence[TagTypeDef]":
    return [
        {"Key": "Name", "Value": f"{deployment.stack} Chroma"},
        {"Key": DEPLOYMENT_TAG, "Value": deployment.stack},
    ]


def _backup(snapshot: "SnapshotTypeDef") -> Backup:
    tags = {tag["Key"]: tag["Value"] for tag in snapshot.get("Tags", [])}
    return Backup(
        id=snapshot["SnapshotId"],
        made_at=snapshot["StartTime"],
        gib=snapshot["VolumeSize"],
        state=snapshot["State"],
        progress=snapshot.get("Progress", ""),
        made=tags.get(_MADE_TAG, "by others"),
        deployment=tags.get(DEPLOYMENT_TAG, ""),
    )
