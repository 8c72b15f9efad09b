"""Keeps the API Gateway keys of a deployment, one for each principal, in the usage plan of the principal's tier.

A principal whose usage key is in no plan of the stage is answered with 403, and an API Gateway key can be in one plan
of a stage only. So a key never moves: the principal gets a new one in the other plan, and the old one stays for as
long as cached answers of the authorizer may name it. A key that no principal names is marked with the time that this
was first seen, and removed by a later command. That is also how a key goes that was made for a principal that then
could not be stored.

Usage plans and keys: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html
"""

import contextlib
import secrets
import string
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from remora.aws_failures import code_of, explained
from remora.errors import UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_apigateway import APIGatewayClient

_ALPHABET = string.ascii_letters + string.digits  # API Gateway: "The value is an alphanumeric string"
_VALUE_LENGTH = 32
_PAGE = 500
_IN_USE = "Counts the requests of a principal of Remora."
_UNUSED = "Unused since "
# Longer than any cached answer of the authorizer lives (300 seconds there, 300 in the authorizer), and longer than a
# command takes from making a key to storing its principal.
_GRACE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class UsageKey:
    """An API Gateway key.

    Attributes:
        id: Its id.
        value: Its value, which the authorizer answers with.
    """

    id: str
    value: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is in API Gateway.

    Attributes:
        tiers: Tier of each key that is in a plan, by the key's id.
        own: Description of each key that was made for a principal of this stack, in a plan or not, by the key's id.
    """

    tiers: Mapping[str, str]
    own: Mapping[str, str]


class UsageKeys:
    """The usage keys of one stack."""

    def __init__(self, client: "APIGatewayClient", stack: str, plans: Mapping[str, str]) -> None:
        """Note where the keys are.

        Args:
            client: API Gateway.
            stack: Name of the stack, which the names of its keys begin with.
            plans: Id of the usage plan of each tier.
        """
        self._client = client
        self._prefix = f"{stack}/"
        self._plans = plans

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tiers there are."""
        return tuple(sorted(self._plans))

    def inventory(self) -> Inventory:
        """Return what there is.

        Raises:
            RemoraError: AWS cannot be asked.
        """
        with explained():
            tiers = {
                key["id"]: tier
                for tier, plan in self._plans.items()
                for page in self._client.get_paginator("get_usage_plan_keys").paginate(
                    usagePlanId=plan, PaginationConfig={"PageSize": _PAGE}
                )
                for key in page["items"]
            }
        return Inventory(tiers, self.own())

    def own(self) -> Mapping[str, str]:
        """Return the description of each key that was made for a principal of this stack, by its id.

        Raises:
            RemoraError: AWS cannot be asked.
        """
        with explained():
            return {
                key["id"]: key.get("description") or ""
                for page in self._client.get_paginator("get_api_keys").paginate(
                    nameQuery=self._prefix, PaginationConfig={"PageSize": _PAGE}
                )
                for key in page["items"]
                # The query is a prefix, and not everywhere exact.
                if (key.get("name") or "").startswith(self._prefix)
            }

    def create(self, principal_id: str, tier: str) -> UsageKey:
        """Make a key in the plan of a tier.

        Args:
            principal_id: Whose it will be.
            tier: One of `tiers`.

        Raises:
            RemoraError: AWS does not make it.
        """
        value = "".join(secrets.choice(_ALPHABET) for _ in range(_VALUE_LENGTH))
        with explained():
            try:
                created = self._client.create_api_key(
                    name=f"{self._prefix}{principal_id}",
                    description=_IN_USE,
                    value=value,
                    enabled=True,
                )
                self._attach(created["id"], tier)
            except ClientError as error:
                if code_of(error) == "LimitExceededException":
                    raise UnavailableError(
                        "API Gateway makes no more API keys in this account and region: "
                        f"{error.response['Error'].get('Message', 'no reason given')}"
                    ) from None
                raise
        return UsageKey(created["id"], value)

    def attach(self, key_id: str, tier: str) -> None:
        """Put a key that is in no plan into the one of a tier.

        Raises:
            RemoraError: AWS does not do it.
        """
        with explained():
            self._attach(key_id, tier)

    def find(self, value: str) -> str | None:
        """Return the id of the key that has a value. Asks for every key of the account.

        Raises:
            RemoraError: AWS cannot be asked.
        """
        with explained():
            pages = self._client.get_paginator("get_api_keys").paginate(
                includeValues=True, PaginationConfig={"PageSize": _PAGE}
            )
            return next((key["id"] for page in pages for key in page["items"] if key.get("value") == value), None)

    def delete(self, key_id: str) -> None:
        """Remove a key from its plan and for good; nothing happens if it is gone.

        Raises:
            RemoraError: AWS does not do it.
        """
        with explained():
            for plan in self._plans.values():
                with _absence_accepted():
                    self._client.get_usage_plan_key(usagePlanId=plan, keyId=key_id)
                    self._client.delete_usage_plan_key(usagePlanId=plan, keyId=key_id)
            with _absence_accepted():
                self._client.delete_api_key(apiKey=key_id)

    def tidy(self, inventory: Inventory, used: Collection[str], now: datetime) -> None:
        """Mark keys that no principal names, and remove those that were marked long enough ago.

        Args:
            inventory: What there is.
            used: Ids of the keys that principals name.
            now: The time.

        Raises:
            RemoraError: AWS does not do it.
        """
        for key_id, description in inventory.own.items():
            since = _marked_at(description)
            if key_id in used:
                if since is not None:
                    # Its principal was being stored when it was marked.
                    self._describe(key_id, _IN_USE)
            elif since is None:
                self._describe(key_id, f"{_UNUSED}{now.isoformat(timespec='seconds')}; a later command removes it.")
            elif now - since > _GRACE:
                self.delete(key_id)

    def _attach(self, key_id: str, tier: str) -> None:
        self._client.create_usage_plan_key(usagePlanId=self._plans[tier], keyId=key_id, keyType="API_KEY")

    def _describe(self, key_id: str, description: str) -> None:
        with explained(), _absence_accepted():
            self._client.update_api_key(
                apiKey=key_id, patchOperations=[{"op": "replace", "path": "/description", "value": description}]
            )


def _marked_at(description: str) -> datetime | None:
    """Return since when a key is known to be unused, if it is."""
    if not description.startswith(_UNUSED):
        return None
    try:
        since = datetime.fromisoformat(description.removeprefix(_UNUSED).partition(";")[0])
    except ValueError:
        return None
    return since if since.tzinfo is not None else None


@contextlib.contextmanager
def _absence_accepted() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if code_of(error) != "NotFoundException":
            raise
