"""The command `remora key`: makes, shows, changes and revokes principals and their keys."""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from remora.cli.terminal import (
    DONE,
    add_deployment_options,
    confirm,
    finish,
    named_stack,
    say,
    table,
    tell,
)
from remora.cli.times import distance, read_duration, read_expiry
from remora.errors import InvalidArgumentError

if TYPE_CHECKING:
    from remora.auth.keys import StoredKey, StoredPrincipal
    from remora.auth.principal import Scope
    from remora.principals.service import PrincipalsService
    from remora.principals.stack import Stack

_SCOPES = ("read", "write", "admin")
_OVERLAP = "24h"
_INTERRUPTED = "Interrupted. `remora key list` shows what was done."


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
    add_deployment_options(parser)
    parser.set_defaults(run=finish(lambda arguments: run(arguments, _target(arguments)), _INTERRUPTED))
    return parser


def _target(arguments: argparse.Namespace) -> _Target:
    """Return the deployment that is meant: a stack if one is named, else the local run."""
    from remora.local.connection import PRINCIPAL_ID
    from remora.operations.deployment import Whereabouts, find
    from remora.principals.service import PrincipalsService
    from remora.principals.stack import read_stack
    from remora.principals.store import PrincipalsStore
    from remora.principals.usage_keys import UsageKeys

    deployment = find(
        Whereabouts(named_stack(arguments), arguments.region, arguments.profile, data_dir=arguments.data)
    )
    stack = read_stack(deployment.client("cloudformation"), deployment.name)
    service = PrincipalsService(
        PrincipalsStore(deployment.client("secretsmanager"), stack.secret),
        UsageKeys(deployment.client("apigateway"), stack.name, stack.plans),
        fixed=frozenset({PRINCIPAL_ID}) if deployment.is_local else frozenset(),
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
    tell(
        f"Created {new.id}: scopes {_joined(principal.scopes)}, space {principal.space}, tier {principal.tier}, "
        f"{f'a key that {_expiry(principal.keys)}' if principal.keys else 'no key'}."
    )
    _hand_out(issued.key)
    _warn_if_full(target)
    return DONE


def _list(arguments: argparse.Namespace, target: _Target) -> int:
    from remora.auth.keys import CAPACITY

    snapshot = target.service.snapshot()
    everyone = sorted(snapshot.principals.principals.items())
    if arguments.json:
        document = {
            "stack": target.stack.name,
            "principals": [_as_json(principal_id, principal) for principal_id, principal in everyone],
            "size": snapshot.size,
            "capacity": CAPACITY,
        }
        say(json.dumps(document, indent=2, ensure_ascii=False))
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
        say(table(("ID", "NAME", "SCOPES", "SPACE", "TIER", "KEYS", "EXPIRY", "AGE"), rows))
    _warn_if_full(target)
    return DONE


def _show(arguments: argparse.Namespace, target: _Target) -> int:
    principal = target.service.get(arguments.id)
    if arguments.json:
        say(json.dumps(_as_json(arguments.id, principal), indent=2, ensure_ascii=False))
        return DONE
    say(f"Id          {arguments.id}{' (disabled)' if principal.disabled else ''}")
    say(f"Name        {principal.name or '-'}")
    say(f"Scopes      {_joined(principal.scopes)}")
    say(f"Space       {principal.space}")
    say(f"Tier        {principal.tier}")
    say(f"Identities  {_joined(principal.identities) or '-'}")
    if principal.keys:
        say("")
        say(table(("KEY", "EXPIRY", "AGE"), [(key.id, _expiry((key,)), _age((key,))) for key in principal.keys]))
    else:
        say("Keys        -")
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
    tell(
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
    tell(f"{arguments.id} has a new key, which {_expiry(issued.principal.keys[-1:])}. {old}")
    _hand_out(issued.key)
    _warn_if_full(target)
    return DONE


def _revoke(arguments: argparse.Namespace, target: _Target) -> int:
    principal = target.service.get(arguments.id)
    if arguments.key is not None:
        confirm(f"Revoke the key {arguments.key} of {arguments.id}?", yes=arguments.yes)
        target.service.revoke_key(arguments.id, arguments.key)
        tell(f"Revoked the key {arguments.key} of {arguments.id}. It is refused {_delay(target)}")
        return DONE
    name = f" ({principal.name})" if principal.name else ""
    confirm(f"Revoke {arguments.id}{name} with {len(principal.keys)} key(s)?", yes=arguments.yes)
    target.service.revoke(arguments.id)
    tell(f"Revoked {arguments.id}; its space {principal.space} stays as it is. Its keys are refused {_delay(target)}")
    return DONE


# ---- what is said ----


def _hand_out(key: str | None) -> None:
    """Print a key alone on standard output, where a script can take it."""
    if key is not None:
        tell("This is the key. It is not stored and cannot be shown again:")
        say(key)


def _delay(target: _Target) -> str:
    return f"within {target.stack.revocation_seconds} seconds, the time that answers are cached."


def _warn_if_full(target: _Target) -> None:
    from remora.principals.service import nearly_full

    warning = nearly_full(target.service.snapshot())
    if warning is not None:
        tell(f"remora: {warning}")


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


def _scopes(given: Iterable[str] | None) -> "frozenset[Scope] | None":
    from remora.auth.principal import Scope

    return None if given is None else frozenset(Scope(scope) for scope in given)


def _joined(words: Iterable[str]) -> str:
    return " ".join(sorted(words))


def _now() -> datetime:
    return datetime.now(UTC)
