"""The command `remora doctor`: examines a deployment, and says of each thing that is not well what to do."""

import argparse
import json
import os
import shutil
import textwrap
from collections.abc import Iterable
from getpass import getpass
from typing import TYPE_CHECKING

from remora.cli.terminal import DONE, FAILED, add_deployment_options, finish, named_stack, say, tell
from remora.errors import InvalidArgumentError

if TYPE_CHECKING:
    from remora.operations.deployment import Deployment
    from remora.operations.doctor.findings import Finding
    from remora.operations.doctor.outside import Place

_MARKS = {"ok": "ok", "warning": "WARN", "broken": "BROKEN", "skipped": "-"}
_NARROWEST = 60


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command to the parser."""
    parser = commands.add_parser(
        "doctor",
        help="examine a deployment",
        description="Examine a deployment from outside, and from inside with your AWS credentials: the stack named "
        "by --stack or REMORA_STACK, else the one that `remora dev` runs here; with --url from outside alone. The "
        "exit status is 1 if something is broken. A key in REMORA_KEY lets it look further.",
    )
    parser.add_argument("--url", help="URL of the deployment, as clients use it; looks from outside alone")
    parser.add_argument("--ask-key", action="store_true", help="ask for a key, without showing it")
    parser.add_argument("--write", action="store_true", help="store a memory, find it and purge it")
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_deployment_options(parser)
    parser.set_defaults(run=finish(_run))


def _run(arguments: argparse.Namespace) -> int:
    from remora.operations.deployment import Whereabouts, find
    from remora.operations.doctor.account import Account
    from remora.operations.doctor.findings import examine, is_broken
    from remora.operations.doctor.http import Http
    from remora.operations.doctor.inside import Inside
    from remora.operations.doctor.outside import Outside, Place

    deployment = None
    if arguments.url:
        place = Place.of_url(arguments.url)
    else:
        deployment = find(Whereabouts(named_stack(arguments), arguments.region, arguments.profile, arguments.data))
        place = _place(deployment)
    key = _key(arguments, place, deployment)
    http = Http()
    checks = [*Outside(place, http).checks(), *Inside(place, http, key, writes=arguments.write).checks()]
    if deployment is not None:
        checks += Account(deployment, key).checks()
    if not arguments.json:
        tell(f"Examining {place.url}")
    findings = []
    for finding in examine(checks):
        findings.append(finding)
        if not arguments.json:
            say(row(finding))
    if arguments.json:
        say(_as_json(place.url, findings))
    elif deployment is None:
        tell("Name the stack with --stack to look from inside too.")
    return FAILED if is_broken(findings) else DONE


def _place(deployment: "Deployment") -> "Place":
    from remora.local.connection import Connection
    from remora.operations.deployment import CONNECTOR_OUTPUT
    from remora.operations.doctor.outside import Place

    if deployment.data_dir is not None:
        connection = Connection.of(deployment.data_dir)
        return Place.of_url(connection.url, stage_url=connection.stage_url)
    suffix = "amazonaws.com.cn" if deployment.region.startswith("cn-") else "amazonaws.com"
    host = f"{deployment.output('ApiId')}.execute-api.{deployment.region}.{suffix}"
    return Place.of_url(
        deployment.output(CONNECTOR_OUTPUT),
        stage_url=f"https://{host}/{deployment.parameters.get('Environment', 'dev')}",
        refuses_around=deployment.has_distribution,
    )


def _key(arguments: argparse.Namespace, place: "Place", deployment: "Deployment | None") -> str | None:
    from remora.connecting.clients import KEY_VARIABLE
    from remora.local.connection import Connection

    key = os.environ.get(KEY_VARIABLE, "")
    if arguments.ask_key:
        key = getpass("Key (not shown): ")
    if not key and deployment is not None and deployment.data_dir is not None:
        key = Connection.of(deployment.data_dir).key
    if key and not (place.url.startswith("https:") or place.is_local):
        raise InvalidArgumentError(f"{place.url!r} would send the key unencrypted. Use https.")
    return key or None


def row(finding: "Finding") -> str:
    """Return a finding as lines of a table, with what to do below."""
    from remora.operations.text import clean

    width = max(_NARROWEST, shutil.get_terminal_size((120, 24)).columns)
    indent = " " * 33
    line = f"{_MARKS[finding.status]:<7} {finding.check:<24} {clean(finding.found)}"
    lines = textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, drop_whitespace=True)
    if finding.advice:
        lines += textwrap.wrap(
            f"→ {clean(finding.advice)}", width, initial_indent=indent, subsequent_indent=f"{indent}  "
        )
    return "\n".join(lines)


def _as_json(url: str, findings: "Iterable[Finding]") -> str:
    document = {
        "url": url,
        "findings": [
            {"check": item.check, "status": item.status, "found": item.found, "advice": item.advice}
            for item in findings
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)
