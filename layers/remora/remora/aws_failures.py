"""Turns what AWS answers to whoever operates a deployment into errors that say what to do about it."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from remora.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError, UnavailableError

_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthFailure", "UnauthorizedException", "UnauthorizedOperation"}
)
_BAD_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_UNKNOWN = frozenset(
    {
        "InvalidParameterValue",
        "InvalidSnapshot.NotFound",
        "InvalidSnapshotID.Malformed",
        "InvalidVolume.NotFound",
        "InvalidVolumeID.Malformed",
    }
)


def code_of(error: ClientError) -> str:
    """Return the error code that AWS answered with."""
    return error.response["Error"]["Code"]


def message_of(error: ClientError) -> str:
    """Return what AWS said about it. It names users, actions and resources, never a secret."""
    return error.response["Error"].get("Message", "no reason given")


@contextmanager
def explained() -> Iterator[None]:
    """Raise AWS's errors as Remora's.

    Raises:
        InvalidArgumentError: There are no credentials, or no region, that AWS could be asked with.
        NotFoundError: There is no such snapshot or volume.
        PermissionDeniedError: AWS does not accept the credentials, or they do not allow the call.
        UnavailableError: AWS did not answer, or failed.
    """
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError, SSOError, TokenRetrievalError) as error:
        raise InvalidArgumentError(
            f"There are no AWS credentials to use ({error}). Sign in (`aws sso login`, `aws configure`), "
            "or name a profile with --profile."
        ) from None
    except ProfileNotFound as error:
        raise InvalidArgumentError(f"{error}. Name a profile of your AWS configuration with --profile.") from None
    except NoRegionError:
        raise InvalidArgumentError("No AWS region is set. Name the one of the stack with --region.") from None
    except BotoCoreError as error:
        raise UnavailableError(f"AWS did not answer: {error}") from None
    except ClientError as error:
        code, message = code_of(error), message_of(error)
        if code in _BAD_CREDENTIALS:
            raise PermissionDeniedError(
                f"AWS does not accept the credentials ({code}: {message}). Sign in again, or name another --profile."
            ) from None
        if code in _DENIED:
            raise PermissionDeniedError(f"AWS does not allow {error.operation_name}: {message}") from None
        if code in _UNKNOWN:
            raise NotFoundError(f"{message} `remora backup list` shows the snapshots.") from None
        raise UnavailableError(f"AWS answered {error.operation_name} with {code}: {message}") from None
