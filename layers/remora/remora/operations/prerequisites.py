"""Checks that a deployment can be made from here: tools, credentials, and what the account must allow."""

import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from remora.aws_failures import explained
from remora.errors import RemoraError
from remora.operations.doctor.findings import Check, Finding, broken, ok, warning

OLDEST_PYTHON: Final = (3, 11)
BUILD_PYTHON: Final = "python3.14"
"""Compiles bytecode that the functions' runtime can read."""

_FEW_EXECUTIONS: Final = 50


class Prerequisites:
    """What has to be there.

    Args:
        folder: The folder that holds template.yaml.
        make_client: Makes a boto3 client of a service.
    """

    def __init__(self, folder: Path, make_client: Callable[[str], Any]) -> None:
        self._folder = folder
        self._make_client = make_client

    def checks(self) -> tuple[Check, ...]:
        """Return what there is to look at."""
        return (
            Check("template", self._template),
            Check("Python", self._python),
            Check("make", self._make),
            Check("SAM", self._sam),
            Check("credentials", self._credentials),
            Check("log role", self._log_role),
            Check("Lambda", self._concurrency),
        )

    def sam(self) -> str | None:
        """Return how the SAM command line is called, or None if it is not there."""
        own = self._folder / ".venv-sam" / "bin" / "sam"
        return ".venv-sam/bin/sam" if own.is_file() else "sam" if shutil.which("sam") else None

    def _template(self) -> Iterable[Finding]:
        if (self._folder / "template.yaml").is_file():
            return [ok("template", "template.yaml is here")]
        return [broken("template", f"no template.yaml in {self._folder}", "Start from the repository's folder.")]

    def _python(self) -> Iterable[Finding]:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        if sys.version_info[:2] < OLDEST_PYTHON:
            return [broken("Python", version, "Install Python 3.11 or later.")]
        if shutil.which(BUILD_PYTHON) is None:
            advice = "With it on your PATH the build compiles bytecode, which about halves a cold start: "
            return [warning("Python", f"{version}; no {BUILD_PYTHON}", f"{advice}uv python install 3.14")]
        return [ok("Python", f"{version}, and {BUILD_PYTHON} for bytecode")]

    def _make(self) -> Iterable[Finding]:
        if shutil.which("make"):
            return [ok("make", "is here")]
        return [broken("make", "is not on your PATH", "Install make; the layers are built with it.")]

    def _sam(self) -> Iterable[Finding]:
        found = self.sam()
        return [ok("SAM", found) if found else warning("SAM", "not installed yet", "`make build` installs it.")]

    def _credentials(self) -> Iterable[Finding]:
        with explained():
            client = self._make_client("sts")
            identity = client.get_caller_identity()
        return [ok("credentials", f"{identity['Arn']} in {client.meta.region_name}")]

    def _log_role(self) -> Iterable[Finding]:
        with explained():
            role = self._make_client("apigateway").get_account().get("cloudwatchRoleArn")
        if role:
            # One for all APIs of account and region: a second stack must not replace it.
            return [ok("log role", f"API Gateway has one: deploy with AccessLogRoleArn={role}")]
        return [ok("log role", "API Gateway has none; the stack makes one")]

    def _concurrency(self) -> Iterable[Finding]:
        try:
            with explained():
                limits = self._make_client("lambda").get_account_settings()["AccountLimit"]
        except RemoraError as error:
            return [warning("Lambda", str(error), "It could not be read; deploying may still work.")]
        count = int(limits["ConcurrentExecutions"])
        if count < _FEW_EXECUTIONS:
            advice = (
                "New accounts begin low. Ask for more in Service Quotas (Lambda, Concurrent executions); it is free."
            )
            return [warning("Lambda", f"{count} executions at once for all functions", advice)]
        return [ok("Lambda", f"{count:,} executions at once")]


def deployed_url(make_client: Callable[[str], Any], stack: str) -> str | None:
    """Return the URL of a stack that is deployed already, or None if it is not."""
    from remora.operations.deployment import CONNECTOR_OUTPUT, described

    try:
        with explained():
            client = make_client("cloudformation")
        outputs = described(client, stack).get("Outputs", ())
    except RemoraError:
        return None
    return next((output["OutputValue"] for output in outputs if output["OutputKey"] == CONNECTOR_OUTPUT), None)
