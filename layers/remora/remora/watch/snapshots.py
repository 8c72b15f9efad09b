"""How old the newest snapshot of a volume is."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

_HOUR = 3_600.0


def unprotected_hours(ec2: "EC2Client", volume: str, now: datetime | None = None) -> float:
    """Return for how many hours what a volume holds has not been in a snapshot.

    A snapshot holds what was there when it was begun, so that is what counts, once it is complete. Without any, it is
    the age of the volume: one that has just been made misses no snapshot yet.

    Args:
        ec2: A client of EC2.
        volume: The volume's id.
        now: The time to judge by; the current time unless given.

    Raises:
        ClientError: EC2 refused, or there is no such volume.
    """
    moment = now or datetime.now(UTC)
    pages = ec2.get_paginator("describe_snapshots").paginate(
        OwnerIds=["self"],
        Filters=[{"Name": "volume-id", "Values": [volume]}, {"Name": "status", "Values": ["completed"]}],
    )
    begun = [snapshot["StartTime"] for page in pages for snapshot in page["Snapshots"]]
    if not begun:
        begun = [each["CreateTime"] for each in ec2.describe_volumes(VolumeIds=[volume])["Volumes"]]
    newest: datetime = max(begun)
    return max(0.0, (moment - newest).total_seconds() / _HOUR)
