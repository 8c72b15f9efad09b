"""The command `remora key`: makes, shows, changes and revokes principals and their keys."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remora.cli.times import distance, read_duration, read_expiry
from remora.errors import InvalidArgumentError, RemoraError, UnavailableError

if TYPE_CHECKING:
    from remora.auth.keys import StoredKey, StoredPrincipal
    from remora.auth.principal import Scope
    from remora.principals.service import PrincipalsService
    from remora.principals.stack import Stack

DONE, FAILED, INTERRUPTED = 0, 1, 130
"""Exit statuses: done; it could not be done; Ctrl-C."""

_SCOPES = ("read", "write", "admin")
_OVERLAP = "24h"


@dataclass(frozen=True)
class _Target:
    """The deployment whose principals are meant.

    Attributes:
        stack: What is known of it.
        service: Keeps its principals.
    """

    stack: "Stack"
    service: "PrincipalsService"


_Action = Callable[[argparse.Namespace, _Target], int]


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command to the parser."""
    parser = commands.add_parser(
        "key",
        help="create, list, rotate and revoke keys",
        description="Work with the principals of a deployment and their keys: of the stack named by --stack or "
        "REMORA_STACK, with your AWS credentials, else of the one that `remora dev` runs here.",
    )
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    create = _action(actions, "create", _create, "make a principal, and print its key once")
    create.add_argument("id", metavar="ID", help="its id: 1 to 32 of a-z, 0-9 and '-'; part of its key")
    create.add_argument("--name", default="", help="who or what it is")
    create.add_argument(
        "--scope",
        choices=_SCOPES,
        action="append",
        help="what it may do; give it once for each (default: read and write)",
    )
    create.add_argument("--space", help="the space it works in (default: the one called like its id)")
    create.add_argument("--tier", default="standard", help="its limits: light, standard or heavy (default: standard)")
    create.add_argument(
        "--expires",
        metavar="WHEN",
        default="never",
        help="when its key expires: 90d, a date, or never (default: never)",
    )
    create.add_argument(
        "--identity",
        action="append",
        default=[],
        metavar="SUBJECT",
        help="its subject at an outside issuer; repeatable",
    )
    create.add_argument("--no-key", action="store_true", help="make no key: it comes in by its identity only")

    list_ = _action(actions, "list", _list, "list the principals")
    list_.add_argument("--json", action="store_true", help="as JSON")

    show = _action(actions, "show", _show, "show a principal and its keys")
    show.add_argument("id", metavar="ID")
    show.add_argument("--json", action="store_true", help="as JSON")

    set_ = _action(actions, "set", _set, "change a principal; its keys stay")
    set_.add_argument("id", metavar="ID")
    set_.add_argument("--name", help="who or what it is")
    set_.add_argument("--scope", choices=_SCOPES, action="append", help="what it may do, in place of what it might")
    set_.add_argument("--space", help="the space it works in from now on; nothing is moved there")
    set_.add_argument("--tier", help="its limits: light, standard or heavy")
    identities = set_.add_mutually_exclusive_group()
    identities.add_argument(
        "--identity", action="append", metavar="SUBJECT", help="its subjects at an outside issuer, in place of others"
    )
    identities.add_argument("--no-identity", action="store_true", help="it has none")
    able = set_.add_mutually_exclusive_group()
    able.add_argument("--disable", action="store_true", help="refuse every key of it until it is enabled")
    able.add_argument("--enable", action="store_true", help="accept its keys again")

    rotate = _action(actions, "rotate", _rotate, "give a principal a new key, and print it once")
    rotate.add_argument("id", metavar="ID")
    rotate.add_argument(
        "--overlap",
        metavar="DURATION",
        default=_OVERLAP,
        help="how long its old keys stay valid; 0 for not at all (default: %(default)s)",
    )
    rotate.add_argument("--expires", metavar="WHEN", help="when the new key expires: 90d, a date, or never")

    revoke = _action(actions, "revoke", _revoke, "revoke a principal with all its keys, or one key")
    revoke.add_argument("id", metavar="ID")
    revoke.add_argument("--key", metavar="KEYID", help="only this key; `remora key show ID` shows their ids")
    revoke.add_argument("--yes", action="store_true", help="do not ask")


def _action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, run: _Action, summary: str
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    parser.add_argument("--stack", help="name of the CloudFormation stack (default: REMORA_STACK)")
    parser.add_argument("--region", help="its AWS region (default: that of your AWS configuration)")
    parser.add_argument("--profile", help="profile of your AWS configuration (default: AWS_PROFILE)")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(".remora"),
        metavar="DIR",
        help="data directory of the local run (default: %(default)s)",
    )
    parser.set_defaults(run=lambda arguments: _run(run, arguments))
    return parser


def _run(action: _Action, arguments: argparse.Namespace) -> int:
    try:
        return action(arguments, _target(arguments))
    except RemoraError as error:
        _tell(f"remora: {error}")
        return FAILED
    except OSError as error:
        _tell(f"remora: {error.filename or 'Input or output'}: {error.strerror or error}")
        return FAILED
    except KeyboardInterrupt:
        _tell("remora: Interrupted. `remora key list` shows what was done.")
        return INTERRUPTED


