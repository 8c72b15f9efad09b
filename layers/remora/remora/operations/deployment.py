"""Finds the deployment that a command is about: a CloudFormation stack, or the local run's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from remora.aws_failures import code_of, explained
from remora.errors import InvalidArgumentError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from remora.local.principals import LocalAccess

CONNECTOR_OUTPUT = "ConnectorUrl"
_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 5, 30, 5


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What was said of a deployment.

    Attributes:
        stack: Name of the stack; None for the local run.
        region: Its region; None for that of the AWS configuration.
        profile: Profile of the AWS configuration; None for the usual one.
        data_dir: Data directory of the local run.
    """

    stack: str | None
    region: str | None
    profile: str | None
    data_dir: Path


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment, and the AWS that it is in.

    Attributes:
        name: Name of its stack.
        stack_id: Id of its stack, which also finds it when it is deleted.
        region: Its region.
        status: Status of its stack.
        drift: What the last drift detection found.
        outputs: Outputs of its stack.
        parameters: Parameters of its stack.
        data_dir: Data directory of the local run; None for a stack in AWS.
        make_client: Makes a boto3 client of a service.
    """

    name: str
    stack_id: str
    region: str
    status: str
    drift: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    data_dir: Path | None
    make_client: Callable[[str], Any] = field(repr=False)

    @property
    def is_local(self) -> bool:
        """Whether it is the local run."""
        return self.data_dir is not None

    @property
    def has_distribution(self) -> bool:
        """Whether a CloudFront distribution is in front of it."""
        return not self.is_local and self.parameters.get("Distribution") == "true"

    def output(self, name: str) -> str:
        """Return an output of the stack.

        Raises:
            InvalidArgumentError: It has no such output, so it is no Remora that this version knows.
        """
        try:
            return self.outputs[name]
        except KeyError:
            raise InvalidArgumentError(
                f"The stack {self.name} is no Remora that this version knows: its outputs lack {name}. "
                "Deploy it again from this version, or name another with --stack."
            ) from None

    def client(self, service: str) -> Any:  # noqa: ANN401 - one for each service
        """Return a boto3 client of a service, in the deployment's AWS and region.

        Raises:
            RemoraError: There are no credentials to make it with.
        """
        with explained():
            return self.make_client(service)


def clients(region: str | None, profile: str | None) -> Callable[[str], Any]:
    """Return what makes clients of AWS's services with the caller's credentials.

    Args:
        region: The region; None for that of the AWS configuration.
        profile: Profile of the AWS configuration; None for the usual one.

    Raises:
        InvalidArgumentError: There is no such profile.
    """
    import boto3
    from botocore.config import Config

    with explained():
        session = boto3.Session(region_name=region, profile_name=profile)
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
    )
    # A service is known by its name only here.
    return lambda service: session.client(service, config=config)  # type: ignore[call-overload]


def find(where: Whereabouts) -> Deployment:
    """Return the deployment that is meant: a stack if one is named, else the local run.

    Raises:
        InvalidArgumentError: Neither is there, or AWS cannot be asked like that.
        NotFoundError: There is no such stack.
        PermissionDeniedError: The credentials do not allow to ask.
        UnavailableError: AWS, or the local run, does not answer.
    """
    if where.stack:
        return _described(where.stack, clients(where.region, where.profile), None)
    if where.region or where.profile:
        raise InvalidArgumentError("Name the stack too: --stack, or REMORA_STACK.")
    from remora.local.principals import LocalAccess

    access = LocalAccess.of(where.data_dir)
    try:
        return _described(access.stack, _local_clients(access), where.data_dir)
    except UnavailableError:
        raise UnavailableError(
            f"The local run of {where.data_dir} does not answer. Start `remora dev` again."
        ) from None


def described(client: Any, name: str) -> Mapping[str, Any]:  # noqa: ANN401 - a client of CloudFormation
    """Return what CloudFormation says of a stack.

    Args:
        client: CloudFormation.
        name: Name or id of the stack.

    Raises:
        NotFoundError: There is no such stack.
        RemoraError: AWS cannot be asked.
    """
    with explained():
        try:
            (stack,) = client.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if code_of(error) == "ValidationError":
                raise NotFoundError(
                    f"There is no stack {name} in {client.meta.region_name}. "
                    "Name another with --stack, or its region with --region."
                ) from None
            raise
    found: Mapping[str, Any] = stack
    return found


def _described(name: str, make_client: Callable[[str], Any], data_dir: Path | None) -> Deployment:
    with explained():
        client = make_client("cloudformation")
    stack = described(client, name)
    return Deployment(
        name=stack["StackName"],
        stack_id=stack["StackId"],
        region=client.meta.region_name,
        status=stack["StackStatus"],
        drift=stack.get("DriftInformation", {}).get("StackDriftStatus", "NOT_CHECKED"),
        outputs={output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])},
        parameters={
            parameter["ParameterKey"]: parameter.get("ParameterValue", "")
            for parameter in stack.get("Parameters", [])
        },
        data_dir=data_dir,
        make_client=make_client,
    )


def _local_clients(access: "LocalAccess") -> Callable[[str], Any]:
    import boto3
    from botocore.config import Config

    session = boto3.Session(
        region_name=access.region,
        aws_access_key_id=access.access_key.get_secret_value(),
        aws_secret_access_key=access.secret_key.get_secret_value(),
    )
    # No proxy that the environment may name: the server is on this machine.
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        proxies={},
        retries={"total_max_attempts": 1},
    )
    return lambda service: session.client(service, endpoint_url=access.endpoint, config=config)  # type: ignore[call-overload]
