"""A deployment as far as principals are concerned, in moto: a secret and three usage plans, and ways to interrupt."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from mypy_boto3_apigateway import APIGatewayClient
from mypy_boto3_secretsmanager import SecretsManagerClient

from remora.auth.keys import Principals
from remora.principals.service import PrincipalsService
from remora.principals.store import PrincipalsStore
from remora.principals.usage_keys import UsageKeys

TIERS = ("light", "standard", "heavy")


class KilledError(BaseException):
    """The process ends here: nothing of Remora handles this."""


@dataclass
class Clock:
    """A time that a test moves."""

    now: datetime = datetime(2026, 11, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: int) -> None:
        self.now += timedelta(**duration)


@dataclass
class Deployment:
    """What principals are kept in.

    Attributes:
        secretsmanager: A client.
        apigateway: A client.
        secret: ARN of the secret.
        plans: Id of the usage plan of each tier.
        stack: Name of the stack.
        clock: What the service takes for the time.
    """

    secretsmanager: SecretsManagerClient
    apigateway: APIGatewayClient
    secret: str
    plans: dict[str, str]
    stack: str
    clock: Clock = field(default_factory=Clock)

    @classmethod
    def create(cls, document: str = '{"principals": {}}') -> "Deployment":
        secretsmanager, apigateway = boto3.client("secretsmanager"), boto3.client("apigateway")
        stack = f"remora-{uuid.uuid4().hex[:12]}"
        secret = secretsmanager.create_secret(Name=stack, SecretString=document)["ARN"]
        plans = {tier: apigateway.create_usage_plan(name=tier)["id"] for tier in TIERS}
        return cls(secretsmanager, apigateway, secret, plans, stack)

    @property
    def store(self) -> PrincipalsStore:
        return PrincipalsStore(self.secretsmanager, self.secret)

    @property
    def service(self) -> PrincipalsService:
        usage_keys = UsageKeys(self.apigateway, self.stack, self.plans)
        return PrincipalsService(self.store, usage_keys, clock=self.clock)

    def again(self) -> "Deployment":
        """Return the same deployment with clients of its own, as another process has them."""
        return Deployment(
            boto3.client("secretsmanager"),
            boto3.client("apigateway"),
            self.secret,
            self.plans,
            self.stack,
            self.clock,
        )

    def principals(self) -> Principals:
        return self.store.read().principals

    def replace(self, document: dict[str, Any]) -> None:
        """Have the secret hold another document, as somebody would who edits it by hand."""
        version = str(uuid.uuid4())
        current = self.store.read().version
        self.secretsmanager.put_secret_value(
            SecretId=self.secret,
            SecretString=json.dumps(document, separators=(",", ":")),
            ClientRequestToken=version,
            VersionStages=["HAND"],
        )
        self.secretsmanager.update_secret_version_stage(
            SecretId=self.secret, VersionStage="AWSCURRENT", RemoveFromVersionId=current, MoveToVersionId=version
        )

    def usage_keys(self) -> dict[str, str]:
        """Return the names of this stack's API Gateway keys by their ids."""
        keys = self.apigateway.get_api_keys(nameQuery=f"{self.stack}/")["items"]
        return {key["id"]: key["name"] for key in keys}

    def tier_of(self, usage_key_id: str) -> str | None:
        """Return in which plan a key is."""
        found = [
            tier
            for tier, plan in self.plans.items()
            for key in self.apigateway.get_usage_plan_keys(usagePlanId=plan)["items"]
            if key["id"] == usage_key_id
        ]
        assert len(found) <= 1, "API Gateway takes a key into one plan of a stage only"
        return found[0] if found else None

    def check(self) -> None:
        """Check that API Gateway would let every principal in, at its tier."""
        existing = {key["id"]: key["value"] for key in self.apigateway.get_api_keys(includeValues=True)["items"]}
        for principal_id, principal in self.principals().principals.items():
            assert existing.get(principal.usage_key_id) == principal.usage_key, principal_id
            assert self.tier_of(principal.usage_key_id) == principal.tier, principal_id

    def settle(self) -> None:
        """Let later commands do what earlier ones left, and check that nothing is left then."""
        self.service.mend()
        self.clock.advance(minutes=16)
        self.service.mend()
        self.check()
        used = {principal.usage_key_id for principal in self.principals().principals.values()}
        assert set(self.usage_keys()) == used

    @contextmanager
    def killed_at(self, call: int, *, answered: bool) -> Iterator[None]:
        """End the process at its n-th changing call to AWS, before it is sent or before its answer is read.

        Args:
            call: Which call, from 0.
            answered: Whether AWS still gets the call.
        """
        event = "after-call" if answered else "before-call"
        calls = 0

        def interrupt(model: Any, **_: Any) -> None:
            nonlocal calls
            if model.name.startswith(("Get", "List", "Describe")):
                return
            calls += 1
            if calls == call + 1:
                raise KilledError

        clients = (self.secretsmanager, self.apigateway)
        for client in clients:
            client.meta.events.register(event, interrupt)
        try:
            yield
        finally:
            for client in clients:
                client.meta.events.unregister(event, interrupt)