def _target(arguments: argparse.Namespace) -> _Target:
    """Return the deployment that is meant: a stack if one is named, else the local run."""
    import boto3
    from botocore.config import Config

    from remora.principals.failures import explained
    from remora.principals.service import PrincipalsService
    from remora.principals.stack import read_stack
    from remora.principals.store import PrincipalsStore
    from remora.principals.usage_keys import UsageKeys

    name = arguments.stack or os.environ.get("REMORA_STACK")
    config: dict[str, Any] = {"connect_timeout": 5, "read_timeout": 30}
    fixed: frozenset[str] = frozenset()
    if name:
        with explained():
            session = boto3.Session(region_name=arguments.region, profile_name=arguments.profile)
        endpoint = None
        config["retries"] = {"mode": "standard", "total_max_attempts": 5}
    elif arguments.region or arguments.profile:
        raise InvalidArgumentError("Name the stack too: --stack, or REMORA_STACK.")
    else:
        from remora.local.connection import PRINCIPAL_ID
        from remora.local.principals import LocalAccess

        access = LocalAccess.of(arguments.data)
        session = boto3.Session(
            region_name=access.region,
            aws_access_key_id=access.access_key.get_secret_value(),
            aws_secret_access_key=access.secret_key.get_secret_value(),
        )
        name, endpoint, fixed = access.stack, access.endpoint, frozenset({PRINCIPAL_ID})
        # No proxy that the environment may name: the server is on this machine.
        config |= {"proxies": {}, "retries": {"total_max_attempts": 1}}
    with explained():
        settings = Config(**config)
        cloudformation = session.client("cloudformation", endpoint_url=endpoint, config=settings)
        secretsmanager = session.client("secretsmanager", endpoint_url=endpoint, config=settings)
        apigateway = session.client("apigateway", endpoint_url=endpoint, config=settings)
    try:
        stack = read_stack(cloudformation, name)
    except UnavailableError:
        if endpoint is None:
            raise
        raise UnavailableError(
            f"The local run of {arguments.data} does not answer. Start `remora dev` again."
        ) from None
    service = PrincipalsService(
        PrincipalsStore(secretsmanager, stack.secret), UsageKeys(apigateway, stack.name, stack.plans), fixed=fixed
    )
    return _Target(stack, service)


# ---- commands ----


def _create(arguments: argparse.Namespace, target: _Target) -> int:
    from remora.principals.service import DEFAULT_SCOPES, NewPrincipal

    new = NewPrincipal(
        id=arguments.id,
        name=arguments.name,
        scopes=_scopes(arguments.scope) or DEFAULT_SCOPES,
        space=arguments.space,
        tier=arguments.tier,
        expires_at=read_expiry(arguments.expires, _now()),
        identities=tuple(dict.fromkeys(arguments.identity)),
        with_key=not arguments.no_key,
    )
    issued = target.service.create(new)
    principal = issued.principal
    _tell(
        f"Created {new.id}: scopes {_joined(principal.scopes)}, space {principal.space}, tier {principal.tier}, "
        f"{f'a key that {_expiry(principal.keys)}' if principal.keys else 'no key'}."
    )
    _hand_out(issued.key)
    _warn_if_full(target)
    return DONE


