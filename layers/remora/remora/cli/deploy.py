"""The command `remora deploy`: checks what a deployment needs, and says which commands make it."""

import argparse
from pathlib import Path

from remora.cli.doctor import row
from remora.cli.terminal import DONE, FAILED, add_deployment_options, finish, named_stack, say

_DEFAULT_STACK = "remora-dev"
_PARAMETERS = (
    ("AlarmEmail", "where alarms are sent to"),
    ("ChromaInstanceType", "size of the Chroma server; docs/chroma.md says what each carries"),
    ("ChromaMode, ChromaHost", "external, and where it is, for a Chroma that is not of this stack"),
    ("AccessLogRoleArn", "API Gateway's log role, where the account has one already"),
    ("PublicUrl, CertificateArn, HostedZoneId", "a domain of your own, in place of the distribution's"),
    ("Distribution", "false for no CloudFront; then there is no sign-in, and keys alone"),
    ("Architecture", "arm64 or x86_64; the build must be given the same"),
    ("SnapStart", "false for a first call a second slower, and about 7 USD a month less"),
    ("LightLimits, StandardLimits, HeavyLimits", "what a key may ask: a second, at once, a day"),
    ("RateLimitPerAddress", "requests of an address in 5 minutes; a web ACL, about 6 USD a month"),
)


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command to the parser."""
    parser = commands.add_parser(
        "deploy",
        help="check what a deployment needs, and say how it is made",
        description="Check tools, credentials and account, and print the commands that deploy Remora. It changes "
        "nothing itself. After a deployment it says what comes next.",
    )
    add_deployment_options(parser)
    parser.set_defaults(run=finish(_run))


def _run(arguments: argparse.Namespace) -> int:
    from remora.operations.deployment import clients
    from remora.operations.doctor.findings import examine, is_broken
    from remora.operations.prerequisites import Prerequisites, deployed_url

    make_client = clients(arguments.region, arguments.profile)
    prerequisites = Prerequisites(Path.cwd(), make_client)
    findings = []
    for finding in examine(prerequisites.checks()):
        findings.append(finding)
        say(row(finding))
    stack = named_stack(arguments) or _DEFAULT_STACK
    options = "".join(
        f" --{name} {value}" for name in ("region", "profile") if (value := getattr(arguments, name)) is not None
    )
    sam = prerequisites.sam() or ".venv-sam/bin/sam"
    say("\nTo deploy, or to deploy again:")
    say("  make build")
    say(f"  {sam} deploy --stack-name {stack}{options}")
    say("\nParameters that people change (parameter_overrides in samconfig.toml; template.yaml describes all):")
    for name, meaning in _PARAMETERS:
        say(f"  {name}: {meaning}")
    url = deployed_url(make_client, stack)
    say(f"\n{stack} is at {url}. Next:" if url else "\nThen:")
    say(f"  remora key create ID --stack {stack}{options}")
    say(f"  remora connect --stack {stack}{options}")
    return FAILED if is_broken(findings) else DONE
