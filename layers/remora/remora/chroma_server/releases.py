"""Finds the wheel of a version of Chroma on PyPI, and what pins it."""

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.error import HTTPError
from urllib.request import urlopen

from remora.errors import InvalidArgumentError, NotFoundError, UnavailableError

PYPI: Final = "https://pypi.org/pypi"

_VERSION = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}", re.ASCII)
# The stable ABI from Python 3.9 on, which Amazon Linux 2023 has; glibc from 2.17 on; ARM.
_WHEEL = re.compile(r"chromadb-[0-9.]+-cp39-abi3-manylinux_2_(17|28|34)_aarch64.*\.whl", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_TIMEOUT_SECONDS = 20
_LARGEST_ANSWER = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Release:
    """A version of Chroma.

    Attributes:
        version: The version.
        sha256: SHA-256 of its wheel for the server.
    """

    version: str
    sha256: str


def order(version: str) -> tuple[int, ...]:
    """Return what versions are compared by.

    Raises:
        InvalidArgumentError: It is not of the form 1.5.9. Pre-releases are not.
    """
    if not _VERSION.fullmatch(version):
        raise InvalidArgumentError(f"{version!r} is no version of Chroma: give one such as 1.5.9.")
    return tuple(int(part) for part in version.split("."))


def find_release(version: str, index: str = PYPI) -> Release:
    """Return a version with the hash that PyPI has for it.

    Args:
        version: The version.
        index: Where PyPI's JSON API is.

    Raises:
        InvalidArgumentError: It is no version, or one without a wheel for the server.
        NotFoundError: There is no such version.
        UnavailableError: PyPI did not answer.
    """
    order(version)
    try:
        with urlopen(f"{index}/chromadb/{version}/json", timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
            document = json.loads(response.read(_LARGEST_ANSWER))
    except HTTPError as error:
        if error.code == HTTPStatus.NOT_FOUND:
            raise NotFoundError(f"PyPI has no version {version} of Chroma.") from None
        raise UnavailableError(f"PyPI answered with {error.code}. Try again.") from None
    except (OSError, ValueError) as error:
        raise UnavailableError(f"PyPI did not answer: {error}. Try again.") from None
    for file in document.get("urls", []):
        digest = file.get("digests", {}).get("sha256", "")
        if _WHEEL.fullmatch(file.get("filename", "")) and _SHA256.fullmatch(digest) and not file.get("yanked"):
            return Release(version, digest)
    raise InvalidArgumentError(f"Chroma {version} has no wheel for Linux on ARM that this server could run.")
