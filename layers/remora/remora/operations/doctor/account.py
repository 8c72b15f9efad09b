"""Looks at a deployment from inside its AWS account, with the operator's credentials; nothing is changed."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

from botocore.exceptions import ClientError

from remora.auth.keys import CAPACITY, StoredPrincipal
from remora.aws_failures import code_of, explained
from remora.errors import RemoraError
from remora.operations.deployment import Deployment
from remora.operations.doctor.findings import Check, Finding, broken, ok, skipped, warning
from remora.operations.logs import FUNCTIONS, read
from remora.principals.stack import read_stack
from remora.principals.store import PrincipalsStore, Snapshot
from remora.principals.usage_keys import UsageKeys

RUNTIME: Final = "python3.14"
"""What the functions run on."""

_OLD_KEY = timedelta(days=90)
_SOON = timedelta(days=14)
_FULL = 0.75
_MOST_UNZIPPED_MB: Final = 250
_RECENT = timedelta(hours=1)
_COUNTED_ERRORS: Final = 1000
_OLD_SNAPSHOT = timedelta(hours=26)
_DISK_WARNING, _DISK_BROKEN = 75.0, 90.0
_DISK_WINDOW = timedelta(minutes=30)
_FUNCTION_OUTPUTS: Final = {
    "connector": "ConnectorFunctionName",
    "authorizer": "AuthorizerFunctionName",
    "oauth": "OAuthFunctionName",
    "ingest": "IngestFunctionName",
    "upkeep": "UpkeepFunctionName",
    "watch": "WatchFunctionName",
}
_ELSEWHERE = "this is no AWS account"


class Account:
    """The view from the account.

    Args:
        deployment: The deployment.
        key: The operator's key, whose limits are shown; None if there is none.
    """

    def __init__(self, deployment: Deployment, key: str | None) -> None:
        self._deployment = deployment
        self._key_principal = key.split("_")[1] if key is not None and key.count("_") >= 2 else None
        self._now = datetime.now(UTC)

    def checks(self) -> tuple[Check, ...]:
        """Return what there is to look at."""
        return (
            Check("stack", self._stack),
            Check("principals", self._principals),
            Check("signing secret", self._signing),
            Check("OAuth table", self._table),
            Check("memory bucket", self._bucket),
            Check("functions", self._functions),
            Check("Chroma server", self._server),
            Check("errors", self._errors),
        )

    # ---- the stack ----

    def _stack(self) -> Iterator[Finding]:
        status = self._deployment.status
        if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"):
            yield ok("stack", f"{self._deployment.name} in {self._deployment.region}: {status}")
        elif status.endswith("_IN_PROGRESS"):
            yield warning("stack", status, "Something is being changed. Wait until it is done.")
        elif status == "UPDATE_ROLLBACK_COMPLETE":
            yield warning("stack", status, "The last deployment failed and was taken back. Its events say why.")
        else:
            yield broken(
                "stack", status, "See its events in CloudFormation; a rolled-back creation is deleted first."
            )
        if self._deployment.is_local:
            yield skipped("drift", _ELSEWHERE)
        elif self._deployment.drift == "DRIFTED":
            advice = "Somebody changed resources by hand. CloudFormation shows which; deploy again to put them right."
            yield warning("drift", "resources differ from the template", advice)
        elif self._deployment.drift == "IN_SYNC":
            yield ok("drift", "none when it was last looked for")
        else:
            command = f"aws cloudformation detect-stack-drift --stack-name {self._deployment.name}"
            yield skipped("drift", f"never looked for: {command}")

    # ---- who may call ----

    def _principals(self) -> Iterator[Finding]:
        stack = read_stack(self._deployment.client("cloudformation"), self._deployment.name)
        snapshot = PrincipalsStore(self._deployment.client("secretsmanager"), stack.secret).read()
        yield self._room(snapshot)
        yield from self._keys(snapshot)
        usage_keys = UsageKeys(self._deployment.client("apigateway"), stack.name, stack.plans)
        tiers = usage_keys.inventory().tiers
        lost = [
            name
            for name, principal in snapshot.principals.principals.items()
            if tiers.get(principal.usage_key_id or usage_keys.find(principal.usage_key) or "") != principal.tier
        ]
        if lost:
            advice = f"They are answered with 403. `remora key set {min(lost)} --enable`, or any change, mends all."
            yield broken("usage keys", f"not in the plan of their tier: {_some(lost)}", advice)
        else:
            yield ok("usage keys", f"{len(snapshot.principals.principals)} principals, each in the plan of its tier")
        yield from self._limits(snapshot, stack.plans)

    def _room(self, snapshot: Snapshot) -> Finding:
        count, share = len(snapshot.principals.principals), snapshot.size / CAPACITY
        said = f"{count} of them, which take {share:.0%} of their secret"
        if share > _FULL:
            return warning("principals", said, "Revoke those that are not used, or deploy a second stack.")
        if not count:
            return warning("principals", "nobody may call yet", "`remora key create ID` makes the first key.")
        return ok("principals", said)

    def _keys(self, snapshot: Snapshot) -> Iterator[Finding]:
        principals = snapshot.principals.principals
        old = [name for name, principal in principals.items() if self._oldest(principal) > _OLD_KEY]
        ending = [name for name, principal in principals.items() if self._ends_soon(principal)]
        if old:
            command = f"`remora key rotate {min(old)}`"
            yield warning("key ages", f"older than {_OLD_KEY.days} days: {_some(old)}", f"Rotate them: {command}.")
        else:
            yield ok("key ages", f"none is older than {_OLD_KEY.days} days")
        if ending:
            yield warning("key expiry", f"no key left in {_SOON.days} days: {_some(ending)}", "Rotate them before.")

    def _oldest(self, principal: StoredPrincipal) -> timedelta:
        made = [key.created_at for key in principal.keys if key.created_at and not key.has_expired(self._now)]
        return self._now - min(made) if made else timedelta()

    def _ends_soon(self, principal: StoredPrincipal) -> bool:
        if not principal.keys or principal.disabled:
            return False
        return all(key.expires_at is not None and key.expires_at < self._now + _SOON for key in principal.keys)

    def _limits(self, snapshot: Snapshot, plans: Mapping[str, str]) -> Iterator[Finding]:
        principal = snapshot.principals.principals.get(self._key_principal or "")
        if principal is None:
            return
        plan = plans.get(principal.tier)
        if plan is None:
            yield broken(
                "limits", f"there is no tier {principal.tier}", f"`remora key set {self._key_principal} --tier`"
            )
            return
        with explained():
            found = self._deployment.client("apigateway").get_usage_plan(usagePlanId=plan)
        throttle, quota = found.get("throttle"), found.get("quota")
        said = f"{self._key_principal} is of the tier {principal.tier}"
        if throttle and quota:
            said += (
                f": {throttle['rateLimit']:g} a second, {throttle['burstLimit']} at once, {quota['limit']:,} a day"
            )
        yield ok("limits", said)

    # ---- what is kept ----

    def _signing(self) -> Iterable[Finding]:
        arn = self._deployment.output("SigningSecretArn")
        with explained():
            secret = self._deployment.client("secretsmanager").describe_secret(SecretId=arn)
        if secret.get("DeletedDate"):
            return [broken("signing secret", "it is scheduled for deletion", "`aws secretsmanager restore-secret`.")]
        changed = secret.get("LastChangedDate") or secret.get("CreatedDate")
        return [ok("signing secret", f"there, last changed {changed:%Y-%m-%d}" if changed else "there")]

    def _table(self) -> Iterable[Finding]:
        name = self._deployment.output("OAuthTableName")
        with explained():
            table = self._deployment.client("dynamodb").describe_table(TableName=name)["Table"]
        if table["TableStatus"] not in ("ACTIVE", "UPDATING"):
            return [broken("OAuth table", table["TableStatus"], "Nobody can sign in until it is active.")]
        return [ok("OAuth table", f"{table['TableStatus'].lower()}, about {table.get('ItemCount', 0):,} items")]

    def _bucket(self) -> Iterable[Finding]:
        name = self._deployment.output("MemoryBucketName")
        client = self._deployment.client("s3")
        with explained():
            versioning = client.get_bucket_versioning(Bucket=name).get("Status")
        if versioning != "Enabled":
            advice = "The journal needs it: deploy again, and do not change the bucket by hand."
            return [broken("memory bucket", f"versioning is {versioning or 'off'}", advice)]
        if self._deployment.is_local:
            return [ok("memory bucket", "reachable, versioned")]
        with explained():
            try:
                block = client.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
            except ClientError as error:
                if code_of(error) != "NoSuchPublicAccessBlockConfiguration":
                    raise
                block = {}
        if not block or not all(block.values()):
            return [broken("memory bucket", "public access is not blocked", "Deploy again, which blocks it.")]
        return [ok("memory bucket", "reachable, versioned, not public")]

    # ---- what runs ----

    def _functions(self) -> Iterator[Finding]:
        if self._deployment.is_local:
            yield skipped("functions", "they are processes of `remora dev`")
            return
        client = self._deployment.client("lambda")
        for function, output in _FUNCTION_OUTPUTS.items():
            name = self._deployment.output(output)
            with explained():
                found = client.get_function_configuration(FunctionName=name)
            yield _function(function, found)

    def _server(self) -> Iterator[Finding]:
        if self._deployment.is_local:
            yield skipped("Chroma server", "it is a process of `remora dev`")
            return
        if self._deployment.parameters.get("ChromaMode", "external") != "instance":
            yield skipped("Chroma server", "it is not of this stack (ChromaMode is external)")
            return
        tag = {"Name": "tag:remora:chroma", "Values": [self._deployment.name]}
        client = self._deployment.client("ec2")
        with explained():
            volumes = client.describe_volumes(Filters=[tag])["Volumes"]
            snapshots = client.describe_snapshots(OwnerIds=["self"], Filters=[tag])["Snapshots"]
        used = [volume for volume in volumes if volume["State"] == "in-use"]
        if not used:
            yield broken("Chroma's volume", "no machine has it", "The Auto Scaling group's activity says why.")
        else:
            yield ok("Chroma's volume", f"{used[0]['VolumeId']}, {used[0]['Size']} GiB, in use")
        yield self._snapshots(snapshots)
        yield self._disk()

    def _snapshots(self, snapshots: Iterable[Mapping[str, Any]]) -> Finding:
        made = [snapshot["StartTime"] for snapshot in snapshots if snapshot.get("State") == "completed"]
        advice = "Data Lifecycle Manager makes one a day; its policy, or its role, does not work."
        if not made:
            return warning("snapshots", "there is none yet", advice)
        age = self._now - max(made)
        said = f"{len(made)}, the latest {age.total_seconds() / 3600:.0f} hours old"
        return warning("snapshots", said, advice) if age > _OLD_SNAPSHOT else ok("snapshots", said)

    def _disk(self) -> Finding:
        with explained():
            points = self._deployment.client("cloudwatch").get_metric_statistics(
                Namespace="Remora/Chroma",
                MetricName="disk_used_percent",
                Dimensions=[{"Name": "Deployment", "Value": self._deployment.name}],
                StartTime=self._now - _DISK_WINDOW,
                EndTime=self._now,
                Period=300,
                Statistics=["Maximum"],
            )["Datapoints"]
        if not points:
            return warning("Chroma's disk", "nothing was measured lately", "The server, or its agent, does not run.")
        used = max(points, key=lambda point: point["Timestamp"])["Maximum"]
        said = f"{used:.0f} % used"
        advice = "Deploy with a larger ChromaVolumeGiB, then `remora chroma replace`."
        if used >= _DISK_BROKEN:
            return broken("Chroma's disk", said, advice)
        return warning("Chroma's disk", said, advice) if used >= _DISK_WARNING else ok("Chroma's disk", said)

    def _errors(self) -> Iterator[Finding]:
        since = self._now - _RECENT
        total = 0
        for function in FUNCTIONS:
            try:
                entries = read(self._deployment, (function,), since, errors=True)
                latest, count = None, 0
                for entry in islice(entries, _COUNTED_ERRORS):
                    latest, count = entry, count + 1
            except RemoraError as error:
                yield warning(f"errors of {function}", str(error), "Without it nobody sees what fails.")
                continue
            total += count
            if latest is not None:
                said = f"{count} in the last hour, the latest: {latest.message[:120]}"
                yield warning(f"errors of {function}", said, f"`remora logs --errors --function {function}`")
        if not total:
            yield ok("errors", "none in the last hour")


def _function(function: str, found: Mapping[str, Any]) -> Finding:
    check = f"function {function}"
    runtime, state = found.get("Runtime", "none"), found.get("State", "Active")
    update = found.get("LastUpdateStatus", "Successful")
    layers = [layer.get("CodeSize", 0) for layer in found.get("Layers", ())]
    # Zipped; what Lambda limits is the size unzipped, which is larger.
    megabytes = (found.get("CodeSize", 0) + sum(layers)) / 1e6
    said = f"{runtime}, {found.get('MemorySize')} MB, {len(layers)} layers, {megabytes:.0f} MB zipped"
    if state not in ("Active", "Inactive"):
        return broken(check, f"{said}, {state}", str(found.get("StateReason") or "Deploy again."))
    if update == "Failed":
        return broken(
            check, f"{said}, its update failed", str(found.get("LastUpdateStatusReason") or "Deploy again.")
        )
    if megabytes > _MOST_UNZIPPED_MB:
        return broken(check, said, f"Lambda takes {_MOST_UNZIPPED_MB} MB unzipped.")
    if runtime != RUNTIME:
        return warning(check, said, f"This version runs on {RUNTIME}. Build and deploy it.")
    return ok(check, said)


def _some(names: list[str]) -> str:
    return f"{', '.join(sorted(names)[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}"
