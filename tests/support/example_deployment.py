"""What the events in `events/` expect to find in AWS, made in a moto server."""

from pathlib import Path
from typing import Any

import boto3

from tests.support.aws import REGION

SECRET = "remora-principals"
SIGNING_SECRET = "remora-signing"
TABLE = "remora-oauth"
BUCKET = "remora-memory"

_SIGNING = '{"seed": "ThisSeedIsInThePublicRepositoryNeverUseItForAnythingThatIsNotATest"}'
_PRINCIPALS = Path(__file__).parents[2] / "events" / "principals.json"


def furnish(moto_url: str) -> None:
    """Make the secrets, the table and the bucket that `events/environment.json` names."""

    def client(service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=moto_url,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    client("secretsmanager").create_secret(Name=SECRET, SecretString=_PRINCIPALS.read_text())
    client("secretsmanager").create_secret(Name=SIGNING_SECRET, SecretString=_SIGNING)
    client("dynamodb").create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