def _list(arguments: argparse.Namespace, target: _Target) -> int:
    from remora.principals.store import CAPACITY

    snapshot = target.service.snapshot()
    everyone = sorted(snapshot.principals.principals.items())
    if arguments.json:
        document = {
            "stack": target.stack.name,
            "principals": [_as_json(principal_id, principal) for principal_id, principal in everyone],
            "size": snapshot.size,
            "capacity": CAPACITY,
        }
        _say(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        rows = [
            (
                principal_id,
                principal.name,
                _joined(principal.scopes),
                principal.space,
                principal.tier,
                str(sum(not key.has_expired(_now()) for key in principal.keys)),
                "disabled" if principal.disabled else _expiry(principal.keys),
                _age(principal.keys[-1:]),
            )
            for principal_id, principal in everyone
        ]
        _say(_table(("ID", "NAME", "SCOPES", "SPACE", "TIER", "KEYS", "EXPIRY", "AGE"), rows))
    _warn_if_full(target)
    return DONE


def _show(arguments: argparse.Namespace, target: _Target) -> int:
    principal = target.service.get(arguments.id)
    if arguments.json:
        _say(json.dumps(_as_json(arguments.id, principal), indent=2, ensure_ascii=False))
        return DONE
    _say(f"Id          {arguments.id}{' (disabled)' if principal.disabled else ''}")
    _say(f"Name        {principal.name or '-'}")
    _say(f"Scopes      {_joined(principal.scopes)}")
    _say(f"Space       {principal.space}")
    _say(f"Tier        {principal.tier}")
    _say(f"Identities  {_joined(principal.identities) or '-'}")
    if principal.keys:
        _say("")
        _say(_table(("KEY", "EXPIRY", "AGE"), [(key.id, _expiry((key,)), _age((key,))) for key in principal.keys]))
    else:
        _say("Keys        -")
    return DONE


def _set(arguments: argparse.Namespace, target: _Target) -> int:
    from remora.principals.service import Changes

    identities = None if arguments.identity is None else tuple(dict.fromkeys(arguments.identity))
    changes = Changes(
        name=arguments.name,
        scopes=_scopes(arguments.scope),
        space=arguments.space,
        tier=arguments.tier,
        identities=() if arguments.no_identity else identities,
        disabled=True if arguments.disable else False if arguments.enable else None,
    )
    if changes == Changes():
        raise InvalidArgumentError(
            "Say what is to be different: --name, --scope, --space, --tier, --identity, --no-identity, "
            "--disable or --enable."
        )
    principal = target.service.change(arguments.id, changes)
    _tell(
        f"{arguments.id} is now: scopes {_joined(principal.scopes)}, space {principal.space}, tier {principal.tier}"
        f"{', disabled' if principal.disabled else ''}. This holds {_delay(target)}"
    )
    return DONE


def _rotate(arguments: argparse.Namespace, target: _Target) -> int:
    from remora.principals.service import Expiry

    overlap = read_duration(arguments.overlap)
    expiry = None if arguments.expires is None else Expiry(read_expiry(arguments.expires, _now()))
    issued = target.service.rotate(arguments.id, overlap=overlap, expiry=expiry)
    others = [key for key in issued.principal.keys[:-1] if not key.has_expired(_now())]
    old = (
        f"What it had stays valid for {distance(overlap)} at most."
        if others
        else f"What it had is refused {_delay(target)}"
    )
    _tell(f"{arguments.id} has a new key, which {_expiry(issued.principal.keys[-1:])}. {old}")
    _hand_out(issued.key)
    _warn_if_full(target)
    return DONE


def _revoke(arguments: argparse.Namespace, target: _Target) -> int:
    principal = target.service.get(arguments.id)
    if arguments.key is not None:
        _confirm(f"Revoke the key {arguments.key} of {arguments.id}?", arguments)
        target.service.revoke_key(arguments.id, arguments.key)
        _tell(f"Revoked the key {arguments.key} of {arguments.id}. It is refused {_delay(target)}")
        return DONE
    name = f" ({principal.name})" if principal.name else ""
    _confirm(f"Revoke {arguments.id}{name} with {len(principal.keys)} key(s)?", arguments)
    target.service.revoke(arguments.id)
    _tell(
        f"Revoked {arguments.id}; its space {principal.space} stays as it is. Its keys are refused {_delay(target)}"
    )
    return DONE


# ---- what is said ----


def _hand_out(key: str | None) -> None:
    """Print a key alone on standard output, where a script can take it."""
    if key is not None:
        _tell("This is the key. It is not stored and cannot be shown again:")
        _say(key)


def _delay(target: _Target) -> str:
    return f"within {target.stack.revocation_seconds} seconds, the time that answers are cached."


def _warn_if_full(target: _Target) -> None:
    from remora.principals.service import nearly_full

    warning = nearly_full(target.service.snapshot())
    if warning is not None:
        _tell(f"remora: {warning}")


def _confirm(question: str, arguments: argparse.Namespace) -> None:
    if arguments.yes:
        return
    if not sys.stdin.isatty():
        raise InvalidArgumentError(f"{question} Nobody is there to be asked: give --yes.")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InvalidArgumentError("Nothing was changed.")


def _as_json(principal_id: str, principal: "StoredPrincipal") -> dict[str, object]:
    return {
        "id": principal_id,
        "name": principal.name,
        "scopes": sorted(principal.scopes),
        "space": principal.space,
        "tier": principal.tier,
        "disabled": principal.disabled,
        "identities": list(principal.identities),
        "keys": [
            {
                "id": key.id,
                "created_at": key.created_at.isoformat() if key.created_at else None,
                "expires_at": key.expires_at.isoformat() if key.expires_at else None,
                "expired": key.has_expired(_now()),
            }
            for key in principal.keys
        ],
    }


def _expiry(keys: "Sequence[StoredKey]") -> str:
    """Return when the last of some keys expires."""
    if not keys:
        return "no key"
    moments = [key.expires_at for key in keys if key.expires_at is not None]
    if len(moments) < len(keys):
        return "never expires"
    last, now = max(moments), _now()
    return f"expired {distance(now - last)} ago" if last <= now else f"expires in {distance(last - now)}"


def _age(keys: "Sequence[StoredKey]") -> str:
    """Return how old the first of some keys is."""
    created = keys[0].created_at if keys else None
    return distance(_now() - created) if created is not None else "-"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [tuple(head), *(tuple(cell or "-" for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _scopes(given: Iterable[str] | None) -> "frozenset[Scope] | None":
    from remora.auth.principal import Scope

    return None if given is None else frozenset(Scope(scope) for scope in given)


def _joined(words: Iterable[str]) -> str:
    return " ".join(sorted(words))


def _now() -> datetime:
    return datetime.now(UTC)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")
