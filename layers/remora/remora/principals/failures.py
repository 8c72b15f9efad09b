"""Turns what AWS answers to whoever keeps the principals into errors that say what to do about it."""

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

from remora.errors import InvalidArgumentError, PermissionDeniedError, UnavailableError

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedException", "UnauthorizedOperation"})
_BAD_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)


def code_of(error: ClientError) -> str:
    """Return the error code that AWS answered with."""
    return error.response["Error"]["Code"]


@contextmanager
def explained() -> Iterator[None]:
    """Raise AWS's errors as Remora's. AWS's own messages name users, actions and resources, never a secret.

    Raises:
        InvalidArgumentError: There are no credentials, or no region, that AWS could be asked with.
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
        code = code_of(error)
        message = error.response["Error"].get("Message", "no reason given")
        if code in _BAD_CREDENTIALS:
            raise PermissionDeniedError(
                f"AWS does not accept the credentials ({code}: {message}). Sign in again, or name another --profile."
            ) from None
        if code in _DENIED:
            raise PermissionDeniedError(
                f"AWS does not allow {error.operation_name}: {message}. docs/keys.md lists the actions that it takes."
            ) from None
        raise UnavailableError(f"AWS answered {error.operation_name} with {code}: {message}") from None
