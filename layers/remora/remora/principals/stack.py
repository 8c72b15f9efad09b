"""Finds what keeping principals needs to know of a deployed stack, in the stack's own outputs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from remora.errors import InvalidArgumentError
from remora.operations.deployment import described

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

SECRET_OUTPUT: Final = "PrincipalsSecretArn"  # noqa: S105 - the name of an output
_CACHES = ("AuthorizerCacheSeconds", "PrincipalsCacheSeconds")
_PLAN = re.compile(r"(?P<tier>[A-Z][a-z]{0,31})UsagePlanId")


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack, as far as principals are concerned.

    Attributes:
        name: Its name.
        secret: ARN of the principals secret.
        plans: Id of the usage plan of each tier.
        revocation_seconds: For how long after a change API Gateway and the authorizer may answer as before.
    """

    name: str
    secret: str
    plans: Mapping[str, str]
    revocation_seconds: int


def read_stack(client: "CloudFormationClient", name: str) -> Stack:
    """Return what a stack says of itself.

    Args:
        client: CloudFormation, in the stack's region.
        name: Name of the stack.

    Raises:
        NotFoundError: There is no such stack.
        InvalidArgumentError: It is no Remora, or one of a version that does not say enough.
        PermissionDeniedError: The credentials do not allow to ask.
        UnavailableError: AWS did not answer.
    """
    stack = described(client, name)
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    plans = {match["tier"].lower(): outputs[key] for key in outputs if (match := _PLAN.fullmatch(key))}
    missing = sorted({SECRET_OUTPUT, *_CACHES} - set(outputs)) + ([] if plans else ["StandardUsagePlanId"])
    if missing:
        raise InvalidArgumentError(
            f"The stack {name} is no Remora that this version knows: its outputs lack {', '.join(missing)}. "
            "Deploy it again from this version, or name another with --stack."
        )
    return Stack(
        name=name,
        secret=outputs[SECRET_OUTPUT],
        plans=plans,
        revocation_seconds=sum(int(outputs[cache]) for cache in _CACHES),
    )
